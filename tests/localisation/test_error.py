"""Boxes in files are inclusive, in arrays half-open: x1 = xmax + 1."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shared import SHARED, needs_shared

from deepinside.localisation import error, submission

SAMPLE = SHARED / "data" / "ilsvrc_val_sample"
OFFICIAL = SHARED / "data" / "reference" / "ilsvrc_devkit_eval"
HALF_OPEN = np.array([0, 0, 1, 1])
PERFECT = [10, 20, 50, 40]


def judged(labels, boxes, truth, instances, guesses):
    """Classification and localisation error of one image."""
    labels, boxes = np.array([labels]), np.array([boxes], dtype=float)
    overlaps = error.best_overlaps(boxes, [np.array(instances, dtype=float).reshape(-1, 4)])
    classes = error.classification_errors(labels, np.array([truth]), guesses)
    places = error.localisation_errors(labels, overlaps, np.array([truth]), guesses)
    return bool(classes[0]), bool(places[0])


def test_a_wrong_label_with_a_perfect_box_is_wrong():
    assert judged([4], [PERFECT], 3, [PERFECT], 1) == (True, True)


def test_a_later_guess_counts_only_among_the_first():
    labels, boxes = [4, 4, 3], [PERFECT] * 3
    assert judged(labels, boxes, 3, [PERFECT], 2) == (True, True)
    assert judged(labels, boxes, 3, [PERFECT], 3) == (False, False)


def test_duplicate_guesses_each_try_their_box():
    labels, boxes = [3, 3], [[0, 0, 5, 5], PERFECT]
    assert judged(labels, boxes, 3, [PERFECT], 1) == (False, True)
    assert judged(labels, boxes, 3, [PERFECT], 2) == (False, False)


def test_any_instance_will_do():
    assert judged([3], [PERFECT], 3, [[0, 0, 5, 5], PERFECT], 1) == (False, False)


def test_half_is_enough_and_less_is_not():
    # 40 x 20 against the left half of it, 20 x 20: 400 / 800; one column less: 380 / 800.
    assert judged([3], [[10, 20, 30, 40]], 3, [PERFECT], 1) == (False, False)
    assert judged([3], [[10, 20, 29, 40]], 3, [PERFECT], 1) == (False, True)


def test_boxes_that_share_one_pixel_overlap_by_that_pixel():
    found = error.best_overlaps(np.array([[[0, 0, 10, 10.0]]]), [np.array([[9, 9, 19, 19.0]])])
    assert found.tolist() == [[pytest.approx(1 / 199)]]


def test_an_image_without_a_box_cannot_be_localised():
    assert judged([3], [PERFECT], 3, [], 1) == (False, True)


def test_a_missing_guess_is_wrong():
    assert judged([0, 0], [[0, 0, 1, 1]] * 2, 3, [PERFECT], 2) == (True, True)


def test_the_class_known_error_asks_for_the_box_alone():
    assert error.class_known_errors(np.array([0.5, np.nextafter(0.5, 0), 0.9])).tolist() == [False, True, False]


def test_instances_for_every_image():
    with pytest.raises(ValueError, match="expected instances for 2 images, got 1"):
        error.best_overlaps(np.zeros((2, 1, 4)), [np.zeros((1, 4))])


corners = st.tuples(*[st.integers(-5, 25)] * 4).map(list)  # inclusive; may be turned around
right = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(0, 12)] * 2).map(
    lambda t: [t[0], t[1], t[0] + t[2], t[1] + t[3]]
)
guess = st.tuples(st.integers(0, 3), corners | right)
image = st.tuples(st.integers(1, 3), st.lists(right, min_size=1, max_size=3), st.lists(guess, min_size=5, max_size=5))


def slow(images, guesses):
    """eval_clsloc.m once more, in plain loops over inclusive boxes."""
    answers = []
    for truth, instances, made in images:
        cls, loc = 1, 1
        for label, (x0, y0, x1, y1) in made[:guesses]:
            if label != truth:
                continue
            cls = 0
            for u0, v0, u1, v1 in instances:
                w, h = min(x1, u1) - max(x0, u0) + 1, min(y1, v1) - max(y0, v0) + 1
                if w > 0 and h > 0:
                    union = (x1 - x0 + 1) * (y1 - y0 + 1) + (u1 - u0 + 1) * (v1 - v0 + 1) - w * h
                    loc = min(loc, 0 if 2 * w * h >= union else 1)
        answers.append((cls, loc))
    return answers


@settings(deadline=None)
@given(st.lists(image, min_size=1, max_size=6), st.sampled_from([1, 5]))
def test_against_a_plain_derivation(images, guesses):
    labels = np.array([[label for label, _ in made] for _, _, made in images])
    boxes = np.array([[box for _, box in made] for _, _, made in images], dtype=float) + HALF_OPEN
    truth = np.array([t for t, _, _ in images])
    overlaps = error.best_overlaps(boxes, [np.array(found, dtype=float) + HALF_OPEN for _, found, _ in images])
    cls = error.classification_errors(labels, truth, guesses)
    loc = error.localisation_errors(labels, overlaps, truth, guesses)
    assert list(zip(cls.astype(int), loc.astype(int), strict=True)) == slow(images, guesses)


@pytest.fixture(scope="module")
def truth():
    ranks = {line.split()[0]: rank for rank, line in enumerate((SAMPLE / "LOC_synset_mapping.txt").open(), 1)}
    rows = sorted(csv.reader((SAMPLE / "LOC_val_solution.csv").open()))
    rows = [(name, words.split()) for name, words in rows if name != "ImageId"]
    boxes = [np.array([[float(w) for w in words[i + 1 : i + 5]] for i in range(0, len(words), 5)]) for _, words in rows]
    return (
        [name for name, _ in rows],
        np.array([ranks[words[0]] for _, words in rows]),
        [b + HALF_OPEN for b in boxes],
    )


@needs_shared
@pytest.mark.parametrize("guesses", [1, 5])
def test_the_official_evaluation_code_answers_the_same(truth, guesses):
    names, labels, instances = truth
    assert labels.tolist() == [int(x) for x in (OFFICIAL / "ground_truth_labels.txt").read_text().split()]
    guessed = submission.read(OFFICIAL / "predictions.txt")
    skipped = submission.read_blacklist(OFFICIAL / "blacklist.txt", len(names))
    overlaps = error.best_overlaps(guessed.boxes, instances)
    cls = error.classification_errors(guessed.labels, labels, guesses)
    loc = error.localisation_errors(guessed.labels, overlaps, labels, guesses) & ~skipped
    expected = list(csv.DictReader((OFFICIAL / "expected_per_image.csv").open()))
    assert [row["image"] for row in expected] == names
    assert cls.astype(int).tolist() == [int(row[f"cls_error_{guesses}"]) for row in expected]
    assert loc.astype(int).tolist() == [int(row[f"loc_error_{guesses}"]) for row in expected]
    totals = {words[1]: words for line in (OFFICIAL / "expected_totals.txt").open() if (words := line.split())}
    assert f"{cls.mean():.6f}" == totals[str(guesses)][3]
    assert f"{loc.sum() / (~skipped).sum():.6f}" == totals[str(guesses)][5]
