"""The most that any unit can overlap a concept, given how much of the pictures the concept covers."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

QUANTILE = 0.005  # share of all positions on which a unit fires (Bau et al. 2017, sec. 2.2)


def ceiling(
    truth: Float[ndarray, " c"], carrying: Float[ndarray, " c"], images: float, quantile: float = QUANTILE
) -> Float[ndarray, " c"]:
    """Max over A of min(A, G) / max(A, G): G is the concept, A what a unit fires on in pictures of its category.

    A unit fires on `quantile` of the positions of all pictures. Of these, A lie in pictures that carry the concept's
    category and count; the others lie elsewhere, where there is room for images - carrying. Given A, the best that can
    be is that one of A and G lies inside the other. So the ceiling is 1 where A = G is possible, and below 1 for
    concepts that are larger than a unit's whole mask, or too small for what must fall on their category's pictures.

    Args:
        truth: G, what each concept covers, in whole pictures.
        carrying: number of pictures that carry its category.
        images: number of all pictures.
        quantile: share of positions on which a unit fires.

    Returns:
        (c,), 0 to 1.

    Source: Bau et al. 2017, sec. 2.3 (the sums of IoU run over the pictures that carry the category).
    """
    mask = quantile * images
    active = np.clip(truth, np.maximum(mask - (images - carrying), 0), mask)
    return np.minimum(active, truth) / np.maximum(np.maximum(active, truth), 1e-12)


def read_ceilings(folder: Path, quantile: float = QUANTILE) -> list[tuple[int, str, str, int, float]]:
    """The ceiling of every concept of a Broden folder.

    Args:
        folder: holds `index.csv`, `category.csv` and the `c_*.csv`.
        quantile: share of positions on which a unit fires.

    Returns:
        number, name, category, truth (covered positions of the label maps) and ceiling, in order of number; a label
        of several categories has a row in each.
    """
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        index = list(csv.DictReader(file))
    area = int(index[0]["sh"]) * int(index[0]["sw"])
    with (folder / "category.csv").open(newline="", encoding="utf-8") as file:
        categories = [row["name"] for row in csv.DictReader(file)]
    found = []
    for category in categories:
        carrying = sum(bool(row[category].strip(";")) for row in index)
        with (folder / f"c_{category}.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                covered = float(row["coverage"])
                most = float(ceiling(np.array([covered]), np.array([carrying]), len(index), quantile)[0])
                found.append((int(row["number"]), row["name"], category, round(covered * area), most))
    return sorted(found)
