"""Crops and back: sizes, places, coverage."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepinside import views
from deepinside.network import Preprocessing
from deepinside.views import Placement

RECIPE = Preprocessing(input=8, resize=10)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(20, 30, (10, 15)), (30, 20, (15, 10)), (5, 5, (10, 10)), (1, 1, (10, 10)), (1, 7, (10, 70))],
)
def test_canvas_has_its_shorter_side_at_resize(height: int, width: int, expected: tuple[int, int]) -> None:
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    assert tuple(views.canvas(image, RECIPE).shape[1:]) == expected  # upsampled where smaller


def test_canvas_leaves_a_fitting_photograph_alone() -> None:
    image = torch.randint(0, 256, (3, 10, 13), dtype=torch.uint8)
    assert torch.equal(views.canvas(image, RECIPE), image.float() / 255)


def test_ten_placements_by_hand() -> None:
    corners = [(0, 0), (0, 7), (2, 0), (2, 7), (1, 3)]  # (top, left) on a canvas of 10 x 15, crops of 8
    expected = [Placement(*c, mirrored=m) for m in (False, True) for c in corners]
    assert list(views.placements(10, 15, 8, "ten")) == expected


def test_placements_refuse() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        views.placements(7, 15, 8, "ten")
    with pytest.raises(ValueError, match="'centre' or 'ten'"):
        views.placements(10, 15, 8, "five")


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 14), st.integers(8, 20), st.sampled_from(["ten", "centre"]))
def test_maps_that_are_the_picture_merge_to_the_picture(height: int, width: int, crops: str) -> None:
    picture = torch.rand(3, height, width)
    places = views.placements(height, width, 8, crops)
    cut = views.cut(picture, places, 8)
    merged, covered = views.merged(cut, places, height, width)
    assert torch.allclose(merged[:, covered], picture[:, covered], atol=1e-6)
    assert not merged[:, ~covered].any()
    if crops == "ten" and width <= 16 and height <= 16:
        corners = covered[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert corners.all()


def test_mirrored_crop_by_hand() -> None:
    picture = torch.arange(12.0).reshape(1, 3, 4).expand(3, 3, 4)
    (crop,) = views.cut(picture, (Placement(1, 0, mirrored=True),), 2)
    assert crop[0].tolist() == [[5, 4], [9, 8]]  # rows 1-2, columns 0-1, mirrored left to right
