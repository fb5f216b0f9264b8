"""From an estimate and a rule that was fixed beforehand to a verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from deepinside.statistics import LEVEL

SUPPORTED, CONTRADICTED, UNDECIDED, NEEDS_DATA = "supported", "contradicted", "undecided", "needs_data"
ALPHA = (1 - LEVEL) / 2  # one-sided, as a two-sided interval has it


class Estimate(NamedTuple):
    """A number with its 95 % interval.

    Attributes:
        value: the estimate.
        low: lower end; that of an exact number is the number.
        high: upper end.
        n: units of replication.
        freedom: degrees of freedom of a t-interval; infinite for a bootstrap.
    """

    value: float
    low: float
    high: float
    n: int
    freedom: float = math.inf

    @property
    def error(self) -> float:
        """The standard error that corresponds to the interval."""
        return (self.high - self.low) / 2 / float(stats.t.ppf((1 + LEVEL) / 2, self.freedom))


@dataclass(frozen=True)
class Rule:
    """Where a claim's number must be; the limit is the smallest effect of interest.

    Args:
        above: it must exceed this,
        below: or be below this,
        within: or be between these two (a claim of equality).

    Raises:
        ValueError: if not exactly one of them is set.
    """

    above: float | None = None
    below: float | None = None
    within: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        stated = [key for key in ("above", "below", "within") if getattr(self, key) is not None]
        if len(stated) != 1 or (self.within is not None and not self.within[0] < self.within[1]):
            raise ValueError(f"expected one of above, below, within: [low, high], got {stated}: a rule has one limit")

    @property
    def border(self) -> tuple[float, float]:
        """Lower and upper end of the range that supports the claim."""
        if self.within is not None:
            return self.within[0], self.within[1]
        return (self.above, math.inf) if self.above is not None else (-math.inf, self.below or 0.0)

    def __str__(self) -> str:
        low, high = self.border
        return (
            f"from {low:g} to {high:g}"
            if self.within
            else f"above {low:g}"
            if self.below is None
            else f"below {high:g}"
        )


def verdict(found: Estimate, rule: Rule) -> str:
    """Supported: the interval is inside the rule; contradicted: entirely outside; otherwise undecided."""
    low, high = rule.border
    if not all(map(math.isfinite, found[:3])):
        return UNDECIDED
    if low < found.low and found.high < high:
        return SUPPORTED
    return CONTRADICTED if found.high <= low or found.low >= high else UNDECIDED


def p_value(found: Estimate, rule: Rule) -> float:
    """The smaller of two one-sided p-values: that the number is outside, or inside, the rule.

    By the t distribution around the estimate; NaN where there is no interval.
    """
    if not all(map(math.isfinite, found[:3])):
        return math.nan
    if found.error == 0:
        return 0.0
    low, high = (stats.t.cdf((end - found.value) / found.error, found.freedom) for end in rule.border)
    outside, inside = max(low, 1 - high), min(high, 1 - low)  # p-values of the two one-sided tests, taken together
    return float(min(outside, inside))


def holm(values: Sequence[float]) -> Float[ndarray, " k"]:
    """P-values (k,) adjusted for their number; NaN is not counted.

    Source: Holm 1979.
    """
    array = np.asarray(values, dtype=np.float64)
    out = np.full(len(array), np.nan)
    known = np.flatnonzero(~np.isnan(array))
    order = known[np.argsort(array[known], kind="stable")]
    scaled = array[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return out


def after_holm(verdicts: Sequence[str], values: Sequence[float]) -> list[str]:
    """The verdicts after Holm's adjustment: one that is no longer significant becomes `undecided`."""
    lost = ~(holm(values) <= ALPHA)
    return [
        UNDECIDED if gone and one in {SUPPORTED, CONTRADICTED} else one
        for one, gone in zip(verdicts, lost, strict=True)
    ]


def power(found: Estimate, rule: Rule, effect: float | None) -> float:
    """The probability that a test of this precision supports a claim whose number is `effect`.

    In [0, 1]; NaN where `effect` is None.
    """
    if effect is None or not math.isfinite(found.error):
        return math.nan
    low, high = rule.border
    margin = min(effect - low, high - effect)
    if found.error == 0:
        return float(margin > 0)
    return float(stats.t.cdf(margin / found.error - stats.t.ppf((1 + LEVEL) / 2, found.freedom), found.freedom))
