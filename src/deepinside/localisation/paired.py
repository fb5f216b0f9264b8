"""Two localisations of the same photographs, image by image."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.localisation.error import METRICS
from deepinside.records import Table
from deepinside.statistics import mean_row


def paired(first: str | Path, second: str | Path) -> Table:
    """How much better the first is than the second, in percentage points of each error, with intervals over images.

    Args:
        first: folder of an artifact with `per_image.csv`.
        second: likewise, of the same images.

    Returns:
        For every error `<metric>_gain`, second minus first; and `class_known_iou_gain`, first minus second.

    Raises:
        FileNotFoundError: if a folder has no such file.
        ValueError: if the images differ.
    """
    first, second = Path(first), Path(second)
    ours, theirs = _columns(first), _columns(second)
    names, others = ours.pop("image"), theirs.pop("image")
    if names != others:
        raise ValueError(
            f"expected the same images, got {len(names)} in {first} and {len(others)} in {second}, "
            f"{len(set(names) & set(others))} in both: run both with the same data"
        )
    numbers = [{key: _numbers(column) for key, column in table.items()} for table in (ours, theirs)]
    rows = [
        mean_row(f"{metric}_gain", 100 * (numbers[1][column] - numbers[0][column]), "percentage points")
        for column, metric in METRICS.items()
    ]
    return Table([*rows, mean_row("class_known_iou_gain", numbers[0]["iou_known"] - numbers[1]["iou_known"], "IoU")])


def _columns(folder: Path) -> dict[str, list[str]]:
    path = folder / "per_image.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the table of run=localise, got none: name its artifact's folder")
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    kept = {"image", "iou_known", *METRICS}
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0]) if name in kept}


def _numbers(cells: list[str]) -> Float[ndarray, " n"]:
    return np.array([float(cell) if cell else np.nan for cell in cells])
