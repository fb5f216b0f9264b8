"""Unit cards, and the bar charts of detectors by layer, category and concept."""

from collections.abc import Mapping, Sequence
from itertools import cycle, groupby
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from deepinside.plots.gallery import mosaic, tile

# Okabe & Ito's colours, distinguishable for colour-blind readers, in the order of the paper's figures.
COLOURS = {
    "object": "#0072B2",
    "part": "#56B4E9",
    "scene": "#009E73",
    "material": "#F0E442",
    "texture": "#E69F00",
    "color": "#CC79A7",
}
_OTHER = "#999999"
_TILE = 132  # pixels, side of an image on a card
_DPI = 110.0
_MOST = 60  # concepts in one chart
_FEWEST = 14  # so many have room, that few bars are not broad
_LONGEST = 40  # characters of a concept's name; the rest is cut off
_CHARACTER = 0.055  # inches, of a concept's name


def ordered(categories: Sequence[str]) -> tuple[str, ...]:
    """Categories in the order of the paper's figures, unknown ones last."""
    known = [name for name in COLOURS if name in categories]
    return (*known, *(name for name in categories if name not in COLOURS))


def colour(category: str) -> str:
    """The colour of a category, for matplotlib."""
    return COLOURS.get(category, _OTHER)


def unit_card(
    images: Sequence[UInt8[ndarray, "_ _ 3"]],
    masks: Sequence[Bool[ndarray, "_ _"]],
    *,
    unit: str,
    label: str,
    category: str,
    iou: float,
    detector: bool,
) -> Figure:
    """The images that activate a unit most, dark outside its mask.

    Args:
        images: RGB bytes, (h, w, 3) each, best first.
        masks: where the unit exceeds its threshold, at the size of each image.
        unit: layer and number.
        label: best concept.
        category: of it.
        iou: of it.
        detector: whether the IoU exceeds the threshold.

    Source: Bau et al. 2017, fig. 2 and 3.
    """
    sheet = mosaic([tile(image, mask, _TILE) for image, mask in zip(images, masks, strict=True)])
    head = 46
    height, width = sheet.shape[0] + head, sheet.shape[1]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, sheet.shape[0] / height))
    axes.imshow(sheet, interpolation="none")
    axes.set_axis_off()
    strong = "black" if detector else "#777777"
    figure.text(0, 1 - 3 / height, label, size=12, weight="bold", va="top", color=strong)
    figure.text(0, 1 - 25 / height, unit, size=8.5, va="top", color="#444444")
    figure.text(1, 1 - 3 / height, f"IoU {iou:.3f}", size=11, va="top", ha="right", color=strong)
    swatch = {"boxstyle": "round,pad=0.15", "facecolor": colour(category), "edgecolor": "none"}
    text = "white" if category in {"object", "scene"} else "black"
    figure.text(0.99, 1 - 26 / height, category, size=8, va="top", ha="right", color=text, bbox=swatch)
    return figure


def unique_detectors(layers: Sequence[str], categories: Sequence[str], unique: ndarray, *, rule: str) -> Figure:
    """Number of different concepts that each layer detects, by category.

    Stacked bars per layer; bars per category if there is one layer. `unique` is (layers, categories), layers from the
    first to the last; `rule` is how they were counted, in words.

    Source: Bau et al. 2017, fig. 5 and 7.
    """
    order = [list(categories).index(name) for name in ordered(categories)]
    names, unique = [categories[i] for i in order], np.asarray(unique)[:, order]
    bars = len(layers) if len(layers) > 1 else len(names)
    figure = Figure(figsize=(min(12.0, 3.2 + 0.55 * bars), 3.6), layout="constrained")
    axes = figure.subplots()
    if len(layers) > 1:
        _stacked(axes, layers, names, unique)
    else:
        axes.bar_label(axes.bar(names, unique[0], width=0.6, color=[colour(name) for name in names]), size=8)
        axes.set_xlabel(f"category of concept, layer {layers[0]}")
    axes.set_ylabel("unique detectors (concepts)")
    axes.set_title(rule, size=9)
    _plain(axes)
    axes.set_ylim(top=max(1.0, 1.1 * unique.sum(axis=1).max() if len(layers) > 1 else 1.1 * unique.max()))  # totals
    return figure


def _stacked(axes: Axes, layers: Sequence[str], names: Sequence[str], unique: ndarray) -> None:
    base = np.zeros(len(layers))
    place = np.arange(len(layers))
    for index, name in enumerate(names):
        heights = unique[:, index]
        axes.bar(place, heights, bottom=base, color=colour(name), label=name, edgecolor="white", linewidth=0.6)
        for at, (low, height) in enumerate(zip(base, heights, strict=True)):
            if height > 0.06 * unique.sum(axis=1).max():
                ink = "white" if name in {"object", "scene"} else "black"
                axes.text(at, low + height / 2, str(int(height)), ha="center", va="center", size=7, color=ink)
        base = base + heights
    for at, total in enumerate(base):
        text = f"{int(total)}"
        axes.annotate(text, (at, total), (0, 2), textcoords="offset points", ha="center", weight="bold", size=8)
    axes.set_xticks(place, list(layers))
    axes.tick_params(axis="x", labelsize=8, labelrotation=40 if max(map(len, layers)) > 7 else 0)
    axes.set_xlabel("layer")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def units_per_concept(labels: Sequence[str], categories: Sequence[str], units: Sequence[int], *, title: str) -> Figure:
    """Number of units of a layer that detect each concept, as bars by category and number.

    Source: Bau et al. 2017, fig. 3 and code (bargraph.py).
    """
    rank = {name: at for at, name in enumerate(ordered(sorted(set(categories))))}
    rows = sorted(zip(categories, labels, units, strict=True), key=lambda row: (rank[row[0]], -row[2], row[1]))
    left_out = len(rows) - _MOST
    if left_out > 0:
        kept = set(sorted(rows, key=lambda row: (-row[2], rank[row[0]], row[1]))[:_MOST])
        rows = [row for row in rows if row in kept]
    names = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for _, name, _ in rows]
    height = max(3.2, 2.2 + _CHARACTER * max(map(len, names), default=0))
    figure = Figure(figsize=(2.4 + 0.17 * max(_FEWEST, len(rows)), height), layout="constrained")
    axes = figure.subplots()
    place = np.arange(len(rows))
    axes.bar(place, [row[2] for row in rows], color=[colour(row[0]) for row in rows], width=0.82)
    axes.set_xticks(place, names, rotation=90, size=7)
    axes.set_xlim(-0.7, max(_FEWEST, len(rows)) - 0.3)
    axes.set_ylabel("units")
    more = f" ({left_out} concepts with fewer units left out)" if left_out > 0 else ""
    axes.set_title(title + more, size=9)
    counts = [(name, len(list(members))) for name, members in groupby(rows, key=lambda row: row[0])]
    handles = [Patch(color=colour(name), label=f"{name} ({count})") for name, count in counts]
    if handles:
        beside = (1.0, 0.5)
        axes.legend(
            handles=handles, title="concepts", loc="center left", bbox_to_anchor=beside, frameon=False, fontsize=8
        )
    _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.yaxis.grid(visible=True, linewidth=0.4, alpha=0.5)
    axes.set_axisbelow(True)


_INSIDE = 9  # layers whose legend has room inside the axes
_ROWS = 16  # of a legend beside them
_CHARACTER = 0.065  # inches, of the text of a legend
_MARKERS = "osD^vP*X<>"  # with the shades, from the first layer to the last: distinguishable without colour


def unique_by_threshold(thresholds: Sequence[float], unique: Mapping[str, Sequence[int]], *, chosen: float) -> Figure:
    """Unique detectors against the IoU threshold, a line per layer; `chosen` is marked."""
    columns = -(-len(unique) // _ROWS) if len(unique) > _INSIDE else 0  # of the legend, where it is beside the axes
    beside = columns * (0.5 + _CHARACTER * max(map(len, unique), default=0))
    figure = Figure(figsize=(5.2 + beside, 3.4), layout="constrained")
    axes = figure.subplots()
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(unique)))
    for (layer, counts), shade, marker in zip(unique.items(), shades, cycle(_MARKERS)):
        axes.plot(thresholds, counts, marker=marker, markersize=4, linewidth=1.2, label=layer, color=shade)
    axes.axvline(chosen, color="#777777", linewidth=0.8, linestyle=":")
    axes.set_xlabel("threshold of IoU")
    axes.set_ylabel("unique detectors (concepts)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, linewidth=0.4, alpha=0.5)
    if len(unique) > 1:
        place: dict[str, Any] = (
            {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": columns} if columns else {}
        )
        axes.legend(frameon=False, fontsize=8, **place)
    return figure
