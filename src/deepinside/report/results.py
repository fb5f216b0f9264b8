"""The key results, and every number of all artifacts in one table."""

import base64
import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from deepinside.records import Row
from deepinside.report.folder import Folder
from deepinside.report.page import Bar, Found, Number, Part, Section
from deepinside.report.settings import Finding

RESULTS = ("artifact", "stage", "fingerprint", *Row._fields)
TABLES = ("section", "artifact", "of", "measure", "text", "value", "unit", "ci_low", "ci_high", "n", "fingerprint")
FOUND = ("group", "name", "text", "interval", "n", "artifact", "metric")


def write_results(folders: Sequence[Folder], path: Path) -> None:
    """Writes every number of every artifact, exactly as in its `table.csv`."""
    path.write_text(_text(RESULTS, _results(folders)), encoding="utf-8", newline="")


def files(folders: Sequence[Folder], sections: Iterable[Section]) -> list[tuple[str, str]]:
    """Name and data URI of the files that the page holds itself: `results.csv` and `tables.csv`."""
    texts = {"results.csv": _text(RESULTS, _results(folders)), "tables.csv": _text(TABLES, _tables(sections))}
    return [
        (name, f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode('ascii')}")
        for name, text in texts.items()
    ]


def _results(folders: Sequence[Folder]) -> Iterator[Sequence[str]]:
    return ((one.key, one.stage, one.fingerprint, *cells.text) for one in folders for cells in one.cells)


def write_found(groups: Sequence[Found], path: Path) -> None:
    """Writes the key results as the page shows them."""
    lines = (
        (group.title, n.name, n.text, n.interval, n.count, n.artifact.key, n.metric)
        for group in groups
        for n, _ in group.numbers
    )
    path.write_text(_text(FOUND, lines), encoding="utf-8", newline="")


def write_tables(sections: Iterable[Section], path: Path) -> None:
    """Writes every number of the page in its words, section by section; an unknown number is an empty cell."""
    path.write_text(_text(TABLES, _tables(sections)), encoding="utf-8", newline="")


def _tables(sections: Iterable[Section]) -> Iterator[Sequence[str]]:
    return (_worded(section.title, one) for section in sections for part in section.parts for one in _numbers(part))


def _worded(section: str, one: Number) -> tuple[str, ...]:
    value, low, high = ("" if math.isnan(number) else f"{number:.10g}" for number in (one.value, one.low, one.high))
    return (
        section, one.artifact.name, one.of, one.what, one.text, value, one.unit, low, high, one.count,
        one.artifact.fingerprint,
    )  # fmt: skip


def _numbers(part: Part) -> list[Number]:
    cells = [one for grid in part.grids for _, row in grid.rows for one in row]
    return [*(one for one in cells if one is not None), *part.numbers]


def _text(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return file.getvalue()


def found(numbers: Sequence[Number], findings: Iterable[Finding]) -> list[Found]:
    """The numbers of each finding, in its order, each once, with bars on a common scale."""
    groups = []
    for finding in findings:
        matches = [one for pattern in finding.numbers for one in numbers if _fits(one, pattern)]
        unique = list({(one.artifact.anchor, one.metric): one for one in matches}.values())[: finding.most]
        if unique:
            groups.append(Found(finding.title, bars(unique)))
    return groups


def _fits(one: Number, pattern: str) -> bool:
    return fnmatchcase(f"{one.artifact.key}:{one.metric}", pattern)


def bars(numbers: Sequence[Number]) -> list[tuple[Number, Bar | None]]:
    """Numbers of one unit with bars from zero to a common end; negative and unknown ones get none."""
    ends: dict[str, float] = {}
    for one in numbers:
        reach = max((x for x in (one.value, one.high) if math.isfinite(x)), default=0.0)
        ends[one.unit] = max(ends.get(one.unit, 0.0), reach)
    return [(one, _bar(one, ends[one.unit])) for one in numbers]


def _bar(one: Number, end: float) -> Bar | None:
    if not math.isfinite(one.value) or one.value < 0 or end <= 0:
        return None
    known = math.isfinite(one.low) and math.isfinite(one.high)
    low, high = (max(0.0, 100 * x / end) for x in (one.low, one.high)) if known else (None, None)
    return Bar(*(None if x is None else round(x, 2) for x in (100 * one.value / end, low, high)))  # type: ignore[arg-type]
