"""Pictures shifted, scaled and turned."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepinside.network import closest

REST = {"translation": 0.0, "scale": 1.0, "rotation": 0.0}  # what leaves a picture as it is


def motion(kind: str, value: float, size: tuple[int, int]) -> Float[Tensor, "2 3"]:
    """Where each point of the moved picture comes from, for `torch.nn.functional.affine_grid`.

    Coordinates run from -1 to 1 between the outer edges of the picture (align_corners=False), so that one pixel is 2/h
    down and 2/w across.

    Args:
        kind: `translation` (share of the height, positive downwards), `scale` (above 1 enlarges) or `rotation`
            (degrees, anticlockwise); the latter two about the centre.
        value: how much.
        size: (h, w) in pixels.

    Returns:
        Rows for x and y, double precision.

    Raises:
        ValueError: for an unknown kind.
    """
    height, width = size
    if kind == "translation":
        rows = [[1.0, 0.0, 0.0], [0.0, 1.0, -2 * value]]
    elif kind == "scale":
        rows = [[1 / value, 0.0, 0.0], [0.0, 1 / value, 0.0]]
    elif kind == "rotation":
        cosine, sine = math.cos(math.radians(value)), math.sin(math.radians(value))
        rows = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    else:
        raise ValueError(f"unknown transformation {kind!r}; {closest(kind, REST)}")
    return torch.tensor(rows, dtype=torch.float64)


def moved(
    images: Float[Tensor, "n 3 h w"], motions: Float[Tensor, "n 2 3"], fill: Float[Tensor, "3 1 1"]
) -> Float[Tensor, "n 3 h w"]:
    """Pictures transformed, bilinear between pixel centres.

    Args:
        images: RGB, (n, 3, h, w).
        motions: one per picture, (n, 2, 3) (see `motion`).
        fill: colour of what the picture does not cover, (3, 1, 1).

    Returns:
        (n, 3, h, w). A shift by whole pixels is exact.
    """
    grid = functional.affine_grid(motions.to(images.device), list(images.shape), align_corners=False)
    rest = images.double() - fill  # zero outside is the fill
    sampled = functional.grid_sample(rest, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (sampled + fill).clamp(0, 1).to(images.dtype)
