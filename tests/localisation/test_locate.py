"""What travels back from a worker equals what segmentation gives; the truth changes no box."""

import numpy as np

from deepinside.localisation.localiser import Pixels, borrowed, drawn, locate
from deepinside.localisation.segment import segment
from deepinside.localisation.settings import Settings, from_maps

SETTINGS = Settings(side=None, activation=1.0, segmentation="threshold", threshold=0.6)


def pixels(seed=0, height=20, width=30, classes=2):
    random = np.random.default_rng(seed)
    canvas = random.uniform(size=(3, height, width)).astype(np.float32)
    maps = random.uniform(size=(2, classes, height, width)).astype(np.float32) ** 4
    maps[:, :, 5:15, 10:25] += 1
    return Pixels(maps[0], np.ones((height, width), bool), canvas, maps[1])


def test_boxes_are_those_of_segment_whatever_the_truth():
    for settings in (SETTINGS, Settings(side=10)):
        shown = pixels()
        expected = [one.box.tolist() for one in segment(*shown[:3], settings, shown.activation)]
        for truth in ([[0, 0, 3, 3.0]], [[10, 5, 25, 15.0]]):
            found = locate(shown, settings, 1, np.array(truth))
            assert found.boxes.tolist() == expected
            assert drawn(shown, settings).tolist() == expected


def test_a_threshold_takes_what_lies_above_it():
    found = locate(pixels(), SETTINGS, 0, np.array([[10, 5, 25, 15.0]]))
    assert found.boxes[0].tolist() == found.seeds.tolist() == [10, 5, 25, 15]
    assert found.measured.pointed == 1


def test_seeds_of_a_cut_are_a_part_of_it():
    found = locate(pixels(), Settings(side=None), 0, np.array([[10, 5, 25, 15.0]]))
    (x0, y0, x1, y1), (u0, v0, u1, v1) = found.boxes[0], found.seeds
    assert (x0, y0) <= (u0, v0)
    assert (u1, v1) <= (x1, y1)


def test_other_settings_are_drawn_on_the_same_scene():
    others = from_maps(SETTINGS)
    found = locate(pixels(), SETTINGS, 0, np.array([[10, 5, 25, 15.0]]), others)
    assert list(found.others) == ["cam_rule", "tuned_threshold", "grad_cam"]
    for name, settings in others.items():
        assert found.others[name].tolist() == drawn(pixels(), settings).tolist()


def test_borrowed_maps_fit_the_picture_and_leave_it_as_it_is():
    own, other = pixels(), pixels(1, 40, 24, 3)
    mixed = borrowed(own, other, 2)
    assert mixed.maps.shape == own.maps.shape
    assert mixed.activation.shape == own.maps.shape
    assert mixed.canvas is own.canvas
    assert np.array_equal(borrowed(own, own, 1).maps, np.stack([own.maps[1]] * 2))
