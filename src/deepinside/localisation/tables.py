"""The table of an outcome: errors, their parts, gains over baselines, and measures of the maps."""

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from deepinside.localisation.error import METRICS, row
from deepinside.localisation.measure import max_box_accuracy
from deepinside.localisation.outcome import Outcome
from deepinside.records import Row, Table
from deepinside.statistics import mean_row

_OVERLAPS = (0.3, 0.5, 0.7)  # Choe et al. 2020, sec. 4.1
_GAINS = {"known_error": "class_known_localisation", "loc_error_5": "top5_localisation"}


def table(outcome: Outcome) -> Table:
    """The errors in percent, those of the baselines, and the numbers of images.

    Args:
        outcome: of all images.

    Returns:
        Classification and localisation errors at one and five guesses and with the class known; the localisation errors
        again for every baseline, its name and a dot in front; then their parts, paired gains, and measures of maps.
    """
    return Table([*_errors(outcome), *_parts(outcome), *_gains(outcome), *_maps(outcome), *_counts(outcome)])


def _errors(outcome: Outcome) -> Iterator[Row]:
    yield from (row(column, wrong) for column, wrong in outcome.errors().items())
    for name, overlaps in outcome.baselines.items():
        for column, wrong in outcome.judged(*overlaps).items():
            if not column.startswith("cls"):  # a baseline guesses the same classes
                yield row(column, wrong, f"{name}.")


def _parts(outcome: Outcome) -> Iterator[Row]:
    # Localisation error = the class is not among the guesses + it is, but its box is wrong.
    errors = outcome.errors()
    for guesses in (1, 5):
        by_class = np.where(outcome.counted, errors[f"cls_error_{guesses}"], np.nan)
        yield mean_row(f"top{guesses}_localisation_error_by_class", 100 * by_class, "%")
        yield mean_row(
            f"top{guesses}_localisation_error_by_box", 100 * (errors[f"loc_error_{guesses}"] - by_class), "%"
        )


def _gains(outcome: Outcome) -> Iterator[Row]:
    ours = outcome.errors()
    for name, overlaps in outcome.baselines.items():
        theirs = outcome.judged(*overlaps)
        for column, metric in _GAINS.items():
            yield mean_row(f"{metric}_gain_over_{name}", 100 * (theirs[column] - ours[column]), "percentage points")


def _maps(outcome: Outcome) -> Iterator[Row]:
    counted = outcome.counted
    yield mean_row("class_known_iou", np.where(counted, outcome.known_overlaps, np.nan), "IoU")
    seeds, located = outcome.seeds_overlaps, outcome.located
    yield mean_row("seeds_iou", np.where(counted, seeds, np.nan), "IoU")
    yield mean_row("iou_gain_over_seeds", np.where(counted, outcome.known_overlaps - seeds, np.nan), "IoU")
    if not counted.any():
        return
    curves, pointed, energy = (values[counted] for values in (located.curve, located.pointed, located.energy))
    found = {least: max_box_accuracy(curves, least) for least in _OVERLAPS}
    # Intervals at the thresholds found: that these were chosen on the same images is not in them.
    yield mean_row("max_box_accuracy_v2", 100 * np.mean([right for _, right in found.values()], axis=0), "%")
    for least, (threshold, right) in found.items():
        yield mean_row(f"max_box_accuracy_iou_{least}", 100.0 * right, "%")
        yield Row(f"max_box_threshold_iou_{least}", threshold, "of the map's maximum")
    yield mean_row("pointing_game_accuracy", 100 * pointed, "%")
    yield mean_row("energy_in_box", 100 * energy, "%")


def _counts(outcome: Outcome) -> Iterator[Row]:
    yield Row("images", len(outcome.images), "images")
    yield Row("images_blacklisted", int((~outcome.counted).sum()), "images")
    yield Row("guesses_without_object", int((~outcome.located.found).sum()), "guesses", outcome.located.found.size)


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
    error = mean_row("", known, "%")
    overlap = outcome.known_overlaps[kept].mean()
    numbers = (overlap, error.value, error.ci_low, error.ci_high, first.mean(), fifth.mean())
    return (int(kept.sum()), *(f"{number:.6g}" for number in numbers))


def _table(path: Path, head: tuple[str, ...], rows: Sequence[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


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
    numbers = [{key: _values(column) for key, column in table.items()} for table in (ours, theirs)]
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


def _values(cells: list[str]) -> Float[ndarray, " n"]:
    return np.array([float(cell) if cell else np.nan for cell in cells])
