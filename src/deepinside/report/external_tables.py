"""Tables from outside of artifacts: benchmarks, growth with size, networks compared, and claims tested before."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepinside.statistics import exponent

_BENCHMARKS = ("benchmark", "case", "beside", "ours", "theirs", "unit", "ratio", "lowest", "highest", "target", "met")
_CLAIMS = ("id", "verdict", "statement", "world", "value", "ci_low", "ci_high", "n", "null", "unit", "metric")
_GROWTH = ("method", "grows_in", "parameters", "side", "seconds", "peak_mib", "failed")
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
    """Networks on the same data, or one of several sizes.

    Args:
        on: the data, or what grows.
        numbers: what is compared, with its unit.
        networks: name or size, and a cell for each number; empty if it was not measured.
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


def growth(file: Path | None) -> tuple[Sequence[Comparison], str]:
    """The tables of `benchmarks/size.py`, one per quantity that grows, with exponents, and the problems of the file."""
    rows, problem = _read(file, _GROWTH, "growth", "run python benchmarks/size.py")
    return [_grown(what, [row for row in rows if row["grows_in"] == what]) for what in _each(rows, "grows_in")], problem


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


def _grown(what: str, rows: Sequence[Mapping[str, str]]) -> Comparison:
    other = "side" if what == "parameters" else "parameters"
    columns = [(method, cost) for method in _each(rows, "method") for cost in ("seconds", "peak_mib")]
    cells = {(row["method"], cost, row[what]): row["failed"] or row[cost] for row in rows for cost in row}
    sizes = _each(rows, what)
    lines = [(_size(what, size), [_digits(cells.get((*column, size), "")) for column in columns]) for size in sizes]
    slopes = [_exponent(sizes, [cells.get((*column, size), "") for size in sizes]) for column in columns]
    return Comparison(
        f"{what.capitalize()}, at {_size(other, rows[0][other])}" if rows else what,
        [f"{method}, {'s' if cost == 'seconds' else 'MiB'}" for method, cost in columns],
        [*lines, ("exponent", slopes)],
    )


def _size(what: str, size: str) -> str:
    return f"{size} pixels" if what == "side" else f"{float(size):,.0f} parameters"


def _exponent(sizes: Sequence[str], values: Sequence[str]) -> str:
    found = exponent([float(size) for size in sizes], [_number(value) for value in values])
    return "" if math.isnan(found) else f"{round(found, 2) + 0.0:.2f}"  # no minus before a zero


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _cell(row: Mapping[str, str]) -> str:
    value, low, high = (_digits(row[column]) for column in ("value", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]" if low and high else value


def _digits(text: str) -> str:
    return text if math.isnan(value := _number(text)) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


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
