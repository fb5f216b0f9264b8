"""Tells pictures that were made from those that were taken, so that a generator learns to make sharp ones."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

_SLOPE = 0.2


class Discriminator(nn.Sequential):
    """5x5 convolutions of stride 2, leaky ReLUs, the mean over positions, one score: positive for real pictures.

    Args:
        widths: channels, the finest first.

    Source: Dosovitskiy & Brox 2016b (DeePSiM).
    Deviation: smaller, and it sees the picture alone; the paper's also sees the code.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64)) -> None:
        parts: list[nn.Module] = []
        for taken, given in zip((3, *widths), widths, strict=False):
            conv = nn.Conv2d(taken, given, 5, stride=2, padding=2)
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (1 + _SLOPE**2) / (taken * 25)))
            parts += [conv, nn.LeakyReLU(_SLOPE)]
        super().__init__(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """How real each picture looks.

        Args:
            images: RGB, in the units of [0, 1], (n, 3, h, w).

        Returns:
            Scores, (n,).
        """
        return super().forward(images - 0.5).flatten()
