"""Features of transformed images, as in figure 5 of Zeiler & Fergus 2014."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

# Okabe & Ito's colours, distinguishable with any kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_AXES = {
    "translation": "vertical shift (share of the height, down is positive)",
    "scale": "scale (above 1 enlarges)",
    "rotation": "rotation (degrees, anticlockwise)",
}
_UNITS = {"translation": "{:+.2f}", "scale": "×{:g}", "rotation": "{:g}°"}


def curves(study: Study) -> Iterator[Drawn]:
    """Translated, scaled and rotated images, and the change of low and high features and of the class probability."""
    names, low, high = study.shown["names"].tolist(), str(study.shown["low_layer"]), str(study.shown["high_layer"])
    figure = Figure(figsize=(14, 9), layout="constrained")
    axes = figure.subplots(3, 4)
    for row, kind in enumerate(study.shown["kinds"].tolist()):
        mine = study.table[study.table["transformation"] == kind]
        _examples(
            axes[row, 0], study.shown["examples"][row].astype(np.float32), kind, study.shown["example_values"][row]
        )
        for axis, column in zip(axes[row, 1:], ("low_relative", "high_relative", "probability"), strict=True):
            _lines(axis, mine, column, names)
            axis.set_xlabel(_AXES[kind], fontsize=8)
        for axis, word in zip(axes[row, 1:], ("low", "high"), strict=False):
            other = float(study.shown[f"{word}_other_picture"])
            axis.axhline(other, color="0.4", lw=0.9, ls=(0, (1, 2)), label="another image, mean")
            axis.set_ylim(0, None)
            axis.set_ylabel("|f(Tx) − f(x)| / |f(x)|", fontsize=8)
        axes[row, 3].set_ylim(-0.02, 1.02)
        axes[row, 3].set_ylabel("probability", fontsize=8)
    known = bool(study.table["class_is_known"].all())
    heads = ("transformed images", f"distance at {low} (low)", f"distance at {high} (high)",
             f"probability of the {'true' if known else 'true (else predicted)'} class")  # fmt: skip
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=10)
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    count = study.table["picture"].nunique()
    caption = (
        "Rows: images translated vertically, scaled and rotated about their centre; the frame is filled with the "
        "network's mean colour. Columns: some of these images (frames in the colours of the curves); relative distance "
        f"of the features of {low} and of {high} from those of the original image; and the probability of the class. "
        f"Thin: one image each; black: the mean over all {count} images; dotted: the mean distance to another image."
    )
    yield Drawn(figure, "", "Features of transformed images", caption)


def _lines(axis: Axes, table: pd.DataFrame, column: str, names: list[str]) -> None:
    # In order of appearance: a table on disk may have turned the name 007 into a number.
    for i, (name, (_, mine)) in enumerate(zip(names, table.groupby("picture", sort=False), strict=False)):
        mine = mine.sort_values("value")
        axis.plot(mine["value"], mine[column], ls=_STYLES[i], color=_COLOURS[i], lw=1.1, label=name)
    mean = table.groupby("value")[column].mean()
    axis.plot(mean.index, mean, color="black", lw=2.2, label="mean of all images")
    axis.grid(alpha=0.3)
    axis.tick_params(labelsize=8)


def _examples(axis: Axes, tiles: Float[ndarray, "v n h w 3"], kind: str, values: Float[ndarray, " v"]) -> None:
    # A row per value of the transformation, a column per image, each in the colour of its curve.
    height, width = tiles.shape[2:4]
    frame, gap = max(2, height // 24), max(2, height // 24)
    across, down = width + 2 * frame + gap, height + 2 * frame + gap
    sheet = np.ones((len(values) * down - gap, tiles.shape[1] * across - gap, 3))
    for row, column in np.ndindex(tiles.shape[:2]):
        top, left = row * down, column * across
        sheet[top : top + down - gap, left : left + across - gap] = to_rgb(_COLOURS[column])
        inner = (slice(top + frame, top + frame + height), slice(left + frame, left + frame + width))
        sheet[inner] = tiles[row, column]
    axis.imshow(sheet.clip(0, 1))
    axis.set_yticks([row * down + down // 2 for row in range(len(values))], [_UNITS[kind].format(v) for v in values])
    axis.tick_params(length=0, labelsize=8)
    axis.set_xticks([])
    axis.spines[:].set_visible(False)
