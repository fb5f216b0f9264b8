"""From artifacts to the number that tests a claim: a difference from its null, with its interval."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.claims.register import Measure, Source
from deepinside.claims.verdict import Estimate
from deepinside.records import Row, Table
from deepinside.spelling import resolved
from deepinside.statistics import NONE, Interval, mean_interval, paired_shares_interval, share_interval, t_interval

Folders = Mapping[str, Sequence[Path]]  # evidence -> an artifact per seed
_REDUCE: Mapping[str, Callable] = {"mean": np.mean, "max": np.max, "min": np.min}
_BOOLEAN = {"True": 1.0, "False": 0.0}


def estimate(measure: Measure, folders: Folders) -> Estimate:
    """The difference between a claim's number and its null, with its interval.

    With several seeds the mean over seeds and its t-interval, paired by seed; where one of the two has more seeds, over
    the first ones, which both have. With one seed the mean over the units of replication, paired likewise, with the
    interval of a mean or of a share. A row of `table.csv` comes with its own.

    Raises:
        KeyError: if a metric or a column is missing, with the existing ones.
        ValueError: if two artifacts have no unit in common, yes/no data are no such, or a number has no interval.
    """
    null = measure.null
    if measure.function is not None:
        found = resolved(measure.function)(folders, **measure.settings)
        return found if null.value is None else shifted(found, null.value)
    assert measure.of is not None
    sources = [source for source in (measure.of, null.of) if source]
    if max(len(folders[name]) for source in sources for name in source.named) > 1:
        ours = _per_seed(measure.of, folders)
        theirs = _per_seed(null.of, folders) if null.of else np.full(len(ours), null.value)
        both = min(len(values) for values in (ours, theirs) if len(values) > 1)
        ours, theirs = ours[:both], theirs[:both]
        return seeds_estimate(ours - theirs, float(np.mean(theirs)))
    if measure.of.metric is not None:
        if null.of is not None or measure.of.over is not None:
            raise ValueError(f"{measure.title}: two rows of tables share no units; take a column, or several seeds")
        return shifted(_row(measure.of, folders), null.value or 0.0)
    values, nulls = _paired(measure.of, null.of, folders)
    if measure.yes_no:
        return shares_estimate(values, nulls, null.value)
    if nulls is None:
        nulls = np.full(len(values), null.value, dtype=np.float64)
    return mean_estimate(values - nulls, float(nulls.mean()))


def _row(source: Source, folders: Folders) -> Estimate:
    row = Table.read(folders[source.evidence][0])[str(source.metric)]
    return Estimate(row.value, *ends(row), row.n, max(row.n - 1, 1))


def ends(row: Row) -> Interval:
    """The interval of a row of a table; NaN if it has no width: what did not vary in a few units may in the next."""
    return (row.ci_low, row.ci_high) if row.ci_high > row.ci_low else NONE


def shifted(found: Estimate, null: float) -> Estimate:
    """An estimate minus an exact number."""
    return found._replace(value=found.value - null, low=found.low - null, high=found.high - null, null=null)


def _per_seed(source: Source, folders: Folders) -> Float[ndarray, " s"]:
    def number(folder: Path) -> float:
        if source.metric is not None:
            return Table.read(folder)[source.metric].value
        return float(np.mean(list(_column(source, folder).values())))

    values = np.array([number(folder) for folder in folders[source.evidence]])
    return values / _per_seed(source.over, folders) if source.over else values


def _paired(
    first: Source, second: Source | None, folders: Folders
) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"] | None]:
    ours = _units(first, folders)
    if second is None:
        return np.array(list(ours.values())), None
    theirs = _units(second, folders)
    common = [key for key in ours if key in theirs]
    if not common:
        raise ValueError(f"expected the same {first.key} in both, got {list(ours)[:3]} and {list(theirs)[:3]}")
    return np.array([ours[key] for key in common]), np.array([theirs[key] for key in common])


def _units(source: Source, folders: Folders) -> dict[str, float]:
    found = _column(replace(source, over=None), folders[source.evidence][0])
    if source.over is None:
        return found
    below = _units(source.over, folders)
    return {key: value / below[key] for key, value in found.items() if below.get(key)}


def _column(source: Source, folder: Path) -> dict[str, float]:
    # Key -> number, rows of one key joined; empty cells are not counted.
    assert source.file is not None
    with (folder / source.file).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    for name in (source.column, source.key, *source.where):
        if name not in (reader.fieldnames or ()):
            raise KeyError(f"{folder.name}/{source.file}: no column {name!r}; there are {reader.fieldnames}")
    found: dict[str, list[float]] = {}
    for line in lines:
        if all(line[name] in _texts(wanted) for name, wanted in source.where.items()) and line[source.column]:
            cell = line[source.column]
            found.setdefault(line[source.key], []).append(_BOOLEAN[cell] if cell in _BOOLEAN else float(cell))
    if not found:
        raise ValueError(
            f"{folder.name}/{source.file}: no row with {dict(source.where)}: was it computed with that method?"
        )
    return {key: float(_REDUCE[source.reduce](values)) for key, values in found.items()}


def _texts(wanted: object) -> tuple[str, ...]:
    return tuple(map(str, wanted)) if isinstance(wanted, list | tuple) else (str(wanted),)


def mean_estimate(values: Float[ndarray, " n"], null: float) -> Estimate:
    """The mean of differences over units; `null` is the mean of what was subtracted.

    Units without a finite number, such as a map without ranks, are not counted.

    Raises:
        ValueError: if there are none.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        raise ValueError("expected numbers of some units, got none: what was measured is undefined for all")
    low, high = mean_interval(values)
    return Estimate(float(np.mean(values)), float(low), float(high), len(values), max(len(values) - 1, 1), null)


def seeds_estimate(values: Float[ndarray, " n"], null: float) -> Estimate:
    """The mean of differences over seeds with its t-interval."""
    return Estimate(float(np.mean(values)), *t_interval(values), len(values), max(len(values) - 1, 1), null)


def shares_estimate(ours: Float[ndarray, " n"], theirs: Float[ndarray, " n"] | None, value: float | None) -> Estimate:
    """A share of yes/no data minus an exact number, or minus the share of the same units in `theirs`.

    Raises:
        ValueError: if a number is neither 0 nor 1.
    """
    if not set(np.concatenate([ours, ours if theirs is None else theirs])) <= {0.0, 1.0}:
        raise ValueError(f"expected yes/no data, 0 or 1, got {sorted({*ours.tolist()})[:3]}")
    n = len(ours)
    if theirs is None:
        found = Estimate(float(ours.mean()), *share_interval(int(ours.sum()), n), n)
        return shifted(found, value or 0.0)
    more, less = int((ours > theirs).sum()), int((ours < theirs).sum())
    ends = paired_shares_interval(more, less, n)
    return Estimate((more - less) / n, *ends, n, max(n - 1, 1), float(theirs.mean()))
