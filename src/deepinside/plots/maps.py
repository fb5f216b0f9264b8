"""Images beside their maps."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from deepinside.plots.gallery import Drawn, Pane, to_pixels
from deepinside.statistics import mean_interval
from deepinside.study import Study


def draw_map(axis: Axes, map_: Float[ndarray, "h w"], title: str, *, signed: bool = False) -> None:
    """One map (h, w) with its scale, up to the 99.5 % quantile of its magnitude.

    A signed map is drawn from blue to red with zero in the middle; otherwise the scale starts at zero.
    """
    top = max(float(np.quantile(np.abs(map_), 0.995)), 1e-12)
    colours, low = ("RdBu_r", -top) if signed else ("magma", 0.0)
    drawn = axis.imshow(map_, cmap=colours, vmin=low, vmax=top)
    axis.set_title(title, fontsize=8)
    if not map_.any():
        axis.text(0.5, 0.5, "all zero", color="white", fontsize=8, ha="center", transform=axis.transAxes)
    bar = axis.figure.colorbar(
        drawn, ax=axis, orientation="horizontal", shrink=0.8, pad=0.02, aspect=30, ticks=MaxNLocator(4)
    )
    bar.ax.tick_params(labelsize=5)
    bar.ax.ticklabel_format(axis="x", scilimits=(-2, 2))
    bar.ax.xaxis.get_offset_text().set_fontsize(5)


def coloured(map_: Float[ndarray, "h w"], *, signed: bool = False) -> UInt8[ndarray, "h w 3"]:
    """One map (h, w) as RGB bytes, on the scale of `draw_map`."""
    top = max(float(np.quantile(np.abs(map_), 0.995)), 1e-12)
    colours, low = (colormaps["RdBu_r"], -top) if signed else (colormaps["magma"], 0.0)
    return colours(Normalize(low, top, clip=True)(map_), bytes=True)[..., :3]


def panes(picture: ndarray, maps: Mapping[str, Float[ndarray, "h w"]], signed: Collection[str] = ()) -> list[Pane]:
    """An image (h, w, 3), bytes or floats in [0, 1], and its maps as images of one size; the notes state the scales."""
    whole = Pane(to_pixels(picture), "image", kind="image")
    return [whole, *(_pane(name, map_, signed=name in signed) for name, map_ in maps.items())]


def _pane(name: str, map_: Float[ndarray, "h w"], *, signed: bool) -> Pane:
    top = float(np.quantile(np.abs(map_), 0.995))
    note = f"blue −{top:.2g}, white 0, red {top:.2g}" if signed else f"black 0, light {top:.2g}"
    return Pane(coloured(map_, signed=signed), name, note if map_.any() else "all zero", kind="map")


def beside(
    picture: Float[ndarray, "h w 3"],
    maps: Mapping[str, Float[ndarray, "h w"]],
    title: str,
    signed: Collection[str] = (),
) -> Figure:
    """An image (h, w, 3) and its maps in a row, each on its own scale up to the 99.5 % quantile of its magnitude.

    Maps in `signed` are drawn from blue to red with zero in the middle; the scales of the others start at zero.
    """
    height, width = picture.shape[:2]
    side = 2.6
    figure, axes = plt.subplots(
        1, len(maps) + 1, figsize=(side * (len(maps) + 1), side * height / width + 0.6), layout="constrained"
    )
    axes = np.atleast_1d(axes)
    axes[0].imshow(picture)
    axes[0].set_title(title, fontsize=8)
    for axis, (name, map_) in zip(axes[1:], maps.items(), strict=True):
        draw_map(axis, map_, name, signed=name in signed)
    for axis in axes:
        axis.set_anchor("N")  # the image, which has no scale below it, begins where the maps do
        axis.set_xticks([])
        axis.set_yticks([])
    plt.close(figure)  # it can be drawn and saved all the same, and a notebook would show it a second time
    return figure


# Okabe & Ito's colours, distinguishable with any kind of colour vision; markers distinguish them in print.
_COLOURS, _MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("o", "s", "^", "D")


def cascade(study: Study) -> Iterator[Drawn]:
    """Rank correlation with the trained network's map against the number of randomised layers."""
    counts, values = study.shown["random_layers"], study.shown["cascade"]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    for rule, curve, colour, marker in zip(study.shown["rules"].tolist(), values, _COLOURS, _MARKERS, strict=False):
        mean = np.nanmean(curve, axis=1)
        low, high = np.array([mean_interval(row[np.isfinite(row)]) for row in curve]).T
        axis.errorbar(counts, mean, (mean - low, high - mean), color=colour, marker=marker, capsize=3, label=rule)
    axis.axhline(0, color="0.4", lw=0.9, ls=":")
    axis.set_xlabel("layers with random weights, from the last to the first")
    axis.set_ylabel("rank correlation with the trained map")
    axis.set_ylim(min(-0.1, float(np.nanmin(values))), 1.02)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    caption = (
        f"Spearman's correlation between magnitudes of the maps, mean over {values.shape[2]} images with 95 % "
        "intervals. A method whose curve stays high depends on the image and not on the learnt weights."
    )
    yield Drawn(figure, "", "Maps under layer-wise randomisation of the weights", caption)


_STYLES = ("-o", "--s", ":^", "-.D")
_LEAST = 1e-9  # where no difference at all is drawn on a logarithmic scale


def distances(study: Study) -> Iterator[Drawn]:
    """Distance of two back-projections with equal rules, and the effect of each changed rule."""
    layers = list(dict.fromkeys(study.table["layer"]))
    figure = Figure(figsize=(9, 3.4 + 0.05 * max(map(len, layers))), layout="constrained")
    left, right = figure.subplots(1, 2)
    _curves(left, study.table, "equal: ", layers, _LEAST)
    left.set_yscale("log")
    left.set_title("equal ReLU rules: autograd and DeconvNet agree", fontsize=9)
    left.set_ylabel("relative distance |a − b| / |b|")
    _curves(right, study.table, "changed: ", layers)
    right.set_ylim(bottom=0)
    right.set_title("one rule changed: distance from the gradient", fontsize=9)
    caption = (
        "Back-projections of each layer's strongest activation, mean over the images. Left: autograd and the "
        "DeconvNet written out as transposed convolutions and unpooling, with the same ReLU rule; 1e-7 is float "
        "precision, zero is drawn at 1e-9. Right: relative distance from the gradient when one rule is changed."
    )
    yield Drawn(figure, "", "DeconvNet and the gradient, layer by layer", caption)


def _curves(axis: Axes, table: pd.DataFrame, kind: str, layers: list[str], least: float = 0) -> None:
    chosen = table[table["compared"].str.startswith(kind)]
    means = chosen.groupby(["compared", "layer"], sort=False)["relative_distance"].mean()
    for style, compared in zip(_STYLES, dict.fromkeys(chosen["compared"]), strict=False):
        values = [max(means.get((compared, layer), float("nan")), least) for layer in layers]
        axis.plot(range(len(layers)), values, style, lw=1.3, ms=4, label=compared.removeprefix(kind))
    axis.set_xticks(range(len(layers)), layers, rotation=60, ha="right", fontsize=7)
    axis.set_xlabel("layer of the activation")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=7, frameon=False)
