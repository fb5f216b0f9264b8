"""The pictures that excite each unit most, from a stream."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class TopImages:
    """Per unit the pictures with the highest peaks; of equal peaks the picture with the lower number.

    Args:
        units: number of units.
        count: pictures per unit.
    """

    def __init__(self, units: int, count: int) -> None:
        self.count = count
        self.peak = torch.empty(units, 0)
        self.image = torch.empty(units, 0, dtype=torch.int64)

    def add(self, peaks: Float[Tensor, "n u"], images: Int[Tensor, " n"]) -> None:
        """Takes the peaks of more pictures.

        Args:
            peaks: highest activation of each unit in each picture, (n, u).
            images: numbers of the pictures, each given once.
        """
        peak = torch.cat([self.peak, peaks.T.cpu()], dim=1)
        image = torch.cat([self.image, images.expand(len(peak), -1)], dim=1)
        rising = image.argsort(dim=1)
        peak, image = peak.gather(1, rising), image.gather(1, rising)
        order = peak.argsort(dim=1, descending=True, stable=True)[:, : self.count]
        self.peak, self.image = peak.gather(1, order), image.gather(1, order)
