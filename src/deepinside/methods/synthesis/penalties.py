"""What a picture costs: differentiable, subtracted from what is climbed. Grey levels of 0..255, mean colour subtracted.

Every function takes pictures (n, 3, h, w) and returns (n,).
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

_SMALLEST = 1e-5  # squared slope below which total variation with beta < 2 counts as flat


def l2(grey: Float[Tensor, "n 3 h w"], *, weight: float) -> Float[Tensor, " n"]:
    """The squared norm: weight · Σ x².

    Args:
        grey: pictures.
        weight: per squared grey level.

    Returns:
        Cost per picture.

    Source: Simonyan et al. 2013, sec. 2.
    """
    return weight * grey.square().sum(dim=(1, 2, 3))


def alpha_norm(
    grey: Float[Tensor, "n 3 h w"], *, weight: float, alpha: float, joint: bool, mean: bool
) -> Float[Tensor, " n"]:
    """The alpha norm, weight · Σ |x|^alpha: small for intensities up to a typical one, huge beyond.

    Args:
        grey: pictures.
        weight: of the cost.
        alpha: exponent.
        joint: whether |x| is the norm of a pixel's three colours (2016) or each colour's own magnitude (2015).
        mean: whether to divide by the number of pixels (2016).

    Returns:
        Cost per picture.

    Source: Mahendran & Vedaldi 2015, eq. 4; 2016, eq. 4.
    """
    # |x|^alpha of the sum of squares, so that no square root of zero is differentiated
    powers = (grey.square().sum(dim=1, keepdim=True) if joint else grey.square()).pow(alpha / 2)
    pixels = grey.shape[2] * grey.shape[3] if mean else 1
    return weight * powers.sum(dim=(1, 2, 3)) / pixels


def total_variation(grey: Float[Tensor, "n 3 h w"], *, weight: float, beta: float, mean: bool) -> Float[Tensor, " n"]:
    """Total variation: weight · Σ (dx² + dy²)^(beta/2), with dx and dy zero beyond the last column and row.

    Args:
        grey: pictures.
        weight: of the cost.
        beta: exponent: 1 is total variation, 2 spreads steps out.
        mean: whether to divide by the number of pixels (2016).

    Returns:
        Cost per picture.

    Source: Mahendran & Vedaldi 2015, eq. 5 and 6 (the guard at small slopes is their code's).
    """
    padded_x = grey.diff(dim=3, append=grey[..., -1:]).square()
    padded_y = grey.diff(dim=2, append=grey[..., -1:, :]).square()
    slope = padded_x + padded_y
    slope = slope if beta >= 2 else slope.clamp(min=_SMALLEST)
    pixels = grey.shape[2] * grey.shape[3] if mean else 1
    return weight * slope.pow(beta / 2).sum(dim=(1, 2, 3)) / pixels


PENALTIES: dict[str, Callable[..., Tensor]] = {"l2": l2, "alpha_norm": alpha_norm, "total_variation": total_variation}
