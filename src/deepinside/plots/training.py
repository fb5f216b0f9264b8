"""Training curves, and maps during training."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.records import Batch, Maps


def learning(history: pd.DataFrame) -> Figure:
    """Loss and error over the epochs, in two panels.

    `history` has the columns train_loss, val_loss, val_top1_error and perhaps val_top5_error (shares), a row per epoch.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    epochs = range(1, len(history) + 1)
    left.plot(epochs, history["train_loss"], "-", color="#0072B2", label="training")
    left.plot(epochs, history["val_loss"], "--", color="#D55E00", label="validation")
    left.set_ylabel("cross-entropy")
    right.plot(epochs, 100 * history["val_top1_error"], "-", color="#0072B2", label="top-1")
    if "val_top5_error" in history:
        right.plot(epochs, 100 * history["val_top5_error"], "--", color="#D55E00", label="top-5")
    right.set_ylabel("validation error (%)")
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.legend(frameon=False, fontsize=8)
    return figure


def filters(start: Float[ndarray, "u 3 y x"], end: Float[ndarray, "u 3 y x"], layer: str) -> Figure:
    """The filters of the first layer before and after training.

    Args:
        start: RGB, each filter on its own scale with zero as grey.
        end: likewise, in the same order.
        layer: its name.

    Returns:
        Two sheets, each filter at the same place in both.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
    for axis, sheet, title in zip(axes, (start, end), ("at the start", "after training"), strict=True):
        axis.imshow(_sheet(sheet), interpolation="nearest")
        axis.set_title(f"{layer}, {title}", fontsize=10)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure


def _sheet(weights: Float[ndarray, "u 3 y x"]) -> Float[ndarray, "h w 3"]:
    count, _, height, width = weights.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, 3))
    for place, weight in enumerate(weights):
        most = float(np.abs(weight).max()) or 1.0
        top, left = 1 + place // columns * (height + 1), 1 + place % columns * (width + 1)
        sheet[top : top + height, left : left + width] = 0.5 + 0.5 * weight.transpose(1, 2, 0) / most
    return sheet


_INCHES = 1.5  # width of a cell
_BELOW = 0.25  # under it, in inches, for words
_ABOVE = 0.5  # everything, in inches, for titles


def grid(title: str, pictures: Batch, maps: Mapping[str, Maps]) -> Figure:
    """A row per image, a column per map; each map on its own scale up to the 99.5 % quantile of its magnitude.

    Signed maps are drawn from blue to red with zero in the middle; the scales of the others start at zero, black.
    """
    rows, columns, (height, width) = len(pictures), len(maps) + 1, pictures.images.shape[2:]
    size = (_INCHES * columns, (_INCHES * height / width + _BELOW) * rows + _ABOVE)
    figure = Figure(figsize=size)
    edges = {"left": 0.02, "right": 0.98, "bottom": _BELOW / size[1], "top": 1 - _ABOVE / size[1]}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=edges | {"wspace": 0.06, "hspace": 0.2})
    for axis, image, name in zip(axes[:, 0], pictures.images, pictures.names, strict=True):
        axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
        axis.set_xlabel(name, fontsize=5)
    for column, (name, found) in zip(axes[:, 1:].T, maps.items(), strict=True):
        column[0].set_title(name, fontsize=8)
        for axis, values in zip(column, found.values[:, 0].numpy(), strict=True):
            _map(axis, values, found.signed)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(title, fontsize=9)
    return figure


def _map(axis: Any, values: Float[ndarray, "h w"], signed: bool) -> None:
    top = float(np.quantile(np.abs(values), 0.995))
    look = {"cmap": "RdBu_r", "vmin": -max(top, 1e-12)} if signed else {"cmap": "magma", "vmin": 0}
    axis.imshow(values, vmax=max(top, 1e-12), interpolation="nearest", **look)
    axis.set_xlabel(f"{-top if signed else 0:.2g} to {top:.2g}", fontsize=6)
