import numpy as np
import pytest

from deepinside.dissection.upsample import Axis, field_knots, grid, resize_knots
from deepinside.probe import ReceptiveField


def test_knots_of_alexnet_conv5_at_227():
    # size 163, stride 16, offset -64: centre of unit 0 at 17, half of it 8; label maps of 113
    assert field_knots(13, 113, 227, 163, 16, -64).tolist() == list(range(8, 105, 8))


def test_knots_of_vgg_conv5_3_at_224():
    assert field_knots(14, 112, 224, 196, 16, -90).tolist() == list(range(4, 109, 8))


def test_knots_at_full_size_are_the_centres():
    assert field_knots(3, 20, 20, 5, 4, -2).tolist() == [0, 4, 8]


def test_knots_where_whole_numbers_would_drift():
    # stride 1 halved has no whole step; pixel 0 of 224 has its centre a quarter of a pixel left of pixel 0 of 112
    assert field_knots(4, 112, 224, 1, 1, 0) == pytest.approx([-0.25, 0.25, 0.75, 1.25])
    # a label map of 100 for an image of 300 / 4 = 75 per ... is no whole reduction of it
    assert field_knots(3, 100, 150, 1, 50, 0) == pytest.approx([-1 / 6, 50 * 2 / 3 - 1 / 6, 100 * 2 / 3 - 1 / 6])


def test_knots_of_a_resize():
    assert resize_knots(2, 8).tolist() == [1.5, 5.5]
    assert resize_knots(4, 2).tolist() == [-0.25, 0.25, 0.75, 1.25]


def test_axis_by_hand():
    axis = Axis.between(np.array([1.0, 3.0]), 6)  # pixels 0 | 1 2 | 3 4 5
    assert axis.start.tolist() == [0, 1, 3, 6]
    assert axis.cell.tolist() == [0, 1, 1, 2, 2, 2]
    assert axis.low.tolist() == [0, 0, 1]
    assert axis.high.tolist() == [0, 1, 1]
    assert axis.weight.tolist() == [0, 0, 0.5, 0, 0, 0]


def test_rows_come_before_columns():
    field = ReceptiveField((1, 1), (8, 4), (0, 0))
    made = grid((2, 3), (16, 12), (16, 12), field, "receptive_field")
    assert made.shape == (16, 12)
    assert made.rows.start.tolist() == [0, 0, 8, 16]
    assert made.columns.start.tolist() == [0, 0, 4, 8, 12]


def test_refuses():
    field = ReceptiveField((1, 1), (1, 1), (0, 0))
    with pytest.raises(ValueError, match="receptive_field"):
        grid((2, 2), (4, 4), (4, 4), field, "receptive_fields")
    with pytest.raises(ValueError, match="at least 1"):
        grid((2, 0), (4, 4), (4, 4), field, "resize")
