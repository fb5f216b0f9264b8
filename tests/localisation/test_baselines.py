import numpy as np
import pytest

from deepinside.localisation.boxes import overlap
from deepinside.localisation.settings import BASELINES, centre_box, whole_image


def test_the_whole_image_is_width_then_height():
    assert whole_image((375, 500)).tolist() == [0, 0, 500, 375]


def test_the_centre_box_by_hand():
    # 100 high, 200 wide, half the area: sides 70.71 and 141.42, so 14.64 and 29.29 are left free before it.
    assert centre_box((100, 200)).tolist() == [29, 15, 171, 85]
    assert centre_box((100, 200), area=1).tolist() == [0, 0, 200, 100]


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (227, 227)])
def test_the_centre_box_covers_half_and_is_central(size):
    x0, y0, x1, y1 = centre_box(size)
    assert (x1 - x0) * (y1 - y0) / (size[0] * size[1]) == pytest.approx(0.5, abs=0.01)
    assert x0 == size[1] - x1
    assert y0 == size[0] - y1


def test_the_centre_box_finds_centred_objects_from_a_quarter_of_the_picture_to_all_of_it():
    quarter = np.array([100, 50, 300, 150.0])  # of 200 x 400
    assert overlap(centre_box((200, 400)), quarter) == pytest.approx(0.5, abs=0.01)
    assert overlap(centre_box((200, 400)), whole_image((200, 400))) == pytest.approx(0.5, abs=0.01)


def test_a_picture_of_one_pixel_has_boxes():
    assert [baseline((1, 1)).tolist() for baseline in BASELINES.values()] == [[0, 0, 1, 1]] * 2
