"""Correspondence of parts, as in table 1 of Zeiler & Fergus 2014, and the masked images."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

# Okabe & Ito's colours, distinguishable with any kind of colour vision.
_LOOKS = {
    "part": ("#0072B2", "", "the part"),
    "random": ("#E69F00", "//", "random position on the object"),
    "beside": ("#BBBBBB", "..", "same offset from the part in all images"),
}
_ZEROS = {"match": "unchanged dimensions match", "left_out": "dimensions unchanged in both excluded"}
_TILE = 1.25  # inches


def bars(study: Study) -> Iterator[Drawn]:
    """Delta of each part beside that of other positions, per layer; and the masked images."""
    thing, parts, layers = str(study.shown["object"]), study.shown["parts"].tolist(), study.shown["layers"].tolist()
    figure = Figure(figsize=(2.2 + (1.0 + 1.1 * len(parts)) * len(layers), 6.2), layout="constrained")
    axes = figure.subplots(len(_ZEROS), len(layers), squeeze=False, sharey="row")
    for row, (zeros, meaning) in enumerate(_ZEROS.items()):
        for column, layer in enumerate(layers):
            chosen = study.table[(study.table["layer"].astype(str) == layer) & (study.table["zeros"] == zeros)]
            _bars(axes[row, column], chosen, parts)
            axes[row, column].set_title(f"{layer}: {meaning}", fontsize=8)
        axes[row, 0].set_ylim(0, 1.08 * _top(study.table, zeros))
        axes[row, 0].set_ylabel("Δ: share of dimensions whose\nsign of change differs", fontsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    count = int(study.table["pictures"].max())
    yield Drawn(
        figure,
        "",
        f"Parts of {thing}: correspondence",
        f"A square of the mean colour masks a part of {thing} in {count} images. Δ is the share of dimensions in "
        "which the sign of the change differs between two images, mean over all pairs: low if the network treats the "
        "part in the same way. For comparison squares of the same size at random positions on the object, and squares "
        "at a fixed offset from the part, which are as close to one another as the parts are (missing if no offset "
        "stays inside all images and off the part). Lines: 95 % intervals over images.",
    )
    yield Drawn(
        _masked(study),
        "masked",
        f"Parts of {thing}: masked images",
        f"The first images of {thing}, original and masked: each part, then the first of the other positions.",
    )


def _top(table: pd.DataFrame, zeros: str) -> float:
    highest = float(table[table["zeros"] == zeros]["delta_high"].max())
    return highest if highest > 0 else 1.0


def _bars(axis: Axes, table: pd.DataFrame, parts: list[str]) -> None:
    for i, (place, (colour, hatch, label)) in enumerate(_LOOKS.items()):
        mine = table[table["place"] == place].set_index("part").reindex(parts)
        where, height = np.arange(len(parts)) + 0.27 * (i - 1), mine["delta"]
        axis.bar(where, height, 0.25, color=colour, hatch=hatch, edgecolor="black", linewidth=0.5, label=label)
        reach = np.stack([height - mine["delta_low"], mine["delta_high"] - height]).clip(min=0)
        axis.errorbar(where, height, reach, fmt="none", ecolor="black", elinewidth=1, capsize=2)
    axis.set_xticks(range(len(parts)), parts, fontsize=8)
    axis.tick_params(axis="y", labelsize=8)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


def _masked(study: Study) -> Figure:
    tiles, names = study.shown["masked"].astype(np.float32), study.shown["masked_names"].tolist()
    shape = tiles.shape[2] / tiles.shape[3]
    size = (_TILE * tiles.shape[1] + 1.2, _TILE * shape * tiles.shape[0])
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(*tiles.shape[:2], squeeze=False)
    for axis, tile in zip(axes.flat, tiles.reshape(-1, *tiles.shape[2:]), strict=True):
        axis.imshow(tile.clip(0, 1), interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    return figure
