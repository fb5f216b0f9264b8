"""An image and its maps on the grid on which they are segmented."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from PIL import Image
from scipy import ndimage

from deepinside.localisation.settings import GRAD_CAM, SALIENCY, Settings


class Scene(NamedTuple):
    """One image and its maps on the working grid.

    Args:
        picture: RGB in [0, 1], (h, w, 3).
        covered: pixels that some crop saw, (h, w).
        maps: method -> one per class, (k, h, w), not negative.
        size: (height, width) of the canvas that all this was reduced from.
    """

    picture: Float[ndarray, "h w 3"]
    covered: Bool[ndarray, "h w"]
    maps: Mapping[str, Float[ndarray, "k h w"]]
    size: tuple[int, int]


def scene(
    maps: Mapping[str, Float[ndarray, "k H W"]],
    covered: Bool[ndarray, "H W"],
    canvas: Float[ndarray, "3 H W"],
    side: int | None = None,
) -> Scene:
    """An image and its maps reduced to the working grid; what its classes share is computed once.

    Args:
        maps: method -> one per class on the canvas, (k, H, W), non-negative.
        covered: pixels of the canvas that are in a crop; only these can be seeds.
        canvas: RGB in [0, 1], (3, H, W).
        side: shorter side of the grid, in pixels, where the canvas is larger; None for the canvas itself.

    Returns:
        The scene.
    """
    size = (canvas.shape[1], canvas.shape[2])
    grid = _grid(size, side)
    picture = np.stack([_resized(channel, grid) for channel in canvas], axis=-1)
    seen = _resized(covered.astype(np.float32), grid) > 0.5
    small = {name: np.stack([_resized(map_, grid) for map_ in values]) for name, values in maps.items()}
    return Scene(picture, seen, small, size)


def _grid(size: Sequence[int], side: int | None) -> tuple[int, int]:
    factor = 1.0 if side is None else min(1.0, side / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resized(values: Float[ndarray, "H W"], grid: tuple[int, int]) -> Float[ndarray, "h w"]:
    if values.shape == grid:
        return values
    # Area means: a smaller map keeps its mean.
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(grid[::-1], Image.Resampling.BOX))


def blended(
    maps: Mapping[str, Float[ndarray, "h w"]], covered: Bool[ndarray, "h w"], settings: Settings
) -> Float[ndarray, "h w"]:
    """n(sum_m w_m n(G * m)) exp(-d^2 / 2 centre^2), n(m) = (m - min m) / (max m - min m).

    Saliency alone is only smoothed, and Grad-CAM, which is smooth, is not.

    Args:
        maps: method -> its map, (h, w), non-negative; all that have a weight.
        covered: the pixels to use.
        settings: weights, smoothing, centre.

    Returns:
        (h, w), zero outside `covered` unless it was only smoothed.

    Raises:
        ValueError: if a map is required and missing.
    """
    if missing := [name for name in settings.map if name not in maps]:
        raise ValueError(f"expected a map of {missing[0]}, because its weight is not 0, got {', '.join(maps)}")
    sigma = settings.smoothing * min(covered.shape)
    smooth = {n: maps[n] if n == GRAD_CAM else smoothed(maps[n], covered, sigma) for n in settings.map}
    if list(smooth) == [SALIENCY]:
        out = smooth[SALIENCY]
    else:
        weighted = [settings.map[name] * normalised(map_, covered) for name, map_ in smooth.items()]
        out = normalised(reduce(np.add, weighted), covered)
    return out if settings.centre is None else out * covered * window(out.shape, settings.centre)


def smoothed(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], sigma: float) -> Float[ndarray, "h w"]:
    """The map smoothed by a Gaussian over covered pixels only, (G * (m c)) / (G * c).

    Args:
        map_: (h, w).
        covered: the pixels to use.
        sigma: standard deviation in pixels; 0 leaves the map unchanged.

    Returns:
        (h, w), zero where no covered pixel is near.
    """
    if sigma == 0:
        return map_
    weight = ndimage.gaussian_filter(covered.astype(np.float64), sigma, mode="constant")
    total = ndimage.gaussian_filter(map_ * covered, sigma, mode="constant", output=np.float64)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6)


def normalised(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"]) -> Float[ndarray, "h w"]:
    """The map from 0 to 1 over the covered pixels, 0 elsewhere; zeros where it is flat.

    Args:
        map_: (h, w).
        covered: the pixels to use.

    Returns:
        (h, w), in [0, 1].
    """
    values = map_[covered]
    if not len(values) or values.min() == values.max():
        return np.zeros(map_.shape)
    low, high = float(values.min()), float(values.max())
    return np.where(covered, (map_ - low) / (high - low), 0.0)


def window(size: tuple[int, ...], deviation: float) -> Float[ndarray, "h w"]:
    """exp(-(x^2 + y^2) / (2 deviation^2)), x and y from -1/2 to 1/2 across the image: objects tend to be centred.

    Args:
        size: (h, w) in pixels.
        deviation: as a share of each side.

    Returns:
        (h, w), in (0, 1].
    """
    down, across = (np.exp(-((((np.arange(n) + 0.5) / n - 0.5) / deviation) ** 2) / 2) for n in size)
    return down[:, None] * across[None, :]
