"""What learned inverters make of codes (Dosovitskiy & Brox 2016), and how they learnt it."""

from collections.abc import Mapping

import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

_INCHES = 1.15  # side of a picture


def reconstructions(columns: Mapping[str, Float[Tensor, "n 3 h w"]]) -> Figure:
    """Pictures down, what is made of each across.

    Args:
        columns: title -> RGB in [0, 1], as many pictures each.

    Returns:
        A sheet; every picture on the scale of the original.
    """
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
    """Squared error over the epochs, a colour per code.

    Args:
        history: columns code, epoch, train_image and val_image, mean squared differences of pixels in [0, 1].

    Returns:
        One panel; solid in training, dashed on held-out pictures.
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
