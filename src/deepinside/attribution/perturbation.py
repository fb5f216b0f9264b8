"""Insertion and deletion: how soon the score of a class comes or goes with the pixels that a map ranks first."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from deepinside.network import Network

STEPS = 16
_BLUR = 0.05  # standard deviation of the blurred image, share of the side: 11 of 224 pixels, as RISE's kernel of 11


class Perturbed(NamedTuple):
    """Areas under the curve of the class's probability, in [0, 1], by what fills the pixels that are not there.

    Attributes:
        insertion: pixels of the image come into the blurred image; higher is better.
        insertion_mean: into the mean colour.
        deletion: pixels of the image go over to the mean colour; lower is better.
        deletion_blur: to the blurred image.
    """

    insertion: float
    insertion_mean: float
    deletion: float
    deletion_blur: float


def perturbed(
    network: Network,
    image: Float[Tensor, "1 3 h w"],
    target: int,
    map_: Float[ndarray, "h w"],
    *,
    steps: int = STEPS,
) -> Perturbed:
    """Insertion and deletion by one map.

    Args:
        network: whose probability is watched.
        image: RGB in [0, 1].
        target: class.
        map_: (h, w); the highest values come first, equal ones in reading order.
        steps: the pixels move in so many equal parts.

    Returns:
        The areas, by the trapezoid rule over the share of pixels.

    Source: Petsiuk et al. 2018 (RISE), sec. 4.2 (insertion into the blurred image, deletion to a constant; theirs is
        grey, and they move 224 pixels a step).
    """
    inputs = image.to(network.device)
    mean = network.preprocessing.colour.to(inputs).view(1, 3, 1, 1).expand_as(inputs)
    height, width = inputs.shape[2:]
    sigma = _BLUR * min(height, width)
    blurred = gaussian_blur(inputs, 2 * int(3 * sigma) + 1, sigma)
    order = np.argsort(-np.asarray(map_, dtype=np.float64).ravel(), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    cuts = torch.linspace(0, len(order), steps + 1, device=inputs.device).round()
    moved = (torch.from_numpy(rank).to(inputs.device)[None] < cuts[:, None]).view(-1, 1, height, width)
    pairs = ((blurred, inputs), (mean, inputs), (inputs, mean), (inputs, blurred))  # from, to
    areas = []
    for before, after in pairs:
        shares = network.scores(torch.where(moved, after, before)).softmax(dim=1)[:, target]
        areas.append(float(torch.trapezoid(shares.double(), dx=1 / steps)))
    return Perturbed(*areas)
