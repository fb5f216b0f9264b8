"""The numbers of a diagnosis by layer."""

import math

import pandas as pd
from matplotlib.figure import Figure

_SHARES = {"dead": "#D55E00", "redundant": "#E69F00", "rank": "#0072B2", "folded": "#009E73"}  # Okabe & Ito's


def overview(layers: pd.DataFrame, object_side: float) -> Figure:
    """Shares of the units, and receptive fields beside the objects.

    Args:
        layers: of `diagnosis.measures.layers`.
        object_side: in pixels; NaN where unknown.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(max(7, 0.5 * len(layers) + 5), 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = range(len(layers))
    for word, colour in _SHARES.items():
        left.plot(places, layers[word], marker="o", ms=4, lw=1.2, color=colour, label=word)
    right.plot(places, layers["field"], marker="o", ms=4, lw=1.2, color="0.6", label="receptive field")
    right.plot(places, layers["effective_field"], marker="o", ms=4, lw=1.2, color="#0072B2", label="effective")
    if not math.isnan(object_side):
        right.axhline(object_side, color="#D55E00", ls="--", lw=1, label="objects, median")
    left.set(ylim=(-0.03, 1.05), ylabel="share", title="units")
    right.set(ylim=(0, None), ylabel="side, pixels", title="what units see")
    for axis in (left, right):
        axis.set_xticks(list(places), layers["layer"].astype(str), rotation=90, fontsize=7)
        axis.legend(frameon=False, fontsize=7)
        axis.grid(alpha=0.3)
    return figure
