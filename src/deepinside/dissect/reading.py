"""Pictures of the probe set with their labels, read ahead and grouped into batches of one size."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
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


@dataclass(frozen=True)
class Group:
    """Pictures that share the size of picture and label map.

    Args:
        members: at least one.
    """

    members: Sequence[Picture]

    def __len__(self) -> int:
        return len(self.members)

    @property
    def numbers(self) -> Int[Tensor, " n"]:
        """Of the pictures."""
        return torch.tensor([picture.number for picture in self.members])

    @property
    def images(self) -> Float[Tensor, "n 3 h w"]:
        """RGB in [0, 1]."""
        return torch.stack([picture.image for picture in self.members]).float() / 255

    @cached_property
    def labels(self) -> Labels:
        """Of all pictures."""
        return Labels.stacked([picture.labels for picture in self.members])

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the label maps."""
        return self.members[0].shape

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the pictures."""
        return self.members[0].image.shape[1], self.members[0].image.shape[2]


def grouped(pictures: Iterable[Picture]) -> list[Group]:
    """Puts pictures of one size together, in the order in which the sizes first occur.

    Args:
        pictures: of a batch.

    Returns:
        Groups.
    """
    groups: dict[tuple[int, ...], list[Picture]] = {}
    for picture in pictures:
        groups.setdefault((*picture.image.shape[1:], *picture.shape), []).append(picture)
    return [Group(members) for members in groups.values()]


def mixed(images: int, batch: int) -> list[list[int]]:
    """The batches of both passes, in an order that has nothing to do with names: each is a sample of the pictures.

    Sorted names would bring pictures of one source and one texture together, and both the bootstrap and the luck of a
    unit (whose masks meet labels of other pictures of the batch) rest on batches that are samples.

    Args:
        images: number of pictures.
        batch: pictures per batch.

    Returns:
        Numbers of the pictures of each batch; the same for the same two arguments.
    """
    order = np.random.default_rng(0).permutation(images).tolist()
    return [order[start : start + batch] for start in range(0, images, batch)]


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
