"""How the network is shown the image at each step: a random shift, window or turn, so that no pixel is pinned.

Every function takes the canvas in grey levels (n, 3, H, W), the images' own chance, and returns what is shown;
gradients flow back through it.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepinside.methods.synthesis.canvas import Draws


def jitter(canvas: Float[Tensor, "n 3 h w"], draws: Draws, *, pixels: float) -> Float[Tensor, "n 3 h w"]:
    """The canvas rolled by up to so many pixels each way; what leaves on one side enters on the other.

    Args:
        canvas: images.
        draws: their chance.
        pixels: largest shift.

    Returns:
        Of the same size.

    Source: Mordvintsev et al. 2015 (DeepDream).
    """
    reach = int(pixels)
    shifts = (draws.uniform(2) * (2 * reach + 1)).long() - reach
    rows = (torch.arange(canvas.shape[2], device=canvas.device) + shifts[:, :1]) % canvas.shape[2]
    columns = (torch.arange(canvas.shape[3], device=canvas.device) + shifts[:, 1:]) % canvas.shape[3]
    which = torch.arange(len(canvas), device=canvas.device)[:, None, None]
    return canvas.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


def crop(
    canvas: Float[Tensor, "n 3 H W"], draws: Draws, *, side: tuple[int, int], spread: float | None
) -> Float[Tensor, "n 3 h w"]:
    """A window of the canvas, of the size that the network takes.

    Args:
        canvas: images, at least as large as the window.
        draws: their chance.
        side: (h, w) of the window.
        spread: the window's corner is drawn around the middle with this standard deviation, as a share of the room
            there is, and clipped to it; None: uniformly.

    Returns:
        (n, 3, *side).

    Source: Nguyen et al. 2016 (MFV), code: offsets from N(mid, (excess · window)²).
    """
    room = torch.tensor([canvas.shape[2] - side[0], canvas.shape[3] - side[1]], device=canvas.device)
    if spread is None:
        corners = (draws.uniform(2) * (room + 1)).floor()
    else:
        corners = (room / 2 + draws.normal(2) * room * spread).round()
    places = corners.clamp(min=0).minimum(room).long().tolist()
    windows = [picture[:, y : y + side[0], x : x + side[1]] for picture, (y, x) in zip(canvas, places, strict=True)]
    return torch.stack(windows)


def affine(
    canvas: Float[Tensor, "n 3 h w"], draws: Draws, *, degrees: float, zoom: float, shift: float
) -> Float[Tensor, "n 3 h w"]:
    """A small turn, change of size and shift about the middle; beyond its border the canvas is reflected.

    Args:
        canvas: images.
        draws: their chance.
        degrees: largest turn, either way.
        zoom: largest change of size: factors from 1/(1 + zoom) to 1 + zoom, uniform in the logarithm.
        shift: largest shift either way, as a share of the side.

    Returns:
        Of the same size.

    Source: Olah et al. 2017, *Feature Visualization* (random rotation, scaling and jitter); the amounts are ours.
    """
    turn, size, dy, dx = (2 * draws.uniform(4) - 1).unbind(dim=1)
    angle, factor = turn * math.radians(degrees), (size * math.log1p(zoom)).exp()
    cosine, sine = angle.cos() / factor, angle.sin() / factor
    ratio = canvas.shape[2] / canvas.shape[3]  # the grid's unit is half a side, of either length
    top = torch.stack([cosine, -sine * ratio, 2 * dx * shift], dim=1)
    bottom = torch.stack([sine / ratio, cosine, 2 * dy * shift], dim=1)
    grid = functional.affine_grid(torch.stack([top, bottom], dim=1), list(canvas.shape), align_corners=False)
    return functional.grid_sample(canvas, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def noise(canvas: Float[Tensor, "n 3 h w"], draws: Draws, *, sigma: float) -> Float[Tensor, "n 3 h w"]:
    """White noise laid over the canvas.

    Args:
        canvas: images.
        draws: their chance.
        sigma: standard deviation in grey levels.

    Returns:
        Of the same size.

    Source: Smilkov et al. 2017 average gradients so; here it keeps the image from balancing on fine detail.
    """
    return canvas + sigma * draws.normal(*canvas.shape[1:])


VIEWS: dict[str, Callable[..., Tensor]] = {"jitter": jitter, "crop": crop, "affine": affine, "noise": noise}
