"""Random views of the image at each step: shifts, windows and rotations, for robustness.

Every function takes the canvas in grey levels (n, 3, H, W) and a random generator per image, and returns the network's
input; gradients flow back through it.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepinside.methods.synthesis.canvas import Generators


def jitter(
    canvas: Float[Tensor, "n 3 h w"], generators: Generators, *, pixels: float, share: float | None = None
) -> Float[Tensor, "n 3 h w"]:
    """The canvas rolled by a random number of pixels in each direction, with wrap-around.

    Args:
        canvas: images.
        generators: a random generator per image.
        pixels: largest shift.
        share: of the canvas's smaller side, which the largest shift does not exceed either: on a receptive field of 7
            pixels a shift of 8 leaves nothing but its mean colour. None: no such limit.

    Returns:
        Of the same size.

    Source: Mordvintsev et al. 2015 (DeepDream); the limit is ours.
    """
    reach = int(pixels if share is None else min(pixels, share * min(canvas.shape[2:])))
    shifts = (generators.uniform(2) * (2 * reach + 1)).long() - reach
    rows = (torch.arange(canvas.shape[2], device=canvas.device) + shifts[:, :1]) % canvas.shape[2]
    columns = (torch.arange(canvas.shape[3], device=canvas.device) + shifts[:, 1:]) % canvas.shape[3]
    which = torch.arange(len(canvas), device=canvas.device)[:, None, None]
    return canvas.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def crop(
    canvas: Float[Tensor, "n 3 H W"], generators: Generators, *, side: tuple[int, int], spread: float | None
) -> Float[Tensor, "n 3 h w"]:
    """A window of the canvas, of the network's input size.

    Args:
        canvas: images, at least as large as the window.
        generators: a random generator per image.
        side: (h, w) of the window.
        spread: standard deviation of the window's position around the centre, as a share of the margin, to which it is
            clipped; None: uniform.

    Returns:
        (n, 3, *side).

    Source: Nguyen et al. 2016 (MFV), code: offsets from N(mid, (excess · window)²).
    """
    room = torch.tensor([canvas.shape[2] - side[0], canvas.shape[3] - side[1]], device=canvas.device)
    if spread is None:
        corners = (generators.uniform(2) * (room + 1)).floor()
    else:
        corners = (room / 2 + generators.normal(2) * room * spread).round()
    places = corners.clamp(min=0).minimum(room).long().tolist()
    windows = [picture[:, y : y + side[0], x : x + side[1]] for picture, (y, x) in zip(canvas, places, strict=True)]
    return torch.stack(windows)


def affine(
    canvas: Float[Tensor, "n 3 h w"], generators: Generators, *, degrees: float, zoom: float, shift: float
) -> Float[Tensor, "n 3 h w"]:
    """A small rotation, scaling and shift about the centre; beyond its border the canvas is reflected.

    Args:
        canvas: images.
        generators: a random generator per image.
        degrees: largest rotation, in either direction.
        zoom: largest scaling: factors from 1/(1 + zoom) to 1 + zoom, uniform in the logarithm.
        shift: largest shift in either direction, as a share of the side.

    Returns:
        Of the same size.

    Source: Olah et al. 2017, *Feature Visualization* (random rotation, scaling and jitter); the amounts are ours.
    """
    turn, size, dy, dx = (2 * generators.uniform(4) - 1).unbind(dim=1)
    angle, factor = turn * math.radians(degrees), (size * math.log1p(zoom)).exp()
    cosine, sine = angle.cos() / factor, angle.sin() / factor
    ratio = canvas.shape[2] / canvas.shape[3]  # the grid's unit is half a side, of either length
    top = torch.stack([cosine, -sine * ratio, 2 * dx * shift], dim=1)
    bottom = torch.stack([sine / ratio, cosine, 2 * dy * shift], dim=1)
    grid = functional.affine_grid(torch.stack([top, bottom], dim=1), list(canvas.shape), align_corners=False)
    return functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def noise(canvas: Float[Tensor, "n 3 h w"], generators: Generators, *, sigma: float) -> Float[Tensor, "n 3 h w"]:
    """White noise added to the canvas.

    Args:
        canvas: images.
        generators: a random generator per image.
        sigma: standard deviation in grey levels.

    Returns:
        Of the same size.

    Source: Smilkov et al. 2017 average gradients in this way; here it makes the image robust to fine detail.
    """
    return canvas + sigma * generators.normal(*canvas.shape[1:])


VIEWS: dict[str, Callable[..., Tensor]] = {"jitter": jitter, "crop": crop, "affine": affine, "noise": noise}
