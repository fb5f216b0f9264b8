"""The label tables and the index of a Broden folder."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

_TRAIN = 0.7  # share of the split called train


@dataclass(frozen=True)
class Probe:
    """One picture and what is known of it.

    Args:
        file: relative to `images/`.
        maps: category -> label maps, (levels, h, w), numbers into `names`; 0 is unlabelled.
        names: category -> what the numbers mean.
        whole: category -> names that hold for the whole picture, the dominant first.
    """

    file: str
    maps: dict[str, UInt8[ndarray, "levels h w"]]
    names: dict[str, tuple[str, ...]]
    whole: dict[str, tuple[str, ...]]

    def coverage(self) -> dict[tuple[str, str], float]:
        """How much of the picture each concept covers.

        Returns:
            (category, name) -> share of the picture, 0 to 1.
        """
        shares = {(category, name): 1.0 for category, names in self.whole.items() for name in names}
        for category, maps in self.maps.items():
            area = maps[0].size
            for code in np.unique(maps[maps > 0]).tolist():
                shares[category, self.names[category][code]] = float((maps == code).any(0).sum()) / area
        return shares


class Label(NamedTuple):
    """A concept: its number, name, category, number of pictures and coverage in whole pictures."""

    number: int
    name: str
    category: str
    frequency: int
    coverage: float


def numbered(probes: Iterable[Probe], least_frequency: int, least_coverage: float) -> list[Label]:
    """The concepts, numbered from 1 by decreasing frequency.

    Args:
        probes: all pictures.
        least_frequency: a label that holds for fewer pictures is dropped.
        least_coverage: a label that covers less, in whole pictures, is dropped.

    Returns:
        The labels in order of number; where the frequency is the same, the larger coverage comes first.
    """
    frequency: Counter[tuple[str, str]] = Counter()
    coverage: Counter[tuple[str, str]] = Counter()
    for probe in probes:
        for label, share in probe.coverage().items():
            frequency[label] += 1
            coverage[label] += share  # type: ignore[assignment]
    kept = [
        label for label, count in frequency.items() if count >= least_frequency and coverage[label] >= least_coverage
    ]
    kept.sort(key=lambda label: (-frequency[label], -coverage[label], label))
    return [Label(k, name, c, frequency[c, name], coverage[c, name]) for k, (c, name) in enumerate(kept, start=1)]


def categories(labels: Sequence[Label]) -> list[str]:
    """The categories in order of their first label.

    Args:
        labels: in order of number.

    Returns:
        Each once.
    """
    return list(dict.fromkeys(label.category for label in labels))


def index_rows(
    probes: Sequence[Probe], cells: Sequence[dict[str, str]], labels: Sequence[Label], side: int
) -> list[dict[str, str | int]]:
    """The rows of `index.csv`, in the order of the hashes of the file names.

    Args:
        probes: all pictures.
        cells: what is said of each picture in each category.
        labels: in order of number.
        side: of the pictures in pixels.

    Returns:
        Column -> cell.
    """
    rows = []
    for probe, cell in zip(probes, cells, strict=True):
        digest = hashlib.md5(probe.file.encode(), usedforsecurity=False).hexdigest()
        split = "train" if int(digest[:8], 16) < _TRAIN * 2**32 else "val"
        row: dict[str, str | int] = {"image": probe.file, "split": split, "ih": side, "iw": side}
        row |= {"sh": side // 2, "sw": side // 2} | {name: cell.get(name, "") for name in categories(labels)}
        rows.append((digest, row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def write_tables(out: Path, labels: Sequence[Label], index: Sequence[dict[str, str | int]]) -> None:
    """Writes `index.csv`, `category.csv`, `label.csv` and the `c_*.csv`.

    Args:
        out: where to.
        labels: in order of number.
        index: rows of the index.
    """
    _write(out / "index.csv", index)
    rows = []
    for category in categories(labels):
        mine = [label for label in labels if label.category == category]
        total = sum(label.frequency for label in mine)
        spread = {"first": mine[0].number, "last": mine[-1].number, "count": len(mine), "frequency": total}
        rows.append({"name": category, **spread})
        _write(out / f"c_{category}.csv", [{"code": k, **_cell(label)} for k, label in enumerate(mine, start=1)])
    _write(out / "category.csv", rows)
    _write(out / "label.csv", [_long_cell(label) for label in labels])


def _cell(label: Label) -> dict[str, str | int]:
    coverage = f"{label.coverage:.6f}"
    return {"number": label.number, "name": label.name, "frequency": label.frequency, "coverage": coverage}


def _long_cell(label: Label) -> dict[str, str | int]:
    cell = _cell(label)
    category = f"{label.category}({label.frequency})"
    return {"number": cell.pop("number"), "name": cell.pop("name"), "category": category, **cell, "syns": ""}


def _write(path: Path, rows: Sequence[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
