"""Integrated gradients: each pixel's part of a class score, along a straight path (Sundararajan et al. 2017)."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from deepinside.methods.saliency import forward, gradients, targets
from deepinside.network import Network
from deepinside.records import Batch, Maps
from deepinside.spelling import closest

BASELINES = ("black", "mean")


def integrated_gradients(
    network: Network,
    batch: Batch,
    *,
    classes: Int[Tensor, "n t"] | None = None,
    steps: int = 50,
    baseline: str = "black",
    batch_size: int = 10,
) -> Maps:
    """M_ij = sum over channels of (I - I') times the mean of dS_c/dI along the straight line from I' to I.

    The map adds up to S_c(I) - S_c(I'), but for the error of the quadrature.

    Args:
        network: to visualise.
        batch: (n, 3, h, w); its labels are the classes unless `classes` is set.
        classes: targets per image, (n, t).
        steps: points of the Gauss-Legendre quadrature.
        baseline: I': `black`, or the network's `mean` colour.
        batch_size: points in memory at once.

    Returns:
        (n, t, h, w), signed, in score.

    Raises:
        ValueError: if there is no class, a class is outside the network's, or the baseline is unknown.

    Source: Sundararajan et al. 2017, eq. 1; as captum's `IntegratedGradients`.
    """
    if baseline not in BASELINES:
        raise ValueError(f"unknown baseline {baseline!r}; {closest(baseline, BASELINES)}")
    if steps < 1:
        raise ValueError(f"expected steps of at least 1, got {steps}")
    wanted = targets(batch, classes)
    at, weights = (torch.from_numpy(part).float() / 2 for part in np.polynomial.legendre.leggauss(steps))
    at += 0.5
    maps = []
    for image, own in zip(batch.images, wanted, strict=True):
        end = image.to(network.device)
        colour = network.preprocessing.colour.to(end).view(3, 1, 1) if baseline == "mean" else torch.zeros(3, 1, 1)
        start = colour.to(end).expand_as(end)
        total = torch.zeros(len(own), *end.shape, device=end.device)
        for points, share in zip(at.split(batch_size), weights.split(batch_size), strict=True):
            path = start + points.to(end).view(-1, 1, 1, 1) * (end - start)
            inputs, scores = forward(network, path, "gradient")
            found = gradients(inputs, scores, own.expand(len(points), -1))
            total += torch.stack([(share.to(end).view(-1, 1, 1, 1) * one).sum(dim=0) for one in found])
        maps.append((total * (end - start)).sum(dim=1))
    return Maps(torch.stack(maps), signed=True)
