"""Runs the program in forks of one warm process; a fork may be killed at its n-th look at the outputs.

Its clock may jump at every look at it, too.

Reads jobs from standard input, one JSON object a line, and answers each by a line with its exit status (negative: the
signal that ended it) and the number of times that it opened, made, renamed or removed something in the outputs.
"""

import importlib
import itertools
import json
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from datetime import datetime, tzinfo

COUNTED = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.scandir")


def warm(stages: list[str]) -> None:
    """Imports what these stages need, once for all forks."""
    for name in (
        "pipeline.configuration",
        "pipeline.execution",
        "report.summary",
        *(f"stages.{stage}" for stage in stages),
    ):
        importlib.import_module(f"deepinside.{name}")


def count(outputs: str, counter: mmap.mmap, die_at: int | None) -> None:
    """Counts looks at the outputs, and dies at one of them as by `kill -9`."""

    def look(event: str, arguments: tuple) -> None:
        if event not in COUNTED or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if outputs in os.path.abspath(os.fsdecode(arguments[0])):
            seen = struct.unpack("q", counter[:8])[0] + 1
            counter[:8] = struct.pack("q", seen)
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def jump(seconds: list[float]) -> None:
    """Lets the clock be wrong by so many seconds, at each look by the next of them."""
    real, wrong = time.time, itertools.cycle(seconds)

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: real() + next(wrong)
    time.time_ns = lambda: int(time.time() * 1e9)
    importlib.import_module("deepinside.artifacts.artifact").datetime = Wrong  # type: ignore[attr-defined]


def child(job: dict, counter: mmap.mmap) -> None:
    """One run of the program; does not return."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(job["cwd"])
    sys.path.insert(0, job["cwd"])
    sys.argv = ["deepinside", *job["arguments"]]
    if job["clock"]:
        jump(job["clock"])
    count(job["outputs"], counter, job["die_at"])
    status = 1
    try:
        from deepinside.__main__ import main

        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    warm(sys.argv[1:])
    counter = mmap.mmap(-1, 8)
    for line in sys.stdin:
        counter[:8] = bytes(8)
        forked = os.fork()
        if not forked:
            child(json.loads(line), counter)
        status = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
        sys.stdout.write(json.dumps({"status": status, "looks": struct.unpack("q", counter[:8])[0]}) + "\n")
        sys.stdout.flush()
