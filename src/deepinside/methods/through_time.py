"""Saliency through time: effect of each step of a sequence on a class score."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


def through_time(
    module: Callable[[Float[Tensor, "n t f"]], Float[Tensor, "n k"]],
    inputs: Float[Tensor, "n t f"],
    *,
    classes: Int[Tensor, " n"],
) -> Float[Tensor, "n t"]:
    """M_t = |dS_c/dx_t|, the Euclidean norm over the features, of the score before softmax.

    On CUDA the forward pass disables cuDNN, whose recurrent layers have no backward pass in evaluation mode. So nothing
    has to be set to training mode, where dropout would change the result.

    Args:
        module: any recurrent (or other) classifier, in evaluation mode: sequences (n, t, f) to scores (n, k). For
            tokens, pass their embeddings and the remaining part of the network.
        inputs: sequences of floating-point features, batch first, (n, t, f); on the module's device.
        classes: one per sequence, (n,).

    Returns:
        (n, t), in score per unit of the input, non-negative.

    Raises:
        ValueError: if a shape, type or class is invalid, or the module is in training mode.

    Source: Simonyan et al. 2013, sec. 3.1, with time in place of pixels; Li et al. 2016, NAACL (first derivatives).
    Deviation: Simonyan et al. take the maximum over colours; the norm does not depend on the features' axes.
    """
    _check(module, inputs, classes)
    inputs = inputs.detach().clone().requires_grad_()
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        scores = module(inputs)
        _check_scores(scores, classes)
        chosen = scores.gather(1, classes.to(scores.device)[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, inputs)
    return gradient.norm(dim=2)


def _check(module: object, inputs: Tensor, classes: Tensor) -> None:
    if inputs.ndim != 3 or not inputs.is_floating_point():
        raise ValueError(
            f"expected floating-point sequences (n, t, f), got {tuple(inputs.shape)} of {inputs.dtype}: add the "
            "missing axes; for tokens, pass their embeddings"
        )
    if classes.shape != inputs.shape[:1]:
        raise ValueError(f"expected {len(inputs)} classes, one per sequence, got {tuple(classes.shape)}")
    if isinstance(module, nn.Module) and any(part.training for part in module.modules()):
        raise ValueError("expected a module in evaluation mode, got one in training mode: call module.eval() first")


def _check_scores(scores: object, classes: Tensor) -> None:
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(classes):
        came = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(
            f"expected scores ({len(classes)}, k), got {came}: wrap what returns outputs and states, and keep the last"
        )
    if not (classes.min() >= 0 and classes.max() < scores.shape[1]):
        raise ValueError(f"expected classes in 0..{scores.shape[1] - 1}, got {classes.unique().tolist()}")
