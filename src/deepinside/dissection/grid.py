"""Where the values of a unit's map lie on a label map.

Both modes place the map's values at knots on the axis of target pixels (pixel p has its centre at p), join them by
straight lines and hold the outermost values beyond the outer knots.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.network import closest
from deepinside.probe import ReceptiveField

MODES = ("receptive_field", "resize")


def resize_knots(count: int, target: int) -> Float[ndarray, " count"]:
    """Where a plain resize with half-pixel centres puts the values: (j + 1/2) target / count - 1/2.

    Args:
        count: side of the map.
        target: side of the label map, in pixels.

    Returns:
        Positions in target pixels.

    Source: NetDissect-Lite (imresize), torch.nn.functional.interpolate with align_corners=False.
    """
    return (np.arange(count) + 0.5) * (target / count) - 0.5


def field_knots(count: int, target: int, side: int, size: int, stride: int, offset: int) -> Float[ndarray, " count"]:
    """Where the centres of the receptive fields lie: (offset + size // 2) // r + j (stride // r), r = side / target.

    Args:
        count: side of the map.
        target: side of the label map, in pixels.
        side: of the picture that the network saw, in pixels.
        size: of a receptive field, in picture pixels.
        stride: between fields, in picture pixels.
        offset: left edge of the first field, in picture pixels.

    Returns:
        Positions in target pixels.

    Source: Bau et al. 2017, code (upsample.py, centered_arange).
    Deviation: where r = round(side / target) does not divide the stride, or the label map is not the picture reduced r
        times, the whole-number rule drifts off the picture (or has no step at all); there the centres are scaled
        exactly, (centre + 1/2) target / side - 1/2.
    """
    centre = offset + size // 2
    reduction = max(1, round(side / target))
    if stride % reduction == 0 and 0 <= side - reduction * target < reduction:
        return (centre // reduction + np.arange(count) * (stride // reduction)).astype(np.float64)
    return (centre + np.arange(count) * stride + 0.5) * (target / side) - 0.5


class Axis(NamedTuple):
    """One axis of the target: pixel p lies in cell[p], between the map's values low and high of that cell.

    Cells are numbered along the axis; cell c covers the pixels start[c] to start[c + 1], possibly none.
    """

    low: Int[Tensor, " cells"]
    high: Int[Tensor, " cells"]
    start: Int[Tensor, " cells+1"]
    cell: Int[Tensor, " pixels"]
    weight: Float[Tensor, " pixels"]  # of the value at `high`, in [0, 1)

    @classmethod
    def between(cls, knots: Float[ndarray, " count"], pixels: int) -> "Axis":
        """The axis with these knots.

        Args:
            knots: rising positions of the map's values, in pixels.
            pixels: side of the target.

        Returns:
            Cells between neighbouring knots, and one beyond either end in which the outermost value is held.
        """
        place = np.arange(pixels, dtype=np.float64)
        cell = np.searchsorted(knots, place, side="right")
        low = np.maximum(np.arange(len(knots) + 1) - 1, 0)
        high = np.minimum(np.arange(len(knots) + 1), len(knots) - 1)
        gap = knots[high] - knots[low]
        weight = (place - knots[low][cell]) / np.where(gap > 0, gap, 1)[cell]
        weight[gap[cell] == 0] = 0
        start = np.searchsorted(cell, np.arange(len(knots) + 2))
        return cls(*(torch.from_numpy(part) for part in (low, high, start, cell, weight)))


@dataclass(frozen=True)
class Grid:
    """How maps of one size become masks of one size.

    Args:
        rows: the vertical axis.
        columns: the horizontal axis.
    """

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the target, in pixels."""
        return len(self.rows.cell), len(self.columns.cell)

    def to(self, device: torch.device) -> "Grid":
        """The same grid elsewhere.

        Args:
            device: where to.

        Returns:
            A copy there.
        """
        return Grid(*(Axis(*(part.to(device) for part in axis)) for axis in (self.rows, self.columns)))


def grid(
    maps: tuple[int, int], target: tuple[int, int], image: tuple[int, int], field: ReceptiveField, mode: str
) -> Grid:
    """The grid from maps of one layer to label maps of one size.

    Args:
        maps: (h, w) of the maps.
        target: (h, w) of the label maps.
        image: (h, w) of the pictures that the network saw.
        field: receptive field of the layer's units.
        mode: `receptive_field` or `resize`.

    Returns:
        The grid.

    Raises:
        ValueError: for an unknown mode, or a side without pixels.

    Source: Bau et al. 2017, sec. 2.2 (`receptive_field`); NetDissect-Lite (`resize`).
    """
    if mode not in MODES:
        raise ValueError(f"unknown way {mode!r} to upsample; {closest(mode, MODES)}")
    if min(*maps, *target, *image) < 1:
        raise ValueError(f"expected sides of at least 1, got maps {maps}, labels {target}, picture {image}")
    if mode == "resize":
        knots = [resize_knots(count, side) for count, side in zip(maps, target, strict=True)]
    else:
        sides = zip(maps, target, image, field.size, field.stride, field.offset, strict=True)
        knots = [field_knots(*numbers) for numbers in sides]
    return Grid(*(Axis.between(knot, side) for knot, side in zip(knots, target, strict=True)))
