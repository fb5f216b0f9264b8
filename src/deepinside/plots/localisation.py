"""From image to box in five panels, as in figure 3 of Simonyan et al. 2013."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from deepinside.plots.gallery import Pane

# Okabe & Ito's colours, distinguishable with any kind of colour vision.
FOREGROUND, BACKGROUND = "#E69F00", "#56B4E9"
OURS, TRUTH = "#E69F00", "#56B4E9"
_OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=3.6, foreground="black")]
_PANEL = 2.5  # inches high
_SIDE = 4.2  # inches, longest side of a pane


class Case(NamedTuple):
    """The steps from one image to its box.

    Args:
        image: RGB bytes (H, W, 3).
        picture: the same on the working grid, RGB in [0, 1], (h, w, 3).
        map: saliency on that grid, (h, w).
        foreground: seeds, or all from a threshold on, (h, w).
        background: likewise, (h, w).
        mask: the object, (h, w); empty if none was found.
        box: predicted, half-open x0 y0 x1 y1 in pixels of the image.
        truth: boxes of all instances, (b, 4).
        overlap: highest IoU of the box with an instance.
        panels: titles of the panel of seeds and of the mask.
        scale: unit of the map.
    """

    image: UInt8[ndarray, "H W 3"]
    picture: Float[ndarray, "h w 3"]
    map: Float[ndarray, "h w"]
    foreground: Bool[ndarray, "h w"]
    background: Bool[ndarray, "h w"]
    mask: Bool[ndarray, "h w"]
    box: Float[ndarray, " 4"]
    truth: Float[ndarray, "b 4"]
    overlap: float
    panels: tuple[str, str] = ("seeds", "segmentation")
    scale: str = "|score change| per unit of intensity"


def steps(case: Case, title: str) -> Figure:
    """Image, saliency map, seeds, segmentation, and the box with the ground truth, side by side."""
    height, width = case.image.shape[:2]
    across = 5 * _PANEL * min(max(width / height, 0.6), 1.6)
    figure = Figure(figsize=(across, _PANEL))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.03)
    axes = figure.subplots(1, 5)
    for axis, name in zip(axes, ("image", "map", *case.panels, "box"), strict=True):
        axis.set_title(name, fontsize=10)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[0].imshow(case.image)
    _map(figure, axes[1], case)
    _seeds(axes[2], case)
    _legend(axes[2], [Patch(color=FOREGROUND, label="object"), Patch(color=BACKGROUND, label="background")])
    _segmentation(axes[3], case)
    _boxes(axes[4], case)
    _legend(axes[4], [_line(OURS, "-", label="predicted"), _line(TRUTH, "--", label="truth")])
    figure.text(0, 1 + 0.3 / _PANEL, title, fontsize=11, va="bottom")  # in the margin, which is kept on saving
    return figure


def panes(case: Case) -> list[Pane]:
    """The same five parts as images of one size, without text."""
    seeds, mask = case.panels
    found = "outlined in orange" if case.mask.any() else "no object found"
    return [
        Pane(_drawn(case, lambda axis: axis.imshow(case.image)), "image", kind="image"),
        Pane(_drawn(case, lambda axis: _heat(axis, case)), "map", f"black 0, light {_top(case):.2g}", "map"),
        Pane(_drawn(case, lambda axis: _seeds(axis, case)), seeds, "object orange, background blue"),
        Pane(_drawn(case, lambda axis: _segmentation(axis, case)), mask, found),
        Pane(_drawn(case, lambda axis: _boxes(axis, case)), "box", "predicted: orange line; true: blue dashes"),
    ]


def _drawn(case: Case, draw: Callable[[Axes], object]) -> UInt8[ndarray, "h w 3"]:
    height, width = case.image.shape[:2]
    figure = Figure(figsize=(_SIDE * width / max(height, width), _SIDE * height / max(height, width)), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    draw(axis)
    axis.set_aspect("auto")
    axis.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _top(case: Case) -> float:
    # One pixel may be far above all others; the scale ends at the 99.5 % quantile and says so by its arrow.
    return float(np.quantile(case.map, 0.995))


def _heat(axis: Axes, case: Case) -> AxesImage:
    return axis.imshow(case.map, cmap="magma", vmin=0, vmax=_top(case) or None, interpolation="nearest")


def _map(figure: Figure, axis: Axes, case: Case) -> None:
    drawn = _heat(axis, case)
    place = axis.inset_axes((0.02, -0.08, 0.96, 0.04))
    bar = figure.colorbar(drawn, cax=place, orientation="horizontal", extend="max", ticks=MaxNLocator(4))
    bar.ax.tick_params(labelsize=7)
    bar.set_label(case.scale, fontsize=7)


def _seeds(axis: Axes, case: Case) -> None:
    shown = _dimmed(case.picture)
    for seeds, colour in ((case.background, BACKGROUND), (case.foreground, FOREGROUND)):
        shown[seeds] = 0.25 * shown[seeds] + 0.75 * _rgb(colour)
    axis.imshow(shown, interpolation="nearest")


def _segmentation(axis: Axes, case: Case) -> None:
    axis.imshow(np.where(case.mask[..., None], case.picture, _dimmed(case.picture)))
    if case.mask.any():
        padded = np.pad(case.mask.astype(float), 1)  # so that the outline closes at the border
        across, down = np.arange(-1, padded.shape[1] - 1), np.arange(-1, padded.shape[0] - 1)
        axis.contour(across, down, padded, levels=[0.5], colors="black", linewidths=2.4)
        axis.contour(across, down, padded, levels=[0.5], colors=OURS, linewidths=1.4)
        axis.set_xlim(-0.5, case.mask.shape[1] - 0.5)
        axis.set_ylim(case.mask.shape[0] - 0.5, -0.5)
    else:
        axis.set_xlabel("no object found", fontsize=8)


def _boxes(axis: Axes, case: Case) -> None:
    axis.imshow(case.image)
    for box in case.truth:
        _frame(axis, box, TRUTH, "--")
    _frame(axis, case.box, OURS, "-")


def _line(colour: str, style: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, ls=style, lw=2.0, label=label, path_effects=_OUTLINE)


def _frame(axis: Axes, box: Float[ndarray, " 4"], colour: str, style: str) -> None:
    # Pixel i is drawn from i - 0.5 to i + 0.5.
    x0, y0, x1, y1 = (float(edge) - 0.5 for edge in box)
    shape = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, lw=2.0, ls=style, clip_on=False)
    shape.set_path_effects(_OUTLINE)  # also of the dashes, as in the legend
    axis.add_patch(shape)


def _dimmed(picture: Float[ndarray, "h w 3"]) -> Float[ndarray, "h w 3"]:
    return 0.2 + 0.5 * np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)


def _rgb(colour: str) -> Float[ndarray, " 3"]:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _legend(axis: Axes, handles: list) -> None:
    axis.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, fontsize=8, frameon=False,
        handlelength=1.4, columnspacing=1.0, borderaxespad=0.2,
    )  # fmt: skip
