"""Boxes are x0 y0 x1 y1, half-open; sizes are (height, width)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepinside.localisation import boxes


def drawn(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def test_the_largest_part_counts_corners_only_if_asked():
    mask = drawn("#....#", ".#....", "..#...", "....##")
    assert boxes.largest_component(mask).sum() == 3
    assert boxes.largest_component(mask)[0, 0]
    assert (
        boxes.largest_component(mask, connectivity=4).tolist() == drawn("......", "......", "......", "....##").tolist()
    )


def test_of_equal_parts_the_first_in_reading_order():
    assert boxes.largest_component(drawn(".#.#", "....")).tolist() == drawn(".#..", "....").tolist()


def test_no_part_at_all_stays_none():
    assert not boxes.largest_component(np.zeros((2, 3), bool)).any()
    with pytest.raises(ValueError, match="4 or 8"):
        boxes.largest_component(np.zeros((2, 3), bool), connectivity=6)


def test_the_argument_is_left_as_it_was():
    mask = drawn("#.#", "..#")
    boxes.largest_component(mask)[:] = False
    assert mask.tolist() == drawn("#.#", "..#").tolist()


def test_a_tight_box_by_hand():
    # rows 1..2, columns 2..4 of a 4x6 grid
    mask = drawn("......", "..##..", "....#.", "......")
    assert boxes.tight_box(mask).tolist() == [2, 1, 5, 3]
    assert boxes.tight_box(drawn("#")).tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="empty"):
        boxes.tight_box(np.zeros((2, 3), bool))


def test_each_axis_has_its_own_factor():
    # A grid of height 10, width 20 shows an image of height 50, width 60: y by 5, x by 3.
    assert boxes.rescaled(np.array([1.0, 2, 3, 4]), (10, 20), (50, 60)).tolist() == [3, 10, 9, 20]


def test_whole_pixels_by_hand():
    size = (5, 9)  # height, width
    found = boxes.whole_pixels(np.array([[-3, 0.4, 20, 4.6], [2.2, 1.1, 2.3, 1.2], [8.9, 4.9, 9, 5]]), size)
    assert found.tolist() == [[0, 0, 9, 5], [2, 1, 3, 2], [8, 4, 9, 5]]


def test_overlap_by_hand():
    assert boxes.overlap(np.array([0, 0, 10, 10.0]), np.array([0, 0, 10, 10.0])) == 1
    assert boxes.overlap(np.array([0, 0, 10, 10.0]), np.array([10, 0, 20, 10.0])) == 0  # they only touch
    # 2 wide, 4 high against 3 wide, 2 high; shared 1 wide (1..2), 2 high (2..4): 2 / (8 + 6 - 2)
    assert boxes.overlap(np.array([0, 0, 2, 4.0]), np.array([1, 2, 4, 4.0])) == pytest.approx(2 / 12)


def test_a_box_without_area_overlaps_nothing():
    turned = np.array([5, 5, 2, 8.0])
    assert boxes.overlap(turned, np.array([0, 0, 10, 10.0])) == 0
    assert boxes.overlap(np.zeros(4), np.zeros(4)) == 0


box = st.tuples(*[st.integers(-20, 40)] * 2, *[st.integers(1, 30)] * 2).map(
    lambda t: np.array([t[0], t[1], t[0] + t[2], t[1] + t[3]], dtype=float)
)


def pixels(b: np.ndarray) -> set[tuple[int, int]]:
    return {(x, y) for x in range(int(b[0]), int(b[2])) for y in range(int(b[1]), int(b[3]))}


@given(box, box)
def test_overlap_counts_pixels_and_is_symmetric(first, second):
    shared, either = pixels(first) & pixels(second), pixels(first) | pixels(second)
    assert boxes.overlap(first, second) == pytest.approx(len(shared) / len(either), abs=1e-15)
    assert boxes.overlap(first, second) == boxes.overlap(second, first)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any))
def test_the_tight_box_holds_the_mask_and_no_smaller_box_does(mask):
    x0, y0, x1, y1 = boxes.tight_box(mask).astype(int)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    edges = mask[y0, x0:x1], mask[y1 - 1, x0:x1], mask[y0:y1, x0], mask[y0:y1, x1 - 1]
    assert all(edge.any() for edge in edges)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_the_largest_part_against_a_flood_fill(mask):
    left, sizes = set(zip(*np.nonzero(mask), strict=True)), [0]
    while left:
        pending, part = [left.pop()], 0
        while pending:
            y, x = pending.pop()
            part += 1
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            pending += near
        sizes.append(part)
    found = boxes.largest_component(mask)
    assert found.sum() == max(sizes)
    assert not (found & ~mask).any()
