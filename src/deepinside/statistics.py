"""Confidence intervals."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from deepinside.records import Row


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
    values: Float[ndarray, " n"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
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
