"""The tables of a dissection."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from omegaconf import DictConfig
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn.functional import interpolate

from deepinside.data.broden.reader import Broden
from deepinside.dissection.bootstrap import Intervals
from deepinside.dissection.figures import slug
from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.layers import Layer, logits_moved
from deepinside.dissection.netdissect import classic
from deepinside.dissection.permutation import PermutationTest
from deepinside.dissection.score import ceilings, detector_counts, sensitivity
from deepinside.dissection.thresholds import Survey
from deepinside.dissection.totals import Totals
from deepinside.network import Network
from deepinside.records import Row, Table
from deepinside.statistics import mean_row

FOLDS = 5


def linear_probe(peaks: Float[ndarray, "n u"], labels: Int[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Which images a linear support vector machine on the units' peaks classifies correctly.

    Each image is classified by a machine that was not trained on it (five stratified folds). The peaks are
    standardised, C is 1.

    Args:
        peaks: highest activation of each unit in each image, (n, u).
        labels: one per image, (n,); labels of fewer than five images are left out.

    Returns:
        One value per image with such a label; empty with fewer than two such labels.

    Source: Bau et al. 2017, sec. 3.6 (a linear SVM on a layer's features); the folds are ours.
    """
    counts = np.bincount(labels)
    chosen = counts[labels] >= FOLDS
    known = labels[chosen]
    if len(set(known.tolist())) < 2:
        return np.zeros(0, dtype=bool)
    machine = make_pipeline(StandardScaler(), LinearSVC(C=1.0, random_state=0))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the accuracy does not wait for the last digit
        return cross_val_predict(machine, peaks[chosen].astype(np.float64), known, cv=folds) == known


_SIGNIFICANT = 0.05  # highest p-value that counts as better than chance
_ENDS = (0.025, 0.975)  # of the middle 95 % of the permutations


class Uncertainty(NamedTuple):
    """Confidence intervals and permutation test of a layer.

    Args:
        intervals: over images.
        test: the permutation test; None where none was requested, or no two images of a source have the same size.
    """

    intervals: Intervals
    test: PermutationTest | None

    def columns(self) -> pd.DataFrame:
        """The columns that it adds to `units.csv`.

        Returns:
            score_low, score_high, null_score and p_value; the last two are empty without permutations.
        """
        low, high = self.intervals.score.T
        expected, p = (np.nan, np.nan) if self.test is None else (self.test.expected, self.test.p)
        return pd.DataFrame({"score_low": low, "score_high": high, "null_score": expected, "p_value": p})


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes a table, the same bytes on every system.

    Args:
        table: columns are written, the index is not.
        path: of the file.
    """
    table.to_csv(path, index=False, lineterminator="\n")


def write_tables(
    units: pd.DataFrame,
    chosen: DictConfig,
    out: Path,
    about: Sequence[Row] = (),
    uncertainty: Mapping[str, Uncertainty] | None = None,
) -> pd.DataFrame:
    """Writes `units.csv`, `counts.csv`, `intervals.csv`, `sensitivity.csv`, `classic_<layer>.csv` and `table.csv`.

    Args:
        units: of all layers.
        chosen: group dissect.
        out: the work folder.
        about: first rows of the table.
        uncertainty: layer name -> intervals and permutation test; None for published tables, which have no images.

    Returns:
        The counts.
    """
    uncertainty = uncertainty or {}
    counts = detector_counts(units, chosen.iou)
    write_csv(units, out / "units.csv")
    write_csv(counts, out / "counts.csv")
    write_csv(by_threshold(units, chosen), out / "sensitivity.csv")
    rows, ends = list(about), []
    for layer, members in units.groupby("layer", sort=False):
        write_csv(classic(members), out / f"classic_{slug(str(layer))}.csv")
        own = counts[counts["layer"] == layer]
        if layer in uncertainty:
            ends.append(own.merge(uncertainty[str(layer)].intervals.counts, on=["rule", "category"]))
        rows += _layer_rows(str(layer), members, own if layer not in uncertainty else ends[-1], chosen.iou, uncertainty)
    if ends:
        write_csv(pd.concat(ends), out / "intervals.csv")
    Table(rows).write(out)
    return counts


def by_threshold(units: pd.DataFrame, chosen: DictConfig) -> pd.DataFrame:
    """The counts at several thresholds, including the chosen one.

    Args:
        units: of all layers.
        chosen: group dissect.

    Returns:
        As returned by `score.sensitivity`.
    """
    return sensitivity(units, sorted({*chosen.sensitivity, chosen.iou}))


def _layer_rows(
    layer: str, members: pd.DataFrame, counts: pd.DataFrame, threshold: float, uncertainty: Mapping[str, Uncertainty]
) -> list[Row]:
    total = {row["rule"]: row for row in counts[counts["category"] == "all"].to_dict("records")}
    best = max(members.to_dict("records"), key=lambda row: row["score"])
    rows = [
        Row(f"{layer}.units", len(members), "units"),
        _counted(f"{layer}.detectors", total["per_category"], "detector_units", "units", len(members)),
        *(
            _counted(f"{layer}.unique_detectors_{rule}", total[rule], "unique_detectors", "concepts", len(members))
            for rule in total
        ),
        Row(f"{layer}.best_iou", *(float(best["score"]), "IoU", len(members)), *_ends(best, "score")),
    ]
    if members["threshold"].notna().any():
        # A threshold of zero or less: the unit is positive on no more than the top share, a rectified one is dead.
        rows.append(Row(f"{layer}.dead_units", int((members["threshold"] <= 0).sum()), "units", len(members)))
    if "selectivity" in members:
        values = members.loc[members["score"] > threshold, "selectivity"].dropna().to_numpy()
        if len(values):
            rows.append(mean_row(f"{layer}.mean_selectivity", values, "IoU"))
    return rows + (_permutation_rows(layer, members, threshold, uncertainty[layer]) if layer in uncertainty else [])


def _counted(metric: str, row: Mapping, quantity: str, unit: str, n: int) -> Row:
    return Row(metric, int(row[quantity]), unit, n, *_ends(row, quantity))


def _ends(row: Mapping, quantity: str) -> tuple[float, float]:
    return float(row.get(f"{quantity}_low", np.nan)), float(row.get(f"{quantity}_high", np.nan))


def _permutation_rows(layer: str, members: pd.DataFrame, threshold: float, uncertainty: Uncertainty) -> list[Row]:
    test = uncertainty.test
    if test is None:
        return []
    significant = (members["score"] > threshold) & (members["p_value"] <= _SIGNIFICANT)
    (low, high), (fewest, most) = (np.quantile(x, _ENDS).tolist() for x in (test.unique, test.detectors))
    above = test.observed - float(test.unique.mean())
    return [
        Row(f"{layer}.unique_detectors_above_null", above, "concepts", test.images,
            test.observed - high, test.observed - low),
        Row(f"{layer}.unique_detectors_null", float(test.unique.mean()), "concepts", test.images, low, high),
        Row(f"{layer}.detectors_above_null", int(significant.sum()), "units", len(members)),
        Row(f"{layer}.detectors_null", float(test.detectors.mean()), "units", test.images, fewest, most),
    ]  # fmt: skip


def top_images(seen: Survey, broden: Broden) -> pd.DataFrame:
    """The top images of each unit.

    Args:
        seen: the first pass.
        broden: the probe set.

    Returns:
        layer, unit, rank, image, peak.
    """
    rows = [
        (layer, unit, rank, broden.names(image), peak)
        for layer, top in seen.tops.items()
        for unit, (images, peaks) in enumerate(zip(top.image.tolist(), top.peak.tolist(), strict=True))
        for rank, (image, peak) in enumerate(zip(images, peaks, strict=True), start=1)
    ]
    return pd.DataFrame(rows, columns=["layer", "unit", "rank", "image", "peak"])


def ceiling_rows(found: Totals, vocabulary: Vocabulary, quantile: float) -> list[Row]:
    """How much a unit could reach in each category.

    Args:
        found: the sums.
        vocabulary: labels and categories.
        quantile: share of positions above a threshold.

    Returns:
        Per category the images that carry it, and the median of its labels' highest possible IoU.
    """
    ceiling: Float[ndarray, " l"] = ceilings(found.truth, found.room, found.pixels, quantile, vocabulary)
    rows = []
    for index, category in enumerate(vocabulary.categories):
        values = ceiling[vocabulary.members(index)]
        values = values[~np.isnan(values)]
        rows.append(Row(f"images_with_{category}", int(found.carriers[index]), "images"))
        if len(values):
            rows.append(Row(f"median_ceiling_{category}", float(np.median(values)), "IoU", len(values)))
    return rows


def rotation_rows(network: Network, layers: Sequence[Layer], images: Float[Tensor, "n 3 h w"]) -> list[Row]:
    """The effect of a rotation of the basis on the scores of the network.

    Args:
        network: with the layers.
        layers: with their rotations.
        images: RGB in [0, 1], (n, 3, h, w); resized to the network's input, which its last layers may need.

    Returns:
        Per layer the change of the scores when it is rotated and rotated back, in standard deviations of an image's
        scores.
    """
    side = network.preprocessing.input
    shown = interpolate(images, (side, side), mode="bilinear", antialias=True)
    return [
        mean_row(f"{layer.name}.rotation.logits_moved", logits_moved(network, layer.name, layer.turn, shown).numpy())
        for layer in layers
        if layer.turn is not None
    ]


def transfer_rows(seen: Survey, vocabulary: Vocabulary, category: str) -> list[Row]:
    """Linear probe accuracy of each layer on labels other than those that the network was trained on.

    Args:
        seen: the first pass.
        vocabulary: of the probe set.
        category: of image-level labels; images with several of them are excluded.

    Returns:
        Per layer the percentage of images classified correctly; none where fewer than two labels have enough images.
    """
    labels: list[ndarray] = []
    peaks: dict[str, list[ndarray]] = {name: [] for name in seen.quantiles}
    index = vocabulary.categories.index(category)
    for group, highest in seen.pictures():
        whole = group.labels.whole.numpy()
        own = (vocabulary.primary[whole] == index) & (whole > 0)
        single = own.sum(axis=1) == 1
        labels.append((whole * own).sum(axis=1)[single])
        for name, values in highest.items():
            peaks[name].append(values[single])
    known = np.concatenate(labels) if labels else np.zeros(0, dtype=int)
    rows = []
    for name, parts in peaks.items():
        right = linear_probe(np.concatenate(parts), known)
        if len(right):
            rows.append(mean_row(f"{name}.transfer.{category}", 100.0 * right, "%"))
    return rows
