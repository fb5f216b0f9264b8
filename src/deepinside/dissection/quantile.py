"""The exact top quantile of every unit over a data set, from a stream."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

_SLACK = 4096  # candidates a unit may gather beyond what it keeps, at least; spares a selection per batch
_SELECTED = 1 << 20  # values selected from at a time


def retained(positions: int, quantile: float) -> int:
    """Number of the largest of N values that determine numpy's linear quantile at 1 - q: N - floor((N - 1)(1 - q)).

    Args:
        positions: N, at least 1.
        quantile: q, in [0, 1).

    Returns:
        A count in 1..N; it does not decrease with N, so an upper bound of N suffices.
    """
    return positions - math.floor((positions - 1) * (1 - quantile))


class Largest(NamedTuple):
    """The relevant values of some images: their number by unit, the values, and the number of positions."""

    counts: Int[Tensor, " u"]
    values: Float[Tensor, " k"]
    seen: int


class TopQuantile:
    """T_u with P(a_u > T_u) = q over all positions of all images: numpy.quantile(a_u, 1 - q), linear.

    Only the largest `retained(N, q)` values per unit are relevant, and of later ones only those above the smallest of
    these; nothing else is stored. N must be known (or bounded) in advance: without a bound any value may become
    relevant.

    Args:
        units: number of units.
        quantile: share of positions above the threshold, in [0, 1).
        positions: highest number of values of a unit.

    Raises:
        ValueError: if the quantile is outside [0, 1) or there are no positions.

    Source: Bau et al. 2017, sec. 2.2.
    Deviation: exact; the paper's code estimates it with a sketch (error up to 2.9 % of the value).
    """

    def __init__(self, units: int, quantile: float, positions: int) -> None:
        if not 0 <= quantile < 1:
            raise ValueError(f"expected a quantile in [0, 1), got {quantile}; 0.005 keeps the top 0.5 %")
        if positions < 1:
            raise ValueError(f"expected at least one position, got {positions}; is the data set empty?")
        self.units, self.quantile, self.positions = units, quantile, positions
        self.seen = 0
        self._keep = retained(positions, quantile)
        self._slack = max(_SLACK, self._keep // 8)
        self._buffer: Tensor | None = None  # (u, keep + slack); beyond `_fill` it holds -inf
        self._fill = torch.zeros(units, dtype=torch.int64)
        self._floor = torch.full((units,), -math.inf)

    def largest(self, maps: Float[Tensor, "n u h w"]) -> Largest:
        """The relevant values of some images, for the `take` of another accumulator.

        Args:
            maps: at native resolution, (n, u, h, w).

        Returns:
            The values above the floor of each unit, at most `retained` of them.

        Raises:
            ValueError: for another number of units, or a value that is not finite.
        """
        values = self._checked(maps)
        floor = self._floor.to(values)[:, None]
        above = values > floor
        if int(above.sum(dim=1).max()) > self._keep:
            values = values.topk(self._keep, dim=1).values
            above = values > floor
        return Largest(above.sum(dim=1).cpu(), values[above].cpu(), maps[:, 0].numel())

    def take(self, found: Largest) -> None:
        """Adds the values of another accumulator.

        Args:
            found: from its `largest`.

        Raises:
            ValueError: if there are more than `positions`.
        """
        self._count(found.seen)
        width = int(found.counts.max())
        rows = found.values.new_full((self.units, width), -math.inf)
        rows[torch.arange(width) < found.counts[:, None]] = found.values
        self._gather_all(rows if self._buffer is None else rows.to(self._buffer.device))

    def add(self, maps: Float[Tensor, "n u h w"]) -> None:
        """Adds the activations of images, in any order.

        Args:
            maps: at native resolution, (n, u, h, w).

        Raises:
            ValueError: for another number of units, more than `positions`, or a value that is not finite.
        """
        values = self._checked(maps)
        self._count(values.shape[1])
        self._gather_all(values)

    def _checked(self, maps: Tensor) -> Float[Tensor, "u k"]:
        if maps.ndim != 4 or maps.shape[1] != self.units:
            raise ValueError(f"expected maps (n, {self.units}, h, w), got {tuple(maps.shape)}: one layer at a time")
        values = maps.transpose(0, 1).reshape(self.units, -1)
        if values.numel() and not bool(values.amax().isfinite()):
            raise ValueError("expected finite activations, got NaN or inf: check the weights")
        return values if values.dtype == torch.float64 else values.float()

    def _count(self, seen: int) -> None:
        self.seen += seen
        if self.seen > self.positions:
            raise ValueError(
                f"expected at most {self.positions} positions, got {self.seen}: set `positions` to their total number"
            )

    def _gather_all(self, values: Float[Tensor, "u k"]) -> None:
        self._start(values)
        for part in values.split(self._slack, dim=1):
            self._gather(part)

    @property
    def floor(self) -> Float[Tensor, " u"]:
        """Lower bounds of the final thresholds; minus infinity at first."""
        return self._floor

    def _start(self, values: Tensor) -> None:
        if self._buffer is None:
            dtype = values.dtype if values.dtype == torch.float64 else torch.float32
            shape = (self.units, self._keep + self._slack)
            self._buffer = torch.full(shape, -math.inf, dtype=dtype, device=values.device)
            self._fill = self._fill.to(values.device)
            self._floor = self._floor.to(values.device, dtype)

    def _gather(self, values: Tensor) -> None:
        """Appends what is above the floor, after making room if a unit has none left."""
        assert self._buffer is not None
        above = values > self._floor[:, None]
        counts = above.sum(dim=1)
        if int((self._fill + counts).max()) > self._buffer.shape[1]:
            self._select()
            above = values > self._floor[:, None]
            counts = above.sum(dim=1)
        unit = torch.arange(self.units, device=values.device).repeat_interleave(counts)
        first = counts.cumsum(0) - counts
        place = torch.arange(len(unit), device=values.device) + (self._fill - first)[unit]
        self._buffer[unit, place] = values[above].to(self._buffer.dtype)
        self._fill += counts

    def _select(self) -> None:
        """Keeps the largest only, in falling order, and raises the floor to the smallest of them."""
        assert self._buffer is not None
        rows = max(1, _SELECTED // self._buffer.shape[1])  # a selection takes three times the memory of its rows
        for start in range(0, self.units, rows):
            part = self._buffer[start : start + rows]
            part[:, : self._keep] = part.topk(self._keep, dim=1).values
            part[:, self._keep :] = -math.inf
        self._fill.clamp_(max=self._keep)
        self._floor = self._buffer[:, self._keep - 1].clone()

    def thresholds(self) -> Float[ndarray, " u"]:
        """The quantiles of the values so far.

        Returns:
            (u,), float64, in the unit of the activations.

        Raises:
            ValueError: if there are no values.
        """
        if self._buffer is None or not self.seen:
            raise ValueError("no activations, so there is no threshold; were all images skipped?")
        self._select()
        index = (self.seen - 1) * (1 - self.quantile)
        low, share = math.floor(index), index - math.floor(index)
        ends = [self.seen - 1 - low, max(self.seen - 2 - low, 0)]
        a, b = self._buffer[:, ends].cpu().numpy().astype(np.float64).T
        # As numpy does it, so that the last bit agrees too.
        return a + (b - a) * share if share < 0.5 else b - (b - a) * (1 - share)
