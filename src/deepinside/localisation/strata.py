"""Errors by class and by the size of the object."""

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from deepinside.localisation.outcome import Outcome
from deepinside.statistics import bootstrap_interval

_EDGES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # shares of the photograph; above 0.5 the whole image is right
_HEAD = ("images", "mean_iou", "class_known_error", "ci_low", "ci_high", "top1_error", "top5_error")


def shares(outcome: Outcome) -> Float[ndarray, " n"]:
    """The share of the photograph that the largest instance fills.

    Args:
        outcome: of n images.

    Returns:
        (n,), in [0, 1].
    """
    areas = [np.prod(found[:, 2:] - found[:, :2], axis=1).max() for found in outcome.instances]
    return np.array(areas) / outcome.sizes.prod(axis=1)


def write(outcome: Outcome, classes: Sequence[str], folder: Path) -> None:
    """Writes `per_class.csv` and `per_size.csv`; errors in percent, of images that are not blacklisted.

    Args:
        outcome: of all images.
        classes: names.
        folder: where to.
    """
    known = sorted(set(outcome.truth.tolist()))
    rows = [(label, classes[label], *_numbers(outcome, outcome.truth == label)) for label in known]
    _table(folder / "per_class.csv", ("class", "name", *_HEAD), rows)
    _table(folder / "per_size.csv", ("share_from", "share_to", *_HEAD), list(_sizes(outcome)))


def _sizes(outcome: Outcome) -> Iterator[tuple]:
    bins = np.clip(np.digitize(shares(outcome), _EDGES) - 1, 0, len(_EDGES) - 2)
    for number, (low, high) in enumerate(pairwise(_EDGES)):
        yield low, high, *_numbers(outcome, bins == number)


def _numbers(outcome: Outcome, chosen: Bool[ndarray, " n"]) -> tuple:
    kept = chosen & outcome.counted
    errors = outcome.errors()
    if not kept.any():
        return (0, *("",) * (len(_HEAD) - 1))  # no images, no answer
    known, first, fifth = (100 * errors[key][kept] for key in ("known_error", "loc_error_1", "loc_error_5"))
    interval = bootstrap_interval(known)
    numbers = (outcome.known_overlaps[kept].mean(), known.mean(), *interval, first.mean(), fifth.mean())
    return (int(kept.sum()), *(f"{number:.6g}" for number in numbers))


def _table(path: Path, head: tuple[str, ...], rows: Sequence[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
