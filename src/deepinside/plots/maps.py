"""Pictures beside their maps."""

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray


def draw_map(axis: Axes, map_: Float[ndarray, "h w"], title: str, *, signed: bool = False) -> None:
    """One map with its scale, up to the 99.5 % quantile of its magnitude.

    Args:
        axis: to draw on.
        map_: (h, w).
        title: above it.
        signed: whether it is drawn from blue to red with zero in the middle; otherwise it starts at zero.
    """
    top = max(float(np.quantile(np.abs(map_), 0.995)), 1e-12)
    colours, low = ("RdBu_r", -top) if signed else ("magma", 0.0)
    drawn = axis.imshow(map_, cmap=colours, vmin=low, vmax=top)
    axis.set_title(title, fontsize=8)
    if not map_.any():
        axis.text(0.5, 0.5, "nothing comes back", color="white", fontsize=8, ha="center", transform=axis.transAxes)
    bar = axis.figure.colorbar(
        drawn, ax=axis, orientation="horizontal", shrink=0.8, pad=0.02, aspect=30, ticks=MaxNLocator(4)
    )
    bar.ax.tick_params(labelsize=5)
    bar.ax.ticklabel_format(axis="x", scilimits=(-2, 2))
    bar.ax.xaxis.get_offset_text().set_fontsize(5)


def beside(
    picture: Float[ndarray, "h w 3"],
    maps: Mapping[str, Float[ndarray, "h w"]],
    title: str,
    signed: Collection[str] = (),
) -> Figure:
    """A picture and its maps, each on its own scale up to the 99.5 % quantile of its magnitude.

    Args:
        picture: RGB in [0, 1], (h, w, 3).
        maps: name -> map, (h, w).
        title: above the picture.
        signed: names of maps that are drawn from blue to red with zero in the middle; the others start at zero.

    Returns:
        One row: the picture, then the maps with their scales.
    """
    height, width = picture.shape[:2]
    side = 2.6
    figure, axes = plt.subplots(
        1, len(maps) + 1, figsize=(side * (len(maps) + 1), side * height / width + 0.75), layout="constrained"
    )
    axes = np.atleast_1d(axes)
    axes[0].imshow(picture)
    axes[0].set_title(title, fontsize=8)
    for axis, (name, map_) in zip(axes[1:], maps.items(), strict=True):
        draw_map(axis, map_, name, signed=name in signed)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure
