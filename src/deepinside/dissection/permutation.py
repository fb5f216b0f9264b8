"""Permutation test of the best IoU: masks of one image are paired with the labels of another."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.score import iou
from deepinside.dissection.tally import Counts
from deepinside.dissection.totals import PermutedSums


class PermutationTest(NamedTuple):
    """What is expected by chance.

    Args:
        highest: the highest best IoU of each unit over the permutations, (u,).
        p: share of permutations, the identity among them, whose best IoU is at least the unit's own, (u,).
        detectors: units whose best IoU exceeds the threshold, in each permutation, (r,).
    """

    highest: Float[ndarray, " u"]
    p: Float[ndarray, " u"]
    detectors: Float[ndarray, " r"]


def permutation_test(sums: PermutedSums, vocabulary: Vocabulary, threshold: float) -> PermutationTest:
    """Compares each unit's best IoU with its best IoU for labels that belong to other images.

    Only the pairing of masks with label maps is permuted. Their sizes, their positions within the images and the
    search over all concepts are therefore part of the null. p = (1 + permutations that reach the unit's IoU) / (1 + r).

    Args:
        sums: with the images' own labels and with permuted ones.
        vocabulary: labels and categories.
        threshold: of IoU, for a detector.

    Returns:
        The comparison, over the images of `sums`, which may be a sample of the probe set.

    Source: Phipson & Smyth 2010 (permutation p-values are never zero); our own test, which the paper lacks.
    """
    own = _best(sums.own, sums, vocabulary)
    null = np.stack([_best(Counts(*counts), sums, vocabulary) for counts in zip(*sums.permuted, strict=True)])
    p = (1 + (null >= own).sum(axis=0)) / (1 + len(null))
    return PermutationTest(null.max(axis=0), p, (null > threshold).sum(axis=1))


def _best(counts: Counts, sums: PermutedSums, vocabulary: Vocabulary) -> Float[ndarray, " u"]:
    return np.nan_to_num(iou(*counts, sums.truth, vocabulary)).max(axis=1)
