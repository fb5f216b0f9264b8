"""Figures of a comparison of attribution methods."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy import ndarray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from deepinside.records import Row

_COLUMNS = 6


def against_cost(rows: Mapping[str, Row], costs: Mapping[str, float], title: str, *, lower: bool) -> Figure:
    """A metric of each method, with its interval, against the time of one map.

    Args:
        rows: method -> its number.
        costs: method -> ms per image.
        title: of the metric.
        lower: whether less of it is better.
    """
    figure, axis = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    labels = []
    for name, row in rows.items():
        axis.errorbar(
            costs[name], row.value, [[max(0, row.value - row.ci_low)], [max(0, row.ci_high - row.value)]],
            fmt="o", markersize=4, capsize=2, color="#0072B2", ecolor="#9ecae1",
        )  # fmt: skip
        place = costs[name], row.value
        labels.append(axis.annotate(name, place, xytext=(5, 4), textcoords="offset points", fontsize=8))
    axis.set_xscale("log")
    axis.set_xlabel("time of one map, ms")
    axis.set_ylabel(f"{title}{', ' + unit if (unit := next(iter(rows.values())).unit) else ''}")
    axis.set_title(f"{title} ({'lower' if lower else 'higher'} is better)", fontsize=10)
    axis.grid(alpha=0.3)
    axis.margins(x=0.25)
    _move_apart(figure, labels)
    return figure


def _move_apart(figure: Figure, labels: list[Annotation]) -> None:
    # To the left where the axes end; then from the lowest to the highest, each up until it is free of those before it.
    figure.draw_without_rendering()
    for label in labels:
        if label.get_window_extent().x1 > figure.axes[0].get_window_extent().x1:
            label.set_horizontalalignment("right")
            label.xyann = (-label.xyann[0], label.xyann[1])
    placed: list[Bbox] = []
    for label in sorted(labels, key=lambda one: one.xy[1]):
        while label.get_window_extent().count_overlaps(placed):
            label.xyann = (label.xyann[0], label.xyann[1] + 2)
        placed.append(label.get_window_extent())


def agreement(table: pd.DataFrame) -> Figure:
    """Rank correlations of all pairs of methods, similar ones beside one another.

    Args:
        table: (m, m), named by the methods.
    """
    values = table.to_numpy(dtype=float)
    if len(values) > 2:
        far = np.clip(1 - (values + values.T) / 2, 0, None)
        np.fill_diagonal(far, 0)
        order = leaves_list(linkage(squareform(far, checks=False), "average"))
        table, values = table.iloc[order, order], values[np.ix_(order, order)]
    side = 1.8 + 0.42 * len(values)
    figure, axis = plt.subplots(figsize=(side + 0.6, side), layout="constrained")
    drawn = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set_xticks(range(len(values)), table.columns, rotation=90, fontsize=8)
    axis.set_yticks(range(len(values)), table.index, fontsize=8)
    for y, x in np.ndindex(values.shape):
        axis.text(x, y, f"{values[y, x]:.1f}", ha="center", va="center", fontsize=6,
                  color="white" if abs(values[y, x]) > 0.6 else "black")  # fmt: skip
    figure.colorbar(drawn, ax=axis, shrink=0.7, label="rank correlation")
    return figure


def grid(
    picture: UInt8[ndarray, "h w 3"], maps: Mapping[str, tuple[Float[ndarray, "h w"], float]], title: str
) -> Figure:
    """An image and its maps, a number under each.

    Args:
        picture: RGB bytes.
        maps: method -> its map without sign, and its energy in the box relative to the box's area.
        title: of the image.
    """
    columns = min(_COLUMNS, len(maps) + 1)
    lines = -(-(len(maps) + 1) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(1.9 * columns, 2.25 * lines), layout="constrained")
    places = np.atleast_1d(axes).ravel()
    places[0].imshow(picture)
    places[0].set_title(title, fontsize=8)
    for axis, (name, (map_, ratio)) in zip(places[1:], maps.items(), strict=False):
        axis.imshow(map_, cmap="magma", vmin=0, vmax=max(float(np.quantile(map_, 0.995)), 1e-12))
        axis.set_title(name, fontsize=8)
        axis.set_xlabel(f"{ratio:.2f}", fontsize=8)
    for axis in places:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis in places[len(maps) + 1 :]:
        axis.set_axis_off()
    return figure
