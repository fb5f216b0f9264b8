"""What is counted at other thresholds of IoU."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_INSIDE = 9  # layers whose legend has room inside the axes
_ROWS = 16  # of a legend beside them
_CHARACTER = 0.065  # inches, of the legend's text
_MARKERS = "osD^vP*X<>"  # with the shades, from the bottom of the network upwards: told apart without colour


def unique_by_threshold(thresholds: Sequence[float], unique: Mapping[str, Sequence[int]], *, chosen: float) -> Figure:
    """Unique detectors of each layer against the threshold.

    Args:
        thresholds: of IoU, rising.
        unique: layer -> unique detectors at each threshold.
        chosen: the threshold that everything else is counted at, marked.

    Returns:
        A line per layer.
    """
    columns = -(-len(unique) // _ROWS) if len(unique) > _INSIDE else 0  # of the legend, where it stands beside the axes
    beside = columns * (0.5 + _CHARACTER * max(map(len, unique), default=0))
    figure = Figure(figsize=(5.2 + beside, 3.4), layout="constrained")
    axes = figure.subplots()
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(unique)))
    for (layer, counts), shade, marker in zip(unique.items(), shades, cycle(_MARKERS)):
        axes.plot(thresholds, counts, marker=marker, markersize=4, linewidth=1.2, label=layer, color=shade)
    axes.axvline(chosen, color="#777777", linewidth=0.8, linestyle=":")
    axes.set_xlabel("threshold of IoU")
    axes.set_ylabel("unique detectors (concepts)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, linewidth=0.4, alpha=0.5)
    if len(unique) > 1:
        place: dict[str, Any] = (
            {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": columns} if columns else {}
        )
        axes.legend(frameon=False, fontsize=8, **place)
    return figure
