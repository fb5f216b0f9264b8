"""The vocabulary of a probe set in the Broden format: its categories and its labels."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from deepinside.data.reading import brief, read_table

_CATEGORY = re.compile(r"(.+)\((\d+)\)")
_NAME = re.compile(r"[\w-]{1,64}")  # of a category, which becomes a part of the names of files


@dataclass(frozen=True)
class Label:
    """A concept.

    Args:
        number: in label maps, from 1 on, by decreasing frequency.
        name: readable; colours end in -c, scenes in -s.
        category: the primary one, under which alone the label is scored.
        categories: number of images with it, for each category that has it.
        frequency: number of images with it.
        coverage: its area in whole images.
    """

    number: int
    name: str
    category: str
    categories: Mapping[str, int]
    frequency: int
    coverage: float


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table, by the names in its header.

    Args:
        path: of the csv file.
        columns: required ones.

    Returns:
        One dictionary per row; a short row has empty cells.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected a table of the probe set, got no such file: unzip it completely again"
        )
    return read_table(path, columns, errors="replace", mend="unzip the probe set again")


def read_categories(root: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The categories, in the order of `category.csv`.

    Args:
        root: of the probe set.
        wanted: some of them; None for all.

    Returns:
        Their names.

    Raises:
        KeyError: if a requested category does not exist.
        ValueError: if one is repeated, or has an invalid name.
    """
    names = [row["name"] for row in read_rows(root / "category.csv", ("name",))]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            what = f"expected words (at most 64 letters, digits, _ and -), each once, got {brief(repr(name))}"
            raise ValueError(f"{root / 'category.csv'}: {what}: unzip the probe set again")
    for name in wanted or ():
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise KeyError(f"{root / 'category.csv'}: no category {name!r}, there are {', '.join(names)}{hint}")
    return tuple(name for name in names if wanted is None or name in wanted)


def primary(coverages: Mapping[str, float], categories: Sequence[str]) -> str:
    """The category that a label is scored under: the one with its largest coverage; of equal ones, the later.

    Args:
        coverages: in whole images, per category that has the label.
        categories: in the order of `category.csv`.

    Returns:
        The category.

    Source: Bau et al. 2017, released code (`primary_categories_per_index`).
    """
    return max(coverages, key=lambda name: (coverages[name], categories.index(name)))


def read_labels(root: Path, categories: Sequence[str]) -> tuple[tuple[Label, ...], tuple[int, ...]]:
    """The labels that occur in some categories.

    Args:
        root: of the probe set.
        categories: to use, in the order of `category.csv`.

    Returns:
        These labels by number, and the numbers of all labels, sorted.

    Raises:
        ValueError: if a row is broken, a number is repeated, or a required coverage is missing.
    """
    path = root / "label.csv"
    coverages = _coverages(root, categories)
    labels: dict[int, Label | None] = {}
    rows = read_rows(path, ("number", "name", "category", "frequency", "coverage"))
    for line, row in enumerate(rows, start=2):
        try:
            number = int(row["number"])
            if not 0 < number < 2**16 or number in labels:  # a label map has two bytes for it
                raise ValueError(f"expected a new number from 1 to 65535, got {number}")
            labels[number] = _label(row, number, coverages, categories)
        except ValueError as error:
            what = f"expected a label, got {brief(str(row))}: {brief(str(error))}"
            raise ValueError(f"{path}, line {line}: {what}") from error
    numbers = tuple(sorted(labels))
    return tuple(label for label in (labels[number] for number in numbers) if label), numbers


def _label(
    row: Mapping[str, str], number: int, coverages: Mapping[tuple[str, int], float], categories: Sequence[str]
) -> Label | None:
    counts = {}
    for part in filter(None, row["category"].split(";")):
        match = _CATEGORY.fullmatch(part)
        if match is None:
            raise ValueError(f"category is {part!r}, expected such as object(3)")
        if match[1] in categories:
            counts[match[1]] = int(match[2])
    if not counts:
        return None
    missing = [name for name in counts if (name, number) not in coverages]
    if missing and len(counts) > 1:  # with one category there is nothing to decide
        raise ValueError(f"c_{missing[0]}.csv has no coverage of label {number}, which determines its primary category")
    covered = {name: coverages.get((name, number), 0.0) for name in counts}
    category = primary(covered, categories)
    return Label(number, row["name"], category, counts, int(row["frequency"]), _finite(row["coverage"]))


def _finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"coverage is {cell}, expected a finite number")
    return value


# label.csv has the coverage of a label in all categories together; what decides is that in each.
def _coverages(root: Path, categories: Sequence[str]) -> dict[tuple[str, int], float]:
    coverages = {}
    for name in categories:
        path = root / f"c_{name}.csv"
        for row in read_rows(path, ("number", "coverage")) if path.exists() else ():
            try:
                coverages[name, int(row["number"])] = _finite(row["coverage"])
            except ValueError as error:
                raise ValueError(
                    f"{path}: expected a number and a coverage, got {brief(str(row))}: unzip it again"
                ) from error
    return coverages
