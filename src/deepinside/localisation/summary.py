"""The table of an outcome: errors, what they are made of, gains over baselines, and how well the maps point."""

from collections.abc import Iterator

import numpy as np

from deepinside.localisation.error import row
from deepinside.localisation.measure import max_box_accuracy
from deepinside.localisation.outcome import Outcome
from deepinside.records import Row, Table
from deepinside.statistics import mean_row

_OVERLAPS = (0.3, 0.5, 0.7)  # Choe et al. 2020, sec. 4.1
_GAINS = {"known_error": "class_known_localisation", "loc_error_5": "top5_localisation"}


def table(outcome: Outcome) -> Table:
    """The errors in percent, those of the baselines, and what was counted.

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
    if len(seeds := outcome.seeds_overlaps):
        yield mean_row("seeds_iou", np.where(counted, seeds, np.nan), "IoU")
        yield mean_row("iou_gain_over_seeds", np.where(counted, outcome.known_overlaps - seeds, np.nan), "IoU")
    if outcome.measured is None or not counted.any():
        return
    curves, pointed, energy = (values[counted] for values in outcome.measured)
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
    yield Row("guesses_without_object", int((~outcome.found).sum()), "guesses", outcome.found.size)
