"""The sums over the probe set, made from its finished batches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from deepinside.dissection.parts import Arrays, Part, unpacked
from deepinside.dissection.tally import Counts, summed
from deepinside.dissection.vocabulary import Vocabulary


class Luck(NamedTuple):
    """The same sums where the masks of a picture met the labels of another, and where they met their own.

    Args:
        met: I and A of each permutation, (r, u, l) and (r, u, c).
        own: I and A of the same pictures as they are.
        truth: pixels of each label in them, (l,).
        images: how many.
    """

    met: Counts
    own: Counts
    truth: Int[ndarray, " l"]
    images: int


@dataclass
class Totals:
    """The sums over the probe set.

    Args:
        layers: layer name -> I and A.
        truth: pixels of each label, (l,).
        carriers: pictures that carry a label of each category, (c,).
        room: pixels of these pictures, (c,).
        pixels: of all pictures.
        luck: layer name -> sums with the labels of others; empty where none were made.
    """

    layers: Mapping[str, Counts]
    truth: Int[ndarray, " l"]
    carriers: Int[ndarray, " c"]
    room: Int[ndarray, " c"]
    pixels: int = 0
    luck: Mapping[str, Luck] = field(default_factory=dict)

    @classmethod
    def nothing(cls, layers: Sequence[tuple[str, int]], vocabulary: Vocabulary) -> Self:
        """The sums over no picture.

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
        """Takes a batch.

        Args:
            part: of it.
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


def _zeros(*shape: int) -> Int[ndarray, "..."]:
    return np.zeros(shape, dtype=np.int64)


def totalled(
    batches: Iterable[Arrays], layers: Sequence[tuple[str, int]], vocabulary: Vocabulary, rule: str, permutations: int
) -> Totals:
    """The sums over finished batches.

    Args:
        batches: as `Counter.count` gave them; empty ones had no picture that counts.
        layers: name and number of units of each.
        vocabulary: labels and categories.
        rule: `image` or `hit`.
        permutations: how many were made, where any were.

    Returns:
        The sums.
    """
    total, own = Totals.nothing(layers, vocabulary), Totals.nothing(layers, vocabulary)
    met = [Counts(np.zeros((permutations, units, len(vocabulary)), dtype=np.int32),
                  _zeros(permutations, units, len(vocabulary.categories))) for _, units in layers]  # fmt: skip
    images = 0
    for arrays in batches:
        if not arrays:
            continue
        part = unpacked(arrays, len(layers))
        total.add(part, vocabulary, rule)
        if part.strangers.any():
            images += int(part.strangers.sum())
            own.add(part.only(part.strangers), vocabulary, rule)
            for index, (common, activation) in enumerate(met):
                common.ravel()[arrays[f"{index}.luck.at"]] += arrays[f"{index}.luck.sum"]
                activation += arrays[f"{index}.luck.activation"]
    if images:
        pairs = zip(own.layers.items(), met, strict=True)
        total.luck = {name: Luck(sums, counts, own.truth, images) for (name, counts), sums in pairs}
    return total
