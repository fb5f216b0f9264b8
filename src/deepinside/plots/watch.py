"""Maps of a network during its training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.records import Batch, Maps

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
    style = {"cmap": "RdBu_r", "vmin": -max(top, 1e-12)} if signed else {"cmap": "magma", "vmin": 0}
    axis.imshow(values, vmax=max(top, 1e-12), interpolation="nearest", **style)
    axis.set_xlabel(f"{-top if signed else 0:.2g} to {top:.2g}", fontsize=6)
