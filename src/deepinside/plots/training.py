"""Training curves, and maps during training."""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy import ndarray


def learning(history: pd.DataFrame) -> Figure:
    """Loss and error over the epochs, in two panels.

    `history` has the columns train_loss, val_loss, val_top1_error and perhaps val_top5_error (shares), a row per epoch;
    after adversarial training also the errors on attacked training images.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    epochs = range(1, len(history) + 1)
    left.plot(epochs, history["train_loss"], "-", color="#0072B2", label="training")
    left.plot(epochs, history["val_loss"], "--", color="#D55E00", label="validation")
    left.set_ylabel("cross-entropy")
    right.plot(epochs, 100 * history["val_top1_error"], "-", color="#0072B2", label="top-1")
    if "val_top5_error" in history:
        right.plot(epochs, 100 * history["val_top5_error"], "--", color="#D55E00", label="top-5")
    for column, look, word in (
        ("train_fgsm_error", "C2-.", "training, one step"),
        ("train_pgd_error", "C3:", "training, PGD"),
    ):
        if column in history:
            right.plot(epochs, 100 * history[column], look, label=word)
    right.set_ylabel("error (%)" if "train_pgd_error" in history else "validation error (%)")
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
