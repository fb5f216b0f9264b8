"""Confidence intervals."""

import math

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy import stats

from deepinside.records import Row

LEVEL = 0.95  # coverage of every interval


def mean_row(metric: str, values: ArrayLike, unit: str = "") -> Row:
    """A mean over images or units with its bootstrap interval.

    Args:
        metric: name.
        values: one number each, in that unit; those that are not finite are ignored.
        unit: of the values.

    Returns:
        A row of `table.csv`, without a value if there is no finite number.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    mean = float(known.mean()) if len(known) else float("nan")
    return Row(metric, mean, unit, len(known), *bootstrap_interval(known))


def bootstrap_interval(
    values: Float[ndarray, " n"], *, level: float = LEVEL, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean, over images.

    Args:
        values: one number per image, (n,).
        level: nominal coverage.
        resamples: number of resamples of n values with replacement.
        seed: of the resampling.

    Returns:
        Lower and upper end, in the unit of the values; NaN without values.

    Source: Efron & Tibshirani 1993, ch. 13.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    block = max(1, 2**18 // len(values))  # 4 MB of draws at a time, however many values there are
    means = [
        values[random.integers(0, len(values), (min(block, resamples - start), len(values)))].mean(axis=1)
        for start in range(0, resamples, block)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def t_interval(values: Float[ndarray, " n"], *, level: float = LEVEL) -> tuple[float, float]:
    """The interval of the mean of a few independent measurements, such as one per seed: mean ± t s / sqrt(n).

    Args:
        values: one number per measurement, (n,).
        level: coverage aimed at.

    Returns:
        Lower and upper end, in the unit of the values; NaN for fewer than two values.

    Source: Student 1908, sec. 5.
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    mean, deviation = float(np.mean(values)), np.std(values, ddof=1)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * deviation) / math.sqrt(n)
    return mean - half, mean + half
