"""The result table of NetDissect, written and read."""

import numpy as np
import pandas as pd
import pytest
from tests.shared import SHARED, needs_shared

from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.netdissect import classic, read_result
from deepinside.dissection.score import detector_counts, runners_up, sensitivity, units_frame

TABLES = SHARED / "data" / "netdissect_tables"
VOCABULARY = Vocabulary(
    ("color", "scene", "object", "thing"), ("", "red-c", "blue-c", "cat", "rock"), np.array([-1, 0, 0, 2, 3])
)


def frame():
    common = np.array([[0, 10, 10, 5, 0], [0, 0, 0, 0, 2], [0, 2, 3, 9, 0]])
    area = np.array([[20, 0, 15, 3], [0, 0, 0, 2], [5, 0, 9, 0]])
    return units_frame("conv1", np.array([0.5, 0.0, 2.5]), common, area, np.array([0, 40, 60, 10, 4]), VOCABULARY)


def test_columns_order_and_numbers():
    table = classic(frame().assign(selectivity=1.0))
    fields = ("label", "truth", "activation", "intersect", "iou")
    named = [f"{name}-{field}" for name in ("object", "color", "thing") for field in fields]  # no scene was scored
    assert list(table.columns) == ["unit", "category", "label", "score", *named]
    assert table["unit"].tolist() == [3, 2, 1]
    assert table["score"].tolist() == pytest.approx([0.9, 0.5, 0.25])


def test_is_read_back_as_it_was(tmp_path):
    classic(frame()).to_csv(tmp_path / "classic.csv", index=False)
    again = read_result(tmp_path / "classic.csv", "conv1")
    plain = frame()
    shared = [name for name in plain.columns if name in again.columns and name != "threshold"]
    pd.testing.assert_frame_equal(again[shared], plain[shared], check_dtype=False)
    kept = ("object", "color", "thing")
    assert detector_counts(again, 0.04, kept).equals(detector_counts(plain, 0.04, kept))


@needs_shared
@pytest.mark.parametrize("name", ["imagenet", "places205", "places365"])
def test_a_published_table_comes_out_as_it_went_in(name):
    file = TABLES / f"caffe_reference_{name}.csv"
    theirs = pd.read_csv(file, keep_default_na=False, na_values=[""])
    ours = classic(read_result(file, "conv5"))
    assert list(ours.columns) == list(theirs.columns)
    key = ["score", "unit"]
    pd.testing.assert_frame_equal(
        ours.sort_values(key, ignore_index=True), theirs.sort_values(key, ignore_index=True), check_exact=True
    )


def test_sensitivity_by_hand():
    found = sensitivity(frame(), [0.04, 0.6]).set_index(["iou", "rule", "category"])
    assert found.loc[(0.04, "top_label", "all"), ["detector_units", "unique_detectors"]].tolist() == [3, 2]
    assert found.loc[(0.6, "top_label", "all"), ["detector_units", "unique_detectors"]].tolist() == [1, 1]
    assert len(found) == 2 * 2 * 5


@needs_shared
def test_the_published_lead_reverses_at_eight_hundredths():
    """More unique detectors for Places205 than for ImageNet, says the paper, whatever the threshold. Not at 0.08."""
    thresholds = [0.02, 0.03, 0.04, 0.05, 0.06, 0.08]
    found = {}
    for name in ("places365", "places205", "imagenet"):
        table = sensitivity(read_result(TABLES / f"caffe_reference_{name}.csv", "conv5"), thresholds)
        whole = table[(table["rule"] == "top_label") & (table["category"] == "all")]
        found[name] = dict(zip(whole["iou"], whole["unique_detectors"], strict=True))
    assert list(found["places365"].values()) == [106, 87, 72, 55, 45, 28]
    assert list(found["places205"].values()) == [105, 82, 60, 42, 34, 19]
    assert list(found["imagenet"].values()) == [82, 64, 50, 40, 31, 20]
    leads = {t: found["places205"][t] - found["imagenet"][t] for t in thresholds}
    assert all(lead > 0 for t, lead in leads.items() if t < 0.08)
    assert leads[0.08] < 0


def test_runners_up_by_hand():
    scores = np.array([[np.nan, 0.2, 0.5, 0.45, 0.0], [np.nan, 0.0, 0.0, 0.0, 0.0]])
    found = runners_up(scores, VOCABULARY)
    assert found["second_label"].tolist() == ["cat", "blue-c"]  # equal ones: the lower number was the best
    assert found["second_score"].tolist() == pytest.approx([0.45, 0])
    assert found["selectivity"].tolist() == pytest.approx([0.05, 0])
    alone = runners_up(np.array([[np.nan, np.nan, 0.3, np.nan, np.nan]]), VOCABULARY)
    assert alone.isna().all(axis=None)
    assert np.isnan(scores[:, 0]).all()
    assert scores[0, 1:].tolist() == [0.2, 0.5, 0.45, 0.0]  # the argument stays as it is
