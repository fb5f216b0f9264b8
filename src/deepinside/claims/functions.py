"""Measurements that are more than a row or a column of a table; `folders` are the artifacts of the evidence.

Each returns the difference from its null, and what the null was.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from deepinside.claims.measures import Folders, ends, mean_estimate, seeds_estimate
from deepinside.claims.verdict import Estimate
from deepinside.records import Table
from deepinside.statistics import clustered_interval, correlation_interval, separate_shares_interval

_RESAMPLES = 2000


def _only(folders: Folders) -> str:
    (name,) = folders
    return name


def concentration(folders: Folders, of: str, minus: str) -> Estimate:
    """The mean difference of the Gini coefficients of |map| between two methods, over images, from `maps.npz`.

    The null is the other method's map of the same image.

    Source: Hurley & Rickard 2009 (Gini coefficient as a measure of sparsity).
    """
    ours, theirs = (_maps(folders[_only(folders)][0], method) for method in (of, minus))
    other = np.array([gini(theirs[name]) for name in ours])
    return mean_estimate(np.array([gini(values) for values in ours.values()]) - other, float(other.mean()))


def _maps(folder: Path, method: str) -> dict[str, Float[ndarray, "h w"]]:
    # Image -> map of a method.
    with np.load(folder / "maps.npz") as maps:
        names = sorted(key for key in maps.files if key.endswith(f".{method}"))
        if not names:
            raise ValueError(f"{folder.name}/maps.npz: expected maps of {method!r}, got none: add it to `method`")
        return {key.removesuffix(f".{method}"): maps[key].astype(np.float64) for key in names}


def gini(values: Float[ndarray, " *n"]) -> float:
    """The Gini coefficient of |values|, in [0, 1): 0 if all are equal, towards 1 if one holds everything."""
    ordered = np.sort(np.abs(values.astype(np.float64)).ravel())
    total, n = ordered.sum(), len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total)) if total > 0 else 0.0


def rank_correlation(folders: Folders, file: str, first: str, second: str, method: str) -> Estimate:
    """Spearman's correlation of two columns over the rows of a method.

    Raises:
        KeyError: if a column is missing.
    """
    table = pd.read_csv(folders[_only(folders)][0] / file)
    mine = table[table["method"] == method][[first, second]].to_numpy(dtype=np.float64)
    mine = mine[np.isfinite(mine).all(axis=1)]
    found = _spearman(mine)
    return Estimate(found, *correlation_interval(found, len(mine)), len(mine))


def _spearman(pairs: Float[ndarray, "n 2"]) -> float:
    ranks = np.column_stack([stats.rankdata(column) for column in pairs.T])
    return float(np.corrcoef(ranks.T)[0, 1]) if (ranks.std(axis=0) > 0).all() else float("nan")


def difference_of_rows(folders: Folders, first: str, second: str) -> Estimate:
    """The difference of two metrics with independent intervals (wider than paired ones); the smaller n.

    The metrics are of one artifact, or each of the artifact of its own evidence, in that order.
    """
    places = [found[0] for found in folders.values()]
    a, b = Table.read(places[0])[first], Table.read(places[-1])[second]
    (low_a, high_a), (low_b, high_b) = ends(a), ends(b)
    value, n = a.value - b.value, min(a.n, b.n)
    low = value - float(np.hypot(a.value - low_a, high_b - b.value))
    high = value + float(np.hypot(high_a - a.value, b.value - low_b))
    return Estimate(value, low, high, n, max(n - 1, 1), b.value)


def all_rows(folders: Folders, metrics: Sequence[str]) -> Estimate:
    """Several readings of one effect that must agree: their mean, from the lowest lower to the highest upper end."""
    table = Table.read(folders[_only(folders)][0])
    rows = [table[metric] for metric in metrics]
    n = min(row.n for row in rows)
    value = float(np.mean([row.value for row in rows]))
    lows, highs = np.transpose([ends(row) for row in rows])
    return Estimate(value, float(np.min(lows)), float(np.max(highs)), n, max(n - 1, 1), 0.0)


def detectors(
    folders: Folders, categories: Sequence[str], layer: str, minus: str, iou: float = 0.04, p: float = 0.05
) -> Estimate:
    """Difference between two layers in the share of units that detect a concept of the given categories.

    A detector exceeds `iou` and is better than permuted labels by `p`, in `units.csv`. The null is the other layer's
    share.

    Raises:
        KeyError: if a layer was not dissected, with those that were.
    """
    units = pd.read_csv(folders[_only(folders)][0] / "units.csv")
    counts = []
    for name in (layer, minus):
        mine = units[units["layer"] == name]
        if not len(mine):
            raise KeyError(f"no layer {name!r} was dissected; known: {sorted(set(units['layer']))}")
        hit = (mine["score"] > iou) & (mine["p_value"] <= p) & mine["category"].isin(list(categories))
        counts.append((int(hit.sum()), len(mine)))
    (ours, n), (theirs, m) = counts
    ends = separate_shares_interval(ours, n, theirs, m)
    return Estimate(ours / n - theirs / m, *ends, min(n, m), null=theirs / m)


def kurtosis(folders: Folders, of: str, minus: str, layer: str) -> Estimate:
    """The mean difference of the pre-images' excess kurtosis between two runs, over images.

    Over pixels and channels, from `inversion.npz` over the same images, as floats before they are cut to [0, 1].
    """

    def spikes(name: str) -> Float[ndarray, " n"]:
        with np.load(folders[name][0] / "inversion.npz") as shown:
            pictures = shown[f"floats.{layer}"][0].astype(np.float64)  # the first start
        return stats.kurtosis(pictures.reshape(len(pictures), -1), axis=1)

    other = spikes(minus)
    return mean_estimate(spikes(of) - other, float(other.mean()))


def spread(folders: Folders, layer: str, minus: str) -> Estimate:
    """Distance between pre-images from several starts, root mean square: one layer's minus another's, over images."""
    with np.load(folders[_only(folders)][0] / "inversion.npz") as shown:
        ours, theirs = (_spread(shown[f"optimised.{name}"]) for name in (layer, minus))
    return mean_estimate(ours - theirs, float(theirs.mean()))


def _spread(repeats: ndarray) -> Float[ndarray, " n"]:
    values = repeats.astype(np.float64) / 255
    pairs = [np.square(a - b).mean(axis=(1, 2, 3)) for a, b in combinations(values, 2)]
    return np.sqrt(np.mean(pairs, axis=0))


def correlation_over_runs(folders: Folders, layer: str, category: str, metric: str) -> Estimate:
    """Spearman's correlation, over runs, of the unique detectors of a category with a metric of the run.

    From `counts.csv`, rule per category. Runs of one kind of training are alike: the interval resamples whole kinds of
    training, and their number is n.

    Raises:
        KeyError: if the metric is missing.
    """
    kinds = []
    for found in folders.values():
        pairs = []
        for folder in found:
            counts = pd.read_csv(folder / "counts.csv")
            own = counts[
                (counts["layer"] == layer) & (counts["rule"] == "per_category") & (counts["category"] == category)
            ]
            pairs.append((float(own["unique_detectors"].sum()), Table.read(folder)[metric].value))
        kinds.append(np.array(pairs))
    ends = clustered_interval(kinds, _spearman)
    return Estimate(_spearman(np.concatenate(kinds)), *ends, len(kinds), len(kinds) - 1)


def convergence(folders: Folders, layer: str, minus: str, epoch: int = 1) -> Estimate:
    """How far a layer has come after an epoch: (r - r of the random start) / (1 - r of the random start).

    r is the mean correlation of its units with those of the last epoch, from `feature_evolution.csv`; minus that of
    another layer, with a t-interval over seeds.

    Raises:
        ValueError: if the random start (epoch 0) or the epoch is missing.
    """

    def way(folder: Path, name: str) -> float:
        table = pd.read_csv(folder / "feature_evolution.csv")
        means = table[table["layer"] == name].groupby("epoch")["correlation"].mean()
        if not {0, epoch} <= set(means.index):
            raise ValueError(f"{folder.name}: expected {name} at epochs 0 and {epoch}, got {sorted(means.index)}")
        return float((means[epoch] - means[0]) / (1 - means[0]))

    own = folders[_only(folders)]
    other = np.array([way(folder, minus) for folder in own])
    return seeds_estimate(np.array([way(folder, layer) for folder in own]) - other, float(other.mean()))


def occlusion_drop(folders: Folders) -> Estimate:
    """Fall of the probability with the square's centre in the object's box, minus that outside, over images.

    From `occlusion_sheet.csv`; images without a box, or whose box holds every position, are not counted.
    """
    ours, theirs = [], []
    for _, image in _sheets(folders):
        drop = image["probability"].iloc[0] - image["probability"].iloc[1:]
        inside = image["in_box"].iloc[1:] == 1
        if inside.any() and not inside.all():
            ours.append(drop[inside].mean())
            theirs.append(drop[~inside].mean())
    null = float(np.mean(theirs)) if theirs else float("nan")
    return mean_estimate(np.array(ours) - np.array(theirs), null)


def occlusion_correlation(folders: Folders) -> Estimate:
    """Spearman's correlation, over positions, of the map's fall with the projection's energy, over images.

    The null is the energy of the next image's projection, at the same positions.
    """
    drops, energies = [], []
    for _, image in _sheets(folders):
        activation = image["activation"].to_numpy(dtype=np.float64)
        drop, energy = activation[0] - activation[1:], image["energy"].to_numpy(dtype=np.float64)[1:]
        if np.isfinite(drop).all() and drop.std() > 0 and energy.std() > 0:
            drops.append(drop)
            energies.append(energy)
    own = [_spearman(np.column_stack(pair)) for pair in zip(drops, energies, strict=True)]
    others = np.array([_spearman(np.column_stack(pair)) for pair in zip(drops, _next(energies), strict=True)])
    return mean_estimate(np.array(own) - others, float(others.mean()) if len(others) else float("nan"))


def _sheets(folders: Folders) -> Iterator[tuple[str, pd.DataFrame]]:
    table = pd.read_csv(folders[_only(folders)][0] / "occlusion_sheet.csv")
    yield from ((str(name), image) for name, image in table.groupby("picture", sort=False))


def _next(values: Sequence) -> list:
    return [*values[1:], *values[:1]]


def likeness_between(folders: Folders, of: str, other: str, method: str, versus: str) -> Estimate:
    """Where the likeness of maps of two trainings lies, from 0, that of different images, to 1, that of other seeds.

    (r - r of different images) / (r of other seeds - r of different images), r Spearman's correlation of |map| over
    pixels, for each seed of `of`; minus 0 or 1, the null: `another image` or `another seed`. A t-interval over seeds.

    Raises:
        ValueError: if the two have no image in common, or there is one seed.
    """
    ours = [_maps(folder, method) for folder in folders[of]]
    theirs = [_maps(folder, method) for folder in folders[other]]
    likeness = [_likeness(a, b) for a, b in zip(ours, theirs, strict=True)]
    return _placed(np.array(likeness), _floors(ours), _ceilings(ours), versus)


def cascade_between(folders: Folders, column: str, rule: str, method: str, versus: str) -> Estimate:
    """Where the likeness to the map of a randomised network lies, from 0, different images, to 1, other seeds.

    The likeness and that of different images are columns of `class_specificity.csv`. With several seeds, that of other
    seeds is of the maps of `method`, and the interval is over seeds. With one network 1 is the map itself, which is no
    less than that of another seed: a position near 1 then is a safe finding, one near 0 is not.

    Raises:
        ValueError: if one network is compared with `another seed`.
    """
    own = folders[_only(folders)]
    tables = [pd.read_csv(folder / "class_specificity.csv") for folder in own]
    tables = [table[table["rule"] == rule] for table in tables]
    floor = "correlation_with_other_picture"
    if len(own) > 1:
        values, floors = (np.array([table[name].mean() for table in tables]) for name in (column, floor))
        return _placed(values, floors, _ceilings([_maps(folder, method) for folder in own]), versus)
    if versus != "another image":
        raise ValueError("expected trainings of several seeds, got one network: it has no map of another seed")
    table = tables[0][[column, floor]].dropna().to_numpy(dtype=np.float64)
    if not len(table):
        raise ValueError(
            f"{own[0].name}/class_specificity.csv: expected maps of the rule {rule!r}, got none with ranks"
        )
    room = 1 - table[:, 1].mean()
    place = (table[:, 0] - table[:, 1]).mean() / room
    moved = table[:, 0] - table[:, 1] - place * (1 - table[:, 1])  # of a ratio of means, linearised
    return mean_estimate(place + moved / room, 0.0)


def _placed(
    values: Float[ndarray, " s"], floors: Float[ndarray, " s"], ceilings: Float[ndarray, " s"], versus: str
) -> Estimate:
    numbers = {"another image": 0.0, "another seed": 1.0}
    if versus not in numbers:
        raise ValueError(f"expected versus of {sorted(numbers)}, got {versus!r}")
    return seeds_estimate((values - floors) / (ceilings - floors) - numbers[versus], numbers[versus])


def _ceilings(seeds: Sequence[Mapping[str, ndarray]]) -> Float[ndarray, " s"]:
    # The mean likeness of each seed's maps to those of the others, image by image.
    if len(seeds) < 2:
        raise ValueError("expected trainings of two seeds or more, got one: it has no map of another seed")
    pairs = {(i, j): _likeness(seeds[i], seeds[j]) for i, j in combinations(range(len(seeds)), 2)}
    return np.array([np.mean([value for pair, value in pairs.items() if i in pair]) for i in range(len(seeds))])


def _floors(seeds: Sequence[Mapping[str, ndarray]]) -> Float[ndarray, " s"]:
    # The mean likeness of each image's map to the next one's of the same size, by each network.
    return np.array([_likeness(maps, dict(zip(maps, _shifted(maps), strict=True))) for maps in seeds])


def _shifted(maps: Mapping[str, ndarray]) -> list[ndarray]:
    return _next(list(maps.values()))


def _likeness(ours: Mapping[str, ndarray], theirs: Mapping[str, ndarray]) -> float:
    common = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    if not common:
        raise ValueError("expected maps of the same images, of one size, in both, got none")
    pairs = (np.abs(np.stack([ours[name].ravel(), theirs[name].ravel()], axis=1)) for name in common)
    return float(np.nanmean([_spearman(pair) for pair in pairs]))


def gap_of_columns(folders: Folders, file: str, column: str, groups: int) -> Estimate:
    """The gap between the columns of a grouped layer, minus that of as many random groups of its units.

    The gap is the largest mean of a column minus the smallest; the interval is a t-interval over seeds.
    """
    random = np.random.default_rng(0)

    def gaps(folder: Path) -> tuple[float, float]:
        values = pd.read_csv(folder / file)[column].to_numpy(dtype=np.float64).reshape(groups, -1)
        dealt = random.permuted(np.broadcast_to(values.ravel(), (_RESAMPLES, values.size)), axis=1)
        chance = np.ptp(dealt.reshape(_RESAMPLES, *values.shape).mean(axis=2), axis=1).mean()
        return float(np.ptp(values.mean(axis=1))), float(chance)

    found = np.array([gaps(folder) for folder in folders[_only(folders)]])
    return seeds_estimate(found[:, 0] - found[:, 1], float(found[:, 1].mean()))
