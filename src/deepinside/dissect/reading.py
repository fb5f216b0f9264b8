"""Pictures of the probe set with their labels, read ahead and grouped into batches of one size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from deepinside.dissect.labels import Labels


class Picture(NamedTuple):
    """A picture as it is fed to the network, its labels, and (h, w) of its label maps."""

    number: int
    image: UInt8[Tensor, "3 h w"]
    labels: Labels
    shape: tuple[int, int]


class Bad(NamedTuple):
    """A picture that cannot be used, the file at fault and the reason."""

    number: int
    file: str
    reason: str


Reading = Picture | Bad


class Group(NamedTuple):
    """Pictures that share the size of picture and label map."""

    numbers: Int[Tensor, " n"]
    images: Float[Tensor, "n 3 h w"]
    labels: Labels
    shape: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the pictures."""
        return self.images.shape[2], self.images.shape[3]


def grouped(pictures: Iterable[Picture]) -> Iterator[Group]:
    """Stacks pictures of one size, in the order in which the sizes first occur.

    Args:
        pictures: of a batch.

    Yields:
        Groups, RGB in [0, 1].
    """
    groups: dict[tuple[int, ...], list[Picture]] = {}
    for picture in pictures:
        groups.setdefault((*picture.image.shape[1:], *picture.shape), []).append(picture)
    for members in groups.values():
        yield Group(
            torch.tensor([picture.number for picture in members]),
            torch.stack([picture.image for picture in members]).float() / 255,
            Labels.stacked([picture.labels for picture in members]),
            members[0].shape,
        )


class Reader:
    """Reads batch after batch, the next one while this one is being worked on; a context that stops its threads.

    Args:
        read: number of a picture -> the picture, or why not.
        batches: the numbers of each batch, in the order in which they will be asked for; some may be skipped.
        workers: threads.
    """

    def __init__(self, read: Callable[[int], Reading], batches: Sequence[Sequence[int]], workers: int) -> None:
        self._read = read
        self._batches = batches
        self._pool = ThreadPoolExecutor(max(1, workers))
        self._pending: dict[int, list[Future[Reading]]] = {}

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def batch(self, index: int) -> list[Reading]:
        """One batch.

        Args:
            index: of the batch.

        Returns:
            What was read, in the order of its numbers.
        """
        for ahead in (index, index + 1):
            if ahead < len(self._batches) and ahead not in self._pending:
                self._pending[ahead] = [self._pool.submit(self._read, number) for number in self._batches[ahead]]
        return [future.result() for future in self._pending.pop(index)]
