"""Three images by hand; sizes are (height, width), boxes half-open x0 y0 x1 y1."""

import csv
import math

import numpy as np
import pytest

from deepinside.localisation import tables
from deepinside.localisation.measure import THRESHOLDS
from deepinside.localisation.outcome import Located, Outcome
from deepinside.statistics import share_interval


@pytest.fixture
def outcome():
    """First: right with the second guess. Second: right class, bad box. Third: blacklisted and wrong."""
    return Outcome(
        images=("a", "b", "c"),
        sizes=np.array([[10, 20], [10, 20], [30, 20]]),
        truth=np.array([2, 0, 1]),
        instances=(
            np.array([[0, 0, 10, 10.0]]),
            np.array([[0, 0, 20, 10.0], [0, 0, 2, 2]]),
            np.array([[5, 5, 6, 6.0]]),
        ),
        counted=np.array([True, True, False]),
        located=Located(
            labels=np.array([[1, 2], [0, 2], [0, -1]]),
            boxes=np.array(
                [[[0, 0, 10, 10], [0, 0, 10, 5]], [[0, 0, 5, 5], [0, 0, 20, 10]], [[0, 0, 1, 1]] * 2], float
            ),
            found=np.array([[True, True], [True, False], [True, True]]),
            known=np.array([[0, 0, 10, 5], [0, 0, 1, 1], [5, 5, 6, 6]], float),
            seeds=np.ones((3, 4)),
            curve=np.zeros((3, len(THRESHOLDS))),
            pointed=np.zeros(3),
            energy=np.zeros(3),
            others=np.zeros((3, 0, 3, 4)),
            reason=np.array([""] * 3),
        ),
    )


def test_overlaps(outcome):
    assert outcome.overlaps.tolist() == [[1, 0.5], [4 / 25, 1], [0, 0]]
    assert outcome.known_overlaps.tolist() == [0.5, 0.25, 1]


def test_the_middle_of_an_image_is_in_an_instance_or_not(outcome):
    assert outcome.centred.tolist() == [False, True, False]  # the middle of the first is where its box ends


def test_errors(outcome):
    errors = outcome.errors()
    assert errors["cls_error_1"].tolist() == [1, 0, 1]
    assert errors["cls_error_5"].tolist() == [0, 0, 1]
    assert errors["loc_error_1"].tolist()[:2] == [1, 1]
    assert errors["loc_error_5"].tolist()[:2] == [0, 1]
    assert errors["known_error"].tolist()[:2] == [0, 1]
    assert all(math.isnan(errors[key][2]) for key in ("loc_error_1", "loc_error_5", "known_error"))


def test_the_table(outcome):
    table = tables.table(outcome)
    assert table["top1_classification_error"].value == pytest.approx(200 / 3)
    assert table["top1_classification_error"].n == 3
    assert table["top5_localisation_error"][1:4] == (50, "%", 2)
    ends = tuple(100 * end for end in share_interval(1, 2))
    assert table["top5_localisation_error"][-2:] == pytest.approx(ends)
    # The whole image is half right in the first (100 / 200) and right in the second; the classes are those guessed.
    assert table["whole_image.class_known_localisation_error"].value == 0
    assert table["whole_image.top1_localisation_error"].value == 50
    assert table["whole_image.top5_localisation_error"].value == 0
    assert table["images_blacklisted"].value == 1
    assert table["guesses_without_object"][1:4] == (1, "guesses", 6)


def test_every_number_of_the_table_can_be_had_from_the_file(outcome, tmp_path):
    outcome.write(tmp_path)
    lines = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert [line["image"] for line in lines] == ["a", "b", "c"]
    assert lines[2]["loc_error_1"] == ""
    assert [lines[0][f"{edge}_2"] for edge in ("x0", "y0", "x1", "y1")] == ["0", "0", "10", "5"]
    assert (lines[0]["label"], lines[0]["label_1"], lines[0]["iou_2"]) == ("2", "1", "0.5")
    for column, metric in (
        ("loc_error_5", "top5_localisation_error"),
        ("known_error", "class_known_localisation_error"),
    ):
        numbers = [float(line[column]) for line in lines if line[column]]
        assert 100 * sum(numbers) / len(numbers) == tables.table(outcome)[metric].value


def test_no_images_give_no_numbers(tmp_path):
    located = Located(*(np.array([value])[:0] for value in Located.blank(top=5, others=0)))
    none = Outcome((), np.zeros((0, 2), int), np.zeros(0, int), (), np.zeros(0, bool), located)
    assert math.isnan(tables.table(none)["top1_localisation_error"].value)
    none.write(tmp_path)
    assert len((tmp_path / "per_image.csv").read_text().splitlines()) == 1
