"""The minimum cut of an image into foreground and background, exact.

E(mask) = sum_p unary_p(mask_p) + sum_(p, q) w_pq [mask_p != mask_q], with p, q neighbours on the 8-neighbour grid and
w_pq = gamma exp(-beta |I_p - I_q|^2) / |p - q|.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray
from ortools.graph.python import max_flow

_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # each pair of neighbours once
_PRECISION = 1000  # capacities are whole numbers: an energy is exact to half of 1/1000 per term


class Links(NamedTuple):
    """Pairs of neighbouring pixels, numbered row by row, and the costs of separating them."""

    first: Int[ndarray, " e"]
    second: Int[ndarray, " e"]
    weight: Float[ndarray, " e"]


def contrast_links(image: Float[ndarray, "h w 3"], gamma: float = 50.0) -> Links:
    """Links that are weak at edges of the image: gamma exp(-beta |dI|^2) / distance, beta = 1 / (2 E |dI|^2).

    The mean is over all pairs of neighbours of this image. In an image of one colour every exponential is 1.

    Args:
        image: RGB, (h, w, 3), on any scale, which beta cancels.
        gamma: the weight of smoothness against colour.

    Returns:
        One link per pair of the 8-neighbour grid.

    Source: Rother et al. 2004 (GrabCut), eq. 4-5 and sec. 3.1 for gamma = 50. Simonyan et al. 2013 give no weights:
        these are the project's choice.
    """
    height, width = image.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    pairs = [(_shifted(index, *step), _shifted(index, *step, far=True), math.hypot(*step)) for step in _STEPS]
    first = np.concatenate([near.ravel() for near, _, _ in pairs])
    second = np.concatenate([far.ravel() for _, far, _ in pairs])
    distance = np.concatenate([np.full(near.size, length) for near, _, length in pairs])
    colours = image.astype(np.float64)
    differences = [_shifted(colours, *step) - _shifted(colours, *step, far=True) for step in _STEPS]
    square = np.concatenate([np.einsum("yxc,yxc->yx", each, each).ravel() for each in differences])
    mean = square.mean() if square.size else 0.0
    beta = 1 / (2 * mean) if mean > 0 else 0.0
    return Links(first, second, gamma * np.exp(-beta * square) / distance)


def _shifted(
    values: Shaped[ndarray, "h w *c"], down: int, right: int, *, far: bool = False
) -> Shaped[ndarray, "y x *c"]:
    # The pixels that have a neighbour at that step, or (`far`) those neighbours.
    height, width = values.shape[:2]
    top, left = (down, max(right, 0)) if far else (0, max(-right, 0))
    return values[top : top + height - down, left : left + width - abs(right)]


def minimum_cut(
    unaries: Float[ndarray, "2 h w"],
    links: Links,
    foreground: Bool[ndarray, "h w"] | None = None,
    background: Bool[ndarray, "h w"] | None = None,
) -> Bool[ndarray, "h w"]:
    """The mask of least energy; of several the one with the fewest foreground pixels, so the answer is unique.

    Args:
        unaries: cost of background (0) and of foreground (1) per pixel, (2, h, w), finite.
        links: see `contrast_links`.
        foreground: pixels that must be foreground, or none.
        background: pixels that must be background, which has precedence.

    Returns:
        (h, w), true for foreground.

    Raises:
        ValueError: if a cost is not finite.

    Source: Boykov & Jolly 2001, sec. 2.
    """
    if not np.isfinite(unaries).all():
        raise ValueError("expected finite costs, got NaN or infinity: use seeds instead, and check the colours")
    size = unaries.shape[1:]
    fixed = np.zeros(size, dtype=np.int8)  # 1: foreground, -1: background
    for seeds, value in ((foreground, 1), (background, -1)):
        fixed = fixed if seeds is None else np.where(seeds, np.int8(value), fixed)
    mask = fixed.ravel() > 0
    free = np.flatnonzero(fixed.ravel() == 0)
    if len(free):
        gain = _whole(unaries[0] - unaries[1]).ravel()  # what a pixel saves by being foreground
        mask[free] = _free(links, gain, fixed.ravel().astype(np.int64), free)
    return mask.reshape(size)


def _free(
    links: Links, gain: Int[ndarray, " p"], fixed: Int[ndarray, " p"], free: Int[ndarray, " f"]
) -> Bool[ndarray, " f"]:
    # Seeds are no part of the graph: what a link to one costs, its free end saves or loses by its own label.
    capacity = _whole(links.weight)
    pull = sum(
        np.bincount(end, capacity * fixed[other], len(gain)) for end, other in (links[:2], links[1::-1])
    )  # exact: whole numbers below 2^53
    place = np.full(len(gain), -1, dtype=np.int32)
    place[free] = np.arange(len(free))
    both = (place[links.first] >= 0) & (place[links.second] >= 0)
    among = Links(place[links.first[both]], place[links.second[both]], links.weight[both])
    return _source_side(among, capacity[both], gain[free] + np.asarray(pull, dtype=np.int64)[free])


def _whole(values: Float[ndarray, "*n"]) -> Int[ndarray, "*n"]:
    return np.rint(values * _PRECISION).astype(np.int64)


def _source_side(links: Links, capacity: Int[ndarray, " e"], gain: Int[ndarray, " p"]) -> Bool[ndarray, " p"]:
    source, sink = len(gain), len(gain) + 1
    wins, loses = np.flatnonzero(gain > 0), np.flatnonzero(gain < 0)
    # The arc of no capacity from source to sink makes both known to the solver where a side has no pixel.
    # It takes numbers of pixels in 32 bits, and converts others slowly.
    tails = np.concatenate([links.first, links.second, np.full(len(wins), source), loses, [source]], dtype=np.int32)
    heads = np.concatenate([links.second, links.first, wins, np.full(len(loses), sink), [sink]], dtype=np.int32)
    flow = max_flow.SimpleMaxFlow()
    flow.add_arcs_with_capacity(tails, heads, np.concatenate([capacity, capacity, gain[wins], -gain[loses], [0]]))
    status = flow.solve(source, sink)
    if status != flow.OPTIMAL:
        raise RuntimeError(f"expected a minimum cut, got solver status {status}: are all unaries finite?")
    mask = np.zeros(len(gain) + 2, dtype=bool)
    mask[flow.get_source_side_min_cut()] = True
    return mask[: len(gain)]
