"""Intervals: against theory, and their edges."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from deepinside.statistics import bootstrap_interval, t_interval


def test_close_to_the_normal_interval_for_many_values() -> None:
    values = np.random.default_rng(1).random(4000)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_same_seed_same_interval_and_edges() -> None:
    values = np.array([0.0, 1, 1])
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(np.ones(5)) == (1, 1)
    assert all(math.isnan(end) for end in bootstrap_interval(np.array([])))


def test_memory_does_not_grow_with_the_values() -> None:
    peaks = []
    for count in (300, 30_000):
        values = np.random.default_rng(0).random(count)
        tracemalloc.start()
        bootstrap_interval(values)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bootstrap_interval(random.random(60), resamples=400, seed=seed)
        hits += low <= 0.5 <= high
    assert 0.88 <= hits / 200 <= 0.99


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_t_interval_against_scipy(level: float) -> None:
    values = np.random.default_rng(2).normal(3, 2, 5)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert t_interval(values, level=level) == pytest.approx(tuple(expected))


def test_t_interval_of_equal_values_and_of_one() -> None:
    assert t_interval(np.full(3, 0.5)) == (0.5, 0.5)
    assert np.isnan(t_interval(np.array([3.0]))).all()
