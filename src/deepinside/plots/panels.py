"""Results side by side: images, maps, boxes and bars as panels of one figure."""

import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from deepinside.plots.dissection import colour
from deepinside.plots.maps import draw_map
from deepinside.plots.synthesis import visible

_SIDE = 2.6  # width of a panel, inches
_HEAD = 0.6  # for its title and its scale, inches
_COLUMNS = 6  # panels beside one another
_MOST = 25  # bars in a chart
# Okabe & Ito's colours, which any kind of colour vision distinguishes.
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00")


class Panel(NamedTuple):
    """One part of a figure.

    Attributes:
        draw: draws it.
        aspect: its height over its width.
        ticks: whether its axes have numbers.
    """

    draw: Callable[[Axes], None]
    aspect: float
    ticks: bool = False


def picture(image: Float[ndarray, "h w 3"], title: str, note: str = "") -> Panel:
    """An image, RGB in [0, 1]; a faint one is drawn with more contrast, which is added to its note."""

    def draw(axis: Axes) -> None:
        shown, factor = visible(image)
        axis.imshow(shown)
        axis.set_title(title, fontsize=8)
        contrast = "" if factor == 1 else f"contrast x{factor:.0f}"
        axis.set_xlabel("\n".join(filter(None, (note, contrast))), fontsize=7)

    return Panel(draw, image.shape[0] / image.shape[1])


def heat(
    map_: Float[ndarray, "h w"], title: str, *, signed: bool = False, mask: Bool[ndarray, "h w"] | None = None
) -> Panel:
    """A map (h, w) with its scale; zero is the middle of a signed one, and `mask` is outlined on it."""

    def draw(axis: Axes) -> None:
        draw_map(axis, map_, title, signed=signed)
        if mask is not None and mask.any():
            padded = np.pad(mask.astype(float), 1)  # so that the outline closes at the border
            across, down = np.arange(-1, padded.shape[1] - 1), np.arange(-1, padded.shape[0] - 1)
            axis.contour(across, down, padded, levels=[0.5], colors="white", linewidths=1)
            axis.set_xlim(-0.5, mask.shape[1] - 0.5)
            axis.set_ylim(mask.shape[0] - 0.5, -0.5)

    return Panel(draw, map_.shape[0] / map_.shape[1])


def boxed(image: Float[ndarray, "h w 3"], boxes: Float[ndarray, "k 4"], names: Sequence[str], title: str) -> Panel:
    """An image with named boxes in different colours; half-open x0 y0 x1 y1 in pixels, (k, 4)."""

    def draw(axis: Axes) -> None:
        axis.imshow(image)
        axis.set_title(title, fontsize=8)
        handles = []
        for number, ((x0, y0, x1, y1), name) in enumerate(zip(boxes.tolist(), names, strict=True)):
            ink = _COLOURS[number % len(_COLOURS)]
            for edge, thickness in (("black", 3.0), (ink, 1.6)):
                corner = (x0 - 0.5, y0 - 0.5)  # pixel i is drawn from i - 0.5 to i + 0.5
                axis.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, ec=edge, lw=thickness, clip_on=False))
            handles.append(Patch(color=ink, label=name))
        axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), fontsize=6, frameon=False)

    return Panel(draw, image.shape[0] / image.shape[1])


def bars(counts: pd.DataFrame, title: str) -> Panel:
    """Number of units that detect each concept: the first 25 concepts, in the colours of their categories.

    `counts` has the columns `label`, `category` and `units`, in the order of the bars.
    """

    def draw(axis: Axes) -> None:
        shown = counts.head(_MOST)
        axis.barh(shown["label"], shown["units"], color=[colour(name) for name in shown["category"]])
        axis.invert_yaxis()
        axis.tick_params(labelsize=6)
        axis.set_xlabel("units", fontsize=7)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        more = f" (of {len(counts)} concepts)" if len(counts) > _MOST else ""
        axis.set_title(title + more, fontsize=8)
        handles = [Patch(color=colour(name), label=name) for name in dict.fromkeys(shown["category"])]
        if handles:
            axis.legend(handles=handles, fontsize=6, frameon=False, loc="lower right")

    return Panel(draw, 1.2, ticks=True)


def sheet(rows: Sequence[Sequence[Panel]], figure: Figure | None = None) -> Figure:
    """Panels in rows, long ones broken into several, on a new figure or the one passed."""
    rows = [row[first : first + _COLUMNS] for row in rows for first in range(0, len(row), _COLUMNS)]
    columns = max(map(len, rows))
    heights = [_SIDE * max(panel.aspect for panel in row) + _HEAD for row in rows]
    figure = Figure() if figure is None else figure
    figure.set_layout_engine("constrained")
    figure.set_size_inches(_SIDE * columns, sum(heights))
    axes = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for row, line in zip(rows, axes, strict=True):
        for axis in line[len(row) :]:
            axis.set_axis_off()
        for panel, axis in zip(row, line, strict=False):
            panel.draw(axis)
            axis.set_anchor("N")
            if not panel.ticks:
                axis.set_xticks([])
                axis.set_yticks([])
    return figure


def png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
    return file.getvalue()


def on_screen(rows: Sequence[Sequence[Panel]]) -> Figure:
    """Panels in a window, if matplotlib has one; otherwise the figure alone, which a notebook shows."""
    figure = sheet(rows, plt.figure())
    if plt.get_backend().lower() in {name.lower() for name in backend_registry.list_builtin(BackendFilter.INTERACTIVE)}:
        plt.show()
    else:
        plt.close(figure)  # it can be drawn and saved all the same, and a notebook would show it a second time
    return figure
