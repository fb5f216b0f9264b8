"""Masks of one image, labels of another."""

import numpy as np
import pytest
import torch
from tests.dissection.test_passes import SIZES, VOCABULARY, network, opener, reader, slow_mask, world

from deepinside.dissection.counting import Counter, stored, totals
from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.layers import layer_maps, survey_layers
from deepinside.dissection.permutation import partners, permutation_test, several, turns
from deepinside.dissection.probe_set import mixed
from deepinside.dissection.score import detector_counts, iou, units_frame
from deepinside.dissection.tally import Counts
from deepinside.dissection.thresholds import survey
from deepinside.dissection.totals import dense


def slow_sets(columns, shape):
    parts = [np.broadcast_to(part, shape) for column in columns.values() for part in column]
    found = [
        np.any([part == label for part in parts], axis=0) if parts else np.zeros(shape, bool) for label in range(7)
    ]
    found[0] = np.zeros(shape, bool)
    return np.stack(found)


@pytest.mark.parametrize("rule", ["image", "hit"])
@pytest.mark.parametrize("sources", [(), (0, 1, 0, 1, 0, 1, 0, 2)])
def test_the_sums_are_those_of_the_partners_labels(tmp_path, rule, sources):
    pictures = [(n, *rest) for n, (_, *rest) in enumerate(p for p in world(8, 40) if p[3] == SIZES[0][1])][:8]
    assert len(pictures) == 8
    found, sizes = network(8), [SIZES[0][0]] * 8
    layers = survey_layers(found, ["1"], sizes)
    read, common = reader(pictures), {"batch_size": 4, "workers": 1}
    seen = survey(found, layers, read, sizes, quantile=0.1, top_images=1, folder=tmp_path / "a", **common)
    over = seen.thresholds("1")
    counter = Counter(found, layers, {"1": over}, VOCABULARY, "resize", rule, turns=2, permuted=1, sources=sources)
    _, permuted = totals(counter, seen, opener(pictures), images=8, folder=tmp_path / "b", **common)
    members = mixed(8, 4)[0]  # of the first batch alone, for `permuted` is 1
    of = np.zeros(4, dtype=int) if not sources else np.array(sources)[members]
    there = np.flatnonzero(several(of))
    assert permuted.images == len(there) >= 2
    images = torch.stack([pictures[n][1] for n in members]).float() / 255
    maps = layer_maps(found, images, layers)["1"].numpy()
    sets = [slow_sets(*pictures[n][2:]) for n in members]
    shape = SIZES[0][1]
    assert (permuted.truth == np.sum([sets[i].sum(axis=(1, 2)) for i in there], axis=0)).all()
    arrays = next(dict(one) for one in stored(tmp_path / "b"))
    met = dense(arrays, "0.turned.", (2, 4, 7)), arrays["0.turned.activation"]
    for turn, counts in [(-1, permuted.layers["1"]), *enumerate(zip(*met, strict=True))]:
        intersection, activation = np.zeros((4, 7), dtype=int), np.zeros((4, 3), dtype=int)
        rows = np.arange(4) if turn < 0 else partners(of, turn)
        for i in there:
            labels = sets[rows[i]]
            for unit in range(4):
                mask = slow_mask(maps[i, unit], layers[0], shape, SIZES[0][0], "resize", over[unit])
                both = (labels & mask).sum(axis=(1, 2))
                present = both > 0 if rule == "hit" else labels.any(axis=(1, 2))
                intersection[unit] += both
                for category in range(3):
                    activation[unit, category] += mask.sum() * present[VOCABULARY.primary == category].any()
        assert (counts[0] == intersection).all()
        assert (counts[1] == activation).all()


def test_partners_are_other_images_of_the_same_source():
    sources = np.array([2, 0, 2, 1, 0, 2, 2])
    assert several(sources).tolist() == [True, True, True, False, True, True, True]
    for turn in range(6):
        rows = partners(sources, turn)
        assert sorted(rows) == list(range(7))
        assert (sources[rows] == sources).all()
        assert (rows != np.arange(7)).tolist() == several(sources).tolist()
    assert len({tuple(partners(sources, turn)) for turn in range(3)}) == 3


def test_turns_suffice_for_the_permutations():
    assert turns(0, 2000, 64) == 0
    assert turns(999, 2000, 64) == 19  # 19 ** 32 combinations
    assert turns(999, 128, 64) == 63  # 63 ** 2
    assert turns(999, 9, 4) == 3
    assert turns(999, 3, 1) == 0  # an image alone in its batch has no partner


def test_a_picture_alone_in_its_size_takes_no_part(tmp_path):
    pictures = [(n, *rest) for n, (_, *rest) in enumerate(
        next(p for p in world(8, 40) if p[3] == shape) for _, shape in SIZES)]  # fmt: skip
    found, sizes = network(8), [tuple(p[1].shape[1:]) for p in pictures]
    layers = survey_layers(found, ["1"], sizes)
    read, common = reader(pictures), {"batch_size": 4, "workers": 1}
    seen = survey(found, layers, read, sizes, quantile=0.1, top_images=1, folder=tmp_path / "a", **common)
    counter = Counter(found, layers, {"1": seen.thresholds("1")}, VOCABULARY, "resize", "image", 3, 100)
    _, permuted = totals(counter, seen, opener(pictures), images=3, folder=tmp_path / "b", **common)
    assert permuted.images == 0


def batch(common, activation):
    common = np.asarray(common)
    at = np.flatnonzero(common)
    return {"0.turned.at": at, "0.turned.sum": common.ravel()[at], "0.turned.activation": np.asarray(activation)}


def test_p_by_hand():
    vocabulary = Vocabulary(("object",), ("", "cat", "dog"), np.array([-1, 0, 0]))
    own = Counts(np.array([[0, 8, 1], [0, 1, 1]]), np.array([[10], [4]]))
    truth = np.array([0, 10, 10])
    one = batch([[[0, 2, 1], [0, 0, 3]]], [[[10], [4]]])  # of one turn, so that all permutations are equal
    found = permutation_test([one], 0, own, truth, vocabulary, threshold=0.1, permutations=3, images=5)
    # unit 0: 8 / 12 against 2 / 18; unit 1: 1 / 13 against 3 / 11
    assert found.expected == pytest.approx([2 / 18, 3 / 11])
    assert found.p == pytest.approx([1 / 4, 4 / 4])
    assert found.detectors.tolist() == [2, 2, 2]
    assert found.unique.tolist() == [2, 2, 2]
    assert (found.observed, found.images) == (1, 5)
    assert np.nanmax(iou(*own, truth, vocabulary), axis=1) == pytest.approx([8 / 12, 1 / 13])


def test_a_permutation_is_a_turn_of_each_batch(monkeypatch):
    random = np.random.default_rng(0)
    vocabulary = Vocabulary(("object", "color"), ("", *"123456"), np.array([-1, 0, 0, 0, 1, 1, 1]))
    counts = [(random.integers(0, 9, (3, 5, 7)), random.integers(60, 90, (3, 5, 2))) for _ in range(4)]
    own, truth = Counts(random.integers(0, 40, (5, 7)), random.integers(240, 360, (5, 2))), np.full(7, 150)
    arguments = ([batch(*one) for one in counts], 0, own, truth, vocabulary)
    found = permutation_test(*arguments, threshold=0.04, permutations=50)
    draws = np.random.default_rng(0)
    drawn = [draws.integers(3, size=50) for _ in counts]
    for r in range(50):
        sums = [sum(one[part][t[r]] for one, t in zip(counts, drawn, strict=True)) for part in (0, 1)]
        units = units_frame("x", np.zeros(5), *sums, truth, vocabulary)
        table = detector_counts(units, 0.04).set_index(["rule", "category"])
        assert found.unique[r] == table.loc[("per_category", "all"), "unique_detectors"]
        assert found.detectors[r] == table.loc[("per_category", "all"), "detector_units"]
    monkeypatch.setattr("deepinside.dissection.permutation._BLOCK", 1)  # unit by unit
    again = permutation_test(*arguments, threshold=0.04, permutations=50)
    assert all(np.allclose(one, other, rtol=1e-12) for one, other in zip(found, again, strict=True))
