"""95 % intervals by the kind of number, as means, shares, correlations, and those with a bootstrap; and exponents.

A percentile bootstrap over 3 to 8 values covers 65 to 89 % instead of 95 %. That of means was chosen by simulation
(`tests/test_statistics.py`): Student's t covers the means of eight skewed values in 89 to 92 %, BCa in 84 to 88 %, the
one below in 93 to 96 %.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy import stats

from deepinside.records import Row

Interval = tuple[float, float]
LEVEL = 0.95  # coverage of every interval
NONE: Interval = (math.nan, math.nan)
_TAIL = (1 - LEVEL) / 2
_Z = float(stats.norm.ppf(1 - _TAIL))
_WHOLE = {"share": 1.0, "%": 100.0}  # unit of a share -> what a yes counts
_DIFFERENCE = "percentage points"  # unit of a difference of shares in percent


def mean_row(metric: str, values: ArrayLike, unit: str = "", within: Interval = (-math.inf, math.inf)) -> Row:
    """A mean over images, classes or units with its interval.

    Yes/no data in "share" or "%" have the interval of a share, their paired differences in "percentage points" that of
    such a difference; all else has that of a mean.

    Args:
        metric: name.
        values: one number each, in that unit; those that are not finite are ignored.
        unit: of the values.
        within: what a mean of such numbers can be, such as (0, inf) for distances; the interval ends there.

    Returns:
        A row of `table.csv`, without a value if there is no finite number.
    """
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[np.isfinite(known)]
    n = len(known)
    mean = float(known.mean()) if n else math.nan
    found, more, less = set(known.tolist()), int((known > 0).sum()), int((known < 0).sum())
    if n and unit == _DIFFERENCE and found <= {-100.0, 0.0, 100.0}:
        scale, ends = 100.0, paired_shares_interval(more, less, n)
    elif n and unit in _WHOLE and found <= {0.0, _WHOLE[unit]}:
        scale, ends = _WHOLE[unit], share_interval(more, n)
    else:
        low, high = mean_interval(known)
        scale, ends = 1.0, (float(low), float(high))
    least, most = (float(end) for end in np.clip([scale * end for end in ends], *within))
    return Row(metric, mean, unit, n, least, most)


def mean_interval(values: Float[ndarray, "*runs n"]) -> tuple[Float[ndarray, "*runs"], Float[ndarray, "*runs"]]:
    """The interval of a mean over images, classes or units: the hull of Student's t and of Hall's for skewed values.

    Args:
        values: one number per unit of replication, (n,), or of several samples, (..., n).

    Returns:
        Lower and upper ends, (...,); NaN for fewer than two values, or where all are equal: how they vary is unknown.

    Source: Student 1908; Hall 1992, sec. 2 (the cubic transformation, inverted), with quantiles of t.
    """
    values = np.asarray(values, dtype=np.float64)
    n = values.shape[-1]
    if n < 2:
        unknown = np.full(values.shape[:-1], np.nan)
        return unknown, unknown
    mean = values.mean(axis=-1)
    deviation = values.std(axis=-1, ddof=1)
    error = np.where(varied(values), deviation, np.nan) / math.sqrt(n)
    quantile = float(stats.t.ppf(1 - _TAIL, n - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        third = ((values - mean[..., None]) ** 3).mean(axis=-1)
        k = np.where(error > 0, third / values.std(axis=-1) ** 3, 0) / math.sqrt(n)
        ends = [
            np.where(np.abs(k) < 1e-9, x, 3 * (np.cbrt(1 + k * (x - k / 6)) - 1) / k) for x in (quantile, -quantile)
        ]
    return mean - error * np.maximum(ends[0], quantile), mean - error * np.minimum(ends[1], -quantile)


def varied(values: Float[ndarray, "*runs n"]) -> Bool[ndarray, "*runs"]:
    """Whether the values differ by more than rounding."""
    largest = np.abs(values).max(axis=-1)
    return np.ptp(values, axis=-1) > 1e-12 * np.where(largest > 0, largest, 1)


def t_interval(values: Float[ndarray, " n"]) -> Interval:
    """The interval of the mean of a few independent measurements, such as one per seed: mean ± t s / sqrt(n).

    Args:
        values: one number per measurement, (n,).

    Returns:
        Lower and upper end; NaN for fewer than two values, or where all are equal: how they vary is unknown.

    Source: Student 1908, sec. 5.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2 or not varied(values):
        return NONE
    half = float(stats.t.ppf(1 - _TAIL, len(values) - 1) * values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def share_interval(successes: int, n: int) -> Interval:
    """The exact interval of a share of yes/no data, in [0, 1]; none of 7 may still be 41 %.

    Args:
        successes: number of yes.
        n: of all.

    Returns:
        Lower and upper end; NaN without data.

    Source: Clopper & Pearson 1934.
    """
    if n < 1:
        return NONE
    low = stats.beta.ppf(_TAIL, successes, n - successes + 1) if successes else 0.0
    high = stats.beta.ppf(1 - _TAIL, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def paired_shares_interval(more: int, less: int, n: int) -> Interval:
    """The interval of the difference of two shares of the same units, in [-1, 1].

    Args:
        more: units with a yes in the first alone.
        less: in the second alone.
        n: all units.

    Returns:
        Lower and upper end; NaN for fewer than two units.

    Source: Agresti & Min 2005 (half a unit is added to each cell of the 2x2 table), with quantiles of t.
    """
    if n < 2:
        return NONE
    b, c, total = more + 0.5, less + 0.5, n + 2.0
    middle = (b - c) / total
    half = float(stats.t.ppf(1 - _TAIL, n - 1)) * math.sqrt(((b + c) - (b - c) ** 2 / total) / total**2)
    return max(middle - half, -1.0), min(middle + half, 1.0)


def separate_shares_interval(first: int, n: int, second: int, m: int) -> Interval:
    """The interval of the difference of two shares of different units, in [-1, 1].

    Args:
        first: successes of n.
        n: units of the first.
        second: successes of m.
        m: units of the second.

    Returns:
        Lower and upper end; NaN without units of either.

    Source: Agresti & Caffo 2000 (a success and a failure are added to each).
    """
    if min(n, m) < 1:
        return NONE
    p, q = (first + 1) / (n + 2), (second + 1) / (m + 2)
    half = _Z * math.sqrt(p * (1 - p) / (n + 2) + q * (1 - q) / (m + 2))
    return max(p - q - half, -1.0), min(p - q + half, 1.0)


def correlation_interval(correlation: float, n: int) -> Interval:
    """The interval of Spearman's correlation of n pairs.

    Args:
        correlation: Spearman's.
        n: pairs.

    Returns:
        Lower and upper end; NaN for fewer than four pairs, or where they are perfectly correlated.

    Source: Bonett & Wright 2000 (Fisher's z with the standard error sqrt((1 + r²/2) / (n - 3))).
    """
    if n < 4 or not abs(correlation) < 1:
        return NONE
    middle, half = math.atanh(correlation), _Z * math.sqrt((1 + correlation**2 / 2) / (n - 3))
    return math.tanh(middle - half), math.tanh(middle + half)


def widened(value: float, low: float, high: float, n: int) -> Interval:
    """A percentile bootstrap interval, widened for few values; NaN for fewer than two, or without width.

    Args:
        value: the statistic.
        low: lower end of the percentile interval.
        high: upper end.
        n: units that were resampled.

    Returns:
        Lower and upper end.

    Source: Hesterberg 2015, sec. 4 (the expanded percentile interval).
    """
    if n < 2 or not high > low:
        return NONE
    factor = float(stats.t.ppf(1 - _TAIL, n - 1)) / _Z * math.sqrt(n / (n - 1))
    return value - factor * (value - low), value + factor * (high - value)


def clustered_interval(
    clusters: Sequence[ndarray], statistic: Callable[[ndarray], float], resamples: int = 2000
) -> Interval:
    """The bootstrap interval of a statistic of values that come in clusters, which are resampled whole.

    Args:
        clusters: values of each, (n, ...), such as the runs of one kind of training.
        statistic: of the values of all clusters together.
        resamples: number of resamples.

    Returns:
        The percentile interval, widened for few clusters.

    Source: Davison & Hinkley 1997, sec. 3.8.
    """
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(clusters), (resamples, len(clusters)))
    found = np.array([statistic(np.concatenate([clusters[i] for i in picked])) for picked in drawn])
    if not np.isfinite(found).any():
        return NONE
    low, high = np.nanquantile(found, [_TAIL, 1 - _TAIL])
    return widened(float(statistic(np.concatenate(clusters))), float(low), float(high), len(clusters))


def exponent(sizes: ArrayLike, values: ArrayLike) -> float:
    """How fast a cost grows for large sizes: the slope of a straight line through the logarithms of the larger half.

    Small sizes are left out, for calls and the like, which do not depend on the size, hide the growth there.

    Args:
        sizes: (n,), positive.
        values: (n,), the cost of each; those that are not positive numbers are left out first.

    Returns:
        1 if twice the size costs twice as much; NaN with fewer than two sizes.
    """
    known = np.array([pair for pair in zip(np.ravel(sizes), np.ravel(values), strict=True) if pair[1] > 0])
    if len(known) < 2:
        return math.nan
    x, y = np.log(known[np.argsort(known[:, 0])][-max(2, (len(known) + 1) // 2) :]).T
    return float(np.polyfit(x, y, 1)[0])
