"""From counts to detectors: IoU, the best label of every unit, and the number of concepts of a layer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from deepinside.dissection.labels import Vocabulary
from deepinside.metrics import iou_ceiling

FIELDS = ("label", "truth", "activation", "intersect", "iou")
COUNT_COLUMNS = ("layer", "rule", "category", "detector_units", "unique_detectors")


def iou(
    intersection: Int[ndarray, "*r u l"],
    activation: Int[ndarray, "*r u c"],
    truth: Int[ndarray, " l"],
    vocabulary: Vocabulary,
) -> Float[ndarray, "*r u l"]:
    """IoU(u, l) = I / (T_l + A(u, category of l) - I).

    Args:
        intersection: I, pixels of mask and label together, (..., u, l).
        activation: A, pixels of masks in the images that count for a category, (..., u, c).
        truth: T, pixels of each label, (l,).
        vocabulary: category of each label.

    Returns:
        (..., u, l), in [0, 1]; NaN for labels without a pixel or without a category, which cannot be scored.

    Source: Bau et al. 2017, sec. 2.2, equation 1.
    """
    scored = (truth > 0) & (vocabulary.primary >= 0)
    union = truth + activation[..., vocabulary.primary] - intersection
    result = intersection / np.where(scored, union, 1)
    result[..., ~scored] = np.nan
    return result


def units_frame(
    layer: str,
    thresholds: Float[ndarray, " u"],
    intersection: Int[ndarray, "u l"],
    activation: Int[ndarray, "u c"],
    truth: Int[ndarray, " l"],
    vocabulary: Vocabulary,
) -> pd.DataFrame:
    """The best label of every unit, over all and in every category, in the columns of the published tables.

    Of equal scores the label with the lower number wins; a category without a label to score stays empty.

    Args:
        layer: name of the layer.
        thresholds: T of each unit, (u,).
        intersection: I, (u, l).
        activation: A, (u, c).
        truth: T of each label, (l,).
        vocabulary: names and categories.

    Returns:
        A row per unit, units from 0: layer, unit, threshold, category, label, score, then per category
        `<category>-label`, `-truth`, `-activation`, `-intersect` and `-iou`.

    Raises:
        ValueError: if no label at all can be scored.

    Source: Bau et al. 2017, code (makeresult.py, generate_csv_summary).
    """
    scores = iou(intersection, activation, truth, vocabulary)
    if not len(scores) or np.isnan(scores).all():
        raise ValueError("no label has a pixel, so no unit can be scored: are all label maps empty or skipped?")
    best = np.nanargmax(scores, axis=1)
    every = np.arange(len(scores))
    columns: dict[str, object] = {"layer": layer, "unit": every, "threshold": thresholds}
    columns["category"] = [vocabulary.categories[vocabulary.primary[label]] for label in best]
    columns["label"] = [vocabulary.names[label] for label in best]
    columns["score"] = scores[every, best]
    for index, category in enumerate(vocabulary.categories):
        members = vocabulary.members(index)
        members = members[truth[members] > 0]
        if not len(members):
            columns |= {f"{category}-{field}": np.nan for field in FIELDS}
            continue
        chosen = members[scores[:, members].argmax(axis=1)]
        values = (
            [vocabulary.names[label] for label in chosen],
            truth[chosen],
            activation[:, index],
            intersection[every, chosen],
            scores[every, chosen],
        )
        columns |= {f"{category}-{field}": value for field, value in zip(FIELDS, values, strict=True)}
    return pd.DataFrame(columns)


def runners_up(scores: Float[ndarray, "u l"], vocabulary: Vocabulary) -> pd.DataFrame:
    """Selectivity of each unit: the IoU of its best label minus that of the next best label of any category.

    Args:
        scores: as returned by `iou`.
        vocabulary: names of the labels.

    Returns:
        A row per unit: second_label, second_score, selectivity; empty if only one label can be scored.
    """
    known = np.where(np.isnan(scores), -1, scores)
    every = np.arange(len(known))
    best = known.argmax(axis=1)
    highest = known[every, best]
    known[every, best] = -1
    second = known.argmax(axis=1)
    score = np.where(known[every, second] < 0, np.nan, known[every, second])
    names = [vocabulary.names[label] if there else None for label, there in zip(second, ~np.isnan(score), strict=True)]
    return pd.DataFrame({"second_label": names, "second_score": score, "selectivity": highest - score})


def category_names(units: pd.DataFrame) -> tuple[str, ...]:
    """The categories of a units table, by its header (their order differs between the published ones).

    Args:
        units: a table of units.

    Returns:
        Names, in the order of the columns.
    """
    return tuple(name.removesuffix("-iou") for name in units.columns if str(name).endswith("-iou"))


def detector_counts(units: pd.DataFrame, threshold: float, categories: Sequence[str] | None = None) -> pd.DataFrame:
    """Numbers of units that detect a concept (IoU > threshold), and of different concepts, by two rules.

    `per_category`, as the released statistics: a unit counts in every category in which its best label passes; the
    unique detectors of all are summed over categories. `top_label`, as the paper's prose: a unit counts for its single
    best label.

    Args:
        units: as `units_frame` returns, one layer or several.
        threshold: of IoU, exclusive.
        categories: to count, in this order; None: all of the table.

    Returns:
        Rows layer, rule, category, detector_units, unique_detectors; category `all` is the total.

    Source: Bau et al. 2017, sec. 2.3 and code (extract_csv.m).
    """
    names = category_names(units) if categories is None else tuple(categories)
    rows: list[tuple[str, str, str, int, int]] = []
    for layer, members in units.groupby("layer", sort=False):
        for rule, found in _found(members, threshold, names).items():
            detecting = len(set().union(*(set(labels.index) for labels in found.values())))
            unique = {category: int(labels.nunique()) for category, labels in found.items()}
            rows.append((str(layer), rule, "all", detecting, sum(unique.values())))
            rows += [(str(layer), rule, category, len(found[category]), unique[category]) for category in names]
    return pd.DataFrame(rows, columns=list(COUNT_COLUMNS))


def sensitivity(units: pd.DataFrame, thresholds: Sequence[float]) -> pd.DataFrame:
    """The detector counts at other thresholds of IoU.

    Args:
        units: as `units_frame` returns, one layer or several.
        thresholds: of IoU.

    Returns:
        As `detector_counts`, with the threshold in a first column `iou`.
    """
    return pd.concat([detector_counts(units, t).assign(iou=t)[["iou", *COUNT_COLUMNS]] for t in thresholds])


def _found(units: pd.DataFrame, threshold: float, names: Sequence[str]) -> dict[str, dict[str, pd.Series]]:
    # Rule -> category -> labels of the units that pass.
    per = {name: units.loc[units[f"{name}-iou"] > threshold, f"{name}-label"] for name in names}
    passed = units[units["score"] > threshold]
    top = {name: passed.loc[passed["category"] == name, "label"] for name in names}
    return {"per_category": per, "top_label": top}


def ceilings(
    truth: Int[ndarray, " l"], room: Int[ndarray, " c"], pixels: int, quantile: float, vocabulary: Vocabulary
) -> Float[ndarray, " l"]:
    """The highest IoU that a unit can reach with each label, see `metrics.iou_ceiling`.

    Args:
        truth: T, pixels of each label, (l,).
        room: pixels of the images that carry a label of each category, (c,).
        pixels: of all label maps.
        quantile: share of them that a unit's mask covers.
        vocabulary: category of each label.

    Returns:
        (l,), in [0, 1]; NaN for labels without a pixel or without a category.
    """
    found = iou_ceiling(truth, room[vocabulary.primary], pixels, quantile)
    return np.where((truth > 0) & (vocabulary.primary >= 0), found, np.nan)
