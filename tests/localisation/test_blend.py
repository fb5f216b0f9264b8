"""Maps are (h, w), always taller or wider."""

import numpy as np
import pytest

from deepinside.localisation.maps import blended, normalised, window
from deepinside.localisation.settings import Settings

COVERED = np.ones((2, 3), bool)


def test_saliency_alone_is_taken_as_it_is():
    map_ = np.array([[3.0, 1, 2], [5, 4, 9]])
    assert blended({"saliency": map_}, COVERED, Settings()) is map_


def test_the_sum_by_hand():
    """Saliency 0 1/2 1 weighs 1, activation 0 0 1 weighs 3: 0, 0.5, 4 of 4."""
    saliency, activation = np.array([[2.0, 3, 4]]), np.array([[0.0, 0, 7]])
    settings = Settings(map={"saliency": 1, "grad_cam": 3})
    found = blended({"saliency": saliency, "grad_cam": activation}, np.ones((1, 3), bool), settings)
    assert found.tolist() == [[0, 0.125, 1]]


def test_weights_count_by_their_ratio_only():
    random = np.random.default_rng(0)
    one, two = random.uniform(size=(2, 5, 7))
    covered = np.ones((5, 7), bool)
    first = blended({"rise": one, "guided": two}, covered, Settings(map={"rise": 0.3, "guided": 0.7}))
    scaled = {"guided": 0.01 * two, "rise": 9 * one}
    assert blended(scaled, covered, Settings(map={"guided": 7, "rise": 3})) == pytest.approx(first)


def test_every_map_but_grad_cam_is_smoothed():
    map_ = np.zeros((9, 12))
    map_[4, 5] = 1
    spread = {}
    for name in ("grad_cam", "occlusion", "saliency"):
        found = blended({name: map_}, np.ones((9, 12), bool), Settings(map={name: 2.0}, smoothing=0.1))
        assert found.argmax() == 4 * 12 + 5
        spread[name] = int((found > 0.01 * found.max()).sum())
    assert spread["grad_cam"] == 1 < 9 <= spread["occlusion"] == spread["saliency"]


def test_uncovered_pixels_do_not_set_the_scale():
    covered = np.array([[True, True, False]])
    assert normalised(np.array([[1.0, 3, 100]]), covered).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("covered", [np.ones((2, 3), bool), np.zeros((2, 3), bool)])
def test_a_flat_map_is_zero(covered):
    assert not normalised(np.full((2, 3), 4.0), covered).any()


def test_the_window_by_hand():
    """Two rows: y = -1/4 and 1/4; one column: x = 0."""
    assert window((2, 1), 0.25) == pytest.approx(np.full((2, 1), np.exp(-0.5)))
    seen = window((4, 7), 0.3)
    assert seen == pytest.approx(seen[::-1, ::-1])
    assert np.unravel_index(seen.argmax(), seen.shape)[1] == 3


def test_a_map_that_is_asked_for_must_be_there():
    with pytest.raises(ValueError, match="expected a map of rise, because its weight is not 0, got saliency"):
        blended({"saliency": np.zeros((2, 3))}, COVERED, Settings(map={"saliency": 1, "rise": 1}))


def test_a_weight_of_zero_is_no_map_and_a_former_name_is_that_of_today():
    assert Settings(map={"saliency": 1.0, "grad_cam": 0.0}) == Settings()
    assert Settings(map={"activation": 0.5}).map == {"grad_cam": 0.5}
    with pytest.raises(ValueError, match="grad_cam has two names here"):
        Settings(map={"activation": 0.5, "grad_cam": 0.5})


@pytest.mark.parametrize(
    "wrong",
    [
        {"segmentation": "cut"},
        {"threshold": 1.0},
        {"centre": 0.0},
        {"map": {}},
        {"map": {"saliency": 0.0}},
        {"map": {"rise": -1.0}},
        {"map": {"rise": True}},
        {"map": {"rise": "x"}},
    ],
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Settings(**wrong)
