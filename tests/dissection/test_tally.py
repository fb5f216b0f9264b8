import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepinside.dissection.labels import Labels, Vocabulary
from deepinside.dissection.tally import Spots, summed, tally
from deepinside.dissection.upsample import Hits

H, W, UNITS = 4, 3, 3
# number: 1 2 are colours, 3 4 objects, 5 a part, 6 a scene
VOCABULARY = Vocabulary(
    ("color", "object", "part", "scene"),
    ("", "red-c", "blue-c", "cat", "dog", "tail", "street-s"),
    np.array([-1, 0, 0, 1, 1, 2, 3]),
)

numbers = st.integers(0, 6)
maps_ = st.lists(numbers, min_size=H * W, max_size=H * W).map(lambda v: np.array(v, dtype=np.int32).reshape(H, W))
columns = st.lists(st.one_of(numbers, maps_), max_size=3).map(tuple)
segmentations = st.dictionaries(st.sampled_from(VOCABULARY.categories), columns)
masks_ = st.integers(0, 2 ** (UNITS * H * W) - 1).map(
    lambda bits: np.array([bits >> i & 1 for i in range(UNITS * H * W)], dtype=bool).reshape(UNITS, H, W)
)


def label_sets(segmentation):
    """Pixel -> the set of its labels; the definition, pixel by pixel."""
    found = {}
    for y in range(H):
        for x in range(W):
            parts = [part for column in segmentation.values() for part in column]
            found[y, x] = {int(part if np.ndim(part) == 0 else part[y, x]) for part in parts} - {0}
    return found


def slowly(pictures, masks, rule):
    intersection = np.zeros((UNITS, len(VOCABULARY)), dtype=int)
    activation = np.zeros((UNITS, len(VOCABULARY.categories)), dtype=int)
    truth = np.zeros(len(VOCABULARY), dtype=int)
    for segmentation, mask in zip(pictures, masks, strict=True):
        sets = label_sets(segmentation)
        for labels in sets.values():
            for label in labels:
                truth[label] += 1
        for unit in range(UNITS):
            lit = [pixel for pixel in sets if mask[unit][pixel]]
            for pixel in lit:
                for label in sets[pixel]:
                    intersection[unit, label] += 1
            looked_at = sets if rule == "image" else lit
            categories = {VOCABULARY.primary[label] for pixel in looked_at for label in sets[pixel]}
            for category in categories:
                activation[unit, category] += len(lit)
    return intersection, activation, truth


def as_hits(masks):
    image, unit, y, x = np.nonzero(np.stack(masks))
    return Hits(*(torch.from_numpy(part) for part in (image, unit, y * W + x)))


def stacked(pictures):
    return Labels.stacked([Labels.of(one, (H, W), VOCABULARY) for one in pictures])


def counts(hits, labels, vocabulary, *, units, rule="image"):
    placed = labels.placed()
    return summed(tally(Spots.of(hits, placed, units), placed), placed.carried, vocabulary, rule)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(segmentations, masks_), min_size=1, max_size=4), st.sampled_from(["image", "hit"]))
def test_equals_the_definition_for_every_label_form(batch, rule):
    pictures, masks = zip(*batch, strict=True)
    labels = stacked(pictures)
    found = counts(as_hits(masks), labels, VOCABULARY, units=UNITS, rule=rule)
    intersection, activation, truth = slowly(pictures, masks, rule)
    assert (found.intersection == intersection).all()
    assert (found.activation == activation).all()
    assert (labels.area.sum(dim=0).numpy() == truth).all()


def test_by_hand():
    # image 0: a cat in the left column (x = 0), red everywhere; image 1: a street, no map at all
    cat = np.zeros((H, W), dtype=np.int32)
    cat[:, 0] = 3
    labels = stacked([{"color": (1,), "object": (cat,)}, {"scene": (6,)}])
    mask = np.zeros((2, UNITS, H, W), dtype=bool)
    mask[0, 0, 0, :2] = True  # unit 0: the top left two pixels of image 0, one of them cat
    mask[1, 1] = True  # unit 1: all of image 1
    mask[0, 2, 0, 2] = True  # unit 2: a pixel of image 0 without cat
    every = counts(as_hits(list(mask)), labels, VOCABULARY, units=UNITS, rule="image")
    own = counts(as_hits(list(mask)), labels, VOCABULARY, units=UNITS, rule="hit")
    #                                          red  blue cat dog tail street
    assert every.intersection[:, 1:].tolist() == [[2, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 12], [1, 0, 0, 0, 0, 0]]
    assert every.activation.tolist() == [[2, 2, 0, 0], [0, 0, 0, 12], [1, 1, 0, 0]]
    assert own.activation.tolist() == [[2, 2, 0, 0], [0, 0, 0, 12], [1, 0, 0, 0]]  # unit 2 touches no object


def test_a_label_counts_where_its_primary_category_is():
    # a tail (primary category part) that lies in the column of objects makes the image one with parts
    tail = np.full((H, W), 5, dtype=np.int32)
    mask = np.ones((1, UNITS, H, W), dtype=bool)
    found = counts(as_hits(list(mask)), stacked([{"object": (tail,)}]), VOCABULARY, units=UNITS)
    assert found.activation[0].tolist() == [0, 0, 12, 0]


def test_refuses():
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(3, 4\)"):
        Labels.of({"object": (np.zeros((3, 4), dtype=np.int32),)}, (4, 3), VOCABULARY)
    with pytest.raises(ValueError, match="label 7"):
        Labels.of({"object": (7,)}, (4, 3), VOCABULARY)
    with pytest.raises(ValueError, match="label 9"):
        Labels.of({"object": (np.full((4, 3), 9, dtype=np.int32),)}, (4, 3), VOCABULARY)
    gap = Vocabulary(("object",), ("", "cat", "", "dog"), np.array([-1, 0, -1, 0]))
    with pytest.raises(ValueError, match="label 2"):
        Labels.of({"object": (2,)}, (4, 3), gap)
    with pytest.raises(ValueError, match="did you mean 'image'"):
        counts(as_hits([np.zeros((UNITS, H, W))]), stacked([{}]), VOCABULARY, units=UNITS, rule="images")


def test_a_vocabulary_is_checked():
    for names, primary in ((("", "a"), [-1]), (("a", "b"), [0, 0]), (("", "a"), [-1, 1])):
        with pytest.raises(ValueError, match="expected"):
            Vocabulary(("object",), names, np.array(primary))
