"""The table of `make benchmark` as the page shows it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_COLUMNS = ("benchmark", "case", "beside", "ours", "theirs", "unit", "ratio", "lowest", "highest", "target", "met")


@dataclass(frozen=True)
class Benchmark:
    """Times of ours and of what stands beside it, worded.

    Args:
        name: what is measured.
        case: of it.
        beside: the peer, or the physical limit.
        ours: time with its unit.
        theirs: likewise.
        ratio: of the two, with its spread over the rounds.
        target: what the ratio was to be.
        met: `yes`, `no`, or empty without a target.
        machine: cores, threads, load and day.
    """

    name: str
    case: str
    beside: str
    ours: str
    theirs: str
    ratio: str
    target: str
    met: str
    machine: str


def benchmarks(file: Path | None) -> tuple[Sequence[Benchmark], str]:
    """Reads the table.

    Args:
        file: csv as `make benchmark` writes it; None: there is none.

    Returns:
        Its rows in order, and what is wrong with it; empty where nothing is.
    """
    if file is None:
        return (), ""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        return (), f"benchmarks: {file.name} cannot be read ({type(error).__name__}): run make benchmark"
    if lacking := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
        return (), f"benchmarks: {file.name} has no column {', '.join(lacking)}: run make benchmark"
    return [_benchmark(row) for row in rows], ""


def _benchmark(row: dict[str, str]) -> Benchmark:
    cells = {key: str(value or "") for key, value in row.items()}
    spread = "" if cells["lowest"] == cells["highest"] else f" ({cells['lowest']} to {cells['highest']})"
    return Benchmark(
        cells["benchmark"],
        cells["case"],
        cells["beside"],
        f"{cells['ours']} {cells['unit']}",
        f"{cells['theirs']} {cells['unit']}",
        cells["ratio"] + spread,
        cells["target"],
        cells["met"],
        ", ".join(cells[key] for key in ("machine", "date") if cells.get(key)),
    )
