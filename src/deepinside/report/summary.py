"""The last lines of a run: its key results, for the terminal."""

import csv
from pathlib import Path

from deepinside.report import number

MOST = 16  # lines: what a person reads at a glance
_CLAIMS = 6  # whose verdicts are listed
_IMAGES = 12  # whose predictions are listed


def lines(folder: Path) -> list[str]:
    """A short aligned table of an artifact's numbers, at most 16 lines; of a report its key results (`found.csv`).

    The verdicts of up to six claims follow, or the predictions for up to twelve images.
    """
    files = ("found.csv", "results.csv", "table.csv")
    file, rows = next(((file, rows) for file in files if (rows := _read(folder / file))), ("", []))
    shown = rows if len(rows) <= MOST else _fair(rows, MOST - 1)
    table = _aligned([_worded(line) for line in shown])
    everything = file if file == "table.csv" else "results.csv"
    rest = [] if shown is rows else [f"... and {len(rows) - len(shown)} more in {everything}"]
    return [*table, *rest, *((*_verdicts(folder), *_predictions(folder)) if file == "table.csv" else ())]


def places(folder: Path) -> list[str]:
    """Where an artifact has its page and its images, in at most two lines."""
    pictures = folder / "pictures"
    count = sum(1 for _ in pictures.iterdir()) if pictures.is_dir() else 0
    page = [f"page: {folder / 'index.html'} (deepinside open)"] if (folder / "index.html").is_file() else []
    return [*page, *([f"images: {count} in {pictures}"] if count else [])]


def _predictions(folder: Path) -> list[str]:
    # What the network takes each image for, where that is what was looked at.
    rows = [row for row in _read(folder / "per_image.csv") if row.get("predicted_name")]
    rest = [f"... and {len(rows) - _IMAGES} more in per_image.csv"] if len(rows) > _IMAGES else []
    return [*_aligned([_predicted(row) for row in rows[:_IMAGES]]), *rest] if rows else []


def _predicted(row: dict[str, str]) -> tuple[str, str, str, str]:
    truth = "" if row["name"] in {"", row["predicted_name"]} else f"labelled {_first(row['name'])}"
    return row["image"], _first(row["predicted_name"]), number.shown(float(row["probability"]), "fraction"), truth


def _first(names: str) -> str:
    return names.split(",")[0]


def _verdicts(folder: Path) -> list[str]:
    # Of each claim on every data set that it was measured on; what it needs, where it was on none.
    rows = _read(folder / "claims.csv")
    if len({row["id"] for row in rows}) > _CLAIMS:
        return []
    measured = {row["id"] for row in rows if row["value"]}
    return _aligned([_decided(row) for row in rows if row["value"] or row["id"] not in measured])


def _decided(row: dict[str, str]) -> tuple[str, str, str, str]:
    name, verdict = f"{row['id']} on {row['world']}", row["verdict"].replace("_", " ")
    if not row["value"]:
        return name, verdict, "", row["needs"]
    _, _, text, ends = _worded({"metric": name, **{key: row[key] for key in ("value", "ci_low", "ci_high", "unit")}})
    return name, verdict, text, ends


def _fair(rows: list[dict[str, str]], room: int) -> list[dict[str, str]]:
    # Of every group as many, so that a long first one does not push out the last.
    ranks: dict[str, int] = {}
    ranked = []
    for position, row in enumerate(rows):
        group = row.get("group", "")
        ranks[group] = ranks.get(group, -1) + 1
        ranked.append((ranks[group], position))
    return [rows[position] for position in sorted(position for _, position in sorted(ranked)[:room])]


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
