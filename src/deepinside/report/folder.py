"""Reads an artifact's folder without trusting it: a page must be possible for a damaged folder, too."""

import csv
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from deepinside.artifacts.artifact import flat
from deepinside.records import Row

_PHOTOGRAPH = re.compile(r"ILSVRC2012_[a-z]+_0*(\d+)(?:\.JPEG)?")
PREVIEW = 8  # rows of a sheet shown on the page
_OWN_FILES = {"table.csv", "pictures.csv", "panes.csv", "set_aside.csv", "manifest.json"}


@dataclass(frozen=True)
class Pane:
    """One line of `panes.csv`: a part of a figure, without text. `kind` is `image`, `map` or `other`."""

    file: str
    kind: str
    title: str
    note: str
    path: Path


@dataclass(frozen=True)
class Listed:
    """One line of `pictures.csv`.

    Args:
        file: that is named there, and the key of the image.
        group: of images.
        title: a few words.
        caption: its content.
        path: of the file that the page shows, the vector drawing where there is one.
        settings: name and value.
        about: what it shows, `image/NAME` or `unit/LAYER/NUMBER`.
        panes: its parts, in rows; empty if it is shown as it is.
        columns: of these rows.
    """

    file: str
    group: str
    title: str
    caption: str
    path: Path
    settings: Sequence[tuple[str, str]] = ()
    about: Sequence[str] = ()
    panes: Sequence[Pane] = ()
    columns: int = 0

    @property
    def paths(self) -> list[Path]:
        """Of the files that the page shows."""
        return [pane.path for pane in self.panes] or [self.path]


@dataclass(frozen=True)
class Cells:
    """One line of `table.csv`: as text, and as numbers."""

    text: tuple[str, ...]
    row: Row


@dataclass(frozen=True)
class Sheet:
    """A csv file of single results: its first lines and their total number."""

    file: str
    header: tuple[str, ...]
    first: tuple[tuple[str, ...], ...]
    count: int


@dataclass
class Folder:
    """An artifact as read; what could not be read is empty and named in `problems`."""

    key: str
    path: Path
    stage: str
    fingerprint: str
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: str = ""
    command: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    cells: list[Cells] = field(default_factory=list)
    pictures: list[Listed] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    synthetic: bool = False

    def named(self, text: str) -> str:
        """Text in which images of a synthetic data set do not have the names of ILSVRC's photographs."""
        return _PHOTOGRAPH.sub(r"drawn image \1", text) if self.synthetic else text

    def chosen(self, group: str) -> str:
        """The choice of a configuration group such as `data`; empty if the manifest does not record it."""
        return str(_mapping(self.config.get(group)).get("name") or "")


def read(key: str, path: Path) -> Folder:
    """Reads an artifact's folder; what is missing or damaged is named in `problems`."""
    folder = Folder(key, path, stage=key.split(".", maxsplit=1)[0], fingerprint=path.name.removesuffix(".part"))
    if not path.is_dir():
        folder.problems.append("its folder does not exist; run the stage again")
        return folder
    manifest = _manifest(folder)
    _lineage(folder, manifest)
    folder.cells = _table(folder)
    panes = _panes(folder)
    folder.pictures = [_listed(folder, line, panes) for line in lines(folder, "pictures.csv", ("file", "group"))]
    folder.set_aside = [
        (line["file"], line.get("reason") or "") for line in lines(folder, "set_aside.csv", ("file", "reason"))
    ]
    folder.sheets = _sheets(folder)
    _absent(folder, _mapping(manifest.get("files")))
    return folder


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _why(error: Exception) -> str:
    # The text of an OSError names the absolute path, which must not get onto the page.
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _manifest(folder: Folder) -> Mapping[str, Any]:
    path = folder.path / "manifest.json"
    if not path.is_file():
        folder.problems.append("it was not finished: manifest.json is missing; run the stage again")
        return {}
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        folder.problems.append(f"manifest.json cannot be read ({_why(error)}); run the stage again")
        return {}


def _lineage(folder: Folder, manifest: Mapping[str, Any]) -> None:
    made_from = _mapping(manifest.get("made_from"))
    folder.stage = str(manifest.get("stage") or folder.stage)
    folder.fingerprint = str(manifest.get("fingerprint") or folder.fingerprint)
    folder.config = _mapping(made_from.get("config"))
    folder.inputs = {str(stage): str(fingerprint) for stage, fingerprint in _mapping(made_from.get("inputs")).items()}
    folder.seed = str(made_from.get("seed", ""))
    folder.command = str(made_from.get("command") or "")
    folder.record = _mapping(manifest.get("record"))


def lines(folder: Folder, file: str, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a csv file of an artifact; none if it is missing or lacks the columns `needed`."""
    path = folder.path / file
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as stream:
            reader = csv.DictReader(stream, restval="")
            found, names = list(reader), reader.fieldnames or ()
    except (OSError, csv.Error) as error:
        folder.problems.append(f"{file} cannot be read: {_why(error)}")
        return []
    lacking = [name for name in needed if name not in names]
    if lacking:
        folder.problems.append(f"{file} has no column {', '.join(lacking)}")
        return []
    return found


def _table(folder: Folder) -> list[Cells]:
    if not (folder.path / "table.csv").is_file():
        folder.problems.append("table.csv is missing, so none of its numbers are shown")
    cells = []
    for line in lines(folder, "table.csv", ("metric", "value")):
        text = tuple(line.get(name) or "" for name in Row._fields)
        numbers = dict(zip(Row._fields, text, strict=True))
        try:
            count = int(numbers["n"] or 0)
            value, low, high = (_number(numbers[name]) for name in ("value", "ci_low", "ci_high"))
        except ValueError as error:
            folder.problems.append(f"table.csv, metric {numbers['metric']!r}: {error}")
            continue
        cells.append(Cells(text, Row(numbers["metric"], value, numbers["unit"], count, low, high)))
    return cells


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _panes(folder: Folder) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for line in lines(folder, "panes.csv", ("file", "of", "columns", "kind")):
        found.setdefault(line["of"], []).append(line)
    return found


def _listed(folder: Folder, line: dict[str, str], panes: Mapping[str, Sequence[dict[str, str]]]) -> Listed:
    own = [
        Pane(one["file"], one["kind"], one.get("title") or "", one.get("note") or "", folder.path / one["file"])
        for one in panes.get(line["file"], ())
    ]
    columns = panes[line["file"]][0]["columns"] if own else ""
    return Listed(
        line["file"], line["group"], line.get("title") or "", line.get("caption") or "",
        _vector(folder.path, line["file"]) or folder.path / line["file"],
        _settings(folder, line), tuple(filter(None, (line.get("about") or "").split("\n"))), own,
        int(columns) if columns.isdecimal() else 0,
    )  # fmt: skip


def _vector(folder: Path, file: str) -> Path | None:
    path = folder / f"{file.removesuffix('.png')}.svg"
    return path if file.endswith(".png") and os.path.isfile(path) else None


def _settings(folder: Folder, line: Mapping[str, str]) -> list[tuple[str, str]]:
    text = line.get("settings")
    if not text:
        return []
    try:
        found = _mapping(json.loads(text))
    except (ValueError, RecursionError) as error:
        folder.problems.append(f"pictures.csv, {line['file']}: its settings cannot be read ({error})")
        return []
    leaves = flat({str(name): value for name, value in found.items()})
    return [(name, "null" if value is None else str(value)) for name, value in leaves.items()]


def _sheets(folder: Folder) -> list[Sheet]:
    sheets = []
    for path in sorted(folder.path.glob("*.csv")):
        if path.name in _OWN_FILES:
            continue
        try:
            with path.open(newline="", encoding="utf-8", errors="replace") as stream:
                rows = csv.reader(stream)
                header = tuple(next(rows, []))
                first = tuple(tuple(row) for row in islice(rows, PREVIEW))
                sheets.append(Sheet(path.name, header, first, len(first) + sum(1 for _ in rows)))
        except (OSError, csv.Error) as error:
            folder.problems.append(f"{path.name} cannot be read: {_why(error)}")
    return sheets


def _absent(folder: Folder, files: Mapping[str, Any]) -> None:
    absent = sorted(str(file) for file in files if not os.path.isfile(folder.path / str(file)))
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        folder.problems.append(f"files of its manifest are missing: {', '.join(absent[:3])}{more}")
