"""What the first pass saw and the counting will need: the maps near their peaks, sparse, in memory, within a budget."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_START = 64 << 20  # bytes that may gather before the first thinning


class _Sparse(NamedTuple):
    # Maps of one shape, at some places; elsewhere they are below every threshold to come, and so are their neighbours.
    shape: tuple[int, ...]
    at: Tensor
    value: Tensor

    @classmethod
    def of(cls, maps: Float[Tensor, "n u h w"], floor: Float[Tensor, " u"]) -> "_Sparse":
        above = maps > floor.to(maps)[:, None, None]
        pairs = above.flatten(2).any(dim=2).nonzero()
        near = _widened(_widened(above[pairs[:, 0], pairs[:, 1]], 1), 2)
        map_, row, column = near.nonzero(as_tuple=True)
        _, units, height, width = maps.shape
        at = ((pairs[map_, 0] * units + pairs[map_, 1]) * height + row) * width + column
        value = maps.reshape(-1)[at]
        kind = torch.int32 if maps.numel() < 2**31 else torch.int64
        return cls(tuple(maps.shape), at.to("cpu", kind), value.cpu())

    @property
    def bytes(self) -> int:
        return self.at.nbytes + self.value.nbytes

    def maps(self) -> Float[Tensor, "n u h w"]:
        dense = self.value.new_full(self.shape, -torch.inf)
        dense.view(-1)[self.at.long()] = self.value
        return dense


def _widened(there: Bool[Tensor, "m h w"], axis: int) -> Bool[Tensor, "m h w"]:
    # With the neighbours along an axis.
    wide, length = there.clone(), there.shape[axis]
    if length > 1:
        wide.narrow(axis, 1, length - 1).logical_or_(there.narrow(axis, 0, length - 1))
        wide.narrow(axis, 0, length - 1).logical_or_(there.narrow(axis, 1, length - 1))
    return wide


class ActivationCache:
    """Cache of the maps of processed batches, without cells that cannot be part of a mask.

    A pixel can exceed its threshold only if a corner of its cell does, and a running quantile never decreases: cells
    without a neighbour above it are irrelevant from then on. Maps that exceed the budget are dropped, a layer at a
    time, the largest first, and must be computed again.

    Args:
        budget: in bytes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._layers: dict[str, dict[tuple[int, int], _Sparse]] = {}
        self._dropped: set[str] = set()
        self._limit = min(budget, _START)

    def add(self, batch: int, group: int, found: Mapping[str, Tensor], floors: Mapping[str, Tensor]) -> None:
        """Adds the maps of a group of images.

        Args:
            batch: number of the batch.
            group: index of the group in its batch.
            found: layer name -> maps, (n, u, h, w).
            floors: layer name -> lower bounds of the thresholds, (u,).
        """
        for name in found.keys() - self._dropped:
            own = self._layers.setdefault(name, {})
            own[batch, group] = _Sparse.of(found[name], floors[name])
        if self.bytes > self._limit:
            self._thin(floors)

    @property
    def bytes(self) -> int:
        """Memory in use."""
        return sum(sparse.bytes for own in self._layers.values() for sparse in own.values())

    def _thin(self, floors: Mapping[str, Tensor]) -> None:
        for name, own in self._layers.items():
            for key, sparse in own.items():
                own[key] = _Sparse.of(sparse.maps(), floors[name].cpu())
        while self.bytes > self.budget:
            sizes = {name: sum(sparse.bytes for sparse in own.values()) for name, own in self._layers.items()}
            largest = max(sizes, key=lambda name: sizes[name])
            del self._layers[largest]
            self._dropped.add(largest)
        self._limit = min(self.budget, max(_START, 2 * self.bytes))

    def pop(self, batch: int, group: int) -> dict[str, Float[Tensor, "n u h w"]]:
        """Returns and removes the maps of a group.

        Args:
            batch: number of the batch.
            group: index of the group in its batch.

        Returns:
            Layer name -> maps, with minus infinity where no mask is possible; dropped layers are missing.
        """
        return {name: own.pop((batch, group)).maps() for name, own in self._layers.items() if (batch, group) in own}

    def holds(self, batch: int, layers: int) -> bool:
        """Whether a batch is completely cached.

        Args:
            batch: number of the batch.
            layers: number of layers.

        Returns:
            Whether all of them are cached.
        """
        return sum((batch, 0) in own for own in self._layers.values()) == layers
