"""How a map changes as the network forgets, as in the figures of Adebayo et al. 2018."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.statistics import bootstrap_interval
from deepinside.study import Study

# Okabe & Ito's colours, told apart with any kind of colour vision; markers tell them apart in print.
_COLOURS, _MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("o", "s", "^", "D")


def cascade(study: Study) -> Iterator[Drawn]:
    """Rank correlation with the trained network's map against the number of layers that forgot.

    Args:
        study: of `class_specificity`.

    Yields:
        One figure.
    """
    counts, values = study.shown["random_layers"], study.shown["cascade"]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axis = figure.subplots()
    for rule, curve, colour, marker in zip(study.shown["rules"].tolist(), values, _COLOURS, _MARKERS, strict=False):
        mean = np.nanmean(curve, axis=1)
        low, high = np.array([bootstrap_interval(row[np.isfinite(row)]) for row in curve]).T
        axis.errorbar(counts, mean, (mean - low, high - mean), color=colour, marker=marker, capsize=3, label=rule)
    axis.axhline(0, color="0.4", lw=0.9, ls=":")
    axis.set_xlabel("layers with random weights, from the scores downwards")
    axis.set_ylabel("rank correlation with the trained map")
    axis.set_ylim(min(-0.1, float(np.nanmin(values))), 1.02)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    caption = (
        f"Spearman's correlation between magnitudes of the maps, mean over {values.shape[2]} pictures with 95 % "
        "intervals. A method whose curve stays high shows the picture and not what the network has learnt."
    )
    yield Drawn(figure, "", "Maps of a network that forgets layer by layer", caption)
