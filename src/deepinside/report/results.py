"""The numbers as files: `results.csv` has all, `tables.csv` as the page words them, `found.csv` those at its top."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepinside.records import Row
from deepinside.report.folder import Folder
from deepinside.report.page import Found, Number, Part, Section

RESULTS = ("artifact", "stage", "fingerprint", *Row._fields)
TABLES = ("section", "artifact", "of", "measure", "text", "value", "unit", "ci_low", "ci_high", "n", "fingerprint")
FOUND = ("group", "name", "text", "interval", "n", "artifact", "metric")


def write_results(folders: Sequence[Folder], path: Path) -> None:
    """Writes every number of every artifact, exactly as its `table.csv` has it.

    Args:
        folders: the artifacts.
        path: of the csv file.
    """
    lines = ((one.key, one.stage, one.fingerprint, *cells.text) for one in folders for cells in one.cells)
    _write(path, RESULTS, lines)


def write_found(groups: Sequence[Found], path: Path) -> None:
    """Writes the summary: the numbers as the page words them.

    Args:
        groups: of the summary.
        path: of the csv file.
    """
    lines = (
        (group.title, n.name, n.text, n.interval, n.count, n.artifact.key, n.metric)
        for group in groups
        for n, _ in group.numbers
    )
    _write(path, FOUND, lines)


def write_tables(sections: Iterable[Section], path: Path) -> None:
    """Writes every number of the page with the words that it has there, section by section.

    Args:
        sections: of the page.
        path: of the csv file; a cell whose number is not known is empty.
    """
    lines = (_worded(section.title, one) for section in sections for part in section.parts for one in _numbers(part))
    _write(path, TABLES, lines)


def _worded(section: str, one: Number) -> tuple[str, ...]:
    value, low, high = ("" if math.isnan(number) else f"{number:.10g}" for number in (one.value, one.low, one.high))
    return (
        section, one.artifact.name, one.of, one.what, one.text, value, one.unit, low, high, one.count,
        one.artifact.fingerprint,
    )  # fmt: skip


def _numbers(part: Part) -> list[Number]:
    cells = [one for grid in part.grids for _, row in grid.rows for one in row]
    return [*(one for one in cells if one is not None), *part.numbers]


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
