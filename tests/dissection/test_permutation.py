"""Masks of one image, labels of another."""

import numpy as np
import pytest
import torch
from tests.dissection.test_passes import SIZES, VOCABULARY, network, opener, reader, slow_mask, world

from deepinside.dissection.counting import Counter, totals
from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.layers import layer_maps, survey_layers
from deepinside.dissection.permutation import permutation_test
from deepinside.dissection.probe_set import mixed
from deepinside.dissection.score import iou
from deepinside.dissection.tally import Counts
from deepinside.dissection.thresholds import survey
from deepinside.dissection.totals import PermutedSums


def slow_sets(columns, shape):
    parts = [np.broadcast_to(part, shape) for column in columns.values() for part in column]
    found = [
        np.any([part == label for part in parts], axis=0) if parts else np.zeros(shape, bool) for label in range(7)
    ]
    found[0] = np.zeros(shape, bool)
    return np.stack(found)


@pytest.mark.parametrize("rule", ["image", "hit"])
def test_the_sums_are_those_of_the_next_pictures_labels(tmp_path, rule):
    pictures = [(n, *rest) for n, (_, *rest) in enumerate(p for p in world(8, 40) if p[3] == SIZES[0][1])][:8]
    assert len(pictures) == 8
    found, sizes = network(8), [SIZES[0][0]] * 8
    layers = survey_layers(found, ["1"], sizes)
    read, common = reader(pictures), {"batch_size": 4, "workers": 1}
    seen = survey(found, layers, read, sizes, quantile=0.1, top_images=1, folder=tmp_path / "a", **common)
    over = seen.thresholds("1")
    counter = Counter(found, layers, {"1": over}, VOCABULARY, "resize", rule, permutations=2, permuted=1)
    sums = totals(counter, seen, opener(pictures), images=8, folder=tmp_path / "b", **common)
    null, members = sums.permuted["1"], mixed(8, 4)[0]  # of the first batch alone, for `permuted` is 1
    assert null.images == 4
    images = torch.stack([pictures[n][1] for n in members]).float() / 255
    maps = layer_maps(found, images, layers)["1"].numpy()
    sets = [slow_sets(*pictures[n][2:]) for n in members]
    shape = SIZES[0][1]
    assert (null.truth == np.sum([one.sum(axis=(1, 2)) for one in sets], axis=0)).all()
    for turn, counts in [(-1, null.own), *enumerate(zip(*null.permuted, strict=True))]:
        intersection, activation = np.zeros((4, 7), dtype=int), np.zeros((4, 3), dtype=int)
        for i in range(4):
            labels = sets[(i + turn + 1) % 4]
            for unit in range(4):
                mask = slow_mask(maps[i, unit], layers[0], shape, SIZES[0][0], "resize", over[unit])
                both = (labels & mask).sum(axis=(1, 2))
                present = both > 0 if rule == "hit" else labels.any(axis=(1, 2))
                intersection[unit] += both
                for category in range(3):
                    activation[unit, category] += mask.sum() * present[VOCABULARY.primary == category].any()
        assert (counts[0] == intersection).all()
        assert (counts[1] == activation).all()


def test_a_picture_alone_in_its_size_takes_no_part(tmp_path):
    pictures = [(n, *rest) for n, (_, *rest) in enumerate(
        next(p for p in world(8, 40) if p[3] == shape) for _, shape in SIZES)]  # fmt: skip
    found, sizes = network(8), [tuple(p[1].shape[1:]) for p in pictures]
    layers = survey_layers(found, ["1"], sizes)
    read, common = reader(pictures), {"batch_size": 4, "workers": 1}
    seen = survey(found, layers, read, sizes, quantile=0.1, top_images=1, folder=tmp_path / "a", **common)
    counter = Counter(found, layers, {"1": seen.thresholds("1")}, VOCABULARY, "resize", "image", 3, 100)
    assert not totals(counter, seen, opener(pictures), images=3, folder=tmp_path / "b", **common).permuted


def test_p_by_hand():
    vocabulary = Vocabulary(("object",), ("", "cat", "dog"), np.array([-1, 0, 0]))
    own = Counts(np.array([[0, 8, 1], [0, 1, 1]]), np.array([[10], [4]]))
    met = Counts(
        np.array([[[0, 2, 1], [0, 0, 3]], [[0, 0, 0], [0, 1, 1]], [[0, 1, 5], [0, 4, 0]]]),
        np.array([[[10], [4]]] * 3),
    )
    truth = np.array([0, 10, 10])
    found = permutation_test(PermutedSums(met, own, truth, 5), vocabulary, 0.1)
    # unit 0: 8 / 12 against 2 / 18, 0, 5 / 15; unit 1: 1 / 13 against 3 / 11, 1 / 13, 4 / 10
    assert found.highest == pytest.approx([5 / 15, 4 / 10])
    assert found.p == pytest.approx([1 / 4, 4 / 4])
    assert found.detectors.tolist() == [2, 0, 2]
    assert np.nanmax(iou(*own, truth, vocabulary), axis=1) == pytest.approx([8 / 12, 1 / 13])
