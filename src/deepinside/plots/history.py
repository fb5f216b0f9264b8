"""How a network learnt."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure


def learning(history: pd.DataFrame) -> Figure:
    """Loss and error over the epochs.

    Args:
        history: columns train_loss, val_loss, val_top1_error and perhaps val_top5_error (shares), a row per epoch.

    Returns:
        Two panels that share the horizontal axis.
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
