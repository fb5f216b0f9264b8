"""Progress of long loops, with rate and remaining time, and batches that survive an interruption."""

import logging
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
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

from deepinside.runtime import engine, memory
from deepinside.runtime.engine import Arrays, Compute

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Advance = Callable[[int], None]  # number of items finished since the last call
EVERY = 10.0  # seconds between two lines of progress
_clock = time.monotonic


def track(items: Iterable[Item], description: str, total: int | None = None) -> Generator[Item]:
    """Yields the items while showing progress, see `advancing`; `total` is needed where `len` is not available."""
    with advancing(description, total if total is not None else len(items)) as advance:  # type: ignore[arg-type]
        for item in items:
            yield item
            advance(1)


@contextmanager
def advancing(description: str, total: int, finished: int = 0) -> Generator[Advance]:
    """Shows the progress of a loop, with rate and remaining time; call what it yields with the items finished since.

    A bar where stderr is a terminal; otherwise a line in the log, at most one every `EVERY` seconds over all loops.
    """
    with _timed(description):
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
            times = (TimeElapsedColumn(), TimeRemainingColumn())
            with Progress(*columns, *times, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task(description, total=total, completed=finished)
                yield lambda count: bar.advance(task, count)
        else:
            yield _Lines(description, total, finished).advance


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(rate(task.finished_speed or task.speed or 0))


class _Lines:
    """Progress in lines; the time of the last one is shared, so that nested loops do not add up."""

    last = -EVERY

    def __init__(self, description: str, total: int, finished: int) -> None:
        self.description, self.total = description, total
        self.start = self.done = finished
        self.started = _clock()

    def advance(self, count: int) -> None:
        self.done += count
        now = _clock()
        if now - max(self.started, _Lines.last) < EVERY:
            return
        _Lines.last = now
        speed = (self.done - self.start) / (now - self.started)
        left = duration((self.total - self.done) / speed) if speed else "unknown time"
        log.info("%s: %d of %d, %s, %s left", self.description, self.done, self.total, rate(speed), left)


def rate(speed: float) -> str:
    """A speed in items per second, in a suitable unit, such as `12.5/s`, `4.0/min` or `1.5/h`."""
    for seconds, unit in ((1, "s"), (60, "min")):
        if speed * seconds >= 1:
            return f"{speed * seconds:.1f}/{unit}"
    return f"{speed * 3600:.1f}/h"


def duration(seconds: float) -> str:
    """A number of seconds in words, such as `0 min 08 s` or `2 h 05 min`."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02} min" if hours else f"{rest // 60} min {rest % 60:02} s"


@dataclass
class Durations:
    """Seconds spent in loops, by description; a nested loop counts for the outer one only."""

    seconds: dict[str, float] = field(default_factory=dict)
    depth: int = 0


_durations: ContextVar[Durations | None] = ContextVar("_durations", default=None)


@contextmanager
def timed() -> Generator[dict[str, float]]:
    """Measures the loops with progress during the block, those of this thread: description -> seconds."""
    own = Durations()
    token = _durations.set(own)
    try:
        yield own.seconds
    finally:
        _durations.reset(token)


@contextmanager
def _timed(description: str) -> Generator[None]:
    found = _durations.get()
    if found is None:
        yield
        return
    started = _clock()
    found.depth += 1
    try:
        yield
    finally:
        found.depth -= 1
        if not found.depth:
            found.seconds[description] = found.seconds.get(description, 0.0) + _clock() - started


def finished(folder: Path, start: int) -> Path:
    """The file of the batch of `resumable` that begins at `start`, whether it exists or not."""
    return folder / f"{start:08d}.npz"


def resumable(
    folder: Path,
    count: int,
    batch_size: int,
    compute: Compute,
    description: str,
    *,
    worker: Callable[[], Compute] | None = None,
    skipped: Callable[[range, str], Arrays] | None = None,
) -> Iterator[Arrays]:
    """Runs `compute` on fixed batches of positions and stores each finished batch, which is never computed again.

    Batches are fixed by position and kept whole, so an interrupted run ends with the same numbers as any other, and so
    does one whose batches the workers of `engine.opened` compute. Only this process writes.

    Args:
        folder: of the finished batches; the caller removes it at the end.
        count: number of items.
        batch_size: items per batch.
        compute: positions -> arrays (numbers or strings; no objects).
        description: of the loop, for its progress.
        worker: returns `compute` in another process, to which it is sent; None: this process computes all batches.
        skipped: positions and reason -> arrays, for a batch that killed its workers.

    Yields:
        The results in order.

    Raises:
        PoisonBatch: if a batch killed its workers and cannot be skipped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    batches = [range(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    missing = [batch for batch in batches if not finished(folder, batch.start).exists()]
    remote = engine.current() if worker is not None else None
    if remote is None:
        results: Iterable[tuple[range, Arrays]] = ((batch, engine.accounted(compute, batch)) for batch in missing)
    else:
        results = remote.batches(worker, missing, description)  # type: ignore[arg-type]
    with advancing(description, count, finished=count - sum(map(len, missing))) as advance:
        for batch, found in results:
            if isinstance(found, engine.PoisonBatch):
                if skipped is None:
                    raise found
                log.warning("%s; its %d items are skipped", found, len(batch))
                found = skipped(batch, str(found))
            _store(finished(folder, batch.start), found)
            advance(len(batch))
    for batch in batches:
        with np.load(finished(folder, batch.start)) as stored:
            arrays = dict(stored)
        halved = arrays.pop(engine.HALVED, np.array([])).tolist()
        memory.note(f"{description} from {batch.start}: {line}" for line in halved)
        yield arrays


def _store(path: Path, arrays: Arrays) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    temporary.rename(path)
