"""Which pixels of a map speak for the object, and which against it."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray


def above(
    map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], share: float
) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]:
    """The covered pixels from a share of the map's maximum on, and the others.

    Args:
        map_: (h, w), not negative.
        covered: the pixels that count.
        share: in (0, 1).

    Returns:
        Foreground and background, (h, w) each; both empty where the map is flat.

    Source: Zhou et al. 2016 (CAM), sec. 3.2 (20 %).
    """
    values = map_[covered]
    if not len(values) or values.min() == values.max():
        return np.zeros_like(covered), np.zeros_like(covered)
    front = covered & (map_ >= share * values.max())
    return front, covered & ~front


def seeds(
    map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], foreground: float, background: float
) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]:
    """The pixels strictly above the one quantile of the map and those strictly below the other.

    Where ties leave one side empty (a quantile that equals the map's maximum or minimum), the pixels at that extreme
    are its seeds. A map of one value has none.

    Args:
        map_: (h, w).
        covered: the pixels that count, for the quantiles too.
        foreground: quantile in (0, 1).
        background: likewise.

    Returns:
        Foreground and background seeds, (h, w) each, disjoint; both empty where the map is flat.

    Source: Simonyan et al. 2013, sec. 3.2 (95 % and 30 %).
    """
    values = map_[covered]
    if not len(values) or values.min() == values.max():
        return np.zeros_like(covered), np.zeros_like(covered)
    high, low = np.quantile(values, [foreground, background])
    front = map_ > high if values.max() > high else map_ == values.max()
    back = map_ < low if values.min() < low else map_ == values.min()
    return front & covered, back & covered
