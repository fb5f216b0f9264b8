"""Measurements that are more than a row or a column of a table."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from deepinside.claims.measures import Folders, boot_estimate, t_estimate
from deepinside.claims.verdict import Estimate
from deepinside.records import Table

_RESAMPLES = 2000


def _only(folders: Folders) -> str:
    (name,) = folders
    return name


def concentration(folders: Folders, of: str, minus: str) -> Estimate:
    """How much more the energy of one method's maps sits in few pixels than that of another's, image by image.

    Args:
        folders: of one piece of evidence, with `maps.npz`.
        of: method.
        minus: method.

    Returns:
        The mean difference of Gini coefficients of |map|, over images.

    Source: Hurley & Rickard 2009 (Gini coefficient as a measure of sparsity).
    """
    with np.load(folders[_only(folders)][0] / "maps.npz") as maps:
        pictures = sorted(key.removesuffix(f".{of}") for key in maps.files if key.endswith(f".{of}"))
        return boot_estimate(np.array([gini(maps[f"{p}.{of}"]) - gini(maps[f"{p}.{minus}"]) for p in pictures]))


def gini(values: Float[ndarray, " *n"]) -> float:
    """The Gini coefficient of |values|: 0 where all are equal, towards 1 where one holds everything.

    Args:
        values: any shape.

    Returns:
        In [0, 1).
    """
    ordered = np.sort(np.abs(values.astype(np.float64)).ravel())
    total, n = ordered.sum(), len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total)) if total > 0 else 0.0


def rank_correlation(folders: Folders, file: str, first: str, second: str, method: str) -> Estimate:
    """Spearman's correlation of two columns of a method's rows.

    Args:
        folders: of one piece of evidence.
        file: table of it.
        first: column.
        second: column.
        method: whose rows.

    Returns:
        The correlation with its bootstrap interval over rows.

    Raises:
        KeyError: if a column is not there.
    """
    table = pd.read_csv(folders[_only(folders)][0] / file)
    mine = table[table["method"] == method][[first, second]].to_numpy(dtype=np.float64)
    return _correlated(mine[np.isfinite(mine).all(axis=1)])


def _correlated(pairs: Float[ndarray, "n 2"]) -> Estimate:
    random = np.random.default_rng(0)
    found = [_spearman(pairs[random.integers(0, len(pairs), len(pairs))]) for _ in range(_RESAMPLES)]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Estimate(_spearman(pairs), float(low), float(high), len(pairs))


def _spearman(pairs: Float[ndarray, "n 2"]) -> float:
    ranks = np.column_stack([stats.rankdata(column) for column in pairs.T])
    return float(np.corrcoef(ranks.T)[0, 1]) if (ranks.std(axis=0) > 0).all() else float("nan")


def difference_of_rows(folders: Folders, first: str, second: str) -> Estimate:
    """The difference of two rows of a table, whose intervals are taken for independent (a wider one than if paired).

    Args:
        folders: of one piece of evidence.
        first: metric.
        second: metric, subtracted.

    Returns:
        The difference; n is the smaller of the two.
    """
    table = Table.read(folders[_only(folders)][0])
    a, b = table[first], table[second]
    value = a.value - b.value
    low = float(np.hypot(a.value - a.ci_low, b.ci_high - b.value))
    high = float(np.hypot(a.ci_high - a.value, b.value - b.ci_low))
    return Estimate(value, value - low, value + high, min(a.n, b.n))


def detectors(folders: Folders, categories: Sequence[str], layer: str, minus: str, iou: float = 0.04) -> Estimate:
    """How much larger the share of units that detect something of some categories is in one layer than in another.

    Args:
        folders: of one piece of evidence, with `units.csv`.
        categories: of the unit's best label.
        layer: dotted name.
        minus: dotted name.
        iou: a detector exceeds this.

    Returns:
        The difference of shares with its bootstrap interval over units, resampled within each layer.

    Raises:
        KeyError: if a layer was not dissected, with those that were.
    """
    units = pd.read_csv(folders[_only(folders)][0] / "units.csv")
    random = np.random.default_rng(0)
    shares, means = [], []
    for name in (layer, minus):
        mine = units[units["layer"] == name]
        if not len(mine):
            raise KeyError(f"no layer {name!r} among the dissected; there are {sorted(set(units['layer']))}")
        hit = ((mine["score"] > iou) & mine["category"].isin(list(categories))).to_numpy(dtype=np.float64)
        means.append(hit.mean())
        shares.append(hit[random.integers(0, len(hit), (_RESAMPLES, len(hit)))].mean(axis=1))
    low, high = np.quantile(shares[0] - shares[1], [0.025, 0.975])
    return Estimate(float(means[0] - means[1]), float(low), float(high), int((units["layer"] == layer).sum()))


def kurtosis(folders: Folders, of: str, minus: str, layer: str) -> Estimate:
    """How much more spiky the pre-images of one run are than those of another, image by image.

    Args:
        folders: of two pieces of evidence, with `inversion.npz` over the same images.
        of: evidence.
        minus: evidence.
        layer: dotted name.

    Returns:
        The mean difference of excess kurtosis over pixels and channels, over images.
    """

    def spikes(name: str) -> Float[ndarray, " n"]:
        with np.load(folders[name][0] / "inversion.npz") as shown:
            pictures = shown[f"optimised.{layer}"][0].astype(np.float64)  # the first start
        return stats.kurtosis(pictures.reshape(len(pictures), -1), axis=1)

    return boot_estimate(spikes(of) - spikes(minus))


def correlation_over_runs(folders: Folders, layer: str, category: str, metric: str) -> Estimate:
    """Spearman's correlation, over runs, of the unique detectors of a category with another number of the same run.

    Args:
        folders: of any evidence, all seeds, each with `counts.csv`.
        layer: dotted name.
        category: of `counts.csv`, counted per category.
        metric: row of the table.

    Returns:
        The correlation with its bootstrap interval over runs; n is the number of runs.

    Raises:
        KeyError: if the metric is not there.
    """
    pairs = []
    for folder in (folder for found in folders.values() for folder in found):
        counts = pd.read_csv(folder / "counts.csv")
        own = counts[(counts["layer"] == layer) & (counts["rule"] == "per_category") & (counts["category"] == category)]
        pairs.append((float(own["unique_detectors"].sum()), Table.read(folder)[metric].value))
    return _correlated(np.array(pairs))


def likeness_of_maps(folders: Folders, of: str, minus: str, method: str) -> Estimate:
    """Spearman's correlation, over pixels, of the maps that two networks have of the same images.

    Args:
        folders: of two pieces of evidence, the same seeds, with `maps.npz` over the same images.
        of: evidence.
        minus: evidence.
        method: whose maps.

    Returns:
        The mean over images of the correlation of |map|, per seed; its t-interval over seeds.

    Raises:
        ValueError: if the two have no image in common.
    """
    pairs = zip(folders[of], folders[minus], strict=True)
    return t_estimate(np.array([_likeness(first, second, f".{method}") for first, second in pairs]))


def _likeness(first: Path, second: Path, ending: str) -> float:
    with np.load(first / "maps.npz") as ours, np.load(second / "maps.npz") as theirs:
        common = sorted(key for key in set(ours.files) & set(theirs.files) if key.endswith(ending))
        if not common:
            raise ValueError(f"expected maps of the same images in both, got none that end in {ending!r}")
        both = (np.abs(np.stack([ours[key], theirs[key]])).reshape(2, -1).astype(np.float64) for key in common)
        return float(np.mean([_spearman(pair.T) for pair in both]))


def gap_of_columns(folders: Folders, file: str, column: str, groups: int) -> Estimate:
    """How much farther apart the columns of a grouped layer are than as many groups of its units by chance.

    Args:
        folders: of one piece of evidence, all seeds, with one row per unit in `file`.
        file: table of it.
        column: number of a unit.
        groups: columns, of neighbouring units.

    Returns:
        The largest mean of a column minus the smallest, less what random groups have on average; its t-interval over
        seeds.
    """
    random = np.random.default_rng(0)

    def excess(folder: Path) -> float:
        values = pd.read_csv(folder / file)[column].to_numpy(dtype=np.float64).reshape(groups, -1)
        dealt = random.permuted(np.broadcast_to(values.ravel(), (_RESAMPLES, values.size)), axis=1)
        return float(
            np.ptp(values.mean(axis=1)) - np.ptp(dealt.reshape(_RESAMPLES, *values.shape).mean(axis=2), axis=1).mean()
        )

    return t_estimate(np.array([excess(folder) for folder in folders[_only(folders)]]))
