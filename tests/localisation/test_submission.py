"""Files are inclusive, arrays half-open."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepinside.localisation import submission


def written(tmp_path, text):
    path = tmp_path / "predictions.txt"
    path.write_text(text)
    return path


def test_a_line_by_hand(tmp_path):
    found = submission.read(written(tmp_path, "7 1 2 3 4 9 -1 0 0 0\n"), guesses=3)
    assert found.labels.tolist() == [[7, 9, 0]]
    assert found.boxes[0, :2].tolist() == [[1, 2, 4, 5], [-1, 0, 1, 1]]


def test_groups_beyond_the_last_that_counts_are_ignored(tmp_path):
    found = submission.read(written(tmp_path, "7 1 2 3 4 8 1 2 3 4\n"), guesses=1)
    assert found.labels.tolist() == [[7]]


def test_commas_and_an_empty_line_are_read(tmp_path):
    assert submission.read(written(tmp_path, "7,1,2,3,4\n\n7 1 2 3 4"), guesses=1).labels.tolist() == [[7], [0], [7]]


@pytest.mark.parametrize("line", ["7 1 2 3", "7 1 2 3 x", "7.5 1 2 3 4", "7 1 2 3 nan"])
def test_a_line_that_is_no_prediction_is_named(tmp_path, line):
    with pytest.raises(ValueError, match=r"predictions.txt, line 2: expected"):
        submission.read(written(tmp_path, f"7 1 2 3 4\n{line}\n"))


def test_what_is_written_is_inclusive(tmp_path):
    guesses = submission.Guesses(np.array([[3, 1]]), np.array([[[0, 0, 500, 375], [1.25, 2, 3, 4]]]))
    submission.write(tmp_path / "out.txt", guesses)
    assert (tmp_path / "out.txt").read_text() == "3 0 0 499 374 1 1.25 2 2 3\n"


number = st.integers(-1000, 1000)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 1000), number, number, number, number), min_size=5, max_size=5), min_size=1
    )
)
def test_reading_undoes_writing(tmp_path_factory, rows):
    groups = np.array(rows, dtype=float)
    guesses = submission.Guesses(groups[..., 0].astype(int), groups[..., 1:])
    path = tmp_path_factory.mktemp("round") / "out.txt"
    submission.write(path, guesses)
    back = submission.read(path)
    assert back.labels.tolist() == guesses.labels.tolist()
    assert back.boxes.tolist() == guesses.boxes.tolist()


def test_the_blacklist_counts_from_one(tmp_path):
    assert submission.read_blacklist(written(tmp_path, "1\n3\n"), 3).tolist() == [True, False, True]
    assert not submission.read_blacklist(written(tmp_path, ""), 3).any()


@pytest.mark.parametrize("word", ["0", "4", "x", "-1"])
def test_a_blacklist_of_other_images_is_refused(tmp_path, word):
    with pytest.raises(ValueError, match=f"from 1 to 3, got '{word}'"):
        submission.read_blacklist(written(tmp_path, word), 3)
