"""What is expected by chance: masks of one image are paired with the labels of another of the same source."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.score import iou
from deepinside.dissection.tally import Counts

_TURNS, _MOST = 19, 255
_BLOCK = 1 << 22  # permutations x units x labels at a time: 32 MB a temporary


class _Turns(NamedTuple):
    # A batch of a layer in all its turns: I, sparse by turn, unit and label, and A, (t, u, c).
    at: Int[ndarray, " k"]
    sum: Int[ndarray, " k"]
    activation: Int[ndarray, "t u c"]


class PermutationTest(NamedTuple):
    """What is expected by chance, over the images that took part.

    Args:
        expected: mean over the permutations of each unit's best IoU, (u,).
        p: share of permutations, the identity among them, whose best IoU is at least the unit's own, (u,).
        detectors: units whose best IoU exceeds the threshold, in each permutation, (r,).
        unique: unique detectors, summed over the categories, in each permutation, (r,).
        observed: unique detectors with the images' own labels.
        images: number of images that took part.
    """

    expected: Float[ndarray, " u"]
    p: Float[ndarray, " u"]
    detectors: Int[ndarray, " r"]
    unique: Int[ndarray, " r"]
    observed: int
    images: int


def turns(permutations: int, images: int, batch_size: int) -> int:
    """How many turns of each batch are counted, so that their combinations suffice for the permutations.

    Args:
        permutations: that will be drawn; 0: none.
        images: that take part.
        batch_size: images per batch.

    Returns:
        19 if there are at least three batches (6,859 combinations), else as many as there are, up to 255.
    """
    batches = -(-images // batch_size)
    return min(max(0, batch_size - 1), _TURNS if batches >= 3 else _MOST) if permutations else 0


def several(sources: Int[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Which images have another one of their source beside them.

    Args:
        sources: of the images of a group, which have one size.

    Returns:
        (n,).
    """
    _, source, counts = np.unique(sources, return_inverse=True, return_counts=True)
    return counts[source] > 1


def partners(sources: Int[ndarray, " n"], turn: int) -> Int[ndarray, " n"]:
    """The row whose labels each image gets: of the same source, and another than its own if there is one.

    Args:
        sources: of the images of a group.
        turn: number of the turn, from 0; the images of a source turn by 1 + turn mod (their number - 1) places.

    Returns:
        (n,).
    """
    rows = np.arange(len(sources))
    for source in np.unique(sources):
        members = np.flatnonzero(sources == source)
        rows[members] = np.roll(members, -(1 + turn % max(1, len(members) - 1)))
    return rows


def permutation_test(
    batches: Iterable[Mapping[str, ndarray]],
    layer: int,
    own: Counts,
    truth: Int[ndarray, " l"],
    vocabulary: Vocabulary,
    *,
    threshold: float,
    permutations: int,
    images: int = 0,
    seed: int = 0,
) -> PermutationTest:
    """Compares each unit's best IoU with its best IoU for labels that belong to other images.

    Only the pairing of masks with label maps is permuted, among images of one source and one batch. Their sizes, their
    positions within the images, what tells the sources apart and the search over all concepts are therefore part of
    the null. Every batch was counted once per turn (see `partners`); a permutation draws a turn for each batch, so that
    its sums are sums of counts that are there. p = (1 + permutations that reach the unit's IoU) / (1 + r).

    Args:
        batches: as `Counter.count` returns them.
        layer: index of the layer.
        own: I and A of the same images with their own labels.
        truth: pixels of each label in these images, (l,).
        vocabulary: labels and categories.
        threshold: of IoU, for a detector.
        permutations: r.
        images: number of images that took part.
        seed: of the draws.

    Returns:
        The comparison.

    Source: Phipson & Smyth 2010 (permutation p-values are never zero); our own test, which the paper lacks.
    """
    counted = [
        _Turns(*(arrays[f"{layer}.turned.{key}"] for key in _Turns._fields))
        for arrays in batches
        if f"{layer}.turned.at" in arrays
    ]
    units, labels = own.intersection.shape
    best, label = _best(own.intersection[None], own.activation[None], truth, vocabulary)
    observed, highest = _found(best, label, threshold, labels)[0].sum(), best[0].max(axis=1)
    expected, p = np.zeros(units), np.zeros(units)
    detectors = np.zeros(permutations, dtype=np.int64)
    found = np.zeros((permutations, labels), dtype=bool)
    size = max(1, _BLOCK // (permutations * labels))
    for first in range(0, units, size):
        chosen = slice(first, min(first + size, units))
        best, label = _best(*_drawn(counted, own, chosen, permutations, seed), truth, vocabulary)
        found |= _found(best, label, threshold, labels)
        top = best.max(axis=2)
        detectors += (top > threshold).sum(axis=1)
        expected[chosen] = top.mean(axis=0)
        p[chosen] = (1 + (top >= highest[chosen]).sum(axis=0)) / (1 + permutations)
    return PermutationTest(expected, p, detectors, found.sum(axis=1), int(observed), images)


def _drawn(
    batches: Sequence[_Turns], own: Counts, chosen: slice, permutations: int, seed: int
) -> tuple[Int[ndarray, "r u l"], Int[ndarray, "r u c"]]:
    # I and A of some units in every permutation.
    (units, labels), count, random = own.intersection.shape, chosen.stop - chosen.start, np.random.default_rng(seed)
    common = np.zeros((permutations, count, labels), dtype=np.int32)
    activation = np.zeros((permutations, count, own.activation.shape[1]), dtype=np.int64)
    for at, sums, area in batches:
        starts = (np.arange(len(area)) * units + chosen.start) * labels  # of these units, in each turn
        dense = np.zeros((len(area), count * labels), dtype=np.int32)
        ends = zip(*(np.searchsorted(at, starts + more).tolist() for more in (0, count * labels)), strict=True)
        for turn, (low, high) in enumerate(ends):
            dense[turn, at[low:high] - starts[turn]] = sums[low:high]
        turns = random.integers(len(area), size=permutations)
        common += dense.reshape(-1, count, labels)[turns]
        activation += area[turns, chosen]
    return common, activation


def _best(
    common: Int[ndarray, "r u l"], activation: Int[ndarray, "r u c"], truth: Int[ndarray, " l"], vocabulary: Vocabulary
) -> tuple[Float[ndarray, "r u c"], Int[ndarray, "r u c"]]:
    # The highest IoU in each category, and whose it is.
    scores = np.nan_to_num(iou(common, activation, truth, vocabulary))
    best, label = np.zeros(activation.shape), np.zeros(activation.shape, dtype=np.int64)
    for category in range(len(vocabulary.categories)):
        members = vocabulary.members(category)
        if len(members):
            first = scores[..., members].argmax(axis=2)
            label[..., category] = members[first]
            best[..., category] = np.take_along_axis(scores, label[..., category, None], axis=2)[..., 0]
    return best, label


def _found(
    best: Float[ndarray, "r u c"], label: Int[ndarray, "r u c"], threshold: float, labels: int
) -> Bool[ndarray, "r l"]:
    found = np.zeros((len(best), labels), dtype=bool)
    passed = best > threshold
    found[passed.nonzero()[0], label[passed]] = True
    return found
