"""Long loops: a bar with the time left, and batches that survive a kill."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
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


def resumable(
    folder: Path, count: int, batch: int, compute: Callable[[range], dict[str, ndarray]], description: str
) -> Iterator[dict[str, ndarray]]:
    """Runs `compute` on fixed batches of positions, keeps each finished batch on disk and never computes it again.

    Batches are fixed by position and kept whole, so an interrupted run ends with the same numbers as any other.

    Args:
        folder: where the finished batches lie; the caller removes it when all is done.
        count: number of items.
        batch: items per batch.
        compute: positions -> arrays (numbers or strings; no objects).
        description: said beside the progress bar.

    Yields:
        The answers in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, count, batch)
    for start in track(starts, description, total=len(starts)):
        path = folder / f"{start:08d}.npz"
        if not path.exists():
            answer = compute(range(start, min(start + batch, count)))
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            with temporary.open("wb") as file:
                np.savez(file, **answer)  # type: ignore[arg-type]
            temporary.rename(path)
        with np.load(path) as stored:
            yield dict(stored)
