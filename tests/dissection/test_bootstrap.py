"""Intervals over images against a plain loop over resamples."""

import numpy as np
import pandas as pd
import pytest
from tests.dissection.test_passes import VOCABULARY, network, run, world

from deepinside.dissection import bootstrap
from deepinside.dissection.bootstrap import Grouped, grouped_sums, intervals, rivals
from deepinside.dissection.counting import stored
from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.score import detector_counts, iou, units_frame


@pytest.fixture(scope="module", params=["image", "hit"])
def dissected(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    _, _, sums = run(network(2), world(2, 14), folder, quantile=0.1, rule=request.param)
    return sums, folder / "second", request.param


def test_rivals_best_first():
    scores = np.array([[np.nan, 0.2, 0.3, 0.0, 0.5, 0.5, np.nan]])
    found = rivals(scores, VOCABULARY)
    assert found[0].tolist() == [[2, 1, 0, 0, 0], [4, 5, 3, 0, 0], [0, 0, 0, 0, 0]]


def test_the_groups_add_up_to_the_totals(dissected):
    sums, folder, rule = dissected
    for index, name in enumerate(sums.layers):
        scores = [iou(*counts, sums.truth, VOCABULARY) for counts in sums.layers.values()]
        labels = [rivals(one, VOCABULARY) for one in scores]
        found = grouped_sums(stored(folder), labels, VOCABULARY, rule, 14)[index]
        common, area = sums.layers[name]
        assert len(found.truth) == 14
        assert (found.truth.sum(axis=0) == sums.truth).all()
        assert (found.activation.sum(axis=0) == area).all()
        expected = np.take_along_axis(common, labels[index].reshape(len(common), -1), axis=1)
        assert (found.intersection.sum(axis=0) == expected.reshape(labels[index].shape) * (labels[index] > 0)).all()


def test_equals_a_plain_loop(dissected, monkeypatch):
    """Each resample is dissected as if its images were the probe set: same best scores, same counts by both rules."""
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 40)
    sums, folder, rule = dissected
    labels = [rivals(iou(*counts, sums.truth, VOCABULARY), VOCABULARY) for counts in sums.layers.values()]
    group = grouped_sums(stored(folder), labels, VOCABULARY, rule, 14)[1]
    found = intervals(group, VOCABULARY, 0.15, seed=7)
    random = np.random.default_rng(7)
    scores, counts = [], []
    # all labels of the small world fit among five rivals, so that the resamples can be dissected in full
    weights = np.concatenate([random.multinomial(14, np.full(14, 1 / 14), size) for size in (25, 15)])
    for weight in [*weights, np.ones(14)]:
        common = np.zeros((5, len(VOCABULARY)))
        np.add.at(common, (np.arange(5)[:, None, None], group.rivals), np.tensordot(weight, group.intersection, axes=1))
        area, truth = np.tensordot(weight, group.activation, axes=1), weight @ group.truth
        frame = units_frame("c", np.zeros(5), common, area, truth, VOCABULARY)
        scores.append(frame["score"])
        counts.append(detector_counts(frame, 0.15).set_index(["rule", "category"]).drop(columns="layer"))

    def around(draws):
        *draws, point = np.array(draws, dtype=float)
        low, high = np.quantile(draws, [0.025, 0.975], axis=0) - np.median(draws, axis=0)
        return np.maximum(np.array([point + low, point + high]), 0)

    assert found.score == pytest.approx(np.minimum(around(scores), 1).T)
    ends = found.counts.set_index(["rule", "category"])
    for key in counts[0].index:
        for quantity in ("detector_units", "unique_detectors"):
            expected = around([table.loc[key, quantity] for table in counts])
            assert ends.loc[key, [f"{quantity}_low", f"{quantity}_high"]].tolist() == pytest.approx(expected.tolist())


def test_pictures_that_agree_leave_no_doubt_and_one_gives_no_interval():
    vocabulary = Vocabulary(("object",), ("", "cat"), np.array([-1, 0]))
    labels = np.array([[[1, 0]]])
    same = Grouped(labels, np.full((6, 1, 1, 2), 3.0), np.full((6, 1, 1), 6.0), np.array([[0.0, 9.0]] * 6))
    found = intervals(same, vocabulary, 0.04)
    assert found.score == pytest.approx(np.array([[0.25, 0.25]]))  # 3 / (9 + 6 - 3)
    assert (found.counts.drop(columns=["rule", "category"]) == 1).all(axis=None)
    alone = intervals(Grouped(labels, *(part[:1] for part in same[1:])), vocabulary, 0.04)
    assert np.isnan(alone.score).all()
    assert alone.counts.drop(columns=["rule", "category"]).isna().all(axis=None)
    assert isinstance(alone.counts, pd.DataFrame)
