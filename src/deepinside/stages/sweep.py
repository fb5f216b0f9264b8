"""Finished points of a grid -> one tidy table, the best of them, and curves with intervals."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf
from scipy import stats

from deepinside import ancestry
from deepinside.digests import readable
from deepinside.grid import Grid, text
from deepinside.plots.gallery import Gallery
from deepinside.plots.sweep import curves
from deepinside.records import Row, Table

NUMBERS = ("value", "unit", "n", "ci_low", "ci_high")
LEVEL = 0.95
_SHOWN = ("data", "concepts", "model")


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `sweep.csv`, `best.csv`, `table.csv`, `set_aside.csv` and a picture; `mean.csv` where points are repeated.

    Args:
        cfg: group sweep, with points that failed in `set_aside`.
        inputs: finished points by label.
        out: the work folder.
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
    with (out / "set_aside.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "reason"), *aside])
    keys = {key: tuple(map(text, values)) for key, values in grid.keys.items() if key != grid.repeats}
    Table([*_counts(grid, inputs, aside), *_rows(chosen, keys)]).write(out)
    gallery = Gallery(out)
    about = _about(cfg.sweep.says, grid, inputs)
    for number, (name, part) in enumerate(pooled.groupby("metric", sort=False)):
        line = chosen[chosen["metric"] == name]
        said = ", ".join(f"{key} {value}" for key in keys for value in line[key])
        best_of = f" Best: {said}, chosen on what it is measured on." if said else ""
        caption = f"{about}{best_of} Artifact {out.name.removesuffix('.part')}."
        title = str(name).replace("_", " ")
        gallery.add(curves(part, keys, line), f"sweep_{number}", group="sweep", title=title, caption=caption)
    gallery.write()


def collected(grid: Grid, inputs: Mapping[str, Path]) -> pd.DataFrame:
    """The numbers asked for, of all points.

    Args:
        grid: of the sweep.
        inputs: finished points by label.

    Returns:
        A row per point and metric: swept keys, metric, better, value, unit, n, ci_low, ci_high, artifact.
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
    """The mean over repetitions, with its t-interval over them.

    Args:
        rows: as from `collected`.
        repeats: key of the repetitions.

    Returns:
        The same columns without that key; n repetitions. One repetition has no interval.
    """
    keys = [name for name in rows.columns if name not in {repeats, *NUMBERS, "artifact"}]
    lines = []
    for at, part in rows.groupby([*keys, "unit"], sort=False):
        values = part["value"].dropna().to_numpy(dtype=float)
        low, high = t_interval(values)
        numbers = (values.mean() if len(values) else math.nan, at[-1], len(values), low, high)
        lines.append({**dict(zip(keys, at, strict=False)), **dict(zip(NUMBERS, numbers, strict=True))})
    return pd.DataFrame(lines).assign(artifact=f"mean over {repeats}")


def t_interval(values: Float[ndarray, " n"]) -> tuple[float, float]:
    """The 95 % interval of the mean of few independent measurements, such as seeds: mean ± t s / √n.

    Args:
        values: one number per measurement, (n,).

    Returns:
        Lower and upper end, in the unit of the values; NaN for fewer than two values.

    Source: Student 1908, sec. 5.
    """
    if len(values) < 2:
        return math.nan, math.nan
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - reach, float(values.mean()) + reach


def best(rows: pd.DataFrame) -> pd.DataFrame:
    """The best point of every metric of which lower or higher is better; of equal ones the first.

    Args:
        rows: as from `collected`.

    Returns:
        One row per metric.
    """
    places = []
    for _, part in rows[rows["better"] != "shown"].dropna(subset="value").groupby("metric", sort=False):
        values = part["value"] if part["better"].iloc[0] == "higher" else -part["value"]
        places.append(values.idxmax())
    return rows.loc[places]


def _counts(grid: Grid, inputs: Mapping[str, Path], aside: list[tuple[str, str]]) -> list[Row]:
    return [Row("points", len(inputs), "points", len(grid)), Row("points_set_aside", len(aside), "points", len(grid))]


def _rows(chosen: pd.DataFrame, keys: Iterable[str]) -> list[Row]:
    # The best value, and where it lies as far as numbers can say; `best.csv` has the words.
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
    bars = f"of the mean over {grid.repeats}, by Student's t" if grid.repeats else "as the stage gives them"
    return f"{says} Stage {grid.stage}, {names}; {len(inputs)} of {len(grid)} points; 95 % intervals {bars}.".strip()
