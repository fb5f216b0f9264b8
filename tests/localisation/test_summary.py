"""Four images by hand: two right, one wrong by its box, one by its class; a fifth is blacklisted."""

import csv

import numpy as np
import pytest

from deepinside.localisation import tables
from deepinside.localisation.measure import THRESHOLDS
from deepinside.localisation.outcome import Located, Outcome

FULL, LEFT, CORNER = [0, 0, 10, 20], [0, 0, 5, 20], [0, 0, 1, 1]


@pytest.fixture
def outcome():
    """Instances fill all, all, half, all; widths are 10, heights 20."""
    curves = np.zeros((5, len(THRESHOLDS)))
    curves[:2, 10:40], curves[2, 30:60], curves[4] = 0.6, 0.75, 1
    known = np.array([FULL, LEFT, CORNER, FULL, FULL], float)
    return Outcome(
        images=tuple("abcde"),
        sizes=np.array([[20, 10]] * 5),
        truth=np.array([0, 0, 1, 1, 1]),
        instances=tuple(np.array([box], float) for box in (FULL, FULL, LEFT, FULL, FULL)),
        counted=np.array([True] * 4 + [False]),
        located=Located(
            labels=np.array([[0], [0], [1], [0], [1]]),
            boxes=known[:, None],
            found=np.ones((5, 1), bool),
            known=known,
            seeds=np.array([LEFT, CORNER, CORNER, CORNER, FULL], float),
            curve=curves,
            pointed=np.array([1, 0, 1, 1, 0.0]),
            energy=np.array([1, 0.5, np.nan, 0.75, 0]),
            others=np.array([[[CORNER] * 2]] * 5, float),
            reason=np.array([""] * 5),
        ),
        others=("blind",),
    )


def test_an_error_is_one_of_class_or_one_of_box(outcome):
    table = tables.table(outcome)
    assert table["top1_localisation_error"][1:4] == (50, "%", 4)
    assert table["top1_localisation_error_by_class"][1:4] == (25, "%", 4)
    assert table["top1_localisation_error_by_box"][1:4] == (25, "%", 4)


def test_gains_over_baselines_are_paired(outcome):
    table = tables.table(outcome)
    # Known: ours right, right, wrong, right; the whole image is right everywhere.
    assert table["class_known_localisation_gain_over_whole_image"].value == -25
    assert table["class_known_localisation_gain_over_blind"].value == 75
    assert table["blind.class_known_localisation_error"].value == 100
    assert table["top5_localisation_gain_over_blind"][1:4] == (50, "percentage points", 4)


def test_measures_of_maps_leave_out_what_is_blacklisted(outcome):
    table = tables.table(outcome)
    assert table["max_box_accuracy_iou_0.3"].value == 75  # thresholds 0.3 to 0.4 find three
    assert table["max_box_threshold_iou_0.3"].value == pytest.approx(0.3)
    assert table["max_box_accuracy_iou_0.7"].value == 25
    assert table["max_box_accuracy_v2"].value == pytest.approx((75 + 75 + 25) / 3)
    assert table["pointing_game_accuracy"].value == 75
    assert table["energy_in_box"][1:4] == (75, "%", 3)
    assert table["seeds_iou"].value == pytest.approx((0.5 + 1 / 200 + 1 / 100 + 1 / 200) / 4)
    assert table["iou_gain_over_seeds"].value == pytest.approx((0.5 + 99 / 200 + 0 + 199 / 200) / 4)


def test_by_class_and_by_size(outcome, tmp_path):
    tables.write(outcome, ("cat", "dog"), tmp_path)
    cat, dog = csv.DictReader((tmp_path / "per_class.csv").open())
    assert (cat["name"], cat["images"], float(cat["class_known_error"])) == ("cat", "2", 0)
    assert (dog["name"], dog["images"], float(dog["class_known_error"]), float(dog["top1_error"])) == (
        "dog", "2", 50, 100,
    )  # fmt: skip
    sizes = list(csv.DictReader((tmp_path / "per_size.csv").open()))
    assert [row["images"] for row in sizes] == ["0", "0", "0", "1", "3"]  # from 0.5 on belongs to the upper bin
    assert sizes[0]["class_known_error"] == ""
    assert float(sizes[4]["mean_iou"]) == pytest.approx(2.5 / 3, abs=1e-5)
