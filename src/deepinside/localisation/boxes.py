"""Boxes: from masks, between grids, and their overlap."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import ndimage


def largest_component(mask: Bool[ndarray, "h w"], connectivity: int = 8) -> Bool[ndarray, "h w"]:
    """The largest connected part of a mask; of equal parts the first in reading order.

    Args:
        mask: (h, w).
        connectivity: 8 if pixels are connected across corners, 4 if only across edges.

    Returns:
        (h, w), empty if the mask is empty.

    Raises:
        ValueError: if `connectivity` is neither 4 nor 8.

    Source: Simonyan et al. 2013, sec. 3.2 (the connectivity is not stated there; 8 is that of the graph).
    """
    if connectivity not in {4, 8}:
        raise ValueError(f"expected connectivity 4 or 8, got {connectivity}")
    labels, count = ndimage.label(mask, structure=ndimage.generate_binary_structure(2, connectivity // 4))
    if count < 2:
        return mask.copy()
    sizes = np.bincount(labels.ravel())[1:]
    return labels == 1 + int(np.argmax(sizes))


def tight_box(mask: Bool[ndarray, "h w"]) -> Float[ndarray, " 4"]:
    """The smallest half-open box that contains every pixel of a mask.

    Args:
        mask: (h, w), at least one pixel.

    Returns:
        x0 y0 x1 y1 in pixels of the mask.

    Raises:
        ValueError: if the mask is empty.
    """
    if not mask.any():
        raise ValueError("expected a mask with at least one pixel, got an empty one: handle it before")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float64)


def rescaled(box: Float[ndarray, "*b 4"], size: tuple[int, int], onto: tuple[int, int]) -> Float[ndarray, "*b 4"]:
    """Rescales boxes to another grid of the same image; each axis has its own factor.

    Args:
        box: half-open x0 y0 x1 y1 in pixels of the first grid.
        size: (height, width) of the first grid.
        onto: (height, width) of the second.

    Returns:
        The boxes in pixels of the second grid, not rounded.
    """
    factor = np.array([onto[1] / size[1], onto[0] / size[0]])
    return np.asarray(box, dtype=np.float64) * np.tile(factor, 2)


def whole_pixels(box: Float[ndarray, "*b 4"], size: tuple[int, int]) -> Float[ndarray, "*b 4"]:
    """Boxes clipped to an image and rounded to whole pixels, at least one wide and high, for files.

    Args:
        box: half-open x0 y0 x1 y1 in pixels.
        size: (height, width) of the image.

    Returns:
        Boxes inside the image with integer edges.
    """
    sides = np.array([size[1], size[0]], dtype=np.float64)
    low = np.clip(np.rint(box[..., :2]), 0, sides - 1)
    high = np.clip(np.rint(box[..., 2:]), low + 1, sides)
    return np.concatenate([low, high], axis=-1)


def overlap(first: Float[ndarray, "*n 4"], second: Float[ndarray, "*n 4"]) -> Float[ndarray, "*n"]:
    """Intersection over union, |A & B| / |A | B|; 0 where the boxes share no area.

    Args:
        first: half-open x0 y0 x1 y1.
        second: likewise, of a shape that broadcasts with the first.

    Returns:
        In [0, 1], one per pair.
    """
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    union = _area(first) + _area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _area(box: Float[ndarray, "*n 4"]) -> Float[ndarray, "*n"]:
    return np.prod(box[..., 2:] - box[..., :2], axis=-1)
