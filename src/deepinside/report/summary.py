"""The last lines of a run: what was found, for the terminal."""

import csv
from pathlib import Path

from deepinside.report import number

MOST = 16  # lines: what a person reads at a glance


def lines(folder: Path) -> list[str]:
    """A short aligned table of an artifact's numbers.

    Args:
        folder: of an artifact; of a report its summary (`found.csv`) is shown, or else the first of all its numbers.

    Returns:
        At most 16 lines; none where there are no numbers.
    """
    files = ("found.csv", "results.csv", "table.csv")
    file, rows = next(((file, rows) for file in files if (rows := _read(folder / file))), ("", []))
    worded = [_worded(line) for line in rows]
    if len(worded) <= MOST:
        return _aligned(worded)
    everything = file if file == "table.csv" else "results.csv"
    return [*_aligned(worded[: MOST - 1]), f"... and {len(worded) - MOST + 1} more in {everything}"]


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _worded(line: dict[str, str]) -> tuple[str, str, str, str]:
    if "text" in line:
        name, text, ends = line["name"], line["text"], line["interval"]
    else:
        value, low, high = (float(line[key] or "nan") for key in ("value", "ci_low", "ci_high"))
        name, text = line["metric"], number.shown(value, line["unit"])
        ends = number.interval(low, high, line["unit"])
    return name, line.get("artifact", ""), text, f"[{ends}]" if ends else ""


def _aligned(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            (name.ljust(widths[0]), *([artifact.ljust(widths[1])] if widths[1] else []), text.rjust(widths[2]), ends)
        ).rstrip()
        for name, artifact, text, ends in rows
    ]
