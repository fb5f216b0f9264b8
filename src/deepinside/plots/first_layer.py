"""The filters of a first layer, and their frequency response."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepinside.plots.gallery import Drawn
from deepinside.records import Row
from deepinside.study import Study

_FRAMES = {"dead": "#D55E00", "weak": "#E69F00"}  # Okabe & Ito's, distinguishable with any kind of colour vision
_SPECTRUM = "#0072B2"


def filters(study: Study) -> Iterator[Drawn]:
    """The filters by frequency, their spectra, and the shares of dead, weak and aliasing ones."""
    count, side = study.shown["filters"].shape[:2]
    down, across = (int(number) for number in study.shown["stride"])
    figure = Figure(figsize=(13, 5.2), layout="constrained")
    grid, spectrum, shares = figure.subplots(1, 3, width_ratios=[1.25, 1.25, 1])
    _grid(grid, study)
    _spectrum(spectrum, study, max(down, across))
    _shares(shares, {row.metric: row for row in study.numbers})
    low, high = study.shown["bands"]
    caption = (
        f"{study.shown['layer']}: {count} filters of {side} pixels, stride {down}. Left: the filters, from the lowest "
        "to the highest peak frequency, each on its own scale, grey is zero; frames: dead (constant response) and weak "
        "(far smaller than the largest). Middle: power over frequency, as a share of each filter's total; line: mean "
        f"over the filters, band: their middle half; {low:g} to {high:g} cycles per pixel is called mid; frequencies "
        "to the right of the dashed line are aliased by the stride. Right: means over the filters with 95 % "
        "intervals; folded: share of a filter's power beyond the dashed line, and of its responses to the images. Grey "
        "marks: the same for random weights."
    )
    yield Drawn(figure, "", f"The first layer, {side}x{side} / {down}", caption)


def _grid(axis: Axes, study: Study) -> None:
    table = study.table.sort_values(["peak", "unit"])
    pictures = study.shown["filters"]
    side, gap = pictures.shape[1], 1
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    cell = side + 2 * gap
    sheet = np.ones((rows * cell, columns * cell, 3))
    for place, (_, row) in enumerate(table.iterrows()):
        picture = pictures[int(row["unit"])]
        top, left = place // columns * cell, place % columns * cell
        most = float(np.abs(picture).max())
        inside = (slice(top + gap, top + gap + side), slice(left + gap, left + gap + side))
        sheet[inside] = 0.5 + 0.5 * picture / (most or 1)
        word = "dead" if row["dead"] else "weak" if row["weak"] else None
        if word:
            edge = (left + gap - 0.9, left + gap + side - 0.1, top + gap - 0.9, top + gap + side - 0.1)
            x0, x1, y0, y1 = edge
            axis.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color=_FRAMES[word], lw=1.8)
    axis.imshow(sheet, interpolation="nearest")
    axis.set(xticks=[], yticks=[], title="filters, coarse to fine")
    axis.spines[:].set_visible(False)
    marks = [Line2D([], [], color=colour, lw=2, label=word) for word, colour in _FRAMES.items()]
    axis.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, fontsize=8, frameon=False)


def _spectrum(axis: Axes, study: Study, stride: int) -> None:
    edges, spectra = study.shown["edges"], study.shown["spectra"]
    middle = (edges[:-1] + edges[1:]) / 2
    low, high = np.nanquantile(spectra, [0.25, 0.75], axis=0)
    axis.axvspan(*study.shown["bands"], color="0.92", label="mid frequencies")
    axis.fill_between(middle, low, high, color=_SPECTRUM, alpha=0.25, lw=0, label="middle half of the filters")
    axis.plot(middle, np.nanmean(spectra, axis=0), color=_SPECTRUM, lw=1.8, marker="o", ms=3, label="mean")
    if stride > 1:
        axis.axvline(0.5 / stride, color="black", ls="--", lw=1.2, label=f"Nyquist frequency of stride {stride}")
    axis.set(xlim=(0, 0.5), ylim=(0, None), xlabel="frequency (cycles per pixel)", ylabel="share of power, per ring",
             title="frequency response")  # fmt: skip
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, frameon=False)


def _shares(axis: Axes, rows: Mapping[str, Row]) -> None:
    titles = {
        "dead": "dead filters", "weak": "weak filters", "low": "low frequencies", "mid": "mid frequencies",
        "high": "high frequencies", "folded": "folded by the stride", "folded_pictures": "folded, in images",
        "colour": "colour",
    }  # fmt: skip
    for place, word in enumerate(titles):
        row = rows[word]
        ends = np.array([[row.value - row.ci_low], [row.ci_high - row.value]]).clip(0)
        axis.barh(place, row.value, xerr=ends, color="#D55E00" if place < 2 else _SPECTRUM, height=0.6, capsize=3)
        random = rows.get(f"{word}.of_random_weights")
        if random:
            axis.plot([random.value] * 2, [place - 0.4, place + 0.4], color="0.5", lw=2.5)
        axis.text(
            np.nanmax([row.ci_high, 0]) + 0.02,
            place,
            f"{row.value:.0%}",
            va="center",
            fontsize=8,
        )
    axis.set_yticks(range(len(titles)), list(titles.values()))
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.12), xlabel="share of filters (orange) or of power (blue)", title="in numbers")
