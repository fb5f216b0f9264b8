"""Intervals cover what they promise, for as few values as tables and claims have; and formulas by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from deepinside import statistics

SAMPLES = 6000  # a coverage of 0.93 has a standard error of 0.0033
LEAST = 0.93
DRAWN = {
    "normal": (lambda random, size: random.normal(0.3, 2, size), 0.3),
    "skewed": (lambda random, size: random.gamma(2, 1, size), 2.0),  # skewness 1.4
    "skewed to the left": (lambda random, size: -random.gamma(2, 1, size), -2.0),
    "uniform": (lambda random, size: random.uniform(-1, 1, size), 0.0),
}


def share_covered(low, high, truth):
    return float(np.mean((np.asarray(low) <= truth) & (truth <= np.asarray(high))))


@pytest.mark.parametrize("n", [3, 8, 30, 200])
@pytest.mark.parametrize("kind", DRAWN)
def test_means_are_covered(kind, n):
    draw, truth = DRAWN[kind]
    low, high = statistics.mean_interval(draw(np.random.default_rng(n), (SAMPLES, n)))
    assert share_covered(low, high, truth) >= LEAST


@pytest.mark.parametrize("n", [3, 8, 30, 200])
def test_seeds_are_covered_where_normal(n):
    values = np.random.default_rng(n).normal(1, 3, (600, n))
    low, high = np.transpose([statistics.t_interval(one) for one in values])
    assert share_covered(low, high, 1) >= LEAST - 0.01  # of 600 samples


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.93])
@pytest.mark.parametrize("n", [3, 8, 30, 200])
def test_shares_are_covered_whatever_they_are(share, n):
    counts = np.arange(n + 1)
    low, high = np.transpose([statistics.share_interval(int(count), n) for count in counts])
    covered = (low <= share) & (share <= high)
    assert stats.binom.pmf(counts, n, share)[covered].sum() >= 0.95


@pytest.mark.parametrize(("more", "less"), [(0.3, 0.1), (0.05, 0.05), (0.6, 0.0), (0.02, 0.3)])
@pytest.mark.parametrize("n", [8, 30, 200])
def test_differences_of_paired_shares_are_covered(more, less, n):
    counts = np.random.default_rng(n).multinomial(n, [more, less, 1 - more - less], size=2000)
    found = {
        tuple(one): statistics.paired_shares_interval(int(one[0]), int(one[1]), n) for one in np.unique(counts, axis=0)
    }
    low, high = np.transpose([found[tuple(one)] for one in counts])
    assert share_covered(low, high, more - less) >= LEAST


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.1), (0.05, 0.05), (0.9, 0.3)])
@pytest.mark.parametrize(("n", "m"), [(8, 8), (96, 32), (512, 96)])
def test_differences_of_separate_shares_are_covered(p, q, n, m):
    random = np.random.default_rng(n)
    pairs = np.column_stack([random.binomial(n, p, 2000), random.binomial(m, q, 2000)])
    found = {
        tuple(one): statistics.separate_shares_interval(int(one[0]), n, int(one[1]), m)
        for one in np.unique(pairs, axis=0)
    }
    low, high = np.transpose([found[tuple(one)] for one in pairs])
    assert share_covered(low, high, p - q) >= LEAST


@pytest.mark.parametrize(("rho", "n"), [(0.0, 10), (0.6, 30), (0.6, 100)])
def test_rank_correlations_are_covered(rho, n):
    random = np.random.default_rng(n)
    pairs = random.multivariate_normal([0, 0], [[1, rho], [rho, 1]], (1500, n))
    ranks = pairs.argsort(axis=1).argsort(axis=1) - (n - 1) / 2
    found = ranks.prod(axis=2).sum(axis=1) / np.square(ranks[..., 0]).sum(axis=1)
    low, high = np.transpose([statistics.correlation_interval(one, n) for one in found])
    assert share_covered(low, high, 6 / math.pi * math.asin(rho / 2)) >= LEAST


def test_a_percentile_bootstrap_is_too_narrow_for_few_values_and_widened_it_is_not():
    values = np.random.default_rng(0).normal(0, 1, (400, 5))
    drawn = np.random.default_rng(1).integers(0, 5, (500, 5))
    plain = [np.quantile(one[drawn].mean(axis=1), [0.025, 0.975]) for one in values]
    wide = [statistics.widened(one.mean(), *ends, 5) for one, ends in zip(values, plain, strict=True)]
    assert share_covered(*np.transpose(plain), 0) < 0.90
    assert share_covered(*np.transpose(wide), 0) > 0.92


def test_clusters_are_resampled_whole():
    """Ten conditions of eight runs each that hardly differ within one: the runs by themselves would say too much."""
    random = np.random.default_rng(1)
    covered, naive = [], []
    for _ in range(120):
        clusters = [np.full(8, level) + random.normal(0, 0.05, 8) for level in random.normal(0, 1, 10)]
        low, high = statistics.clustered_interval(clusters, lambda values: float(values.mean()), resamples=300)
        covered.append(low <= 0 <= high)
        low, high = statistics.mean_interval(np.concatenate(clusters))
        naive.append(low <= 0 <= high)
    assert np.mean(covered) > 0.88
    assert np.mean(naive) < 0.7


def test_by_hand():
    assert statistics.share_interval(0, 7) == pytest.approx((0, 1 - 0.025 ** (1 / 7)))  # 0.41
    low, high = statistics.t_interval(np.array([2.0, 1.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.3027 / math.sqrt(3), 2 + 4.3027 / math.sqrt(3)), rel=1e-4)
    symmetric = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert statistics.mean_interval(symmetric) == pytest.approx(statistics.t_interval(symmetric))
    b, c, n = 5.5, 2.5, 12.0  # 5 and 2 of 10
    half = stats.t.ppf(0.975, 9) * math.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert statistics.paired_shares_interval(5, 2, 10) == pytest.approx(((b - c) / n - half, (b - c) / n + half))
    assert statistics.widened(1.0, 0.5, 1.5, 2)[1] == pytest.approx(1 + 0.5 * 12.706 / 1.96 * math.sqrt(2), rel=1e-3)


def test_values_that_are_all_equal_have_no_interval():
    """What does not vary in a few values may vary in the next: only yes/no data have an exact answer."""
    for ends in (
        statistics.mean_interval(np.full(5, 0.3)),
        statistics.mean_interval(np.array([1.0])),
        statistics.t_interval(np.zeros(5)),
        statistics.widened(0.0, 0.0, 0.0, 7),
        statistics.correlation_interval(1.0, 9),
    ):
        assert np.isnan(ends).all()
    assert statistics.paired_shares_interval(0, 0, 7)[1] > 0.1
    assert statistics.separate_shares_interval(0, 7, 0, 7)[1] > 0.2


def test_t_against_scipy():
    values = np.random.default_rng(2).normal(3, 2, 5)
    assert statistics.t_interval(values) == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([0, 0, 0, 0, 0, 0, 0], "%", np.multiply(100, statistics.share_interval(0, 7))),
        ([1, 0, 1, math.nan], "share", statistics.share_interval(2, 3)),
        ([100, -100, 0, 0, 0], "percentage points", np.multiply(100, statistics.paired_shares_interval(1, 1, 5))),
        ([100, 0, 0], "percentage points", np.multiply(100, statistics.paired_shares_interval(1, 0, 3))),
        ([0, 0, 0], "percentage points", np.multiply(100, statistics.paired_shares_interval(0, 0, 3))),
        ([0, 1, 1, 0, 1], "IoU", statistics.mean_interval(np.array([0, 1, 1, 0, 1.0]))),  # no share
        ([0, 0.5, 1, 0.25], "share", statistics.mean_interval(np.array([0, 0.5, 1, 0.25]))),
        ([0.5, 0.5, 0.5], "", (math.nan, math.nan)),
        ([], "%", (math.nan, math.nan)),
    ],
)
def test_a_row_has_the_interval_of_its_kind_of_data(values, unit, expected):
    row = statistics.mean_row("m", values, unit)
    known = [value for value in values if not math.isnan(value)]
    assert (row.unit, row.n) == (unit, len(known))
    assert row[-2:] == pytest.approx(tuple(map(float, expected)), nan_ok=True)
    assert row.value == pytest.approx(np.mean(known) if known else math.nan, nan_ok=True)


@pytest.mark.parametrize("n", [3, 8, 30, 200])
def test_rows_of_yes_and_no_are_covered_where_a_bootstrap_is_not(n):
    random, share = np.random.default_rng(n), 0.1
    counts, often = np.unique(random.binomial(n, share, SAMPLES), return_counts=True)
    rows = [statistics.mean_row("m", 100.0 * (np.arange(n) < count), "%") for count in counts]
    covered = np.array([row.ci_low <= 100 * share <= row.ci_high for row in rows])
    assert often[covered].sum() / SAMPLES >= LEAST


def test_an_exponent_is_that_of_the_large_sizes():
    sizes = np.array([1, 10, 100, 1000, 10_000])
    assert statistics.exponent(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    assert statistics.exponent(sizes, np.maximum(sizes, 100)) == pytest.approx(1)  # the first two are constant
    assert statistics.exponent(sizes[::-1], np.maximum(sizes, 100)[::-1]) == pytest.approx(1)
    assert statistics.exponent([1, 10, 100], [1, np.nan, 10]) == pytest.approx(0.5)
    assert math.isnan(statistics.exponent([1, 10], [np.nan, 1]))


def test_an_interval_ends_where_the_mean_of_such_numbers_must():
    values = [0.0, 0.1, 0.9]
    free, kept = statistics.mean_row("error", values), statistics.mean_row("error", values, within=(0, 1))
    assert free.ci_low < 0
    assert (kept.value, kept.ci_low, kept.ci_high) == (free.value, 0, min(free.ci_high, 1))
    shares = statistics.mean_row("right", [0.0, 100.0], "%", within=(0, 100))
    assert (shares.ci_low, shares.ci_high) == pytest.approx([100 * end for end in statistics.share_interval(1, 2)])
