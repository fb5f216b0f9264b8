"""One table of all benchmarks: each writes its own rows anew and leaves those of the others as they are."""

import csv
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class Record(NamedTuple):
    """A case: times of ours and of its comparison, and their ratio with the smallest and largest of the rounds.

    `target` is such as `at least 2.5` (theirs over ours) or `at most 1.5` (ours over theirs), or empty.
    """

    benchmark: str
    case: str
    beside: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    lowest: float
    highest: float
    target: str = ""

    @property
    def met(self) -> str:
        """Whether the ratio reaches the target: yes, no, or empty where there is none."""
        if not self.target:
            return ""
        _, word, bound = self.target.split()
        reached = self.ratio >= float(bound) if word == "least" else self.ratio <= float(bound)
        return "yes" if reached else "no"


COLUMNS = (*Record._fields, "met", "machine", "date")


def machine(threads: int) -> str:
    """The machine in a few words, with its load."""
    return f"{os.cpu_count()} cores {platform.machine()}, {threads} threads, load {os.getloadavg()[0]:.1f}"


def keep(path: Path | None, records: Iterable[Record], threads: int = 1) -> None:
    """Puts records into the table, in place of all of the same benchmark.

    Args:
        path: of the table; None: nowhere.
        records: of one benchmark or several.
        threads: that they ran with.
    """
    records = list(records)
    if path is None or not records:
        return
    rows = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    fresh = {one.benchmark for one in records}
    kept = [row for row in rows if row["benchmark"] not in fresh]
    about = {"machine": machine(threads), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    kept += [{**{k: _cell(v) for k, v in one._asdict().items()}, "met": one.met, **about} for one in records]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(kept, key=lambda row: row["benchmark"]))


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
