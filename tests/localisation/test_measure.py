"""Maps are (h, w), boxes half-open x0 y0 x1 y1 in pixels of the map."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import measure as outside

from deepinside.localisation.measure import THRESHOLDS, max_box_accuracy, measured


def test_a_map_by_hand():
    """A block of 2 x 3 at 1, one column beside it at 0.5, of an image 4 x 6; the object is the block."""
    map_ = np.zeros((4, 6))
    map_[1:3, 1:4], map_[1:3, 4] = 1, 0.5
    found = measured(map_, np.ones((4, 6), bool), np.array([[1, 1, 4, 3.0]]))
    assert found.curve[0] == pytest.approx(6 / 24)  # at 0 everything is above
    assert found.curve[1:51] == pytest.approx(6 / 8)
    assert found.curve[51:] == pytest.approx(1)
    assert found.pointed == 1
    assert found.energy == pytest.approx(6 / 7)


def test_the_best_component_and_any_instance_count():
    map_ = np.zeros((3, 9))
    map_[0, 0], map_[:, 5:8] = 1, 0.9
    found = measured(map_, np.ones((3, 9), bool), np.array([[2, 0, 3, 1.0], [5, 0, 8, 3]]))
    assert found.curve[50] == 1
    assert found.curve[95] == 0
    assert found.pointed == 0


def test_uncovered_pixels_count_for_nothing():
    covered = np.array([[True, True, True, False]])
    found = measured(np.array([[0.0, 2, 1, 9]]), covered, np.array([[1, 0, 2, 1.0]]))
    assert (found.pointed, found.energy) == (1, pytest.approx(2 / 3))


def test_a_flat_map_has_no_energy_and_one_box():
    found = measured(np.zeros((2, 4)), np.ones((2, 4), bool), np.array([[0, 0, 2, 2.0]]))
    assert np.isnan(found.energy)
    assert found.curve[0] == pytest.approx(0.5)
    assert not found.curve[1:].any()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_the_curve_against_a_plain_derivation(seed):
    random = np.random.default_rng(seed)
    map_ = random.uniform(size=(5, 8)) ** 3
    x0, y0 = random.integers(0, 5), random.integers(0, 3)
    truth = [x0, y0, x0 + random.integers(1, 4), y0 + random.integers(1, 3)]
    found = measured(map_, np.ones(map_.shape, bool), np.array([truth], float))
    scale = (map_ - map_.min()) / (map_.max() - map_.min())
    for threshold, best in zip(THRESHOLDS[::7], found.curve[::7], strict=True):
        ious = [0.0]
        for part in outside.regionprops(outside.label(scale >= threshold, connectivity=2)):
            v0, u0, v1, u1 = part.bbox
            w, h = min(u1, truth[2]) - max(u0, truth[0]), min(v1, truth[3]) - max(v0, truth[1])
            shared = max(w, 0) * max(h, 0)
            union = (u1 - u0) * (v1 - v0) + (truth[2] - truth[0]) * (truth[3] - truth[1]) - shared
            ious.append(shared / union)
        assert best == pytest.approx(max(ious))


def test_one_threshold_for_all_images():
    """Each image has its own best threshold; shared, the first of two that find both of three."""
    curves = np.zeros((3, len(THRESHOLDS)))
    curves[0, 10:30], curves[1, 20:40], curves[2, 50:] = 0.6, 0.8, 0.6
    threshold, right = max_box_accuracy(curves, 0.5)
    assert threshold == pytest.approx(0.2)
    assert right.tolist() == [True, True, False]
    assert max_box_accuracy(curves, 0.7)[1].tolist() == [False, True, False]
