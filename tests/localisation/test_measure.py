"""Maps are (h, w), boxes half-open x0 y0 x1 y1 in pixels of the map."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure as outside

from deepinside.localisation.measure import THRESHOLDS, max_box_accuracy, measured, pixel_curve, pointing


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
    assert pointing(map_, np.ones((4, 6), bool), np.array([[1, 1, 4, 3.0]])) == (True, pytest.approx(6 / 7))


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


def test_pixels_by_hand():
    """1/2 and 1 of 2 x 3; the object is the left column and the middle one above, whose lower pixel is left open."""
    map_ = np.array([[4.0, 2, 0], [2, 4, 2]])
    object_ = np.array([[True, True, False], [True, False, False]])
    counted = np.array([[True, True, True], [True, False, True]])
    found = pixel_curve(map_, object_, counted)
    assert found[0] == pytest.approx(3 / 5)
    assert found[1:51] == pytest.approx(3 / 4)  # three of the object, and the right one below
    assert found[51:] == pytest.approx(1 / 3)
    assert pixel_curve(map_, object_, counted | True)[51:] == pytest.approx(1 / 4)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_pixels_against_a_plain_derivation(seed):
    random = np.random.default_rng(seed)
    map_ = random.uniform(size=(5, 8)) ** 3
    object_, counted = random.random((2, 5, 8)) < 0.6
    object_[2, 3] = counted[2, 3] = True
    found = pixel_curve(map_, object_, counted)
    scale = (map_ - map_.min()) / (map_.max() - map_.min())
    for threshold, iou in zip(THRESHOLDS, found, strict=True):
        chosen = (scale >= threshold)[counted]
        own = object_[counted]
        assert iou == pytest.approx((chosen & own).sum() / (chosen | own).sum())


def accuracy_v2(maps, truths):
    """MaxBoxAccV2 as the paper defines it, by scikit-image: every component's box, any instance, the best threshold."""
    found = np.zeros((3, len(THRESHOLDS), len(maps)))
    for image, (map_, boxes) in enumerate(zip(maps, truths, strict=True)):
        scale = (map_ - map_.min()) / (map_.max() - map_.min())
        for number, threshold in enumerate(THRESHOLDS):
            best = 0.0
            for part in outside.regionprops(outside.label(scale >= threshold, connectivity=2)):
                box = np.zeros(map_.shape, bool)
                box[part.slice] = True
                for x0, y0, x1, y1 in boxes:
                    true = np.zeros(map_.shape, bool)
                    true[y0:y1, x0:x1] = True
                    best = max(best, (box & true).sum() / (box | true).sum())
            found[:, number, image] = [best >= least for least in (0.3, 0.5, 0.7)]
    return found.mean(axis=2).max(axis=1).mean()


def test_max_box_accuracy_v2_against_its_definition():
    random = np.random.default_rng(5)
    maps, truths = [], []
    for _ in range(12):
        x0, y0 = random.integers(0, 14), random.integers(0, 8)
        boxes = [(x0, y0, x0 + random.integers(4, 12), y0 + random.integers(4, 9)), (20, 12, 24, 16)]
        map_ = ndimage.gaussian_filter(random.random((17, 26)), 2) * 3
        map_[y0 + 1 : y0 + 5, x0 : x0 + 6] += random.uniform(0.05, 0.5)
        maps.append(map_)
        truths.append([(a, b, min(c, 26), min(d, 17)) for a, b, c, d in boxes])
    covered = np.ones((17, 26), bool)
    curves = np.stack([measured(m, covered, np.array(t, float)).curve for m, t in zip(maps, truths, strict=True)])
    ours = np.mean([max_box_accuracy(curves, least)[1].mean() for least in (0.3, 0.5, 0.7)])
    assert ours == pytest.approx(accuracy_v2(maps, truths))
    assert 0.3 < ours < 1


def test_one_threshold_for_all_images():
    """Each image has its own best threshold; shared, the first of two that find both of three."""
    curves = np.zeros((3, len(THRESHOLDS)))
    curves[0, 10:30], curves[1, 20:40], curves[2, 50:] = 0.6, 0.8, 0.6
    threshold, right = max_box_accuracy(curves, 0.5)
    assert threshold == pytest.approx(0.2)
    assert right.tolist() == [True, True, False]
    assert max_box_accuracy(curves, 0.7)[1].tolist() == [False, True, False]
