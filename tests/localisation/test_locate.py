"""What travels back from a worker equals what segmentation gives; the truth changes no box."""

import numpy as np
import torch

from deepinside.data.index import Entry
from deepinside.localisation.crops import Viewed
from deepinside.localisation.localiser import borrowed, locate, on_photograph
from deepinside.localisation.segment import segment
from deepinside.localisation.settings import Settings, from_maps
from deepinside.records import Boxes

SETTINGS = Settings(side=None, map={"saliency": 1.0, "grad_cam": 1.0}, segmentation="threshold", threshold=0.6)
CLASSES = (7, 4)
HEIGHT, WIDTH = 20, 30
OBJECT = (10, 5, 25, 15)


def view(seed=0, height=HEIGHT, width=WIDTH, classes=CLASSES):
    random = np.random.default_rng(seed)
    canvas = random.uniform(size=(3, height, width)).astype(np.float32)
    maps = random.uniform(size=(2, len(classes), height, width)).astype(np.float32) ** 4
    maps[:, :, 5:15, 10:25] += 1
    maps, activation, canvas = map(torch.from_numpy, (*maps, canvas))
    covered = torch.ones(height, width, dtype=torch.bool)
    every = {"saliency": maps, "grad_cam": activation}
    return Viewed(torch.full((9,), 1 / 9), torch.tensor(classes), every, covered, canvas)


def entry(label, box=OBJECT, factor=1):
    return Entry("a", "a.png", "val", label, Boxes(factor * np.array([box])), factor * WIDTH, factor * HEIGHT)


def test_boxes_are_those_of_segment_whatever_the_truth():
    for settings in (SETTINGS, Settings(side=10)):
        scene = view().scene(settings.side)
        parts = segment(scene, settings)
        expected = on_photograph(np.stack([part.box for part in parts]), (HEIGHT, WIDTH), (2 * HEIGHT, 2 * WIDTH))
        for truth in ((0, 0, 3, 3), OBJECT):
            found = locate(scene, CLASSES, entry(4, truth, factor=2), settings, top=2)
            assert found.labels.tolist() == list(CLASSES)
            assert found.boxes.tolist() == expected.tolist()
            assert found.known.tolist() == expected[1].tolist()


def test_a_threshold_takes_what_lies_above_it():
    found = locate(view().scene(None), CLASSES, entry(7), SETTINGS, top=2)
    assert found.boxes[0].tolist() == found.known.tolist() == found.seeds.tolist() == list(OBJECT)
    assert found.pointed == 1


def test_seeds_of_a_cut_are_a_part_of_it():
    found = locate(view().scene(None), CLASSES, entry(7), Settings(side=None), top=2)
    (x0, y0, x1, y1), (u0, v0, u1, v1) = found.boxes[0], found.seeds
    assert (x0, y0) <= (u0, v0)
    assert (u1, v1) <= (x1, y1)


def test_as_many_guesses_as_requested():
    one, three = (locate(view().scene(None), CLASSES, entry(4), SETTINGS, top) for top in (1, 3))
    assert one.labels.tolist() == [7]
    assert three.labels.tolist() == [7, 4, -1]
    assert three.boxes[2].tolist() == [0, 0, 1, 1]
    assert one.known.tolist() == three.known.tolist() == three.boxes[1].tolist()


def test_other_boxes_end_with_that_of_the_true_class():
    scene, settings = view().scene(None), from_maps(SETTINGS)
    assert list(settings) == ["cam_rule", "tuned_threshold", "grad_cam"]
    found = locate(scene, CLASSES, entry(4), SETTINGS, 1, [(scene, other) for other in settings.values()])
    for boxes, other in zip(found.others, settings.values(), strict=True):
        assert boxes.tolist() == [part.box.tolist() for part in segment(scene, other)]  # the guess is the other class


def test_borrowed_maps_fit_the_picture_and_leave_it_as_it_is():
    own, other = view(), view(1, 40, 24, (3, 1, 2))
    mixed = borrowed(own, other, 2)
    assert {name: maps.shape for name, maps in mixed.maps.items()} == {
        name: maps.shape for name, maps in own.maps.items()
    }
    assert mixed.canvas is own.canvas
    for name, maps in borrowed(own, own, 4).maps.items():
        assert torch.equal(maps, torch.stack([own.maps[name][1]] * 2))
