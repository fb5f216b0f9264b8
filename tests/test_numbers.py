"""Numbers with intervals in the guides are those of the committed tables."""

import csv
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = (
    "README.md",
    "CHANGELOG.md",
    "experiments/README.md",
    "experiments/attribution/README.md",
    "experiments/localisation/README.md",
)
OLD = (  # of tables in the history alone; the second until `make experiments` has written localisation/results.csv
    "What was found on the synthetic data set by the register before",
    "What the two presets do on all 674 photographs",
)
NEXT = "# Where the paper's method loses"  # what comes after the second
VALUES = ("value", "error", "top1_error_centre_crop")
PHOTOGRAPHS = "localisation/README.md, 674 photographs"
DERIVED = {  # in no row of a table
    "46.6 [42.9, 50.4]": PHOTOGRAPHS,
    "34.1 [30.6, 37.7]": PHOTOGRAPHS,
    "55.2 [51.6, 58.9]": PHOTOGRAPHS,
    "18.8 [17.2, 20.4]": "mean and t-interval over the three seeds of learnt_filters.csv",
}
TRIPLE = re.compile(r"(-?\d+(?:\.\d+)?)(?: %)? \[(-?\d+(?:\.\d+)?), (-?\d+(?:\.\d+)?)\]")


def measured() -> Iterator[tuple[float, float, float]]:
    """Value and interval of every row of every table: as it is, in percent, and with the sign turned."""
    for path in sorted((ROOT / "experiments").rglob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row, name in product(csv.DictReader(file), VALUES):
                try:
                    value, low, high = (float(row[key]) for key in (name, "ci_low", "ci_high"))
                except (KeyError, ValueError):
                    continue
                for scale in (1, 100):
                    yield scale * value, scale * low, scale * high
                    yield -scale * value, -scale * high, -scale * low


@pytest.mark.parametrize("guide", GUIDES)
def test_numbers_of_a_guide_are_in_a_table(guide: str) -> None:
    known = np.array(list(measured()))
    text = " ".join((ROOT / guide).read_text(encoding="utf-8").split())
    for old in OLD:
        before, _, after = text.partition(old)
        text = before + after.partition(NEXT)[2]
    found = [match.groups() for match in TRIPLE.finditer(text)]
    assert found
    strange = []
    for one in found:
        half = [0.5 * 10.0 ** -len(number.partition(".")[2]) for number in one]
        near = np.abs(known - np.array(one, dtype=float)) <= np.array(half) + 1e-9
        if not near.all(axis=1).any():
            strange.append("{} [{}, {}]".format(*one))
    assert sorted(set(strange) - DERIVED.keys()) == []
