"""From a unit's map to the pixels of a label map, evaluated only where the unit can pass its threshold."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.dissection.grid import Axis, Grid

_BLOCK = 1 << 18  # pixels evaluated at a time: 2 MB a temporary, which stays in the processor's cache


def dense(maps: Float[Tensor, "*batch h w"], grid: Grid) -> Float[Tensor, "*batch H W"]:
    """The maps at all pixels, for pictures and as the measure of `hits`.

    Args:
        maps: at native resolution, (..., h, w).
        grid: made for these sides.

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
    """The pixels of all masks of a batch, as a list: picture, unit and pixel (row by row) of each."""

    image: Int[Tensor, " k"]
    unit: Int[Tensor, " k"]
    pixel: Int[Tensor, " k"]


def hits(maps: Float[Tensor, "n u h w"], thresholds: Float[Tensor, " u"], grid: Grid) -> Hits:
    """The pixels with S_u(p) > T_u, S_u the upsampled map.

    A mean of four values exceeds a threshold only if one of the four does: only such cells are evaluated.

    Args:
        maps: at native resolution, (n, u, h, w).
        thresholds: T, (u,), float64.
        grid: made for these sides, on the device of the maps.

    Returns:
        The masks' pixels.

    Source: Bau et al. 2017, sec. 2.2 and code (strict inequality).
    """
    above = maps > _next_below(thresholds, maps.dtype)[:, None, None]
    pairs = above.flatten(2).any(dim=2).nonzero()  # (m, 2): picture, unit
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
