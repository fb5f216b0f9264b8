"""What the peaks of units tell of another label."""

import numpy as np

from deepinside.dissection.tables import told_apart


def test_a_label_that_the_peaks_hold_is_told_apart_and_one_that_they_do_not_is_not():
    random = np.random.default_rng(0)
    labels = np.repeat([3, 7, 9], 40)
    noise = random.standard_normal((120, 6))
    blind = told_apart(noise, labels)
    assert 0.2 < blind.mean() < 0.5  # a third by luck
    noise[:, 2] += 6 * (labels == 7)
    noise[:, 4] += 6 * (labels == 9)
    assert told_apart(noise, labels).mean() > 0.95


def test_rare_labels_are_left_out():
    random = np.random.default_rng(0)
    labels = np.array([1] * 10 + [2] * 10 + [3] * 4)
    assert len(told_apart(random.standard_normal((24, 2)), labels)) == 20
    assert len(told_apart(random.standard_normal((14, 2)), labels[10:])) == 0
