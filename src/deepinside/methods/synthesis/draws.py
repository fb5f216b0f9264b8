"""Chance that belongs to one picture, whatever else is in its batch."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


class Draws:
    """One random stream per picture.

    Args:
        seeds: one per picture.
        device: where the numbers are wanted; they are drawn on the CPU, so that they are the same everywhere.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._device = device

    def normal(self, *shape: int) -> Float[Tensor, "n ..."]:
        """Standard normal numbers.

        Args:
            shape: per picture.

        Returns:
            (n, *shape).
        """
        return torch.stack([torch.randn(shape, generator=stream) for stream in self._streams]).to(self._device)

    def uniform(self, *shape: int) -> Float[Tensor, "n ..."]:
        """Numbers uniform in [0, 1).

        Args:
            shape: per picture.

        Returns:
            (n, *shape).
        """
        return torch.stack([torch.rand(shape, generator=stream) for stream in self._streams]).to(self._device)
