"""Finished points of a grid -> one tidy table, the best points, and curves with intervals."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from deepinside.artifacts import ancestry
from deepinside.artifacts.artifact import flat
from deepinside.plots.gallery import Gallery
from deepinside.plots.sweep import curves
from deepinside.records import Row, Table, write_set_aside
from deepinside.spelling import closest, readable
from deepinside.statistics import t_interval

BETTER = ("lower", "higher", "shown")  # what is better; `shown`: neither
_BARE = re.compile(r"[A-Za-z_][\w.]*")
_MEANT = {"null", "true", "false", "nan", "inf"}  # words that Hydra takes for something else than text


def text(value: Any) -> str:
    """A plain value in Hydra's syntax, such as `0.95`, `null`, `[am_none]` or `{saliency:0.3,activation:0.7}`."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and (not _BARE.fullmatch(value) or value.lower() in _MEANT):
        return "'" + value.replace("'", r"\'") + "'"
    return str(value)


@dataclass(frozen=True)
class Point:
    """One choice of values for all swept keys: dotted key -> value."""

    values: Mapping[str, Any]

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides of the point."""
        return tuple(f"{key}={text(value)}" for key, value in self.values.items())

    @property
    def label(self) -> str:
        """Its overrides in one line, which is its role among the inputs of the sweep."""
        return " ".join(self.overrides)


@dataclass(frozen=True)
class Grid:
    """All combinations of the swept values.

    Args:
        stage: whose artifacts are the points.
        keys: dotted key -> its values.
        better: metric -> `lower`, `higher` or `shown`; a metric may contain shell-like patterns, and `{key}` for the
            value of a swept key.
        repeats: the key whose values repeat the same measurement, such as `seed`.

    Raises:
        ValueError: if nothing is swept, or no metric is requested.
        KeyError: if `repeats` is not swept.
    """

    stage: str
    keys: Mapping[str, Sequence[Any]]
    better: Mapping[str, str]
    repeats: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("sweep.grid is empty; give a key a list of values: '+sweep.grid.localise.gamma=[10,50]'")
        for key, values in self.keys.items():
            if not isinstance(values, list | tuple) or not values:
                raise ValueError(f"sweep.grid.{key}: expected a list of values, got {values!r}")
        if not self.better:
            raise ValueError("sweep.metrics is empty; add one of the stage's table.csv: 'sweep.metrics.lower=[...]'")
        if self.repeats is not None and self.repeats not in self.keys:
            raise KeyError(f"sweep.repeats: {self.repeats!r} is not swept; {closest(self.repeats, self.keys)}")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The grid from a plain configuration, as in `conf/sweep/custom.yaml`.

        Raises:
            ValueError: if a metric is under another key than lower, higher or shown.
        """
        unknown = set(config["metrics"]) - set(BETTER)
        if unknown:
            word = sorted(unknown)[0]
            raise ValueError(f"sweep.metrics.{word}: is a metric better lower or higher? {closest(word, BETTER)}")
        better = {metric: word for word in BETTER for metric in config["metrics"].get(word) or ()}
        return cls(config["stage"], flat(config["grid"]), better, config.get("repeats"))

    def points(self) -> Iterator[Point]:
        """All combinations, the last key changing fastest."""
        for values in itertools.product(*self.keys.values()):
            yield Point(dict(zip(self.keys, values, strict=True)))

    def __len__(self) -> int:
        return math.prod(map(len, self.keys.values()))

    def named(self, point: Point, known: Sequence[str]) -> dict[str, tuple[str, str]]:
        """The requested metrics of a point: name in its table -> name in the sweep, and which is better.

        Raises:
            KeyError: if one is not in the table, with the closest names.
        """
        found: dict[str, tuple[str, str]] = {}
        for requested, better in self.better.items():
            pattern, name = requested, requested
            for key, value in point.values.items():
                pattern = pattern.replace(f"{{{key}}}", text(value).strip("[]"))
                name = name.replace(f"{{{key}}}.", "")
            here = [metric for metric in known if fnmatchcase(metric, pattern)]
            if not here:
                near = closest(pattern, known)
                raise KeyError(f"sweep.metrics: {self.stage} has no metric {pattern!r} at {point.label}; {near}")
            found |= {metric: (name if pattern == metric else metric, better) for metric in here}
        return found


NUMBERS = ("value", "unit", "n", "ci_low", "ci_high")
_SHOWN = ("data", "concepts", "model")


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `sweep.csv`, `best.csv`, `table.csv`, `set_aside.csv` and a figure; `mean.csv` for repeated points.

    The inputs are finished points by label; failed ones are in `set_aside` of the group sweep.
    """
    grid = Grid.of(OmegaConf.to_container(cfg.sweep))  # type: ignore[arg-type]
    aside = [(readable(str(label)), readable(str(reason))) for label, reason in cfg.sweep.set_aside]
    rows = collected(grid, inputs)
    rows.to_csv(out / "sweep.csv", index=False, lineterminator="\n")
    pooled = rows if grid.repeats is None else averaged(rows, grid.repeats)
    if grid.repeats is not None:
        pooled.to_csv(out / "mean.csv", index=False, lineterminator="\n")
    chosen = best(pooled)
    chosen.to_csv(out / "best.csv", index=False, lineterminator="\n")
    write_set_aside(out, aside)
    keys = {key: tuple(map(text, values)) for key, values in grid.keys.items() if key != grid.repeats}
    Table([*_counts(grid, inputs, aside), *_rows(chosen, keys)]).write(out)
    gallery = Gallery(out)
    about = _about(cfg.sweep.says, grid, inputs)
    for number, (name, part) in enumerate(pooled.groupby("metric", sort=False)):
        line = chosen[chosen["metric"] == name]
        best_point = ", ".join(f"{key} {value}" for key in keys for value in line[key])
        best_of = f" Best: {best_point}, selected on the same data." if best_point else ""
        caption = f"{about}{best_of} Artifact {out.name.removesuffix('.part')}."
        title = str(name).replace("_", " ")
        gallery.add(curves(part, keys, line), f"sweep_{number}", group="sweep", title=title, caption=caption)
    gallery.write()


def collected(grid: Grid, inputs: Mapping[str, Path]) -> pd.DataFrame:
    """The requested metrics of all points, a row each.

    Columns: the swept keys, metric, better, value, unit, n, ci_low, ci_high, artifact.
    """
    lines: list[dict[str, Any]] = []
    for point in grid.points():
        folder = inputs.get(point.label)
        if folder is None:
            continue
        table = Table.read(folder)
        at = {key: text(value) for key, value in point.values.items()}
        for metric, (name, better) in grid.named(point, [row.metric for row in table.rows]).items():
            numbers = dict(zip(NUMBERS, table[metric][1:], strict=True))
            lines.append({**at, "metric": name, "better": better, **numbers, "artifact": folder.name})
    return pd.DataFrame(lines)


def averaged(rows: pd.DataFrame, repeats: str) -> pd.DataFrame:
    """The mean over the repetitions with its t-interval, without the column `repeats`; n is their number."""
    keys = [name for name in rows.columns if name not in {repeats, *NUMBERS, "artifact"}]
    lines = []
    for at, part in rows.groupby([*keys, "unit"], sort=False):
        values = part["value"].dropna().to_numpy(dtype=float)
        low, high = t_interval(values)
        numbers = (values.mean() if len(values) else math.nan, at[-1], len(values), low, high)
        lines.append({**dict(zip(keys, at, strict=False)), **dict(zip(NUMBERS, numbers, strict=True))})
    return pd.DataFrame(lines).assign(artifact=f"mean over {repeats}")


def best(rows: pd.DataFrame) -> pd.DataFrame:
    """The best point of every metric that has a direction; of equal ones the first."""
    places = []
    for _, part in rows[rows["better"] != "shown"].dropna(subset="value").groupby("metric", sort=False):
        values = part["value"] if part["better"].iloc[0] == "higher" else -part["value"]
        places.append(values.idxmax())
    return rows.loc[places]


def _counts(grid: Grid, inputs: Mapping[str, Path], aside: list[tuple[str, str]]) -> list[Row]:
    return [Row("points", len(inputs), "points", len(grid)), Row("points_set_aside", len(aside), "points", len(grid))]


def _rows(chosen: pd.DataFrame, keys: Iterable[str]) -> list[Row]:
    # The best value, and where it is, for numeric keys; `best.csv` has all keys.
    rows = []
    for _, line in chosen.iterrows():
        rows.append(Row(f"best.{line['metric']}", *(line[name] for name in NUMBERS)))
        places = {key: pd.to_numeric(line[key], errors="coerce") for key in keys}
        rows += [Row(f"best.{line['metric']}.{k}", float(v)) for k, v in places.items() if np.isfinite(v)]
    return rows


def _about(says: str, grid: Grid, inputs: Mapping[str, Path]) -> str:
    settings = ancestry.inherit(next(iter(inputs.values())))
    groups = [settings[group] for group in _SHOWN if isinstance(settings.get(group), Mapping)]
    names = ", ".join(str(group["name"]) for group in groups if "name" in group)
    bars = f"of the mean over {grid.repeats}, by Student's t" if grid.repeats else "as the stage reports them"
    return f"{says} Stage {grid.stage}, {names}; {len(inputs)} of {len(grid)} points; 95 % intervals {bars}.".strip()
