"""Small pictures with a unit's mask on them, and sheets of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image
from scipy.ndimage import binary_erosion

_DIM = 0.35  # brightness outside the mask
_EDGE = (255, 176, 0)


def tile(image: UInt8[ndarray, "h w 3"], mask: Bool[ndarray, "h w"], side: int) -> UInt8[ndarray, "s s 3"]:
    """A picture in a white square, dark outside the mask and with a line around it.

    Args:
        image: RGB bytes, (h, w, 3).
        mask: (h, w).
        side: of the square, in pixels.

    Returns:
        RGB bytes, (side, side, 3).
    """
    height, width = mask.shape
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    pixels = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)).astype(float)
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    pixels[~inside] *= _DIM
    pixels[inside & ~binary_erosion(inside, border_value=1)] = _EDGE
    square = np.full((side, side, 3), 255, dtype=np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = pixels.round()
    return square


def mosaic(
    tiles: Sequence[UInt8[ndarray, "s s 3"]], columns: int | None = None, gap: int = 4
) -> UInt8[ndarray, "h w 3"]:
    """Squares beside and below one another, on white.

    Args:
        tiles: RGB bytes of one size.
        columns: squares in a row; None for about as many as there are rows.
        gap: between them, in pixels.

    Returns:
        RGB bytes, row by row.
    """
    columns = columns or int(np.ceil(np.sqrt(len(tiles))))
    rows, side = -(-len(tiles) // columns), len(tiles[0])
    step = side + gap
    sheet = np.full((rows * step - gap, columns * step - gap, 3), 255, dtype=np.uint8)
    for index, one in enumerate(tiles):
        top, left = index // columns * step, index % columns * step
        sheet[top : top + side, left : left + side] = one
    return sheet
