"""The errors of ILSVRC's classification-with-localisation task, by the rules of its evaluation code.

An image counts as localised if one of the first k guesses names its class and the guessed box overlaps any instance of
that class by at least half. Blacklisted images count for classification only. Boxes are half-open here, so that widths
x1 - x0 equal the evaluation code's xmax - xmin + 1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from deepinside.localisation.boxes import overlap
from deepinside.records import Row
from deepinside.statistics import mean_row

CORRECT = 0.5  # the overlap from which on a box is right; eval_clsloc fails what lies below


def best_overlaps(boxes: Float[ndarray, "n g 4"], instances: Sequence[Float[ndarray, "b 4"]]) -> Float[ndarray, "n g"]:
    """The highest overlap of every guessed box with an instance.

    Args:
        boxes: g guesses per image, half-open.
        instances: the boxes of the image's class, per image; possibly none.

    Returns:
        (n, g), IoU in [0, 1]; 0 if the image has no box.

    Raises:
        ValueError: if there is not one set of instances per image.

    Source: ILSVRC devkit, compute_overlap.m and eval_clsloc.m.
    """
    if len(boxes) != len(instances):
        raise ValueError(f"expected instances for {len(boxes)} images, got {len(instances)}: give one array per image")
    best = np.zeros(boxes.shape[:2])
    owner = np.repeat(np.arange(len(instances)), [len(found) for found in instances])
    if len(owner):
        flat = np.concatenate([np.asarray(found, dtype=np.float64).reshape(-1, 4) for found in instances])
        np.maximum.at(best, owner, overlap(boxes[owner], flat[:, None]))
    return best


def classification_errors(labels: Int[ndarray, "n g"], truth: Int[ndarray, " n"], guesses: int) -> Bool[ndarray, " n"]:
    """Whether none of the first guesses names the class: min_j [label_j != truth].

    Args:
        labels: guessed classes, best first; a number that is no class means no guess.
        truth: class per image.
        guesses: their number.

    Returns:
        (n,), true where wrong.

    Source: ILSVRC devkit, eval_clsloc.m.
    """
    return ~(labels[:, :guesses] == truth[:, None]).any(axis=1)


def localisation_errors(
    labels: Int[ndarray, "n g"], overlaps: Float[ndarray, "n g"], truth: Int[ndarray, " n"], guesses: int
) -> Bool[ndarray, " n"]:
    """Whether none of the first guesses names the class with a box that overlaps it by at least half.

    Args:
        labels: guessed classes, best first.
        overlaps: of the guessed boxes, see `best_overlaps`.
        truth: class per image.
        guesses: their number.

    Returns:
        (n,), true where wrong. The caller excludes blacklisted images.

    Source: ILSVRC devkit, eval_clsloc.m.
    """
    right = (labels[:, :guesses] == truth[:, None]) & (overlaps[:, :guesses] >= CORRECT)
    return ~right.any(axis=1)


def errors(
    labels: Int[ndarray, "n g"],
    overlaps: Float[ndarray, "n g"],
    truth: Int[ndarray, " n"],
    counted: Bool[ndarray, " n"],
) -> dict[str, Float[ndarray, " n"]]:
    """The four errors that are reported, per image.

    Args:
        labels: guessed classes, best first.
        overlaps: of the guessed boxes, or (n, 1) for one box whatever the class.
        truth: class per image.
        counted: images whose localisation counts: those that are not blacklisted.

    Returns:
        `cls_error_1`, `loc_error_1`, `cls_error_5`, `loc_error_5`, each (n,): 0 right, 1 wrong, NaN where not counted.
    """
    overlaps = np.broadcast_to(overlaps, labels.shape)
    found: dict[str, Float[ndarray, " n"]] = {}
    for guesses in (1, 5):
        found[f"cls_error_{guesses}"] = classification_errors(labels, truth, guesses).astype(float)
        wrong = localisation_errors(labels, overlaps, truth, guesses).astype(float)
        found[f"loc_error_{guesses}"] = np.where(counted, wrong, np.nan)
    return found


METRICS = {
    "cls_error_1": "top1_classification_error",
    "cls_error_5": "top5_classification_error",
    "loc_error_1": "top1_localisation_error",
    "loc_error_5": "top5_localisation_error",
    "known_error": "class_known_localisation_error",
}  # columns of per_image.csv and the rows of table.csv that are their means


def row(column: str, wrong: Float[ndarray, " n"], prefix: str = "") -> Row:
    """The mean of an error over the images that count, in percent, with the exact interval of a share of images.

    Args:
        column: a key of `METRICS`.
        wrong: 0 or 1 per image, NaN if it does not count.
        prefix: of the metric's name.

    Returns:
        A row of `table.csv`; without a value if no image counts.
    """
    return mean_row(prefix + METRICS[column], 100 * wrong, "%")


def class_known_errors(overlaps: Float[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Whether the box drawn for the true class overlaps it by less than half, whatever was classified (GT-known).

    Args:
        overlaps: of the box of the true class, (n,).

    Returns:
        (n,), true where wrong.
    """
    return overlaps < CORRECT
