"""Synthesised images and the course of their optimisation."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_FAINT, _CLEAR = 16 / 255, 0.45  # deviations from the mean colour that nobody sees, and what they are drawn as


def visible(picture: Float[ndarray, "h w 3"]) -> tuple[Float[ndarray, "h w 3"], float]:
    """An image (h, w, 3), with more contrast if it is faint, and the factor of its deviations from the mean colour.

    Source: Yosinski et al. 2015, the authors' code (norm01c).
    """
    mean = picture.mean(axis=(0, 1))
    largest = float(np.quantile(np.abs(picture - mean), 0.995))
    if not 1e-6 < largest < _FAINT:
        return picture, 1.0
    factor = _CLEAR / largest
    return np.clip(mean + factor * (picture - mean), 0, 1), factor


def _shown(axis: plt.Axes, picture: Float[ndarray, "h w 3"], note: str, fontsize: float) -> None:
    seen, factor = visible(picture)
    axis.imshow(seen)
    contrast = "" if factor == 1 else f"; contrast x{factor:.0f}"
    axis.set_xlabel(f"{note}{contrast}".replace("; ", "\n"), fontsize=fontsize)


def grid(pictures: Float[ndarray, "n h w 3"], titles: Sequence[str], notes: Sequence[str], columns: int = 4) -> Figure:
    """Images (n, h, w, 3), RGB in [0, 1], side by side, with titles above and notes below."""
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.3 * columns, 2.8 * rows), layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for axis, picture, title, note in zip(axes.flat, pictures, titles, notes, strict=False):
        _shown(axis, picture, note, fontsize=7)
        axis.set_title(title.split(",")[0], fontsize=9)
    return figure


def traces(scores: Float[ndarray, "steps n"], norms: Float[ndarray, "steps n"], titles: Sequence[str]) -> Figure:
    """Score before softmax and RMS in grey levels, both (steps, n), over the steps of gradient ascent."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    styles = ("-", "--", ":", "-.")
    colors = plt.get_cmap("viridis")
    for axis, values, label in ((left, scores, "class score"), (right, norms, "RMS of the image (grey levels)")):
        for i in range(values.shape[1]):
            shade = colors(i / max(values.shape[1], 2))
            axis.plot(values[:, i], styles[i % 4], color=shade, lw=1.2, label=titles[i].split(",")[0])
        axis.set_xlabel("step")
        axis.set_ylabel(label)
    right.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def presets(
    pictures: Mapping[str, Float[ndarray, "n h w 3"]], titles: Sequence[str], notes: Mapping[str, Sequence[str]]
) -> Figure:
    """The same classes by every method: rows are methods, columns are classes; images (n, h, w, 3) by method."""
    columns = min(len(titles), 8)
    figure, axes = plt.subplots(
        len(pictures),
        columns,
        figsize=(1.75 * columns + 1.2, 2.0 * len(pictures) + 0.3),
        layout="constrained",
        squeeze=False,
    )
    for row, (name, made) in enumerate(pictures.items()):
        for column in range(columns):
            axis = axes[row, column]
            _shown(axis, made[column], notes[name][column], fontsize=6)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if not row:
                axis.set_title(titles[column].split(",")[0], fontsize=8)
        axes[row, 0].set_ylabel(name.removeprefix("am_").replace("_", " "), fontsize=8)
    return figure


_INCHES = 1.15  # side of an image


def facets(study: Study) -> Iterator[Drawn]:
    """Classes down; per facet the mean image that gradient ascent starts from, and its result."""
    starts, ends = study.shown["starts"], study.shown["ends"]
    classes, count = starts.shape[:2]
    figure = Figure(figsize=(2 * count * _INCHES + 2, classes * (_INCHES + 0.12) + 0.4), layout="constrained")
    axes = figure.subplots(classes, 2 * count, squeeze=False)
    names, apart = study.table["name"].tolist(), study.table[["apart", "random_apart"]].to_numpy()
    for number, row in enumerate(axes):
        for place, axis in enumerate(row):
            axis.imshow((ends if place % 2 else starts)[number, place // 2])
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(
            f"{names[number].split(',')[0]}\n{apart[number, 0]:+.0%} / {apart[number, 1]:+.0%}", fontsize=9
        )
    for place, axis in enumerate(axes[0]):
        axis.set_title("result" if place % 2 else f"facet {place // 2 + 1}, mean", fontsize=9)
    caption = (
        "Photographs of a class are clustered by the network's codes; gradient ascent of the class score starts from "
        "the mean of each facet. Beside each class: ratio of the distance between images of two facets to that "
        "between two images of one facet, and the same for random facets."
    )
    yield Drawn(figure, "", "Facets of classes", caption)
