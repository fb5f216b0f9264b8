"""What is done to the gradient before a step is taken along it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.synthesis.draws import Draws


def centre(gradient: Float[Tensor, "n 3 h w"], _variable: Tensor, *, margin: float) -> Float[Tensor, "n 3 h w"]:
    """No gradient outside the middle.

    Args:
        gradient: by the pixels.
        margin: width of the silent border in pixels.

    Returns:
        The gradient.

    Raises:
        ValueError: if nothing is left in the middle.

    Source: Nguyen et al. 2016 (MFV), code: centre bias.
    """
    border = round(margin)
    if 2 * border >= min(gradient.shape[2:]):
        raise ValueError(f"a margin of {border} pixels leaves nothing of {tuple(gradient.shape[2:])}; lower it")
    kept = torch.zeros_like(gradient[:1])
    kept[..., border : gradient.shape[2] - border, border : gradient.shape[3] - border] = 1
    return gradient * kept


def pull(
    gradient: Tensor, variable: Tensor, *, weight: float, reconstructed: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n ..."]:
    """Adds weight · (E(G(h)) - h): towards codes that the generator's own picture has.

    Args:
        gradient: by the code, (n, ...).
        variable: the code h.
        weight: epsilon 1.
        reconstructed: h -> E(G(h)).

    Returns:
        The gradient.

    Source: Nguyen et al. 2017 (PPGN), eq. 11.
    """
    with torch.no_grad():
        return gradient + weight * (reconstructed(variable) - variable)


def heat(gradient: Tensor, _variable: Tensor, *, draws: Draws, sigma: float) -> Tensor:
    """Adds white noise, so that the ascent becomes a sampler.

    Args:
        gradient: (n, ...).
        draws: the pictures' chance.
        sigma: epsilon 3.

    Returns:
        The gradient.

    Source: Nguyen et al. 2017 (PPGN), eq. 11.
    """
    return gradient + sigma * draws.normal(*gradient.shape[1:])


STEERING: dict[str, Callable[..., Tensor]] = {"centre": centre, "pull": pull, "heat": heat}
