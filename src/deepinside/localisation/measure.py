"""How well a map points at an object, whatever box is drawn from it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import ndimage

from deepinside.localisation.boxes import overlap
from deepinside.localisation.maps import normalised

THRESHOLDS = np.arange(100) / 100  # of the map from 0 to 1; wsolevaluation steps by 1/1000 on request


class Pointing(NamedTuple):
    """Those of `Measured` that no threshold decides."""

    pointed: bool
    energy: float


class Measured(NamedTuple):
    """Measures of one map, or with a leading axis of n maps.

    Attributes:
        curve: the best IoU of any box with any instance at each of `THRESHOLDS`, (t,).
        pointed: whether the map's maximum is in an instance.
        energy: share of the map's sum in the instances; NaN if the map is zero.
    """

    curve: Float[ndarray, "*n t"]
    pointed: Float[ndarray, "*n"]
    energy: Float[ndarray, "*n"]


def measured(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], instances: Float[ndarray, "b 4"]) -> Measured:
    """Measures one map against the boxes of its object.

    Args:
        map_: (h, w), non-negative.
        covered: the pixels that count.
        instances: half-open, in pixels of the map, not rounded; at least one.

    Returns:
        The numbers.

    Source: Choe et al. 2020, sec. 4.1 (boxes of every component, any instance); otherwise see `pointing`.
    """
    pointed, energy = pointing(map_, covered, instances)
    return Measured(_curve(normalised(map_, covered), instances), np.asarray(float(pointed)), np.asarray(energy))


def pointing(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], instances: Float[ndarray, "b 4"]) -> Pointing:
    """As `measured`, without its boxes, which take nearly all of the time.

    Args:
        map_: (h, w), non-negative.
        covered: the pixels that count.
        instances: half-open, in pixels of the map, not rounded; at least one.

    Returns:
        The numbers.

    Source: Zhang et al. 2018 (pointing game, without their tolerance of 15 pixels); Wang et al. 2020 (Score-CAM), sec.
        4.3 (energy).
    """
    inside = _inside(map_.shape, instances)
    place = np.unravel_index(np.argmax(normalised(map_, covered)), map_.shape)
    total = float((map_ * covered).sum())
    energy = float((map_ * covered * inside).sum()) / total if total > 0 else float("nan")
    return Pointing(bool(inside[place]), energy)


def _inside(size: tuple[int, ...], instances: Float[ndarray, "b 4"]) -> Bool[ndarray, "h w"]:
    # A pixel is inside where its centre is.
    y, x = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None, :] + 0.5
    found = [(x0 <= x) & (x < x1) & (y0 <= y) & (y < y1) for x0, y0, x1, y1 in instances]
    return np.any(found, axis=0)


def _curve(scale: Float[ndarray, "h w"], instances: Float[ndarray, "b 4"]) -> Float[ndarray, " t"]:
    parts = []
    for number, threshold in enumerate(THRESHOLDS):
        labels, _ = ndimage.label(scale >= threshold, structure=np.ones((3, 3)))
        parts += [(number, x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    places = np.array(parts)  # some: every pixel is at least 0
    curve = np.zeros(len(THRESHOLDS))
    np.maximum.at(curve, places[:, 0], overlap(places[:, None, 1:].astype(np.float64), instances).max(axis=1))
    return curve


def pixel_curve(
    map_: Float[ndarray, "h w"], outlined: Bool[ndarray, "h w"], counted: Bool[ndarray, "h w"]
) -> Float[ndarray, " t"]:
    """The IoU of an object's pixels with those from each of `THRESHOLDS` on.

    Args:
        map_: (h, w), non-negative.
        outlined: the pixels of the object; at least one counts.
        counted: the pixels that count.

    Returns:
        (t,).
    """
    reached = np.searchsorted(THRESHOLDS, normalised(map_, np.ones_like(counted)), side="right")  # so many thresholds
    steps = len(THRESHOLDS) + 1
    hits, all_ = (np.bincount(reached[chosen], minlength=steps) for chosen in (outlined & counted, counted))
    common, chosen = (values[:0:-1].cumsum()[::-1] for values in (hits, all_))  # at each threshold
    return common / (chosen + hits.sum() - common)


def max_box_accuracy(curves: Float[ndarray, "n t"], least: float) -> tuple[float, Bool[ndarray, " n"]]:
    """The common threshold with the most images of at least that overlap, and which images these are.

    Args:
        curves: see `Measured`.
        least: overlap of a correct box: 0.3, 0.5 or 0.7.

    Returns:
        The threshold (of several the lowest), and (n,).

    Source: Choe et al. 2020, sec. 4.1 (MaxBoxAcc; MaxBoxAccV2 is the mean over the three overlaps).
    """
    right = curves >= least
    best = int(np.argmax(right.sum(axis=0)))
    return float(THRESHOLDS[best]), right[:, best]
