"""A picture and its maps on the grid on which they are segmented."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from PIL import Image


class Scene(NamedTuple):
    """One picture and its maps on the working grid.

    Args:
        picture: RGB in [0, 1], (h, w, 3).
        covered: pixels that some crop saw, (h, w).
        saliency: per class, (k, h, w), not negative.
        activation: likewise, or None.
        size: (height, width) of the canvas that all this was reduced from.
    """

    picture: Float[ndarray, "h w 3"]
    covered: Bool[ndarray, "h w"]
    saliency: Float[ndarray, "k h w"]
    activation: Float[ndarray, "k h w"] | None
    size: tuple[int, int]


def scene(
    maps: Float[ndarray, "k H W"],
    covered: Bool[ndarray, "H W"],
    canvas: Float[ndarray, "3 H W"],
    side: int | None = None,
    activation: Float[ndarray, "k H W"] | None = None,
) -> Scene:
    """A picture and its maps reduced to the working grid; what its classes share is computed once.

    Args:
        maps: saliency per class on the canvas, (k, H, W), not negative.
        covered: pixels of the canvas that some crop saw; only these can be seeds.
        canvas: RGB in [0, 1], (3, H, W).
        side: shorter side of the grid, in pixels, where the canvas is larger; None for the canvas itself.
        activation: class activation per class, (k, H, W).

    Returns:
        The scene.
    """
    size = (canvas.shape[1], canvas.shape[2])
    grid = _grid(size, side)
    picture = np.stack([_resized(channel, grid) for channel in canvas], axis=-1)
    seen = _resized(covered.astype(np.float32), grid) > 0.5
    small = np.stack([_resized(map_, grid) for map_ in maps])
    return Scene(
        picture, seen, small, None if activation is None else np.stack([_resized(m, grid) for m in activation]), size
    )


def _grid(size: Sequence[int], side: int | None) -> tuple[int, int]:
    factor = 1.0 if side is None else min(1.0, side / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resized(values: Float[ndarray, "H W"], grid: tuple[int, int]) -> Float[ndarray, "h w"]:
    if values.shape == grid:
        return values
    # Area means: a smaller map keeps its mean.
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(grid[::-1], Image.Resampling.BOX))
