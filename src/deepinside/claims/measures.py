"""From artifacts to the number that tests a claim, with its interval."""

import csv
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.claims.register import Measure, Source
from deepinside.claims.verdict import Estimate
from deepinside.records import Table
from deepinside.statistics import bootstrap_interval, t_interval

Folders = Mapping[str, Sequence[Path]]  # evidence -> an artifact per seed
_REDUCE: Mapping[str, Callable] = {"mean": np.mean, "max": np.max, "min": np.min}


def estimate(measure: Measure, folders: Folders) -> Estimate:
    """The number that tests a claim, with its interval.

    With several seeds the mean and its t-interval, paired by seed where something is subtracted. With one seed the mean
    over the units of replication with its bootstrap interval, paired likewise; or a row of the table as it is.

    Raises:
        KeyError: if a metric or a column is missing, with the existing ones.
        ValueError: if two artifacts have no unit in common.
    """
    if measure.function is not None:
        module, _, name = measure.function.rpartition(".")
        return getattr(importlib.import_module(module), name)(folders, **measure.settings)
    assert measure.of is not None
    seeds = len(folders[measure.of.evidence])
    if seeds > 1:
        return t_estimate(_per_seed(measure.of, folders) - (_per_seed(measure.minus, folders) if measure.minus else 0))
    if measure.of.metric is not None and measure.minus is None:
        row = Table.read(folders[measure.of.evidence][0])[measure.of.metric]
        exact = math.isnan(row.ci_low)
        return Estimate(row.value, *((row.value, row.value) if exact else (row.ci_low, row.ci_high)), row.n)
    if measure.of.metric is not None:
        raise ValueError(f"{measure.title}: rows of two tables share no units; take a column, or several seeds")
    return boot_estimate(_differences(measure.of, measure.minus, folders))


def _per_seed(source: Source, folders: Folders) -> Float[ndarray, " s"]:
    if source.metric is not None:
        return np.array([Table.read(folder)[source.metric].value for folder in folders[source.evidence]])
    return np.array([np.mean(list(_column(source, folder).values())) for folder in folders[source.evidence]])


def _differences(first: Source, second: Source | None, folders: Folders) -> Float[ndarray, " n"]:
    ours = _column(first, folders[first.evidence][0])
    if second is None:
        return np.array(list(ours.values()))
    theirs = _column(second, folders[second.evidence][0])
    common = [key for key in ours if key in theirs]
    if not common:
        raise ValueError(f"expected the same {first.key} in both, got {list(ours)[:3]} and {list(theirs)[:3]}")
    return np.array([ours[key] - theirs[key] for key in common])


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
            found.setdefault(line[source.key], []).append(float(line[source.column]))
    if not found:
        raise ValueError(
            f"{folder.name}/{source.file}: no row with {dict(source.where)}: was it computed with that method?"
        )
    return {key: float(_REDUCE[source.reduce](values)) for key, values in found.items()}


def _texts(wanted: object) -> tuple[str, ...]:
    return tuple(map(str, wanted)) if isinstance(wanted, list | tuple) else (str(wanted),)


def boot_estimate(values: Float[ndarray, " n"]) -> Estimate:
    """The mean over units with its bootstrap interval."""
    return Estimate(float(np.mean(values)), *bootstrap_interval(values), len(values))


def t_estimate(values: Float[ndarray, " n"]) -> Estimate:
    """The mean over seeds with its t-interval."""
    return Estimate(float(np.mean(values)), *t_interval(values), len(values), len(values) - 1)
