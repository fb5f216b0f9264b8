import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepinside.report import measure
from deepinside.report.number import interval, shown, spelt


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.34, "%", "12.3\u00a0%"),
        (0.1234, "fraction", "12.3\u00a0%"),
        (0.5, "share", "50.0\u00a0%"),
        (1.826, "ratio", "1.83"),
        (1024, "images", "1\u202f024\u00a0images"),
        (0, "", "0"),
        (-3, "", "−3"),
        (0.0417, "IoU", "0.0417\u00a0IoU"),
        (0.5, "", "0.500"),
        (41.236, "", "41.2"),
        (1234.56, "", "1235"),
        (0.0000213, "s", "2.1 × 10⁻⁵\u00a0s"),
        (-1.5e7 - 0.5, "", "−1.5 × 10⁷"),
        (math.nan, "%", "not known"),
        (math.inf, "", "∞"),
        (-math.inf, "%", "−∞\u00a0%"),
    ],
)
def test_numbers_read_well(value, unit, text):
    assert shown(value, unit) == text


@given(st.floats(-1e300, 1e300))
def test_what_is_shown_is_near_what_is(value):
    text = shown(value).replace("\u202f", "").replace("−", "-")
    if "×" in text:
        digits, power = text.split(" × 10")
        text = digits + "e" + power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert float(text) == pytest.approx(value, rel=0.051)


def test_intervals_say_the_unit_once():
    assert interval(0.1, 0.2, "fraction") == "10.0 to 20.0"
    assert interval(3, 5, "units") == "3 to 5"
    assert interval(math.nan, 5) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("top1_localisation_error", "Top-1 localisation error"),
        ("best_iou", "Best IoU"),
        ("units of conv5", "Units of conv5"),
        ("IoU", "IoU"),
        ("", ""),
    ],
)
def test_names_become_words(name, words):
    assert spelt(name) == words


def test_the_point_of_a_number_parts_no_metric():
    parted = measure._parted
    assert parted("max_box_accuracy_iou_0.3") == ("", "", "max_box_accuracy_iou_0.3")
    assert parted("best.max_box_accuracy_iou_0.3") == ("best", ".", "max_box_accuracy_iou_0.3")
    assert parted("features.12.units") == ("features.12", ".", "units")
