"""What the peaks of units tell of another label."""

import numpy as np

from deepinside.dissection.tables import linear_probe


def test_the_probe_finds_a_label_that_the_peaks_encode_and_no_other():
    random = np.random.default_rng(0)
    labels = np.repeat([3, 7, 9], 40)
    noise = random.standard_normal((120, 6))
    blind = linear_probe(noise, labels)
    assert 0.2 < blind.mean() < 0.5  # a third by chance
    noise[:, 2] += 6 * (labels == 7)
    noise[:, 4] += 6 * (labels == 9)
    assert linear_probe(noise, labels).mean() > 0.95


def test_rare_labels_are_left_out():
    random = np.random.default_rng(0)
    labels = np.array([1] * 10 + [2] * 10 + [3] * 4)
    assert len(linear_probe(random.standard_normal((24, 2)), labels)) == 20
    assert len(linear_probe(random.standard_normal((14, 2)), labels[10:])) == 0
