"""A metric over a grid: the first key across, a line per value of the second, intervals as bars."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

# Okabe & Ito's colours, distinguishable with any kind of colour vision; markers distinguish lines without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vP*"
_LOGARITHMIC = 30  # positive values that span more than this factor are spaced by their logarithms
_DODGE = 0.06  # between the bars of two lines, as a share of the least distance between two values
_MANY = 6  # names that still fit without turning them


def curves(rows: pd.DataFrame, keys: Mapping[str, Sequence[str]], best: pd.DataFrame) -> Figure:
    """One metric over the swept keys, on one axis with a legend.

    Args:
        rows: of one metric: swept keys as text, metric, better, value, unit, n, ci_low, ci_high.
        keys: values of each key, as text; the first key is the x-axis, the second separates lines, all others have the
            values of the best point (of the first point where no value is better).
        best: the row of the best point; none where neither lower nor higher is better.
    """
    across, *others = keys
    held = best.iloc[0] if len(best) else rows.iloc[0]
    for key in others[1:]:
        rows = rows[rows[key] == held[key]]
    places, numeric = _places(keys[across])
    names = keys[others[0]] if others else [""]
    step = min(_DODGE, 2 * _DODGE / len(names)) * (np.diff(np.sort(places)).min() if len(places) > 1 else 1.0)
    figure = Figure(figsize=(6.0 if numeric else max(6.0, 0.4 * len(places) + 2), 3.8), layout="constrained")
    axis = figure.subplots()
    for number, name in enumerate(names):
        part = rows[rows[others[0]] == name] if others else rows
        at = places[[keys[across].index(value) for value in part[across]]] + step * (number - (len(names) - 1) / 2)
        _line(axis, at, part, number, name, joined=numeric)
        _ring(axis, at, part, best)
    _label(axis, keys, places, held)
    if not numeric and len(places) > _MANY:
        axis.tick_params(axis="x", rotation=60, labelsize=8)
    return figure


def _places(names: Sequence[str]) -> tuple[Float[ndarray, " v"], bool]:
    # Where values are drawn, and whether they are numbers, which a line may join.
    try:
        values = np.array([float(name) for name in names])
    except ValueError:
        return np.arange(len(names), dtype=float), False
    if values.min() > 0 and values.max() / values.min() > _LOGARITHMIC:
        return np.log10(values), True
    return values, True


def _line(axis: Axes, at: Float[ndarray, " p"], part: pd.DataFrame, number: int, name: str, *, joined: bool) -> None:
    order = np.argsort(at, kind="stable")
    values, low, high = (part[column].to_numpy(dtype=float)[order] for column in ("value", "ci_low", "ci_high"))
    bars = np.nan_to_num(np.stack([values - low, high - values])).clip(min=0)  # no interval is no bar
    style = ("-", "--", ":")[number // len(_COLOURS) % 3] if joined else "none"
    axis.errorbar(
        at[order], values, bars, color=_COLOURS[number % len(_COLOURS)], marker=_MARKERS[number % len(_MARKERS)],
        linestyle=style, ms=5, lw=1.4, elinewidth=1.0, capsize=3, label=name,
    )  # fmt: skip


def _ring(axis: Axes, at: Float[ndarray, " p"], part: pd.DataFrame, best: pd.DataFrame) -> None:
    here = part.index.isin(best.index)
    axis.plot(at[here], part["value"][here], "o", ms=12, mfc="none", mec="black", mew=1.2)


def _label(axis: Axes, keys: Mapping[str, Sequence[str]], places: Float[ndarray, " v"], held: pd.Series) -> None:
    across, *others = keys
    axis.set_xticks(places, keys[across])
    axis.set_xlabel(_plain(across))
    axis.set_ylabel(_plain(held["metric"]) + (f" ({held['unit']})" if held["unit"] else ""))
    notes = [f"{_plain(key)} {held[key]}" for key in others[1:]]
    notes += [f"{held['better']} is better; ringed: best"] if held["better"] != "shown" else []
    axis.set_title("; ".join(notes), fontsize=9, loc="left")
    axis.grid(alpha=0.3)
    if others:
        axis.legend(title=_plain(others[0]), fontsize=8, title_fontsize=8, bbox_to_anchor=(1.02, 1), loc="upper left",
                    frameon=False)  # fmt: skip


def _plain(name: str) -> str:
    return name.replace("_", " ")
