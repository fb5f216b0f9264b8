import numpy as np
import pytest

from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.score import ceilings, detector_counts, iou, units_frame

# 1 2 are colours, 3 4 objects; 4 has no pixel; scene has no label at all
VOCABULARY = Vocabulary(("color", "object", "scene"), ("", "red-c", "blue-c", "cat", "dog"), np.array([-1, 0, 0, 1, 1]))
TRUTH = np.array([0, 40, 60, 10, 0])
INTERSECTION = np.array([[0, 10, 10, 5, 0], [0, 0, 0, 0, 0], [0, 2, 3, 9, 0]])
ACTIVATION = np.array([[20, 15, 0], [0, 0, 0], [5, 9, 0]])


def frame():
    return units_frame("conv1", np.array([0.5, 0.0, 2.5]), INTERSECTION, ACTIVATION, TRUTH, VOCABULARY)


def test_iou_by_hand():
    scores = iou(INTERSECTION, ACTIVATION, TRUTH, VOCABULARY)
    # unit 0: red 10 / (40 + 20 - 10), blue 10 / (60 + 20 - 10), cat 5 / (10 + 15 - 5)
    assert scores[0, 1:4] == pytest.approx([1 / 5, 1 / 7, 1 / 4])
    assert np.isnan(scores[:, [0, 4]]).all()  # no label, and a label without a pixel


def test_best_labels():
    units = frame()
    assert units["unit"].tolist() == [0, 1, 2]
    assert units["label"].tolist() == ["cat", "red-c", "cat"]  # unit 1: all zero, the lower number wins
    assert units["category"].tolist() == ["object", "color", "object"]
    assert units["score"].tolist() == pytest.approx([0.25, 0, 0.9])
    assert units["color-label"].tolist() == ["red-c", "red-c", "blue-c"]
    assert units["color-truth"].tolist() == [40, 40, 60]
    assert units["color-activation"].tolist() == [20, 0, 5]
    assert units["object-intersect"].tolist() == [5, 0, 9]
    assert units[[f"scene-{field}" for field in ("label", "truth", "iou")]].isna().all(axis=None)
    expected = ["layer", "unit", "threshold", "category", "label", "score"]
    assert list(units.columns[:6]) == expected
    assert list(units.columns[6:11]) == [f"color-{f}" for f in ("label", "truth", "activation", "intersect", "iou")]


def test_equal_scores_go_to_the_lower_number():
    vocabulary = Vocabulary(("a", "b"), ("", "x", "y"), np.array([-1, 1, 0]))
    units = units_frame("c", np.zeros(1), np.array([[0, 4, 4]]), np.array([[4, 4]]), np.array([0, 4, 4]), vocabulary)
    assert (units["label"].item(), units["category"].item(), units["score"].item()) == ("x", "b", 1.0)


def test_both_counting_rules():
    units = frame()
    found = {
        (rule, category): (detectors, unique)
        for _, rule, category, detectors, unique in detector_counts(units, 0.04).itertuples(index=False)
    }
    assert found["per_category", "all"] == (2, 3)  # units 0 and 2; red, blue and cat
    assert found["per_category", "color"] == (2, 2)
    assert found["per_category", "object"] == (2, 1)
    assert found["per_category", "scene"] == (0, 0)
    assert found["top_label", "all"] == (2, 1)
    assert found["top_label", "color"] == (0, 0)
    assert found["top_label", "object"] == (2, 1)


def test_the_threshold_itself_does_not_pass():
    counts = detector_counts(frame(), 0.9).set_index(["rule", "category"])
    assert counts.loc[("top_label", "all"), "detector_units"] == 0
    counts = detector_counts(frame(), np.nextafter(0.9, 0)).set_index(["rule", "category"])
    assert counts.loc[("top_label", "all"), "detector_units"] == 1


def test_layers_are_counted_apart():
    import pandas as pd

    units = pd.concat([frame(), frame().assign(layer="conv0")])
    counts = detector_counts(units, 0.04)
    assert counts["layer"].unique().tolist() == ["conv1", "conv0"]
    one, other = (members.drop(columns="layer").values.tolist() for _, members in counts.groupby("layer"))
    assert one == other


def test_nothing_to_score():
    with pytest.raises(ValueError, match="no label has a pixel"):
        units_frame("c", np.zeros(3), INTERSECTION, ACTIVATION, np.zeros(5, dtype=int), VOCABULARY)


def test_ceilings_by_hand():
    # masks cover 30 of 100 pixels; colours everywhere, objects in 80 pixels, so that at least 10 of a mask count there
    room = np.array([100, 80, 0])
    found = ceilings(np.array([0, 60, 30, 5, 0]), room, 100, 0.3, VOCABULARY)
    assert found[1:4] == pytest.approx([30 / 60, 1, 5 / 10])
    assert np.isnan(found[[0, 4]]).all()
    assert ceilings(np.array([0, 60, 10, 20, 0]), room, 100, 0.3, VOCABULARY)[2:4] == pytest.approx([10 / 30, 1])
