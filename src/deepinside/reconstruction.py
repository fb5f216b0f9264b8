"""How near a reconstruction comes to its picture: in pixels, in a code, in rough contours and in colours."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

_CELLS = 8  # side of what low-pass leaves of a picture


class CodeMoments(NamedTuple):
    """Sums over codes, per unit or channel, float64, from which their statistics follow; add with `merged`."""

    seen: int
    total: Float[Tensor, " u"]
    squares: Float[Tensor, " u"]
    low: Float[Tensor, " u"]
    high: Float[Tensor, " u"]


def moments(code: Float[Tensor, "n u *grid"]) -> CodeMoments:
    """Sums over pictures and positions.

    Args:
        code: (n, u) or (n, u, y, x).

    Returns:
        Per unit or channel.
    """
    values = code.detach().double().transpose(0, 1).flatten(1)
    return CodeMoments(
        values.shape[1], values.sum(1), values.square().sum(1), values.min(1).values, values.max(1).values
    )


def merged(one: CodeMoments, other: CodeMoments) -> CodeMoments:
    """Sums over both.

    Args:
        one: over some pictures.
        other: over others.

    Returns:
        Over all of them.
    """
    low, high = torch.minimum(one.low, other.low), torch.maximum(one.high, other.high)
    return CodeMoments(one.seen + other.seen, one.total + other.total, one.squares + other.squares, low, high)


def mean_and_std(sums: CodeMoments) -> tuple[Float[Tensor, " u"], Float[Tensor, " u"]]:
    """Mean and standard deviation.

    Args:
        sums: over codes.

    Returns:
        Per unit; the deviation of one that never varies is exactly 0.
    """
    mean = sums.total / sums.seen
    variance = (sums.squares / sums.seen - mean**2).clamp(min=0)
    return mean, torch.where(sums.low == sums.high, 0, variance.sqrt())


def pair_distance(images: Float[Tensor, "n 3 h w"]) -> float:
    """N = mean over pairs i != j of |x_i - x_j|^2.

    Args:
        images: two or more.

    Returns:
        The squared distance of a random pair; half of it is what their mean picture is off.

    Source: Dosovitskiy & Brox 2016 (the normalisation of its errors).
    """
    if len(images) < 2:
        return math.nan
    return 2 * float(images.double().var(dim=0, correction=1).sum())


def image_error(made: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"], unit: float) -> Float[ndarray, " n"]:
    """|x' - x|^2 / N.

    Args:
        made: reconstructions, RGB in [0, 1].
        images: what they ought to be.
        unit: N, of `pair_distance`.

    Returns:
        Per picture; 1 is as bad as a random pair.
    """
    return (made - images).double().square().flatten(1).sum(1).div(unit).cpu().numpy()


def feature_error(made: Float[Tensor, "n u *grid"], codes: Float[Tensor, "n u *grid"]) -> Float[ndarray, " n"]:
    """|Phi(x') - Phi(x)|^2 / |Phi(x)|^2.

    Args:
        made: codes of the reconstructions.
        codes: of the pictures.

    Returns:
        Per picture; NaN where the picture's code is all zero.

    Source: Mahendran & Vedaldi 2015, sec. 5.
    """
    wrong, size = ((part.double().square().flatten(1).sum(1)) for part in (made - codes, codes))
    return torch.where(size > 0, wrong / size, torch.nan).cpu().numpy()


def contour_and_colour(
    made: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"], usual: Float[Tensor, "3 h w"]
) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """How alike two pictures' rough departures from the mean picture are, in brightness and in colour.

    r = <d', d> / |d'| |d|, d what 8x8 block means of a picture have above those of the mean picture: of its brightness
    (R + G + B) / 3, or of its colours R - G and (R + G) / 2 - B.

    Args:
        made: reconstructions, RGB in [0, 1].
        images: what they ought to be.
        usual: the mean picture of the training, so that nothing that all pictures share counts.

    Returns:
        Two correlations per picture; 0 is chance, NaN where a picture departs in nothing.
    """
    ours, theirs = (adaptive_avg_pool2d((part - usual).double(), _CELLS) for part in (made, images))
    return _cosine(ours.mean(1), theirs.mean(1)), _cosine(_opponents(ours), _opponents(theirs))


def _opponents(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    return torch.stack([red - green, (red + green) / 2 - blue], dim=1)


def _cosine(one: Tensor, other: Tensor) -> Float[ndarray, " n"]:
    a, b = one.flatten(1), other.flatten(1)
    size = a.norm(dim=1) * b.norm(dim=1)
    return np.asarray(torch.where(size > 0, (a * b).sum(1) / size, torch.nan).cpu())
