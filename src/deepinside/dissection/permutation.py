"""How high the best of many concepts scores by luck: masks of one picture, labels of another."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.score import iou
from deepinside.dissection.tally import Counts
from deepinside.dissection.totals import Luck


class Chance(NamedTuple):
    """What luck alone gives.

    Args:
        highest: the highest best IoU of each unit over the permutations, (u,).
        p: share of permutations, the pictures as they are among them, whose best IoU is at least the unit's own, (u,).
        detectors: units whose best IoU exceeds the threshold, in each permutation, (r,).
    """

    highest: Float[ndarray, " u"]
    p: Float[ndarray, " u"]
    detectors: Float[ndarray, " r"]


def chance(luck: Luck, vocabulary: Vocabulary, threshold: float) -> Chance:
    """Compares each unit's best IoU with its best IoU for labels that belong to other pictures.

    Masks and label maps stay as they are; only who meets whom is permuted, so that their sizes, their places within
    pictures and the search through all concepts count as luck. p = (1 + permutations that do as well) / (1 + r).

    Args:
        luck: sums with own labels and with those of others.
        vocabulary: labels and categories.
        threshold: of IoU, for a detector.

    Returns:
        The comparison; the pictures are those of `luck`, which may be a sample of the probe set.

    Source: Phipson & Smyth 2010 (permutation p-values are never zero); our own test, which the paper lacks.
    """
    own = _best(luck.own, luck, vocabulary)
    met = np.stack([_best(Counts(*sums), luck, vocabulary) for sums in zip(*luck.met, strict=True)])
    return Chance(met.max(axis=0), (1 + (met >= own).sum(axis=0)) / (1 + len(met)), (met > threshold).sum(axis=1))


def _best(counts: Counts, luck: Luck, vocabulary: Vocabulary) -> Float[ndarray, " u"]:
    return np.nan_to_num(iou(*counts, luck.truth, vocabulary)).max(axis=1)
