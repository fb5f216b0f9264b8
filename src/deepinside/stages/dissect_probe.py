"""The probe set as a dissection reads it: pictures as the network is fed them, with their labels or those of others."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from deepinside.data.bad_file import BadFile
from deepinside.data.broden import Broden, Row
from deepinside.dissection.labels import Labels
from deepinside.dissection.reading import Bad, Picture, Reading
from deepinside.dissection.vocabulary import Vocabulary
from deepinside.views import resized


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


def image_of(broden: Broden, side: int | None, number: int) -> UInt8[Tensor, "3 h w"]:
    """A picture as the network is fed it.

    Args:
        broden: the probe set.
        side: of the square that it is squeezed to, in pixels; None: as it lies there.
        number: of the picture.

    Returns:
        RGB bytes, (3, h, w).
    """
    image = broden.image(number)
    return image if side is None else (resized(image, side, side) * 255).round().to(torch.uint8)


def pictures(
    image: Callable[[int], UInt8[Tensor, "3 h w"]], used: Sequence[int], sizes: Sequence[tuple[int, int]], batch: int
) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """The pictures once more, without their labels.

    Args:
        image: number of a picture -> the picture.
        used: numbers of those that count.
        sizes: (h, w) of each picture.
        batch: pictures per batch; of one size each.

    Yields:
        RGB in [0, 1].
    """
    by_size: dict[tuple[int, int], list[int]] = {}
    for number in sorted(used):
        by_size.setdefault(sizes[number], []).append(number)
    for numbers in by_size.values():
        for start in range(0, len(numbers), batch):
            yield torch.stack([image(number) for number in numbers[start : start + batch]]).float() / 255


def reader(
    broden: Broden, vocabulary: Vocabulary, image: Callable[[int], UInt8[Tensor, "3 h w"]], partners: Sequence[int]
) -> Callable[[int], Reading]:
    """How pictures and labels are read.

    Args:
        broden: the probe set.
        vocabulary: of it.
        image: number of a picture -> the picture.
        partners: whose labels each picture gets.

    Returns:
        Number of a picture -> the picture with its labels, or which file is at fault and why.
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
    return f"expected a label map no larger than its picture, got {came} pixels: mend ih, iw, sh, sw in index.csv"


def shuffled(broden: Broden, seed: int) -> list[int]:
    """Gives every picture the labels of another, drawn among those with label maps of the same size.

    Args:
        broden: the probe set.
        seed: of the draw.

    Returns:
        Whose labels each picture gets; its own where no other has their size, or where the draw says so.
    """
    random, partners = np.random.default_rng(seed), list(range(len(broden)))
    sizes: dict[tuple[int, int], list[int]] = {}
    for number, row in enumerate(broden.rows):
        sizes.setdefault((row.sh, row.sw), []).append(number)
    for members in sizes.values():
        for number, other in zip(members, random.permutation(members).tolist(), strict=True):
            partners[number] = other
    return partners
