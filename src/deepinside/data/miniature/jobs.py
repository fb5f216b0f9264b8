"""Many pictures at once: the same answers whatever the number of processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

from deepinside.progress import track

Answer = TypeVar("Answer")
_CHUNK = 32  # pictures that a process takes at a time


def _several(draw: Callable[[int], Answer], indices: range) -> list[Answer]:
    return [draw(index) for index in indices]


def drawn(draw: Callable[[int], Answer], count: int, workers: int, description: str) -> Iterator[Answer]:
    """Calls `draw` with 0, 1, ... count - 1.

    Args:
        draw: a picture's index -> what is to be known of it; can be sent to another process.
        count: number of pictures.
        workers: processes; none are started for 0 or 1.
        description: said beside the progress bar.

    Yields:
        The answers in order.
    """
    chunks: Sequence[range] = [range(a, min(a + _CHUNK, count)) for a in range(0, count, _CHUNK)]
    if workers <= 1 or len(chunks) <= 1:
        for chunk in track(chunks, description):
            yield from _several(draw, chunk)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        for answers in track(pool.map(partial(_several, draw), chunks), description, total=len(chunks)):
            yield from answers
