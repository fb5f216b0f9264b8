"""Numbers of a comparison: means with intervals, differences from the nulls, and the agreement of the methods."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from deepinside.attribution.attributions import CENTRE, Attribution
from deepinside.attribution.comparison import COST, OTHER, UNTRAINED
from deepinside.localisation.measure import max_box_accuracy
from deepinside.records import Row
from deepinside.statistics import LEVEL, mean_row

_LEAST = 0.5  # overlap of a correct box
_OVERLAPS = (0.3, 0.5, 0.7)  # of MaxBoxAccV2
_ERRORS = {f"{kind}_localisation_error" for kind in ("class_known", "top1", "top5", "threshold")}
_SHARES = {"pointing_game", "max_box_accuracy_v2", *_ERRORS}
_UNITS = {"energy_in_box": "ratio", "iou": "IoU", "pixel_iou": "IoU", "ms_per_image": "ms", "passes": "images"}
_UNITS |= {"peak_memory": "MB"}
_SPARED = ("class_sensitivity", "randomisation", "randomisation_last")  # are differences from a null already
LOWER = {*_ERRORS, "deletion", "deletion_blur", "randomisation", "randomisation_last"}  # less of it is better


class Measures(NamedTuple):
    """Measures of every image and method.

    Attributes:
        values: metric, after `untrained.` or `other_image.` where the map is not the method's own -> (n, m).
        agreement: rank correlation of the methods' maps, (n, m, m).
    """

    values: Mapping[str, Float[ndarray, "n m"]]
    agreement: Float[ndarray, "n m m"]


def measures(arrays: Mapping[str, ndarray]) -> Measures:
    """The measures of all readable images.

    Args:
        arrays: as `Comparison` returns them, of all images.

    Returns:
        With those that are computed over the images: boxes by the best common threshold.
    """
    good = arrays["reason"] == ""
    values = {key.removeprefix("."): values[good] for key, values in arrays.items() if values.ndim == 2}
    rank, error = arrays["rank"][good], values["class_known_localisation_error"]
    for guesses in (1, 5):
        wrong = np.broadcast_to((rank >= guesses)[:, None], error.shape)
        values[f"top{guesses}_localisation_error"] = np.where(np.isnan(error), np.nan, wrong | (error > 0))
    curves = arrays["curve"][good]
    known = np.isfinite(curves).all(axis=2)
    values["threshold_localisation_error"], values["max_box_accuracy_v2"] = np.full((2, *known.shape), np.nan)
    for method, there in enumerate(known.T):
        own = curves[there, method]
        if len(own):
            values["threshold_localisation_error"][there, method] = ~held_out(own > _LEAST)
            values["max_box_accuracy_v2"][there, method] = np.mean(
                [max_box_accuracy(own, least)[1] for least in _OVERLAPS], axis=0
            )
    values["pixel_iou"] = np.stack([_at_the_others_best(own) for own in arrays["pixel_curve"][good].swapaxes(0, 1)], 1)
    return Measures(values, arrays["agreement"][good])


def held_out(values: Float[ndarray, "n t"]) -> Float[ndarray, " n"]:
    """Values at a threshold that was chosen on other images, by the highest sum: two halves, each for the other.

    Args:
        values: at each threshold; higher is better.

    Returns:
        (n,); with one image its own threshold.
    """
    half = np.arange(len(values)) % 2 == 0
    found = np.zeros_like(values[:, 0])
    for mine in (half, ~half):
        others = values[~mine] if (~mine).any() else values
        found[mine] = values[mine][:, int(np.argmax(others.sum(axis=0)))]
    return found


def _at_the_others_best(curves: Float[ndarray, "n t"]) -> Float[ndarray, " n"]:
    found, there = np.full(len(curves), np.nan), np.isfinite(curves).all(axis=1)
    if there.any():
        found[there] = held_out(curves[there])
    return found


def rows(found: Measures, methods: Sequence[Attribution]) -> Iterator[Row]:
    """The rows of `table.csv`: each metric of each method, then its differences from the nulls.

    Args:
        found: the measures.
        methods: in their order.

    Yields:
        `<method>.<metric>`, `<method>.untrained.<metric>`, `<method>.other_image.<metric>`,
        `<method>.<metric>_above_<null>`.
    """
    for column, method in enumerate(methods):
        for metric, values in found.values.items():
            source, _, name = metric.rpartition(".")
            if np.isfinite(values[:, column]).any() and (method.learnt or not source):
                yield _row(f"{method.name}.{metric}", name, values[:, column])
        for null, metric, difference in differences(found, methods, column):
            yield _row(f"{method.name}.{metric}_above_{null}", metric, difference)


def _row(title: str, metric: str, values: Float[ndarray, " n"]) -> Row:
    scale, unit = (100, "%") if metric in _SHARES else (1, _UNITS.get(metric, "probability"))
    if metric in _SPARED:
        unit = "rank correlation"
    if "_above_" in title and unit == "%":
        unit = "percentage points"
    return mean_row(title, scale * values, unit)


def differences(
    found: Measures, methods: Sequence[Attribution], column: int
) -> Iterator[tuple[str, str, Float[ndarray, " n"]]]:
    """The paired differences of a method from its nulls, over images.

    Args:
        found: the measures.
        methods: in their order.
        column: the method.

    Yields:
        Null (`centre`, `untrained`, `other_image`), metric, and the differences that are known.
    """
    names = [method.name for method in methods]
    for metric, values in found.values.items():
        if "." in metric or metric in {*_SPARED, *COST}:
            continue
        nulls = {}
        if CENTRE in names and names[column] != CENTRE:
            nulls[CENTRE] = values[:, names.index(CENTRE)]
        if methods[column].learnt:
            nulls |= {null: found.values[f"{null}.{metric}"][:, column] for null in (UNTRAINED, OTHER)
                      if f"{null}.{metric}" in found.values}  # fmt: skip
        for null, theirs in nulls.items():
            both = values[:, column] - theirs
            if np.isfinite(both).any():
                yield null, metric, both[np.isfinite(both)]


def comparisons(found: Measures, methods: Sequence[Attribution]) -> pd.DataFrame:
    """Tests of all differences from the nulls, and of all pairs of methods, two-sided, corrected over the table.

    Args:
        found: the measures.
        methods: in their order.

    Returns:
        metric, method, against, n, difference, p, p_holm.

    Source: Wilcoxon 1945 (signed ranks, paired over images); Holm 1979.
    """
    tests = [
        (metric, methods[column].name, null, values)
        for column in range(len(methods))
        for null, metric, values in differences(found, methods, column)
    ]
    for metric, values in found.values.items():
        if "." not in metric and metric not in COST:
            for first in range(len(methods)):
                for second in range(first + 1, len(methods)):
                    both = values[:, first] - values[:, second]
                    names = methods[first].name, methods[second].name
                    if len(both := both[np.isfinite(both)]) and CENTRE not in names:
                        tests.append((metric, *names, both))
    p = np.array([_signed_ranks(values) for *_, values in tests])
    table = pd.DataFrame(
        [(metric, method, against, len(values), values.mean()) for metric, method, against, values in tests],
        columns=["metric", "method", "against", "n", "difference"],
    )
    return table.assign(p=p, p_holm=holm(p))


def _signed_ranks(differences: Float[ndarray, " n"]) -> float:
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="wilcox").pvalue)


def holm(p: Float[ndarray, " k"]) -> Float[ndarray, " k"]:
    """p-values corrected for their number.

    Args:
        p: of all tests.

    Returns:
        In the same order.

    Source: Holm 1979.
    """
    order = np.argsort(p)
    result = np.empty(len(p))
    result[order] = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order]))
    return result


def agreement(found: Measures, methods: Sequence[Attribution]) -> pd.DataFrame:
    """Mean rank correlation of every two methods' maps over the images that have both.

    Args:
        found: the measures.
        methods: in their order.

    Returns:
        (m, m), named by the methods.
    """
    names = [method.name for method in methods]
    known = np.isfinite(found.agreement)
    total = np.where(known, found.agreement, 0).sum(axis=0)
    return pd.DataFrame(total / np.maximum(known.sum(axis=0), 1), index=names, columns=names)


def per_image(found: Measures, methods: Sequence[Attribution], images: Sequence[str]) -> pd.DataFrame:
    """Every number of every image.

    Args:
        found: the measures.
        methods: in their order.
        images: names of the images.

    Returns:
        image, method, metric, value.
    """
    parts = []
    for metric, values in found.values.items():
        image, method = np.nonzero(np.isfinite(values))
        parts.append(pd.DataFrame({
            "image": np.asarray(images)[image],
            "method": np.array([one.name for one in methods])[method],
            "metric": metric,
            "value": values[image, method],
        }))  # fmt: skip
    return pd.concat(parts).sort_values(["image", "method", "metric"], kind="stable")


_SHOWN = ("pointing_game", "energy_in_box", "class_known_localisation_error", "max_box_accuracy_v2", "insertion",
          "deletion", "randomisation", "class_sensitivity", "ms_per_image")  # fmt: skip


def latex(table: Sequence[Row], methods: Sequence[Attribution], title: str) -> str:
    """The table for a paper: a row per method, a column per metric, 95 % intervals in brackets.

    Args:
        table: of `rows`.
        methods: in their order.
        title: what was compared on what.

    Returns:
        LaTeX, for the package booktabs.
    """
    known = {row.metric: row for row in table}
    lines = [f"% {title}; {LEVEL:.0%} intervals over images".replace("%", r"\%").replace(r"\% ", "% ", 1)]
    heads = " & ".join(metric.replace("_", " ") for metric in _SHOWN)
    lines += [r"\begin{tabular}{l" + "r" * len(_SHOWN) + "}", r"\toprule", rf"method & {heads} \\", r"\midrule"]
    for method in methods:
        cells = [_cell(known.get(f"{method.name}.{metric}")) for metric in _SHOWN]
        name = method.name.replace("_", r"\_")
        lines.append(rf"{name} & {' & '.join(cells)} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(row: Row | None) -> str:
    if row is None or not np.isfinite(row.value):
        return "--"
    if row.unit == "ms" or row.ci_low is None or not np.isfinite(row.ci_low):
        return f"{row.value:.3g}"
    return f"{row.value:.3g} [{row.ci_low:.3g}, {row.ci_high:.3g}]"
