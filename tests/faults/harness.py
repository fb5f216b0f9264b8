"""Tiny runs of the program, disturbed or not, and what must hold after them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tests import own
from tests.data.trees import picture
from tests.fuzz.corpus import BRODEN

from deepinside.artifacts.artifact import verify
from deepinside.artifacts.excerpt import difference

DOOMED = Path(__file__).with_name("doomed.py")
COMMON = [
    *("data=folder", "data.root=pictures"),
    *("machine.workers=0", "machine.threads=1", "machine.device=cpu"),
]
OWN = ["model=custom", "model.target=mine:net", "model.input=32", "model.resize=36"]
MICRO = ["model=convnet_micro", "model.widths=[2,2,2,2,2]", "model.hidden=[4,4]"]
RUNS = {
    "localise": ["run=localise", *OWN, "localise.batch_size=1", "localise.crops=centre", "data.limit=4"],
    "visualise": [
        "run=visualise",
        *OWN,
        "method=[saliency,class_model]",
        "method.class_model.steps=3",
        "visualise.images=3",
    ],
    "train": ["run=train", *MICRO, "train.epochs=3", "train.batch_size=4", "train.keep=[1]"],
    "dissect": [
        "run=dissect",
        *OWN,
        "concepts=broden",
        "concepts.root=probe",
        "dissect.layers=['0']",
        "dissect.batch_size=2",
    ],
}


class Done(NamedTuple):
    """How a run ended (negative: by that signal), how often it looked at its outputs, and what it said."""

    status: int
    looks: int
    said: str


def laid(folder: Path) -> Path:
    """A working directory with images, boxes, a probe set and a network."""
    own.lay(folder, least=(72, 80), box=(22, 20, 62, 60))
    own.hold_out(folder / "pictures")
    for table, text in BRODEN.items():
        (folder / "probe" / table).parent.mkdir(exist_ok=True)
        (folder / "probe" / table).write_text(text)
    for name in ("a", "b"):
        picture(folder / f"probe/images/s/{name}.jpg")
    for number, category in ((1, "color"), (2, "object")):
        labels = np.zeros((15, 20, 3), np.uint8)
        labels[3:, 4:, 0] = number
        Image.fromarray(labels).save(folder / f"probe/images/s/a_{category}.png")
    return folder


def alive(place: Path) -> set[int]:
    """Processes that were started for this working directory."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"PYTHONPATH={place}".encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
    return found


def ended(place: Path, but: int = 0) -> bool:
    """Whether all but so many of these processes end."""
    until = time.monotonic() + own.HANGS
    while len(alive(place)) > but and time.monotonic() < until:
        time.sleep(0.1)
    return len(alive(place)) == but


class Warm:
    """A warm process that forks for every run."""

    def __init__(self, process: subprocess.Popen, place: Path) -> None:
        self._process, self.place = process, place

    def run(self, arguments: list[str], outputs: str, die_at: int | None = None, clock: Sequence[float] = ()) -> Done:
        log = self.place / f"{outputs}.log"
        job = {
            "arguments": [*COMMON, *arguments, f"outputs={outputs}", "wandb=disabled"],
            **{"cwd": str(self.place), "outputs": str(self.place / outputs), "log": str(log), "die_at": die_at},
            "clock": list(clock),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Done(answer["status"], answer["looks"], log.read_text())


def environment(place: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": own.searched(place), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


@contextmanager
def warmed(place: Path, *stages: str) -> Generator[Warm]:
    """A process that has imported what these stages need, ended at the end."""
    command = [sys.executable, str(DOOMED), *stages]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=place, env=environment(place), **pipes)
    try:
        yield Warm(process, place)
    finally:
        process.kill()
        process.communicate()


def start(
    arguments: list[str], outputs: str, place: Path, mode: str = "disabled", **variables: str
) -> subprocess.Popen:
    """The program from cold, as a user starts it."""
    command = [sys.executable, "-m", "deepinside", *COMMON, *arguments, f"outputs={outputs}", f"wandb={mode}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=place, env=environment(place) | variables, **pipes)


def artifacts(outputs: Path) -> dict[str, Path]:
    """Finished artifacts by stage and fingerprint."""
    folders = (path.parent for path in sorted(outputs.glob("*/[0-9a-f]*/manifest.json")))
    return {folder.relative_to(outputs).as_posix(): folder for folder in folders if folder.suffix != ".part"}


def same(left: Path, right: Path) -> None:
    """Both outputs hold the same artifacts, whole and but for the record, and nothing that is half done."""
    ours, theirs = artifacts(left), artifacts(right)
    assert ours.keys() == theirs.keys()
    for name, folder in ours.items():
        assert verify(folder) == []
        assert difference(folder, theirs[name]) == [], name
    for outputs in (left, right):
        rest = [path for path in outputs.rglob("*") if path.suffix in {".part", ".lock", ".tmp"}]
        assert not rest, rest


KILLED = -signal.SIGKILL
