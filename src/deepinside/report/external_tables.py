"""Tables from outside of artifacts: `make benchmark`, `experiments/networks.py`, and claims that were tested before."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BENCHMARKS = ("benchmark", "case", "beside", "ours", "theirs", "unit", "ratio", "lowest", "highest", "target", "met")
_CLAIMS = ("id", "verdict", "statement", "world", "value", "ci_low", "ci_high", "n", "null", "unit", "metric")
_NETWORKS = ("on", "network", "number", "value", "unit", "n", "ci_low", "ci_high", "artifact")


@dataclass(frozen=True)
class Benchmark:
    """Run times of this package and of what it is compared with, as text.

    Args:
        name: what is measured.
        case: of it.
        beside: the other implementation, or the hardware limit.
        ours: time with its unit.
        theirs: likewise.
        ratio: of the two, with its range over the rounds.
        target: for the ratio.
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


@dataclass(frozen=True)
class Comparison:
    """Networks on the same data.

    Args:
        on: the data.
        numbers: what is compared, with its unit.
        networks: name, and a cell for each number; empty if it was not measured.
    """

    on: str
    numbers: Sequence[str]
    networks: Sequence[tuple[str, Sequence[str]]]


def benchmarks(file: Path | None) -> tuple[Sequence[Benchmark], str]:
    """The rows of the table of `make benchmark`, and its problems."""
    rows, problem = _read(file, _BENCHMARKS, "benchmarks", "run make benchmark")
    return [_benchmark(row) for row in rows], problem


def comparisons(file: Path | None) -> tuple[Sequence[Comparison], str]:
    """The tables of `experiments/networks.py`, one per data set, and the problems of the file."""
    rows, problem = _read(file, _NETWORKS, "networks", "run python experiments/networks.py")
    return [_comparison(on, [row for row in rows if row["on"] == on]) for on in _each(rows, "on")], problem


def tested(file: Path | None) -> tuple[Sequence[Mapping[str, str]], str]:
    """The rows of a register of claims that was tested before, and its problems."""
    return _read(file, _CLAIMS, "register", "run python experiments/cards.py ARTIFACT")


def _read(file: Path | None, columns: Sequence[str], name: str, remedy: str) -> tuple[list[dict[str, str]], str]:
    if file is None:
        return [], ""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            rows = [{key: str(value or "") for key, value in row.items()} for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        return [], f"{name}: {file.name} cannot be read ({type(error).__name__}): {remedy}"
    if lacking := [column for column in columns if column not in (reader.fieldnames or ())]:
        return [], f"{name}: {file.name} has no column {', '.join(lacking)}: {remedy}"
    return rows, ""


def _each(rows: Sequence[Mapping[str, str]], column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _comparison(on: str, rows: Sequence[Mapping[str, str]]) -> Comparison:
    numbers = {row["number"]: row["unit"] for row in rows}
    cells = {(row["network"], row["number"]): _cell(row) for row in rows}
    return Comparison(
        on,
        [f"{number} ({unit})" if unit else number for number, unit in numbers.items()],
        [(name, [cells.get((name, number), "") for number in numbers]) for name in _each(rows, "network")],
    )


def _cell(row: Mapping[str, str]) -> str:
    value, low, high = (_digits(row[column]) for column in ("value", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]" if low and high else value


def _digits(text: str) -> str:
    try:
        return f"{float(text):.3g}"
    except ValueError:
        return text


def _benchmark(cells: Mapping[str, str]) -> Benchmark:
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
