"""Distances between back-projections, layer by layer."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_STYLES = ("-o", "--s", ":^", "-.D")
_LEAST = 1e-9  # where no difference at all is drawn on a logarithmic scale


def distances(study: Study) -> Iterator[Drawn]:
    """How far the two back-projections are apart with equal rules, and how far each changed rule moves them.

    Args:
        study: of `relation`.

    Yields:
        One figure.
    """
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
        "Back-projections of each layer's strongest activation, mean over the pictures. Left: autograd and the "
        "DeconvNet written out as transposed convolutions and unpooling, with the same ReLU rule; 1e-7 is float "
        "precision, none at all is drawn at 1e-9. Right: how far one changed rule moves the gradient; 1 is as far as "
        "the gradient itself is long."
    )
    yield Drawn(figure, "", "DeconvNet and the gradient, layer by layer", caption)


def _curves(axis: Axes, table: pd.DataFrame, kind: str, layers: list[str], least: float = 0) -> None:
    chosen = table[table["compared"].str.startswith(kind)]
    means = chosen.groupby(["compared", "layer"], sort=False)["relative_distance"].mean()
    for style, compared in zip(_STYLES, dict.fromkeys(chosen["compared"]), strict=False):
        values = [max(means.get((compared, layer), float("nan")), least) for layer in layers]
        axis.plot(range(len(layers)), values, style, lw=1.3, ms=4, label=compared.removeprefix(kind))
    axis.set_xticks(range(len(layers)), layers, rotation=60, ha="right", fontsize=7)
    axis.set_xlabel("layer that the signal starts from")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=7, frameon=False)
