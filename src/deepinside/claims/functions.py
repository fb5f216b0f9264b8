"""Measurements that are more than a row or a column of a table; `folders` are the artifacts of the evidence."""

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
    """The mean difference of the Gini coefficients of |map| between two methods, over images, from `maps.npz`.

    Source: Hurley & Rickard 2009 (Gini coefficient as a measure of sparsity).
    """
    with np.load(folders[_only(folders)][0] / "maps.npz") as maps:
        pictures = sorted(key.removesuffix(f".{of}") for key in maps.files if key.endswith(f".{of}"))
        return boot_estimate(np.array([gini(maps[f"{p}.{of}"]) - gini(maps[f"{p}.{minus}"]) for p in pictures]))


def gini(values: Float[ndarray, " *n"]) -> float:
    """The Gini coefficient of |values|, in [0, 1): 0 if all are equal, towards 1 if one holds everything."""
    ordered = np.sort(np.abs(values.astype(np.float64)).ravel())
    total, n = ordered.sum(), len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total)) if total > 0 else 0.0


def rank_correlation(folders: Folders, file: str, first: str, second: str, method: str) -> Estimate:
    """Spearman's correlation of two columns over the rows of a method, with its bootstrap interval.

    Raises:
        KeyError: if a column is missing.
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
    """The difference of two metrics with independent intervals (wider than paired ones); the smaller n."""
    table = Table.read(folders[_only(folders)][0])
    a, b = table[first], table[second]
    value = a.value - b.value
    low = float(np.hypot(a.value - a.ci_low, b.ci_high - b.value))
    high = float(np.hypot(a.ci_high - a.value, b.value - b.ci_low))
    return Estimate(value, value - low, value + high, min(a.n, b.n))


def detectors(folders: Folders, categories: Sequence[str], layer: str, minus: str, iou: float = 0.04) -> Estimate:
    """Difference between two layers in the share of units that detect a concept of the given categories.

    A detector exceeds `iou`, in `units.csv`. The bootstrap interval resamples units within each layer.

    Raises:
        KeyError: if a layer was not dissected, with those that were.
    """
    units = pd.read_csv(folders[_only(folders)][0] / "units.csv")
    random = np.random.default_rng(0)
    shares, means = [], []
    for name in (layer, minus):
        mine = units[units["layer"] == name]
        if not len(mine):
            raise KeyError(f"no layer {name!r} was dissected; known: {sorted(set(units['layer']))}")
        hit = ((mine["score"] > iou) & mine["category"].isin(list(categories))).to_numpy(dtype=np.float64)
        means.append(hit.mean())
        shares.append(hit[random.integers(0, len(hit), (_RESAMPLES, len(hit)))].mean(axis=1))
    low, high = np.quantile(shares[0] - shares[1], [0.025, 0.975])
    return Estimate(float(means[0] - means[1]), float(low), float(high), int((units["layer"] == layer).sum()))


def kurtosis(folders: Folders, of: str, minus: str, layer: str) -> Estimate:
    """The mean difference of the pre-images' excess kurtosis between two runs, over images.

    Over pixels and channels, from `inversion.npz` over the same images.
    """

    def spikes(name: str) -> Float[ndarray, " n"]:
        with np.load(folders[name][0] / "inversion.npz") as shown:
            pictures = shown[f"optimised.{layer}"][0].astype(np.float64)  # the first start
        return stats.kurtosis(pictures.reshape(len(pictures), -1), axis=1)

    return boot_estimate(spikes(of) - spikes(minus))


def correlation_over_runs(folders: Folders, layer: str, category: str, metric: str) -> Estimate:
    """Spearman's correlation, over runs, of the unique detectors of a category with a metric of the run.

    From `counts.csv`, rule per category, with a bootstrap interval over runs; n is the number of runs.

    Raises:
        KeyError: if the metric is missing.
    """
    pairs = []
    for folder in (folder for found in folders.values() for folder in found):
        counts = pd.read_csv(folder / "counts.csv")
        own = counts[(counts["layer"] == layer) & (counts["rule"] == "per_category") & (counts["category"] == category)]
        pairs.append((float(own["unique_detectors"].sum()), Table.read(folder)[metric].value))
    return _correlated(np.array(pairs))


def likeness_of_maps(folders: Folders, of: str, minus: str, method: str) -> Estimate:
    """Spearman's correlation, over pixels, of |map| between two networks on the same images.

    The mean over images for each seed, with a t-interval over seeds, from `maps.npz`.

    Raises:
        ValueError: if the two have no image in common.
    """
    pairs = zip(folders[of], folders[minus], strict=True)
    return t_estimate(np.array([_likeness(first, second, f".{method}") for first, second in pairs]))


def _likeness(first: Path, second: Path, ending: str) -> float:
    with np.load(first / "maps.npz") as ours, np.load(second / "maps.npz") as theirs:
        common = sorted(key for key in set(ours.files) & set(theirs.files) if key.endswith(ending))
        if not common:
            raise ValueError(f"expected maps of the same images in both, got none ending in {ending!r}")
        both = (np.abs(np.stack([ours[key], theirs[key]])).reshape(2, -1).astype(np.float64) for key in common)
        return float(np.mean([_spearman(pair.T) for pair in both]))


def gap_of_columns(folders: Folders, file: str, column: str, groups: int) -> Estimate:
    """The gap between the columns of a grouped layer, minus that of as many random groups of its units.

    The gap is the largest mean of a column minus the smallest; the interval is a t-interval over seeds.
    """
    random = np.random.default_rng(0)

    def excess(folder: Path) -> float:
        values = pd.read_csv(folder / file)[column].to_numpy(dtype=np.float64).reshape(groups, -1)
        dealt = random.permuted(np.broadcast_to(values.ravel(), (_RESAMPLES, values.size)), axis=1)
        return float(
            np.ptp(values.mean(axis=1)) - np.ptp(dealt.reshape(_RESAMPLES, *values.shape).mean(axis=2), axis=1).mean()
        )

    return t_estimate(np.array([excess(folder) for folder in folders[_only(folders)]]))
