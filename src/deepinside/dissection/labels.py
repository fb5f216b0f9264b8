"""Labels of the probe set, and the concepts that it knows: numbered, each scored under one category."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor


@dataclass(frozen=True)
class Vocabulary:
    """Labels by number; number 0 is "no label".

    Args:
        categories: names, in the order of the probe set's `category.csv`.
        names: name of each label by its number, (l,); empty for 0 and for unused numbers.
        primary: index of each label's primary category, (l,); -1 for none.

    Raises:
        ValueError: if the lengths disagree, label 0 has a name, or a category index is out of range.
    """

    categories: tuple[str, ...]
    names: tuple[str, ...]
    primary: Int[ndarray, " l"]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.primary) or not self.names:
            raise ValueError(f"expected a category per label, got {len(self.names)} and {len(self.primary)}")
        if self.names[0] or self.primary[0] != -1:
            raise ValueError(f"expected label 0 to be no label, got {self.names[0]!r}: labels are numbered from 1")
        if not -1 <= self.primary.min() <= self.primary.max() < len(self.categories):
            raise ValueError(f"expected categories below {len(self.categories)}, got {self.primary.max()}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def named(self) -> Bool[ndarray, " l"]:
        """Which numbers a label bears."""
        return np.array([bool(name) for name in self.names])

    def members(self, category: int) -> Int[ndarray, " m"]:
        """The labels scored under a category.

        Args:
            category: its index.

        Returns:
            Label numbers, rising.
        """
        return np.flatnonzero(self.primary == category)

    def column(self) -> Int[Tensor, " l"]:
        """The category of each label, as a column number; those without one have the last column.

        Returns:
            (l,), 0 to the number of categories.
        """
        return torch.from_numpy(np.where(self.primary < 0, len(self.categories), self.primary).astype(np.int64))

    def member(self, ids: Int[Tensor, "n k"]) -> Bool[Tensor, "n k c"]:
        """Whether each label is of each category.

        Args:
            ids: numbers of labels, (n, k); 0 has no category.

        Returns:
            (n, k, c).
        """
        column = self.column().to(ids.device)[ids]
        return column[:, :, None] == torch.arange(len(self.categories), device=ids.device)


Segmentation = Mapping[str, Sequence[int | Int[ndarray, "h w"]]]


@dataclass(frozen=True)
class Carried:
    """The labels of images, a row per image; index 0 is no label.

    Args:
        ids: numbers of the labels, rising, (n, k), padded with 0.
        area: pixels of each, (n, k).
    """

    ids: Int[Tensor, "n k"]
    area: Int[Tensor, "n k"]

    def to(self, device: torch.device) -> "Carried":
        """Copies the labels to a device.

        Args:
            device: of the copy.

        Returns:
            The copy.
        """
        return Carried(self.ids.to(device), self.area.to(device))


@dataclass(frozen=True)
class Placed:
    """Label maps of indices into the image's row of labels: small numbers, for fast counting.

    Args:
        carried: the rows.
        maps: index of the label of each pixel, (d, n, p).
        whole: indices of the labels of the whole image, (n, m).
    """

    carried: Carried
    maps: Int[Tensor, "d n p"]
    whole: Int[Tensor, "n m"]

    def of_rows(self, rows: Int[Tensor, " n"]) -> "Placed":
        """The labels of other images: row i gets those of row `rows[i]`.

        Args:
            rows: on the same device.

        Returns:
            A copy.
        """
        return Placed(Carried(self.carried.ids[rows], self.carried.area[rows]), self.maps[:, rows], self.whole[rows])


@dataclass(frozen=True)
class Labels:
    """The labels of images with label maps of one size; 0 is no label.

    A label is at a pixel at most once, from whichever map or column of the index.

    Args:
        maps: label of each pixel, (d, n, p): d superimposed maps, p pixels row by row.
        whole: labels of the whole image, (n, m), padded with 0.
        area: pixels of each label, (n, l).
    """

    maps: Int[Tensor, "d n p"]
    whole: Int[Tensor, "n m"]
    area: Int[Tensor, "n l"]

    def __len__(self) -> int:
        return len(self.area)

    @classmethod
    def of(cls, segmentation: Segmentation, shape: tuple[int, int], vocabulary: Vocabulary) -> "Labels":
        """Superimposes the labels of all categories of one image.

        Args:
            segmentation: category -> numbers (of the whole image) and maps (h, w).
            shape: (h, w) of the label maps.
            vocabulary: of the labels.

        Returns:
            The labels of one image.

        Raises:
            ValueError: if a map has another shape, or a number is not in the vocabulary.

        Source: Bau et al. 2017, code (labelprobe.py, accumulate_counts).
        Deviation: a pixel that carries a label in two maps counts once, as the formula's sets do (the paper's code
            counts it twice).
        """
        parts = [np.asarray(part) for column in segmentation.values() for part in column]
        whole = np.unique([int(part) for part in parts if part.ndim == 0 and part != 0]).astype(np.int64)
        area = np.bincount(_known(whole, vocabulary), minlength=len(vocabulary)) * (shape[0] * shape[1])
        levels: list[Int[ndarray, " p"]] = []
        for part in parts:
            if part.ndim:
                _expect_shape(part.shape, shape)
                levels.append(_once(_known(part.ravel(), vocabulary), whole, levels, area))
                area += np.bincount(levels[-1], minlength=len(vocabulary))
        area[0] = 0
        maps = np.stack(levels) if levels else np.zeros((0, shape[0] * shape[1]))
        return cls(*map(torch.from_numpy, (maps.astype(np.int32)[:, None], whole[None], area[None])))

    @classmethod
    def stacked(cls, pictures: Sequence["Labels"]) -> "Labels":
        """The labels of several images as one batch.

        Args:
            pictures: at least one, with label maps of one size.

        Returns:
            The batch; images with fewer maps or numbers are filled up with 0.
        """
        depth, width = max(len(p.maps) for p in pictures), max(p.whole.shape[1] for p in pictures)
        maps = torch.cat([_grown(p.maps, 0, depth) for p in pictures], dim=1)
        whole = torch.cat([_grown(p.whole, 1, width) for p in pictures])
        return cls(maps, whole, torch.cat([p.area for p in pictures]))

    def packed(self) -> dict[str, ndarray]:
        """The labels as compact arrays, a few thousand bytes per image.

        Returns:
            Arrays for numpy.savez.
        """
        maps = self.maps.numpy().astype(np.uint16)  # a number has two bytes in Broden's files, too
        return {
            "maps": np.frombuffer(zlib.compress(maps.tobytes(), 1), dtype=np.uint8),
            "shape": np.array([*maps.shape, self.area.shape[1]]),
            "whole": self.whole.numpy(),
        }

    @classmethod
    def unpacked(cls, arrays: Mapping[str, ndarray]) -> "Labels":
        """The labels from compact arrays.

        Args:
            arrays: as returned by `packed`.

        Returns:
            The labels.
        """
        *shape, size = arrays["shape"].tolist()
        maps = np.frombuffer(zlib.decompress(arrays["maps"].tobytes()), dtype=np.uint16).reshape(shape).astype(np.int32)
        whole, (_, count, pixels) = arrays["whole"], shape
        first = size * np.arange(count)[:, None]
        area = np.bincount((maps + first).ravel(), minlength=count * size)
        area += pixels * np.bincount((whole + first).ravel(), minlength=count * size)
        area[first] = 0
        return cls(*map(torch.from_numpy, (maps, whole, area.reshape(count, size))))

    def placed(self) -> Placed:
        """The same labels, numbered within each image.

        Returns:
            On the same device.
        """
        there = self.area > 0
        place = (there.cumsum(dim=1) * there).int()
        ids = place.new_zeros(len(self), int(place.max()) + 1, dtype=torch.int64)
        ids.scatter_(1, place.long(), torch.arange(place.shape[1], device=place.device).expand(len(self), -1))
        ids[:, 0] = 0  # all labels that are not there have fallen in this place
        maps = [place.gather(1, level.long()) for level in self.maps]
        empty = place.new_empty(0, len(self), self.maps.shape[2])
        return Placed(
            Carried(ids, self.area.gather(1, ids)),
            torch.stack(maps) if maps else empty,
            place.gather(1, self.whole).long(),
        )

    def to(self, device: torch.device) -> "Labels":
        """Copies the labels to a device.

        Args:
            device: of the copy.

        Returns:
            The copy.
        """
        return Labels(self.maps.to(device), self.whole.to(device), self.area.to(device))


def _known(numbers: Int[ndarray, " k"], vocabulary: Vocabulary) -> Int[ndarray, " k"]:
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(vocabulary):
        wrong = numbers.max() if numbers.max() >= len(vocabulary) else numbers.min()
    else:
        present = np.flatnonzero(np.bincount(numbers, minlength=1)[1:]) + 1
        nameless = present[~vocabulary.named[present]]
        if not len(nameless):
            return numbers
        wrong = nameless[0]
    raise ValueError(f"expected the numbers of label.csv, got label {wrong}: add its row, or take the mask out")


def _expect_shape(came: tuple[int, ...], shape: tuple[int, int]) -> None:
    if came != shape:
        raise ValueError(f"expected a label map of {shape}, got {came}: the index states its size as sh, sw")


def _once(
    pixels: Int[ndarray, " p"], whole: Int[ndarray, " m"], levels: list[Int[ndarray, " p"]], area: Int[ndarray, " l"]
) -> Int[ndarray, " p"]:
    # The map without what is already said at the same pixel.
    if not area[1:][np.bincount(pixels, minlength=len(area))[1:] > 0].any():
        return pixels
    again = np.isin(pixels, whole)
    for level in levels:
        again |= level == pixels
    return np.where(again, 0, pixels)


def _grown(numbers: Tensor, dim: int, size: int) -> Tensor:
    shape = list(numbers.shape)
    shape[dim] = size - shape[dim]
    return torch.cat([numbers, numbers.new_zeros(shape)], dim=dim)
