"""From a unit's map to the pixels of a label map, evaluated only where the unit can pass its threshold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.probe import ReceptiveField
from deepinside.spelling import closest

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
    """Centres of the receptive fields: (offset + size // 2) // r + j (stride // r), r = side / target.

    Args:
        count: side of the map.
        target: side of the label map, in pixels.
        side: of the network's input, in pixels.
        size: of a receptive field, in image pixels.
        stride: between fields, in image pixels.
        offset: left edge of the first field, in image pixels.

    Returns:
        Positions in target pixels.

    Source: Bau et al. 2017, code (upsample.py, centered_arange).
    Deviation: if r = round(side / target) does not divide the stride, or the label map is not the image reduced r
        times, the integer rule drifts from the image (or has a step of zero); then the centres are scaled exactly,
        (centre + 1/2) target / side - 1/2.
    """
    centre = offset + size // 2
    reduction = max(1, round(side / target))
    if stride % reduction == 0 and 0 <= side - reduction * target < reduction:
        return (centre // reduction + np.arange(count) * (stride // reduction)).astype(np.float64)
    return (centre + np.arange(count) * stride + 0.5) * (target / side) - 0.5


class Axis(NamedTuple):
    """One axis of the target: pixel p is in cell[p], between the map's values low and high of that cell.

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
            knots: increasing positions of the map's values, in pixels.
            pixels: side of the target.

        Returns:
            Cells between neighbouring knots, and one beyond either end with the outermost value.
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
        """Copies the grid to a device.

        Args:
            device: of the copy.

        Returns:
            The copy.
        """
        return Grid(*(Axis(*(part.to(device) for part in axis)) for axis in (self.rows, self.columns)))


def grid(
    maps: tuple[int, int], target: tuple[int, int], image: tuple[int, int], field: ReceptiveField, mode: str
) -> Grid:
    """The grid from maps of one layer to label maps of one size.

    Args:
        maps: (h, w) of the maps.
        target: (h, w) of the label maps.
        image: (h, w) of the images that the network saw.
        field: receptive field of the layer's units.
        mode: `receptive_field` or `resize`.

    Returns:
        The grid.

    Raises:
        ValueError: for an unknown mode, or a side without pixels.

    Source: Bau et al. 2017, sec. 2.2 (`receptive_field`); NetDissect-Lite (`resize`).
    """
    if mode not in MODES:
        raise ValueError(f"unknown upsampling mode {mode!r}; {closest(mode, MODES)}")
    if min(*maps, *target, *image) < 1:
        raise ValueError(f"expected sides of at least 1, got maps {maps}, labels {target}, image {image}")
    if mode == "resize":
        knots = [resize_knots(count, side) for count, side in zip(maps, target, strict=True)]
    else:
        sides = zip(maps, target, image, field.size, field.stride, field.offset, strict=True)
        knots = [field_knots(*numbers) for numbers in sides]
    return Grid(*(Axis.between(knot, side) for knot, side in zip(knots, target, strict=True)))


_BLOCK = 1 << 18  # pixels evaluated at a time: 2 MB a temporary, which stays in the processor's cache


def dense(maps: Float[Tensor, "*batch h w"], grid: Grid) -> Float[Tensor, "*batch H W"]:
    """The maps at all pixels, for figures and as a reference for `hits`.

    Args:
        maps: at native resolution, (..., h, w).
        grid: for these sizes.

    Returns:
        (..., H, W), float64, on the CPU.
    """
    values = maps.double().cpu()
    for axis, rows in ((grid.rows, True), (grid.columns, False)):
        axis_ = Axis(*(part.cpu() for part in axis))
        dim = -2 if rows else -1
        low = values.index_select(dim, axis_.low[axis_.cell])
        high = values.index_select(dim, axis_.high[axis_.cell])
        values = low + (axis_.weight[:, None] if rows else axis_.weight) * (high - low)
    return values


class Hits(NamedTuple):
    """The pixels of all masks of a batch, as a list: image, unit and pixel (row by row) of each."""

    image: Int[Tensor, " k"]
    unit: Int[Tensor, " k"]
    pixel: Int[Tensor, " k"]


def hits(maps: Float[Tensor, "n u h w"], thresholds: Float[Tensor, " u"], grid: Grid) -> Hits:
    """The pixels with S_u(p) > T_u, S_u the upsampled map.

    A mean of four values exceeds a threshold only if one of the four does: only such cells are evaluated.

    Args:
        maps: at native resolution, (n, u, h, w).
        thresholds: T, (u,), float64.
        grid: for these sizes, on the device of the maps.

    Returns:
        The masks' pixels.

    Source: Bau et al. 2017, sec. 2.2 and code (strict inequality).
    """
    above = maps > _next_below(thresholds, maps.dtype)[:, None, None]
    pairs = above.flatten(2).any(dim=2).nonzero()  # (m, 2): image, unit
    chosen, above = maps[pairs[:, 0], pairs[:, 1]], above[pairs[:, 0], pairs[:, 1]]
    found = [
        torch.stack((pairs[pair, 0], pairs[pair, 1], pixel))
        for pair, pixel in _evaluated(chosen, thresholds[pairs[:, 1]], _active(above, grid), grid)
    ]
    return Hits(*(torch.cat(found, dim=1) if found else pairs.new_empty(3, 0)))


def _next_below(thresholds: Tensor, dtype: torch.dtype) -> Tensor:
    # The largest number of the type that is no more than the threshold: x > T if and only if x > this.
    near = thresholds.to(dtype)
    below = torch.nextafter(near, torch.full_like(near, -torch.inf))
    return torch.where(near.double() > thresholds, below, near)


def _active(above: Tensor, grid: Grid) -> Int[Tensor, "cells 3"]:
    # (map, cell row, cell column) of the cells that have pixels and a corner above the threshold.
    rows, columns = (_filled(axis) for axis in (grid.rows, grid.columns))
    down = above[:, grid.rows.low[rows]] | above[:, grid.rows.high[rows]]
    cells = (down[:, :, grid.columns.low[columns]] | down[:, :, grid.columns.high[columns]]).nonzero()
    return torch.stack((cells[:, 0], rows[cells[:, 1]], columns[cells[:, 2]]), dim=1)


def _filled(axis: Axis) -> Int[Tensor, " cells"]:
    return axis.start.diff().nonzero()[:, 0]


def _evaluated(chosen: Tensor, thresholds: Tensor, cells: Tensor, grid: Grid) -> Iterator[tuple[Tensor, Tensor]]:
    # (map, pixel) of what passes, block by block.
    tall, wide = int(grid.rows.start.diff().max()), int(grid.columns.start.diff().max())
    for part in cells.split(max(1, _BLOCK // (tall * wide))):
        values, y, x, inside = _block(chosen, part, grid, tall, wide)
        passed = (values > thresholds[part[:, 0], None, None]) & inside
        cell, row, column = passed.nonzero(as_tuple=True)
        yield part[cell, 0], y[cell, row] * grid.shape[1] + x[cell, column]


def _block(
    chosen: Tensor, cells: Tensor, grid: Grid, tall: int, wide: int
) -> tuple[Float[Tensor, "c tall wide"], Int[Tensor, "c tall"], Int[Tensor, "c wide"], Tensor]:
    # Values, rows and columns of all pixels of some cells; smaller cells are filled up, and `inside` says where.
    map_, row, column = cells.unbind(1)
    (y, y_inside), (x, x_inside) = _pixels(grid.rows, row, tall), _pixels(grid.columns, column, wide)
    top, bottom = grid.rows.low[row], grid.rows.high[row]
    left, right = grid.columns.low[column], grid.columns.high[column]
    down, across = grid.rows.weight[y], grid.columns.weight[x]
    ends = []
    for side in (left, right):
        upper, lower = chosen[map_, top, side].double(), chosen[map_, bottom, side].double()
        ends.append(upper[:, None] + down * (lower - upper)[:, None])
    values = ends[0][:, :, None] + across[:, None, :] * (ends[1] - ends[0])[:, :, None]
    return values, y, x, y_inside[:, :, None] & x_inside[:, None, :]


def _pixels(axis: Axis, cell: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    pixel = axis.start[cell][:, None] + torch.arange(longest, device=cell.device)
    return pixel.clamp(max=len(axis.cell) - 1), pixel < axis.start[cell + 1][:, None]
