"""Images of the probe set with their labels, read ahead and grouped into batches of one size."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.data.broden.reader import Broden, Row
from deepinside.data.reading import BadFile
from deepinside.dissection.labels import Labels, Vocabulary
from deepinside.views import resized

Item = TypeVar("Item")


class Picture(NamedTuple):
    """An input image of the network, its labels, and (h, w) of its label maps."""

    number: int
    image: UInt8[Tensor, "3 h w"]
    labels: Labels
    shape: tuple[int, int]


class Bad(NamedTuple):
    """An image that cannot be used, the file at fault and the reason."""

    number: int
    file: str
    reason: str


Reading = Picture | Bad


@dataclass(frozen=True)
class Group:
    """Images of a batch that share the size of image and label map, without their pixels.

    Args:
        numbers: of the images, (n,).
        labels: of all of them.
        shape: (h, w) of the label maps.
        size: (h, w) of the images.
    """

    numbers: Int[ndarray, " n"]
    labels: Labels
    shape: tuple[int, int]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.numbers)

    def packed(self) -> dict[str, ndarray]:
        """The group as arrays, so that label maps are decoded once.

        Returns:
            Arrays for numpy.savez.
        """
        own = {"numbers": self.numbers, "sizes": np.array([self.shape, self.size])}
        return own | {f"labels.{key}": values for key, values in self.labels.packed().items()}

    @classmethod
    def unpacked(cls, arrays: Mapping[str, ndarray], prefix: str) -> "Group":
        """The group from arrays.

        Args:
            arrays: as returned by `packed`, among others.
            prefix: of their names.

        Returns:
            The group.
        """
        labels = Labels.unpacked({key: arrays[f"{prefix}labels.{key}"] for key in ("maps", "shape", "whole")})
        (tall, wide), (height, width) = arrays[f"{prefix}sizes"].tolist()
        return cls(arrays[f"{prefix}numbers"], labels, (tall, wide), (height, width))


def grouped(pictures: Iterable[Picture]) -> list[tuple[Group, UInt8[Tensor, "n 3 h w"]]]:
    """Groups images by size, in the order in which the sizes first occur.

    Args:
        pictures: of a batch.

    Returns:
        Groups, each with its images.
    """
    by_size: dict[tuple[int, int, int, int], list[Picture]] = {}
    for picture in pictures:
        height, width = picture.image.shape[1:]
        by_size.setdefault((*picture.shape, height, width), []).append(picture)
    found = []
    for (tall, wide, height, width), members in by_size.items():
        labels = Labels.stacked([picture.labels for picture in members])
        group = Group(np.array([picture.number for picture in members]), labels, (tall, wide), (height, width))
        found.append((group, torch.stack([picture.image for picture in members])))
    return found


def mixed(images: int, batch_size: int) -> list[list[int]]:
    """The batches of both passes, in a pseudo-random order that does not depend on names.

    Sorted names would group images of one source or texture, whereas both the bootstrap and the permutation test
    (which pairs masks with labels of other images of the batch) assume that every batch is a random sample.

    Args:
        images: number of images.
        batch_size: images per batch.

    Returns:
        Numbers of the images of each batch; the same for the same two arguments.
    """
    order = np.random.default_rng(0).permutation(images).tolist()
    return [order[start : start + batch_size] for start in range(0, images, batch_size)]


class Reader(Generic[Item]):
    """Reads batches, the next one in the background; a context manager that stops its threads.

    Args:
        read: number of an image -> its content.
        batches: the numbers of each batch, in the order in which they will be requested; some may be skipped.
        workers: threads.
    """

    def __init__(self, read: Callable[[int], Item], batches: Sequence[Sequence[int]], workers: int) -> None:
        self._read = read
        self._batches = batches
        self._pool = ThreadPoolExecutor(max(1, workers))
        self._pending: dict[int, list[Future[Item]]] = {}

    def __enter__(self) -> "Reader[Item]":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def batch(self, index: int) -> list[Item]:
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


def vocabulary_of(broden: Broden) -> Vocabulary:
    """The concepts of a probe set.

    Args:
        broden: the probe set.

    Returns:
        All its labels; those of categories that are left out have a number and no category.
    """
    names = [""] * broden.size
    primary = np.full(broden.size, -1, dtype=np.int64)
    for number in broden.numbers:
        names[number] = f"label {number}"  # of a category that is left out
    for label in broden.labels:
        names[label.number] = label.name
        primary[label.number] = broden.categories.index(label.category)
    return Vocabulary(broden.categories, tuple(names), primary)


def sources_of(broden: Broden) -> list[int]:
    """The sources of the images: the folders below `images/`, e.g. those of ADE20K, DTD, OpenSurfaces and Pascal.

    Args:
        broden: the probe set.

    Returns:
        A number per image, the same for the images of one folder.
    """
    folders = [broden.names(number).rpartition("/")[0] for number in range(len(broden))]
    known = {name: index for index, name in enumerate(dict.fromkeys(folders))}
    return [known[name] for name in folders]


def image_of(broden: Broden, side: int | None, number: int) -> UInt8[Tensor, "3 h w"]:
    """An input image of the network.

    Args:
        broden: the probe set.
        side: of the square that it is resized to, in pixels; None: unchanged.
        number: of the image.

    Returns:
        RGB bytes, (3, h, w).
    """
    image = broden.image(number)
    return image if side is None else (resized(image, side, side) * 255).round().to(torch.uint8)


def pictures(
    image: Callable[[int], UInt8[Tensor, "3 h w"]],
    used: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    batch_size: int,
) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """The images once more, without their labels.

    Args:
        image: number of an image -> the image.
        used: numbers of those that count.
        sizes: (h, w) of each image.
        batch_size: images per batch; of one size each.

    Yields:
        RGB in [0, 1].
    """
    by_size: dict[tuple[int, int], list[int]] = {}
    for number in sorted(used):
        by_size.setdefault(sizes[number], []).append(number)
    for numbers in by_size.values():
        for start in range(0, len(numbers), batch_size):
            yield torch.stack([image(number) for number in numbers[start : start + batch_size]]).float() / 255


def reader(
    broden: Broden, vocabulary: Vocabulary, image: Callable[[int], UInt8[Tensor, "3 h w"]], partners: Sequence[int]
) -> Callable[[int], Reading]:
    """The function that reads images and labels.

    Args:
        broden: the probe set.
        vocabulary: of it.
        image: number of an image -> the image.
        partners: number of the image whose labels each image gets.

    Returns:
        Number of an image -> the image with its labels, or the bad file and the reason.
    """

    def read(number: int) -> Reading:
        row = broden.rows[number]
        shape = row.sh, row.sw
        if row.sh > row.ih or row.sw > row.iw:
            return Bad(number, f"images/{row.image}", _too_large(row))
        try:
            labels = Labels.of(broden.segmentation(partners[number]), shape, vocabulary)
            return Picture(number, image(number), labels, shape)
        except BadFile as error:
            return Bad(number, *error.row(broden.root))

    return read


def _too_large(row: Row) -> str:
    came = f"{row.sw}x{row.sh} for {row.iw}x{row.ih}"
    return f"expected a label map no larger than its image, got {came} pixels: correct ih, iw, sh, sw in index.csv"


def shuffled(broden: Broden, seed: int) -> list[int]:
    """Permutes the labels among images with label maps of the same size.

    Args:
        broden: the probe set.
        seed: of the permutation.

    Returns:
        Number of the image whose labels each image gets; possibly its own.
    """
    random, partners = np.random.default_rng(seed), list(range(len(broden)))
    sizes: dict[tuple[int, int], list[int]] = {}
    for number, row in enumerate(broden.rows):
        sizes.setdefault((row.sh, row.sw), []).append(number)
    for members in sizes.values():
        for number, other in zip(members, random.permutation(members).tolist(), strict=True):
            partners[number] = other
    return partners
