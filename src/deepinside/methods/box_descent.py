"""L-BFGS over the pixels of one image, with bounds [0, 1]."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize
from torch import Tensor

_MEMORY = 10  # past steps that L-BFGS remembers, scipy's own default


def box_descent(
    loss: Callable[[Float[Tensor, "1 3 h w"]], Float[Tensor, ""]], start: Float[Tensor, "1 3 h w"], *, steps: int
) -> Float[Tensor, "1 3 h w"]:
    """The argmin of loss(x) over x in [0, 1], by L-BFGS-B.

    It stops after `steps` steps, or when no step along the gradient decreases the loss. Each step has passed a line
    search, so the loss never increases from step to step.

    Args:
        loss: of an image; differentiable.
        start: RGB in [0, 1], (1, 3, h, w).
        steps: of L-BFGS, at most; each takes one evaluation of the loss and its gradient, rarely more.

    Returns:
        The image at the end, (1, 3, h, w).

    Raises:
        ValueError: if the loss is not finite.

    Source: Byrd, Lu, Nocedal & Zhu 1995 (L-BFGS-B), as in scipy.
    """

    def evaluated(flat: Float[ndarray, " p"]) -> tuple[float, Float[ndarray, " p"]]:
        pixels = torch.from_numpy(flat).to(start).view_as(start).requires_grad_()
        with torch.enable_grad():
            value = loss(pixels)
            (gradient,) = torch.autograd.grad(value, pixels)
        if not (value.isfinite() and gradient.isfinite().all()):
            raise ValueError(
                f"expected a finite loss, got {float(value.detach())}: lower its weights, or check them for NaN"
            )
        return float(value.detach()), gradient.flatten().double().cpu().numpy()

    flat = start.detach().flatten().double().cpu().numpy()
    settings = {"maxiter": steps, "maxfun": 20 * max(steps, 1), "maxcor": _MEMORY, "ftol": 0, "gtol": 0}
    found = minimize(evaluated, flat, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(flat), options=settings)
    return torch.from_numpy(np.asarray(found.x)).to(start).view_as(start).clamp(0, 1)
