"""Bootstrap intervals over images for the counts of a dissection."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.probe_set import mixed
from deepinside.dissection.tally import qualifying
from deepinside.dissection.totals import Arrays, unpacked

_RIVALS = 5  # labels per unit and category that may come first in a resample
_GROUPS = 512  # images are resampled one by one up to here, beyond it in so many groups: bounded memory
_RESAMPLES, _LEVEL = 1000, 0.95
_BLOCK = 25  # resamples at a time
ENDS = tuple(f"{what}_{end}" for what in ("detector_units", "unique_detectors") for end in ("low", "high"))


class Grouped(NamedTuple):
    """Sums of each group of images, for the candidate labels of each unit.

    Args:
        rivals: the candidate labels by category, (u, c, k), padded with 0.
        intersection: I with each, (g, u, c, k).
        activation: A, (g, u, c).
        truth: T, (g, l).
    """

    rivals: Int[ndarray, "u c k"]
    intersection: Float[ndarray, "g u c k"]
    activation: Float[ndarray, "g u c"]
    truth: Float[ndarray, "g l"]


class Intervals(NamedTuple):
    """Ends of the intervals.

    Args:
        score: of each unit's best IoU, (u, 2).
        counts: of detector units and unique detectors, by rule and category; columns rule, category and `ENDS`.
    """

    score: Float[ndarray, "u 2"]
    counts: pd.DataFrame


def rivals(scores: Float[ndarray, "u l"], vocabulary: Vocabulary) -> Int[ndarray, "u c k"]:
    """The labels of highest IoU of each unit in each category.

    Args:
        scores: as `score.iou` returns them.
        vocabulary: labels and categories.

    Returns:
        Numbers of up to five labels, best first, (u, c, 5), padded with 0.
    """
    result = np.zeros((len(scores), len(vocabulary.categories), _RIVALS), dtype=np.int64)
    for category in range(result.shape[1]):
        members = vocabulary.members(category)
        members = members[~np.isnan(scores[:, members]).any(axis=0)]
        order = np.argsort(-scores[:, members], axis=1, kind="stable")[:, :_RIVALS]
        result[:, category, : order.shape[1]] = members[order]
    return result


def grouped_sums(
    batches: Iterable[Arrays],
    chosen: Sequence[Int[ndarray, "u c k"]],
    vocabulary: Vocabulary,
    rule: str,
    images: int,
) -> list[Grouped]:
    """Sums over the finished batches for the candidate labels only.

    Args:
        batches: as returned by `Counter.count`.
        chosen: candidate labels of each layer.
        vocabulary: labels and categories.
        rule: `image` or `hit`.
        images: number of all images, including skipped ones.

    Returns:
        Sums of each layer.
    """
    groups = min(images, _GROUPS)
    group = np.empty(images, dtype=np.int64)
    group[mixed(images, images)[0]] = np.arange(images) * groups // images
    truth = np.zeros((groups, len(vocabulary)))
    sums = [Grouped(x, np.zeros((groups, *x.shape)), np.zeros((groups, *x.shape[:2])), truth) for x in chosen]
    there = np.zeros(groups, dtype=bool)
    for arrays in batches:
        if not arrays:
            continue
        part = unpacked(arrays, len(chosen))
        at = group[part.numbers]
        there[at] = True
        np.add.at(truth, (at[:, None], arrays["ids"]), arrays["area"])
        for index, one in enumerate(sums):
            np.add.at(one.activation, at, qualifying(part.tallies[index], part.labels, vocabulary, rule).numpy())
            _gather(one, arrays, index, at)
    return [Grouped(x.rivals, x.intersection[there], x.activation[there], x.truth[there]) for x in sums]


def _gather(sums: Grouped, arrays: Arrays, index: int, at: Int[ndarray, " n"]) -> None:
    units, labels = len(sums.rivals), sums.truth.shape[1]
    flat = sums.rivals.reshape(units, -1)
    slot = np.full((units, labels), -1)  # index of a label among the candidates of a unit
    np.put_along_axis(slot, flat, np.arange(flat.shape[1])[None], axis=1)
    slot[:, 0] = -1
    picture, unit, place = np.unravel_index(arrays[f"{index}.at"], (len(at), units, arrays["ids"].shape[1]))
    found = slot[unit, arrays["ids"][picture, place]]
    there = found >= 0
    target = sums.intersection.reshape(len(sums.intersection), units, -1)
    np.add.at(target, (at[picture[there]], unit[there], found[there]), arrays[f"{index}.sum"][there])


def intervals(sums: Grouped, vocabulary: Vocabulary, threshold: float, seed: int = 0) -> Intervals:
    """Bootstrap intervals: images are drawn with replacement, sums and best labels are recomputed.

    The best of many labels scores higher in a resample, which repeats images, than in the images themselves. So the
    spread of the resamples about their median is centred on the number: n + q - median, not below 0. The masks'
    thresholds are fixed. `permutation.permutation_test` returns the score that is expected by chance.

    Args:
        sums: of groups of images, the units of resampling.
        vocabulary: labels and categories.
        threshold: of IoU, for a detector.
        seed: of the resampling.

    Returns:
        95 % intervals; NaN with fewer than two groups.

    Source: Efron & Tibshirani 1993, ch. 13 (percentile interval); not in the paper.
    """
    groups, random = len(sums.truth), np.random.default_rng(seed)
    scores, tables = [], []
    for start in range(0, _RESAMPLES, _BLOCK):
        weights = random.multinomial(groups, np.full(groups, 1 / groups), min(_BLOCK, _RESAMPLES - start))
        best, label = _resampled(sums, weights.astype(np.float64))
        scores.append(best.max(axis=2))
        tables.append(_counted(best, label, vocabulary, threshold))
    best, label = _resampled(sums, np.ones((1, groups)))
    score = _around(best.max(axis=2)[0], np.concatenate(scores)).clip(max=1)
    counts = _around(_counted(best, label, vocabulary, threshold)[0], np.concatenate(tables))
    if groups < 2:
        score, counts = np.full_like(score, np.nan), np.full_like(counts, np.nan)
    rows = [
        (rule, category, *counts[:, :, i, j].T.ravel())
        for i, rule in enumerate(("per_category", "top_label"))
        for j, category in enumerate(("all", *vocabulary.categories))
    ]
    return Intervals(score.T, pd.DataFrame(rows, columns=["rule", "category", *ENDS]))


def _around(number: Float[ndarray, "..."], resamples: Float[ndarray, "b ..."]) -> Float[ndarray, "2 ..."]:
    low, middle, high = np.quantile(resamples, [(1 - _LEVEL) / 2, 0.5, (1 + _LEVEL) / 2], axis=0)
    return np.stack([number + low - middle, number + high - middle]).clip(min=0)


def _resampled(sums: Grouped, weights: Float[ndarray, "b g"]) -> tuple[Float[ndarray, "b u c"], Int[ndarray, "b u c"]]:
    # Best IoU in each category, and whose it is.
    common = np.tensordot(weights, sums.intersection, axes=1)
    union = np.tensordot(weights, sums.activation, axes=1)[..., None] + (weights @ sums.truth)[:, sums.rivals] - common
    scores = np.where(sums.rivals > 0, common / np.where(union > 0, union, 1), 0)
    first = scores.argmax(axis=3)[..., None]
    label = np.take_along_axis(np.broadcast_to(sums.rivals, scores.shape), first, axis=3)
    return np.take_along_axis(scores, first, axis=3)[..., 0], label[..., 0]


def _counted(
    best: Float[ndarray, "b u c"], label: Int[ndarray, "b u c"], vocabulary: Vocabulary, threshold: float
) -> Float[ndarray, "b 2 2 categories+1"]:
    # Detector units and unique detectors, by rule and category, the total first; as `score.detector_counts` counts.
    categories = best.shape[2]
    top = np.arange(categories) == best.argmax(axis=2)[..., None]
    result = np.zeros((len(best), 2, 2, 1 + categories))
    for rule, passed in enumerate((best > threshold, (best > threshold) & top)):
        found = np.zeros((len(best), len(vocabulary)), dtype=bool)
        found[passed.nonzero()[0], label[passed]] = True
        result[:, 0, rule, 0] = passed.any(axis=2).sum(axis=1)
        result[:, 1, rule, 0] = found.sum(axis=1)
        for category in range(categories):
            result[:, 0, rule, 1 + category] = passed[:, :, category].sum(axis=1)
            result[:, 1, rule, 1 + category] = found[:, vocabulary.members(category)].sum(axis=1)
    return result
