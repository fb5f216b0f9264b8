"""Long loops: a bar with the time left, and batches that survive a kill."""

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy import ndarray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from deepinside import memory

Item = TypeVar("Item")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.1f}/s")


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Passes the items on under a progress bar with rate and time left; silent where stderr is no terminal.

    Args:
        items: what to go through.
        description: said beside the bar.
        total: how many there are, where `len` does not tell.

    Yields:
        The items.
    """
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    named = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*named, *times, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        yield from bar.track(items, total=total, description=description)


class AllTaken(Exception):
    """A process that only helps has nothing left to do."""


_helping = ContextVar("_helping", default=False)
_HALVED = "halved"  # what memory did not suffice for, beside the arrays of a batch


@contextmanager
def helping() -> Generator[None]:
    """While it lasts, `resumable` leaves its answers to another process, which is making the artifact from them."""
    token = _helping.set(True)
    try:
        with suppress(AllTaken):
            yield
    finally:
        _helping.reset(token)


def alone() -> None:
    """What follows is one process's work, and no other's.

    Raises:
        AllTaken: inside `helping`.
    """
    if _helping.get():
        raise AllTaken


def finished(folder: Path, start: int) -> Path:
    """The file of a batch of `resumable`.

    Args:
        folder: where the finished batches lie.
        start: position that the batch begins at.

    Returns:
        The file, whether it is there or not.
    """
    return folder / f"{start:08d}.npz"


def resumable(
    folder: Path, count: int, batch: int, compute: Callable[[range], dict[str, ndarray]], description: str
) -> Iterator[dict[str, ndarray]]:
    """Runs `compute` on fixed batches of positions, keeps each finished batch on disk and never computes it again.

    Batches are fixed by position and kept whole, so an interrupted run ends with the same numbers as any other, and
    so does one that several processes share: each takes batches that nobody has finished or is at. The batch of a
    process that died is free again.

    Args:
        folder: where the finished batches lie; the caller removes it when all is done. Shared by all processes.
        count: number of items.
        batch: items per batch.
        compute: positions -> arrays (numbers or strings; no objects).
        description: said beside the progress bar.

    Yields:
        The answers in order.

    Raises:
        AllTaken: inside `helping`, once every batch is finished or in work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, count, batch)

    def finish(start: int, timeout: float) -> Path:
        path = finished(folder, start)
        if path.exists() or not folder.exists():  # gone: all is done
            return path
        lock = FileLock(path.with_suffix(".lock"))
        with suppress(Timeout), lock.acquire(timeout=timeout):
            if not path.exists():
                with memory.accounted() as halved:
                    answer = compute(range(start, min(start + batch, count)))
                answer |= {_HALVED: np.array(halved)} if halved else {}
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                with temporary.open("wb") as file:
                    np.savez(file, **answer)  # type: ignore[arg-type]
                temporary.rename(path)
            Path(lock.lock_file).unlink(missing_ok=True)
        return path

    for start in track(starts, description, total=len(starts)):
        finish(start, timeout=0)
    alone()
    for start in starts:
        with np.load(finish(start, timeout=-1)) as stored:
            answer = dict(stored)
        memory.note(f"{description} from {start}: {line}" for line in answer.pop(_HALVED, np.array([])).tolist())
        yield answer
