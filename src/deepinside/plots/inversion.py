"""Pre-images beside their originals, layer by layer, and the results of trained inverters."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from deepinside.plots.gallery import Drawn
from deepinside.statistics import mean_interval
from deepinside.study import Study

_WAYS = {"optimised": ("#0072B2", "o"), "learned": ("#D55E00", "s")}
_ERRORS = (
    ("feature_error", "features at the layer", "feature error ||Φ(x*) - Φ(x)||² / ||Φ(x)||²"),
    ("image_error", "pixels", "image error (1: a random pair of images)"),
    ("detail", "fine detail", "correlation above 1/8 cycle per pixel"),
)


def sheets(study: Study) -> Iterator[Drawn]:
    """Images across, layers down; the repetitions of the first image; with several layers, both errors by depth."""
    layers = study.shown["layers"].tolist()
    inverted = any(name.startswith("learned.") for name in study.shown)
    learned = "`learned`: by a network trained to invert. " if inverted else ""
    yield Drawn(
        _sheet(study, layers),
        "pictures",
        "Reconstruction from features",
        "First row: the images; below, from the first layer to the last, their reconstructions from the features of a "
        f"layer. {learned}Below each: feature error, image error.",
    )
    if len(study.shown[f"optimised.{layers[0]}"]) > 1:
        yield Drawn(
            _repeats(study, layers),
            "repeats",
            "Several starts",
            "Pre-images of the first image from different starts: they differ where the layer has no information.",
        )
    if len(layers) > 1:
        yield Drawn(
            _depth(study.table, layers),
            "errors",
            "Errors by depth",
            "Left: relative error of the features. Middle: relative error of the pixels, 1 for two random images. "
            "Right: correlation of fine detail. Means over images with 95 % intervals.",
        )


def _sheet(study: Study, layers: list[str]) -> Figure:
    originals = study.shown["originals"]
    lines: list[tuple[str, ndarray, tuple[str, str] | None]] = [("image", originals, None)]
    for layer in layers:
        lines.append((layer, study.shown[f"optimised.{layer}"][0], (layer, "optimised")))
        if f"learned.{layer}" in study.shown:
            lines.append((f"{layer}\nlearned", study.shown[f"learned.{layer}"], (layer, "learned")))
    columns = min(len(originals), 8)
    figure = Figure(figsize=(1.7 * columns + 0.8, 1.85 * len(lines) + 0.2), layout="constrained")
    axes = figure.subplots(len(lines), columns, squeeze=False)
    first = study.table[study.table["repeat"] == 0].astype({"layer": str}).groupby(["layer", "way"], sort=False)
    for row, (title, images, key) in enumerate(lines):
        part = None if key is None else first.get_group(key)
        for column in range(columns):
            axis = axes[row, column]
            axis.imshow(images[column])
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if part is not None:
                found = part.iloc[column]
                axis.set_xlabel(f"{found['feature_error']:.3f}, {found['image_error']:.2f}", fontsize=6, labelpad=1)
        axes[row, 0].set_ylabel(title, fontsize=8)
    return figure


def _repeats(study: Study, layers: list[str]) -> Figure:
    repeats = min(len(study.shown[f"optimised.{layers[0]}"]), 6)
    figure = Figure(figsize=(1.7 * repeats + 0.8, 1.75 * len(layers)), layout="constrained")
    axes = figure.subplots(len(layers), repeats, squeeze=False)
    for row, layer in enumerate(layers):
        for column in range(repeats):
            axes[row, column].imshow(study.shown[f"optimised.{layer}"][column, 0])
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
        axes[row, 0].set_ylabel(layer, fontsize=8)
    return figure


def _depth(table: pd.DataFrame, layers: list[str]) -> Figure:
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(_ERRORS))
    table = table.astype({"layer": str})
    for axis, (column, title, label) in zip(axes, _ERRORS, strict=True):
        for way, (color, marker) in _WAYS.items():
            part = table[table["way"] == way]
            known = [layer for layer in layers if (part["layer"] == layer).any()]
            if not known:
                continue
            values = [
                part[part["layer"] == layer].groupby("picture", sort=False)[column].mean().to_numpy(dtype=float)
                for layer in known
            ]
            means = np.array([v.mean() for v in values])
            ends = np.array([mean_interval(v) for v in values]).T
            places = [layers.index(layer) for layer in known]
            axis.errorbar(places, means, np.abs(ends - means), color=color, marker=marker, ms=5, capsize=3, label=way)
        axis.set_xticks(range(len(layers)), layers, rotation=30, ha="right", fontsize=7)
        axis.set_title(title, fontsize=9)
        axis.set_ylabel(label, fontsize=8)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].legend(fontsize=7, frameon=False)
    return figure


_INCHES = 1.15  # side of an image


def reconstructions(columns: Mapping[str, Float[Tensor, "n 3 h w"]]) -> Figure:
    """Images down, reconstructions across, all on the scale of the original; RGB in [0, 1] by title."""
    count = len(next(iter(columns.values())))
    size = (_INCHES * len(columns), _INCHES * count + 0.35)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(count, len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=8)
        for row, picture in enumerate(pictures):
            axes[row, column].imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
            axes[row, column].set_axis_off()
    return figure


def curves(history: pd.DataFrame) -> Figure:
    """Squared error of pixels in [0, 1] over the epochs, a colour per code; dashed for held-out images.

    `history` has the columns code, epoch, train_image and val_image.
    """
    figure = Figure(figsize=(5.2, 3), layout="constrained")
    axis = figure.subplots()
    groups = list(history.groupby("code", sort=False))
    for i, (name, part) in enumerate(groups):
        shade = colormaps["viridis"](0.85 * i / max(len(groups) - 1, 1))
        axis.plot(part["epoch"], part["train_image"], "o-", ms=3, lw=1.2, color=shade, label=f"{name}, training")
        axis.plot(part["epoch"], part["val_image"], "s--", ms=3, lw=1.2, color=shade, label=f"{name}, held out")
    axis.set_xlabel("epoch")
    axis.set_ylabel("mean squared error of a pixel")
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
