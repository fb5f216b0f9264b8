"""Maps are (k, H, W), canvases (3, H, W), always taller or wider."""

import dataclasses

import numpy as np
import pytest
from skimage import data

from deepinside.localisation.maps import scene, smoothed
from deepinside.localisation.segment import seeds, segment
from deepinside.localisation.settings import Settings

RED, GREEN = [0.8, 0.15, 0.1], [0.2, 0.6, 0.25]
FULL = Settings(side=None)


def segmented(maps, covered, canvas, settings):
    return segment(scene({"saliency": maps}, covered, canvas, settings.side), settings)


def example(height=60, width=90, top=20, left=35, high=25, wide=40, noise=0.02):
    """A red rectangle on green with noise, and a map with its peak in a small part of it."""
    random = np.random.default_rng(0)
    canvas = np.broadcast_to(np.array(GREEN)[:, None, None], (3, height, width)).copy()
    canvas[:, top : top + high, left : left + wide] = np.array(RED)[:, None, None]
    canvas = np.clip(canvas + random.normal(scale=noise, size=canvas.shape), 0, 1).astype(np.float32)
    y, x = np.mgrid[:height, :width]
    map_ = np.exp(-((y - top - high / 2) ** 2 + (x - left - wide / 2) ** 2) / 200)
    return canvas, map_.astype(np.float32), np.ones((height, width), bool), [left, top, left + wide, top + high]


def test_the_object_is_filled_from_seeds_in_a_part_of_it():
    canvas, map_, covered, box = example()
    (found,) = segmented(map_[None], covered, canvas, FULL)
    assert found.box.tolist() == box
    assert found.foreground.sum() < 0.3 * found.mask.sum()  # the seeds alone are only a part
    assert found.mask.sum() == 25 * 40
    assert found.found


@pytest.mark.parametrize("side", [30, 45, 120])
def test_the_box_comes_back_to_the_canvas_from_any_grid(side):
    canvas, map_, covered, box = example()
    (found,) = segmented(map_[None], covered, canvas, Settings(side=side))
    side = min(side, 60)  # never enlarged
    assert found.mask.shape == (side, round(side * 90 / 60))
    assert found.box == pytest.approx(box, abs=2 * 60 / side)


def test_several_classes_are_segmented_as_each_alone():
    canvas, map_, covered, _ = example()
    maps = np.stack([map_, map_[::-1, ::-1].copy()])
    both = segmented(maps, covered, canvas, FULL)
    for map_alone, found in zip(maps, both, strict=True):
        (alone,) = segmented(map_alone[None], covered, canvas, FULL)
        assert np.array_equal(alone.mask, found.mask)
    assert both[0].box.tolist() != both[1].box.tolist()


def test_quantiles_are_those_of_the_covered_pixels():
    map_ = np.arange(200.0).reshape(10, 20)
    covered = np.ones((10, 20), bool)
    covered[5:] = False  # 0..99 remain; numpy's linear quantiles are 94.05 and 29.7
    front, back = seeds(map_, covered, 0.95, 0.30)
    assert map_[front].tolist() == [95, 96, 97, 98, 99]
    assert map_[back].tolist() == list(range(30))


def test_strictly_above_and_strictly_below():
    map_ = np.array([[0.0, 1, 1, 1, 1, 1, 1, 1, 2]])  # both quantiles are 1
    front, back = seeds(map_, np.ones_like(map_, bool), 0.8, 0.3)
    assert front.tolist() == [[False] * 8 + [True]]
    assert back.tolist() == [[True] + [False] * 8]


def test_ties_at_an_extreme_are_its_seeds():
    """More than 30 % of a map may be exactly zero: no pixel lies below its quantile, yet all those are background."""
    map_ = np.array([[0.0, 0, 0, 0, 1, 2, 3, 4, 5, 6]])
    front, back = seeds(map_, np.ones_like(map_, bool), 0.95, 0.30)
    assert back.tolist() == [[True] * 4 + [False] * 6]
    assert front.tolist() == [[False] * 9 + [True]]
    front, _ = seeds(6 - map_, np.ones_like(map_, bool), 0.95, 0.30)
    assert front.tolist() == back.tolist()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_flat_map_finds_nothing_and_answers_with_the_whole_canvas(value):
    canvas, map_, covered, _ = example()
    (found,) = segmented(np.full_like(map_, value)[None], covered, canvas, FULL)
    assert not found.found
    assert not found.foreground.any()
    assert found.box.tolist() == [0, 0, 90, 60]


def test_a_picture_of_one_colour_has_a_box():
    _, map_, covered, _ = example()
    for hard in (True, False):
        settings = dataclasses.replace(FULL, seeds_hard=hard)
        (found,) = segmented(map_[None], covered, np.full((3, 60, 90), 0.5, np.float32), settings)
        assert 0 <= found.box[0] < found.box[2] <= 90
        assert found.found == hard  # without a seed that must hold nothing speaks for an object


def test_uncovered_pixels_are_never_seeds():
    canvas, map_, covered, _ = example()
    covered[:, :20] = covered[:, 70:] = False
    (found,) = segmented(map_[None], covered, canvas, FULL)
    assert not ((found.foreground | found.background) & ~covered).any()
    assert found.background.sum() == pytest.approx(0.30 * covered.sum(), abs=2)
    assert found.foreground.sum() == pytest.approx(0.05 * covered.sum(), abs=2)


def test_smoothing_leaves_a_flat_map_flat_and_looks_at_covered_pixels_only():
    covered = np.ones((12, 20), bool)
    covered[:, 15:] = False
    map_ = np.where(covered, 2.0, 1e6)
    assert smoothed(map_, covered, 2.5)[covered] == pytest.approx(2.0)
    assert smoothed(map_, covered, 0) is map_


def test_a_photograph_whose_object_is_known():
    """The cat's face fills the middle; seeds around its eyes and nose are enough to reach past them."""
    canvas = data.chelsea().transpose(2, 0, 1).astype(np.float32) / 255
    y, x = np.mgrid[: canvas.shape[1], : canvas.shape[2]]
    map_ = np.exp(-((y - 150) ** 2 / 3000 + (x - 220) ** 2 / 6000)).astype(np.float32)
    (found,) = segmented(map_[None], np.ones(map_.shape, bool), canvas, Settings())
    x0, y0, x1, y1 = found.box
    assert x0 < 220 < x1
    assert y0 < 150 < y1
    assert found.mask.mean() > 2 * found.foreground.mean()


@pytest.mark.parametrize("low", [0.0, 0.96])
def test_quantiles_in_order(low):
    with pytest.raises(ValueError, match="background_quantile <= foreground_quantile"):
        Settings(background_quantile=low)


def test_grab_cut_finds_what_its_seeds_mean_where_opencv_is_installed():
    pytest.importorskip("cv2")
    from deepinside.localisation.segment import grab_cut

    picture = np.broadcast_to(np.array(GREEN), (60, 80, 3)).copy()
    picture[20:40, 30:60] = RED
    picture += np.random.default_rng(0).normal(0, 0.02, picture.shape)
    front, back = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    front[24:36, 36:54], back[:12], back[-12:] = True, True, True
    found = grab_cut(picture.clip(0, 1), front, back)
    truth = np.zeros((60, 80), bool)
    truth[20:40, 30:60] = True
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_grab_cut_without_opencv_says_what_to_install(monkeypatch):
    monkeypatch.setattr("deepinside.localisation.settings.has_grab_cut", lambda: False)
    with pytest.raises(ValueError, match="opencv-python-headless"):
        Settings(segmentation="grab_cut")
