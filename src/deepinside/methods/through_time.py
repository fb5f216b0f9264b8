"""Saliency through time: effect of each step of a sequence on a class score."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from deepinside.methods.saliency import forward
from deepinside.network import Network
from deepinside.probe import activations
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study


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


_REACHED = 0.95  # share of the gradient that counts as all of it


def steps_reached(
    network: Network, pictures: Pictures, *, steps: int | None = None, images: int = 100, batch_size: int = 32
) -> Study:
    """Which rows of the image, read as steps from top to bottom, the gradient of the class score reaches.

    The step t of an image has M_t = |dS_c/dx_t|, the norm over the pixels and colours of its rows, of the score of the
    predicted class; its share is M_t / sum of M. A network that forgets has all of it at the end. Any network may be
    measured, so that a recurrent one can be compared with one that does not read in order.

    Args:
        network: to visualise.
        pictures: of a data set.
        steps: number of bands of equally many rows of pixels; None: as many as the rows of the first recurrent layer,
            or 16 where there is none.
        images: number of images, the first ones.
        batch_size: images per pass.

    Returns:
        `table`: a row per step: mean share over the images, its interval, and that of a uniform gradient. Numbers:
        `of`, the steps; `first_half`, the share of the first half of them; `reach`, how many of the last have 95 %.

    Raises:
        ValueError: if the input's rows do not divide into the steps.

    Source: Simonyan et al. 2013, sec. 3.1, with rows in place of pixels; Hochreiter et al. 2001 (vanishing gradients).
    """
    count = steps if steps is not None else _steps(network)
    positions, _ = pictures.first(images)
    parts = []
    for _, part in pictures.batches(batch_size, positions):
        pixels, scores = forward(network, part.images, "gradient")
        (gradient,) = torch.autograd.grad(scores.amax(dim=1).sum(), pixels)
        if count < 2 or gradient.shape[2] % count:
            raise ValueError(f"expected steps of at least 2 that divide {gradient.shape[2]} rows, got {count}")
        parts.append(gradient.transpose(1, 2).unflatten(1, (count, -1)).flatten(2).norm(dim=2).cpu().double())
    norms = torch.cat(parts)
    total = norms.sum(dim=1, keepdim=True)
    shares = (norms / torch.where(total > 0, total, math.nan)).numpy()
    rows = [mean_row(str(t), shares[:, t], "share of the gradient") for t in range(count)]
    columns = {"share": [row.value for row in rows], "ci_low": [row.ci_low for row in rows]}
    columns |= {"ci_high": [row.ci_high for row in rows], "uniform": [1 / count] * count}
    above = np.cumsum(shares[:, ::-1], axis=1) >= _REACHED
    numbers = (
        Row("images", len(norms), "images"),
        Row("of", count, "steps"),
        mean_row("first_half", shares[:, : count // 2].sum(axis=1), "share of the gradient"),
        mean_row("reach", np.where(above.any(axis=1), above.argmax(axis=1) + 1.0, math.nan), "steps"),
    )
    return Study(
        pd.DataFrame({"step": range(count), **columns}), numbers, {"shares": shares, "network": np.array(network.name)}
    )


def _steps(network: Network) -> int:
    # Rows of the maps of the first recurrent layer: each is a step.
    for name, part in network.module.named_modules():
        if any(isinstance(child, nn.RNNBase) for child in part.children()) and name:
            side = network.preprocessing.input
            found = activations(network, torch.zeros(1, 3, side, side, device=network.device), (name,))[name]
            if found.ndim == 4 and side % found.shape[2] == 0:
                return found.shape[2]
    return 16
