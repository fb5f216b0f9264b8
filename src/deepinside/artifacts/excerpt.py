"""Excerpts of an artifact to show elsewhere: its numbers, curves, first rows of tables and some images."""

import csv
import itertools
import logging
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from deepinside.artifacts.artifact import MANIFEST, flat, read_manifest

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?P<fraction>(?:\.\d+)?(?:[eE][-+]?\d+)?)")
_log = logging.getLogger(__name__)

Cell = int | float | str | None


class Picture(NamedTuple):
    """An image of an artifact: its path in the folder, title and caption."""

    file: str
    title: str
    caption: str


def files(out: Path, deep: bool = True) -> list[str]:
    """Sorted relative paths of an artifact's files, without the manifest, which records time and platform.

    `deep` includes folders other than `pictures`.
    """
    names = []
    for place, folders, found in os.walk(out):
        folders[:] = folders if deep else [folder for folder in folders if folder == "pictures"]
        names += [Path(place, name).relative_to(out).as_posix() for name in found]
    return sorted(name for name in names if name != MANIFEST)


def numbers(out: Path) -> dict[str, float]:
    """The numbers of `table.csv`, with `<metric>/ci_low` and `<metric>/ci_high` where there is an interval."""
    if not (out / "table.csv").exists():
        return {}
    found: dict[str, float] = {}
    columns, rows = _read(out / "table.csv", None)
    for row in (dict(zip(columns, cells, strict=True)) for cells in rows):
        ends = {f"{row['metric']}/{end}": row[end] for end in ("ci_low", "ci_high")}
        found |= {str(row["metric"]): math.nan if row["value"] is None else float(row["value"])}
        found |= {name: float(end) for name, end in ends.items() if end is not None}
    return found


def curves(out: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The points of `history.csv`: step (column `step`, otherwise `epoch`, otherwise the row), and name -> value."""
    if not (out / "history.csv").exists():
        return
    columns, rows = _read(out / "history.csv", None)
    for row_number, row in enumerate(rows):
        point = {name: cell for name, cell in zip(columns, row, strict=True) if isinstance(cell, int | float)}
        yield int(point.pop("step", point.get("epoch", row_number))), point


def tables(out: Path, most: int) -> Iterator[tuple[str, list[str], list[list[Cell]]]]:
    """Name, columns and first rows of each csv file; numbers as numbers, empty cells as None."""
    for file in sorted(set(out.glob("*.csv")) - {out / "pictures.csv"}):
        yield file.stem, *_read(file, most)


def pictures(out: Path, most: int) -> dict[str, list[Picture]]:
    """At most `most` images of `pictures.csv`, equally many of every group: group -> images."""
    if not (out / "pictures.csv").exists():
        return {}
    groups: dict[str, list[Picture]] = {}
    with (out / "pictures.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            groups.setdefault(row["group"], []).append(Picture(row["file"], row["title"], row["caption"]))
    share = max(1, most // max(1, len(groups)))
    return {group: members[:share] for group, members in itertools.islice(groups.items(), most)}


def _read(file: Path, most: int | None) -> tuple[list[str], list[list[Cell]]]:
    with file.open(newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        columns = next(lines, [])
        rows = [[_cell(text) for text in line] for line in itertools.islice(lines, most)]
        if next(lines, None) is not None:
            _log.debug("the first %s rows of %s are shown; the artifact contains all", most, file.name)
    return columns, rows


def _cell(text: str) -> Cell:
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text or None  # a name such as 007 stays a name
    return float(text) if number["fraction"] else int(text)


def _sides(left: dict[str, Any], right: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    keys = sorted(left.keys() | right.keys())
    return [(key, left.get(key, "-"), right.get(key, "-")) for key in keys if left.get(key, "-") != right.get(key, "-")]


def _numbers(folder: Path) -> dict[str, Any]:
    return {metric: value for metric, value in numbers(folder).items() if not math.isnan(value)}


def difference(left: Path, right: Path) -> list[tuple[str, str, str, str]]:
    """The differences of two artifacts: kind (`made from`, `number` or `file`), key, left and right value."""
    one, other = read_manifest(left), read_manifest(right)
    digests = [{name: entry["sha256"][:16] for name, entry in m["files"].items()} for m in (one, other)]
    kinds = {
        "made from": _sides(flat(one["made_from"]), flat(other["made_from"])),
        "number": _sides(_numbers(left), _numbers(right)),
        "file": _sides(*digests),
    }
    return [(kind, key, str(a), str(b)) for kind, rows in kinds.items() for key, a, b in rows]
