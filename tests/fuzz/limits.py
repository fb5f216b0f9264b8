"""A time and memory limit around a reader, and a look at what it opens."""

import os
import resource
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 5  # of processor time: other processes may take the rest
PATIENCE = 20  # times as much passes before a reader that waits is taken to hang
BYTES = 10**9

_watched: dict[str, list[str]] = {}


class Hang(BaseException):
    """A reader that took longer than it may; no reader can catch it by mistake."""


def _look(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        for forbidden, opened in _watched.items():
            place = os.path.realpath(os.fsdecode(arguments[0]).replace("\0", ""))
            if place == forbidden or place.startswith(f"{forbidden}/"):
                opened.append(place)


sys.addaudithook(_look)


@contextmanager
def limited(*forbidden: Path, seconds: float = SECONDS) -> Generator[None]:
    """Raises `Hang` after some seconds of work, or of waiting `PATIENCE` times as long; lets no more memory be had, and
    checks that nothing forbidden was opened."""

    def late(*_: object) -> None:
        raise Hang(f"more than {seconds} s")

    opened = {str(path): [] for path in forbidden}
    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + BYTES, most[1]))
    _watched.update(opened)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        _watched.clear()
        resource.setrlimit(resource.RLIMIT_DATA, most)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert not any(opened.values()), opened


def _data() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    return int(line.split()[1]) * 1024
