"""Features during training, as in figure 4 of Zeiler & Fergus 2014, and the convergence of each layer."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_INCHES = 0.95  # height of a row
_SETTLED = "#0072B2"
_MEASURES = (
    ("same_picture", "strongest image is that of the last epoch", "share of units"),
    ("cosine", "activations: cosine with the last epoch", "cosine, mean over units"),
    ("correlation", "activations: correlation with the last epoch", "correlation, mean over units"),
)
_MARKERS = "osD^vP*X"


def evolution(study: Study) -> Iterator[Drawn]:
    """A convergence curve per layer, then a sheet per layer: units down, epochs across."""
    layers, epochs = study.shown["layers"].tolist(), study.shown["epochs"].tolist()
    table = study.table.astype({"layer": str})  # a layer may be called 1
    yield Drawn(
        _settling(table, layers, epochs),
        "settling",
        "Convergence of layers",
        f"Similarity to the features of epoch {epochs[-1]}. Left: share of units whose strongest image is that of the "
        "last epoch. Middle and right: similarity of a unit's activations at all positions of the same images to those "
        "of the last epoch; the correlation excludes each unit's mean, so that unrelated units have 0. Units that are "
        "dead in the last epoch are excluded.",
    )
    for number, layer in enumerate(layers, start=1):
        yield Drawn(
            _sheet(study.shown, table[table["layer"] == layer], layer, epochs),
            f"{number:02d}",
            f"{layer} during training",
            f"{layer}: each row is a unit, each column an epoch. Left: projection of the unit's strongest activation "
            "over all images (grey is zero, each on its own scale), right: its receptive field in the image. "
            "Blue frames: the image is already that of the last epoch.",
        )


def _settling(table: pd.DataFrame, layers: list[str], epochs: list[int]) -> Figure:
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    ends = table[table["epoch"] == epochs[-1]]
    alive = ends[ends["value"] > 0].set_index(["layer", "unit"]).index
    counted = table[table.set_index(["layer", "unit"]).index.isin(alive)]
    for axis, (column, title, label) in zip(axes, _MEASURES, strict=True):
        means = counted.astype({column: float}).groupby(["layer", "epoch"])[column].mean()
        for i, layer in enumerate(layers):
            shade = colormaps["viridis"](0.9 * i / max(len(layers) - 1, 1))
            values = [means.get((layer, epoch), np.nan) for epoch in epochs]
            axis.plot(epochs, values, color=shade, marker=_MARKERS[i % len(_MARKERS)], ms=5, lw=1.4, label=layer)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.set_xticks(epochs)
        axis.set_ylim(min(0, float(means.min())), 1.03)
        axis.grid(alpha=0.3)
    axes[-1].legend(fontsize=7, frameon=False, title="layer", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _sheet(shown: Mapping[str, ndarray], table: pd.DataFrame, layer: str, epochs: list[int]) -> Figure:
    projections, patches, inside = (shown[f"{what}.{layer}"] for what in ("projections", "patches", "inside"))
    units = shown[f"units.{layer}"].tolist()
    mine = table.set_index(["unit", "epoch"])
    shape = patches.shape[2] / patches.shape[3]
    size = ((2.1 * _INCHES / shape + 0.1) * len(epochs) + 0.6, (_INCHES + 0.2) * len(units) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(units), len(epochs), squeeze=False)
    for row, unit in enumerate(units):
        for column, epoch in enumerate(epochs):
            axis, seen = axes[row, column], inside[column, row][..., None]
            left = np.where(seen, 0.5 + 0.5 * projections[column, row].astype(np.float32), 1)
            _cell(axis, left, np.where(seen, patches[column, row].astype(np.float32), 1))
            found = mine.loc[unit, epoch]
            axis.set_title(f"{found['value']:.3g}" if found["value"] > 0 else "dead", fontsize=6, pad=2)
            if found["same_picture"]:
                axis.spines[:].set(color=_SETTLED, linewidth=2)
            else:
                axis.spines[:].set_visible(False)
            if row == len(units) - 1:
                axis.set_xlabel(f"epoch {epoch}", fontsize=8)
        axes[row, 0].set_ylabel(f"unit {unit}", fontsize=8)
    figure.suptitle(f"{layer}: strongest activation (its value above each pair)", fontsize=9)
    return figure


def _cell(axis: Axes, projection: Float[ndarray, "h w 3"], patch: Float[ndarray, "h w 3"]) -> None:
    gap = np.ones((patch.shape[0], max(1, patch.shape[1] // 20), 3))
    axis.imshow(np.concatenate([projection, gap, patch], axis=1).clip(0, 1), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
