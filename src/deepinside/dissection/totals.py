"""Integer sums of every image, stored sparsely by batch, and their totals over the probe set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.labels import Carried, Vocabulary
from deepinside.dissection.tally import Counts, Tally, summed

Arrays = Mapping[str, ndarray]


class Part(NamedTuple):
    """The sums of a batch.

    Args:
        numbers: of the images, (n,).
        labels: of each.
        pixels: of each label map, (n,).
        permuted: whether an image's masks were also paired with the labels of other images, (n,).
        tallies: of each layer.
    """

    numbers: Int[ndarray, " n"]
    labels: Carried
    pixels: Int[Tensor, " n"]
    permuted: Bool[Tensor, " n"]
    tallies: Sequence[Tally]

    def only(self, chosen: Bool[Tensor, " n"]) -> "Part":
        """Some of the images.

        Args:
            chosen: whether to keep each image, (n,).

        Returns:
            Their sums.
        """
        return Part(
            self.numbers[chosen.numpy()],
            Carried(self.labels.ids[chosen], self.labels.area[chosen]),
            self.pixels[chosen],
            self.permuted[chosen],
            [Tally(common[chosen], mask[chosen]) for common, mask in self.tallies],
        )


def joined(parts: Sequence[Part]) -> Part:
    """Several parts as one.

    Args:
        parts: with the same layers; at least one.

    Returns:
        Their images, one part after the other.
    """
    width = max(part.labels.ids.shape[1] for part in parts)
    labels = [Carried(*(_widened(numbers, width) for numbers in (part.labels.ids, part.labels.area))) for part in parts]
    return Part(
        np.concatenate([part.numbers for part in parts]),
        Carried(torch.cat([x.ids for x in labels]), torch.cat([x.area for x in labels])),
        torch.cat([part.pixels for part in parts]),
        torch.cat([part.permuted for part in parts]),
        [
            Tally(torch.cat([_widened(x.common, width) for x in layer]), torch.cat([x.mask for x in layer]))
            for layer in zip(*(part.tallies for part in parts), strict=True)
        ],
    )


def _widened(numbers: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(numbers, (0, width - numbers.shape[-1]))


def packed(part: Part) -> dict[str, ndarray]:
    """A part as arrays for numpy.savez.

    Args:
        part: to pack.

    Returns:
        Arrays; the intersections are sparse.
    """
    arrays = {"numbers": part.numbers, "ids": part.labels.ids, "area": part.labels.area, "pixels": part.pixels}
    result = {name: np.asarray(values).astype(np.int32) for name, values in arrays.items()}
    result["permuted"] = part.permuted.numpy()
    for index, (common, mask) in enumerate(part.tallies):
        result |= {f"{index}.{key}": values for key, values in sparse(common.numpy()).items()}
        result[f"{index}.mask"] = mask.numpy().astype(np.int32)
    return result


def unpacked(arrays: Arrays, layers: int) -> Part:
    """The part from arrays.

    Args:
        arrays: as returned by `packed`.
        layers: their number.

    Returns:
        The part.
    """
    ids, area, pixels, permuted = (torch.from_numpy(arrays[name]) for name in ("ids", "area", "pixels", "permuted"))
    tallies = []
    for index in range(layers):
        mask = torch.from_numpy(arrays[f"{index}.mask"]).long()
        common = dense(arrays, f"{index}.", (*mask.shape, ids.shape[1]))
        tallies.append(Tally(torch.from_numpy(common), mask))
    return Part(arrays["numbers"], Carried(ids.long(), area.long()), pixels.long(), permuted, tallies)


def sparse(values: Int[ndarray, "..."]) -> dict[str, ndarray]:
    """The non-zero entries.

    Args:
        values: integers below 2^31.

    Returns:
        `at`, flat indices, and `sum`, their values.
    """
    at = np.flatnonzero(values)
    kind = np.int32 if values.size < 2**31 else np.int64
    return {"at": at.astype(kind), "sum": values.ravel()[at].astype(np.int32)}


def dense(arrays: Arrays, prefix: str, shape: Sequence[int]) -> Int[ndarray, "..."]:
    """The array from its non-zero entries.

    Args:
        arrays: with `<prefix>at` and `<prefix>sum`.
        prefix: of the names.
        shape: of the result.

    Returns:
        Whole numbers.
    """
    result = np.zeros(shape, dtype=np.int64)
    result.ravel()[arrays[f"{prefix}at"]] = arrays[f"{prefix}sum"]
    return result


@dataclass
class Totals:
    """The sums over the probe set.

    Args:
        layers: layer name -> I and A.
        truth: pixels of each label, (l,).
        carriers: images that carry a label of each category, (c,).
        room: pixels of these images, (c,).
        pixels: of all images.
        images: their number.
    """

    layers: Mapping[str, Counts]
    truth: Int[ndarray, " l"]
    carriers: Int[ndarray, " c"]
    room: Int[ndarray, " c"]
    pixels: int = 0
    images: int = 0

    @classmethod
    def nothing(cls, layers: Sequence[tuple[str, int]], vocabulary: Vocabulary) -> Self:
        """The sums over no image.

        Args:
            layers: name and number of units of each.
            vocabulary: labels and categories.

        Returns:
            Zeros.
        """
        labels, categories = len(vocabulary), len(vocabulary.categories)
        counts = {name: Counts(_zeros(units, labels), _zeros(units, categories)) for name, units in layers}
        return cls(counts, _zeros(labels), _zeros(categories), _zeros(categories))

    def add(self, part: Part, vocabulary: Vocabulary, rule: str) -> None:
        """Adds a batch.

        Args:
            part: sums of the batch.
            vocabulary: labels and categories.
            rule: `image` or `hit`.
        """
        for counts, tally in zip(self.layers.values(), part.tallies, strict=True):
            for total, more in zip(counts, summed(tally, part.labels, vocabulary, rule), strict=True):
                total += more
        np.add.at(self.truth, part.labels.ids.numpy(), part.labels.area.numpy())
        carried = vocabulary.member(part.labels.ids).any(dim=1).numpy()
        self.carriers += carried.sum(axis=0)
        self.room += (carried * part.pixels.numpy()[:, None]).sum(axis=0)
        self.pixels += int(part.pixels.sum())
        self.images += len(part.numbers)


def _zeros(*shape: int) -> Int[ndarray, "..."]:
    return np.zeros(shape, dtype=np.int64)


def totalled(
    batches: Iterable[Arrays], layers: Sequence[tuple[str, int]], vocabulary: Vocabulary, rule: str
) -> tuple[Totals, Totals]:
    """The sums over finished batches.

    Args:
        batches: as returned by `Counter.count`; empty ones had no usable image.
        layers: name and number of units of each.
        vocabulary: labels and categories.
        rule: `image` or `hit`.

    Returns:
        The sums over all images, and over those whose masks were also paired with the labels of others.
    """
    total, permuted = Totals.nothing(layers, vocabulary), Totals.nothing(layers, vocabulary)
    for arrays in batches:
        if arrays:
            part = unpacked(arrays, len(layers))
            total.add(part, vocabulary, rule)
            if part.permuted.any():
                permuted.add(part.only(part.permuted), vocabulary, rule)
    return total, permuted
