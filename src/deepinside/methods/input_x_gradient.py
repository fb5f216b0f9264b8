"""Input times gradient: contribution of each pixel to a class score, to first order (Shrikumar et al. 2016)."""

import torch
from jaxtyping import Int
from torch import Tensor

from deepinside.methods.saliency import gradients, targets
from deepinside.network import Network
from deepinside.probe import relu_rule
from deepinside.records import Batch, Maps


def input_x_gradient(
    network: Network, batch: Batch, *, classes: Int[Tensor, "n t"] | None = None, rule: str = "gradient"
) -> Maps:
    """M_ij = sum over channels of x·dS_c/dx, x the network's own normalised input; equally (I - mean)·dS_c/dI.

    In a network of ReLUs and pools without biases the map adds up to the score.

    Args:
        network: to visualise.
        batch: (n, 3, h, w); its labels are the classes unless `classes` is set.
        classes: targets per image, (n, t); all t come from one forward pass.
        rule: backward rule of the ReLUs: `gradient`, `deconvnet` or `guided` (see `probe.relu_rule`).

    Returns:
        (n, t, h, w), signed, in score: positive where the pixel's deviation from the mean supports the class.

    Raises:
        ValueError: if there is no class, or a class is outside the network's.
        UndefinedRule: if a nonlinearity has no such rule.

    Source: Shrikumar et al. 2016 (arXiv 1605.01713); as captum's `InputXGradient` on the network inside.
    """
    wanted = targets(batch, classes)
    inputs = network.normalise(batch.images.to(network.device)).detach().requires_grad_()
    with torch.enable_grad(), relu_rule(rule):
        scores = network.module(inputs)
    maps = [(inputs.detach() * gradient).sum(dim=1) for gradient in gradients(inputs, scores, wanted)]
    return Maps(torch.stack(maps, dim=1), signed=True)
