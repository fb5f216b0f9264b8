"""The numbers as files: `results.csv` has all of them, `found.csv` those at the top of the page."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepinside.records import Row
from deepinside.report.folder import Folder
from deepinside.report.page import Found

RESULTS = ("artifact", "stage", "fingerprint", *Row._fields)
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


def _write(path: Path, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
