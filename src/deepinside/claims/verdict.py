"""From an estimate and a rule that was fixed beforehand to a verdict.

Every number is a difference from its null: what would be seen if the claim were false.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

from deepinside.statistics import LEVEL

SUPPORTED, NEGLIGIBLE, CONTRADICTED = "supported", "negligible", "contradicted"
UNDECIDED, NEEDS_DATA, NOT_POSED = "undecided", "needs_data", "not_posed"
DECIDED = (SUPPORTED, NEGLIGIBLE, CONTRADICTED)
VERDICTS = (*DECIDED, UNDECIDED, NEEDS_DATA, NOT_POSED)
ALPHA = (1 - LEVEL) / 2  # one-sided, as a two-sided interval has it
LEAST_POWER = 0.8  # below it a test without a result says nothing (Cohen 1988, sec. 2.4)


class Estimate(NamedTuple):
    """A difference from its null, with its 95 % interval.

    Attributes:
        value: the difference.
        low: lower end; NaN where it is unknown how the values vary.
        high: upper end.
        n: units of replication.
        freedom: degrees of freedom of a t-interval; infinite for others.
        null: what was subtracted; `value + null` was measured.
    """

    value: float
    low: float
    high: float
    n: int
    freedom: float = math.inf
    null: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return all(map(math.isfinite, self[:3])) and self.high > self.low

    @property
    def error(self) -> float:
        """The standard error that corresponds to the interval."""
        return (self.high - self.low) / 2 / self._quantile

    @property
    def _quantile(self) -> float:
        return float(stats.t.ppf((1 + LEVEL) / 2, self.freedom))

    def above(self, border: float) -> float:
        """The one-sided p-value that the number is not above a border.

        By the t distribution, with the standard error of that side of the interval; NaN without an interval.
        """
        if not self.known:
            return math.nan
        sides = (self.value - self.low, self.high - self.value)
        side = sides[0] if border < self.value else sides[1]
        error = (side if side > 0 else max(sides)) / self._quantile
        return float(stats.t.cdf((border - self.value) / error, self.freedom))

    def below(self, border: float) -> float:
        """The one-sided p-value that the number is not below a border."""
        return 1 - self.above(border)


@dataclass(frozen=True)
class Rule:
    """Where a claim's difference from its null must be; the limit is the effect asked for.

    Args:
        above: it must exceed this, from 0 on,
        below: or be below this, up to 0,
        within: or be between these two, with 0 between them (a claim of equality).

    Raises:
        ValueError: if not exactly one of them is set, or one that the null itself would meet.
    """

    above: float | None = None
    below: float | None = None
    within: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        stated = [key for key in ("above", "below", "within") if getattr(self, key) is not None]
        if len(stated) != 1 or (self.within is not None and not self.within[0] < self.within[1]):
            raise ValueError(f"expected one of above, below, within: [low, high], got {stated}: a rule has one limit")
        low, high = self.border
        met = not low < 0 < high if self.within else low < 0 < high
        if met:
            asked = "0 between the two" if self.within else "above from 0 on, or below up to 0"
            raise ValueError(f"rule {self}: expected {asked}: it is about the difference from the null, which is 0")

    @property
    def border(self) -> tuple[float, float]:
        """Lower and upper end of the range that supports the claim."""
        if self.within is not None:
            return self.within[0], self.within[1]
        return (self.above, math.inf) if self.above is not None else (-math.inf, self.below or 0.0)

    def __str__(self) -> str:
        low, high = self.border
        if self.within:
            return f"from {low:g} to {high:g}"
        return f"above {low:g}" if self.below is None else f"below {high:g}"


def verdict(found: Estimate, rule: Rule) -> str:
    """What the interval says of the rule, before power and the number of claims are taken into account.

    Supported: the interval is inside the rule. Negligible: the effect asked for is excluded, and the opposite is not
    shown, or is as small. Contradicted: the interval is on the other side of the null. Otherwise undecided.
    """
    low, high = rule.border
    if not found.known:
        return UNDECIDED
    if low < found.low and found.high < high:
        return SUPPORTED
    if rule.within is not None:
        return CONTRADICTED if found.high <= low or found.low >= high else UNDECIDED
    asked, least, most = (low, found.low, found.high) if rule.below is None else (-high, -found.high, -found.low)
    if most > asked:
        return UNDECIDED
    return CONTRADICTED if most < 0 and least < -asked else NEGLIGIBLE


def p_value(found: Estimate, rule: Rule) -> float:
    """The p-value of the verdict, of an undecided one the smaller of the two that it might have been; else NaN."""
    low, high = rule.border
    if not found.known:
        return math.nan
    support = max(found.above(low) if math.isfinite(low) else 0.0, found.below(high) if math.isfinite(high) else 0.0)
    outside = min(found.below(low) if math.isfinite(low) else 1.0, found.above(high) if math.isfinite(high) else 1.0)
    said = verdict(found, rule)
    if said == CONTRADICTED and rule.within is None:
        return found.below(0) if rule.below is None else found.above(0)
    return support if said == SUPPORTED else outside if said in DECIDED else min(support, outside)


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
    return [UNDECIDED if gone and one in DECIDED else one for one, gone in zip(verdicts, lost, strict=True)]


def family(world: str) -> str:
    """The worlds whose verdicts are counted together: those of the same start, such as `photographs_squeezenet`."""
    return world.partition("_")[0]


def asked(rule: Rule, effect: float | None) -> float:
    """The size of the effect that a rule asks for: its limit, or, where that is 0, the effect of the paper."""
    if rule.within is not None:
        return min(-rule.within[0], rule.within[1])
    limit = rule.above if rule.below is None else rule.below
    return abs(limit or effect or math.nan)


def power(found: Estimate, rule: Rule, effect: float | None) -> float:
    """The probability that an interval of this width excludes the null if the effect is as large as asked for.

    Of a claim of equality: that it lies inside the rule if there is no difference. In [0, 1]; NaN without an interval.
    """
    if not found.known:
        return math.nan
    size = asked(rule, effect) / found.error - stats.t.ppf((1 + LEVEL) / 2, found.freedom)
    once = float(stats.t.cdf(size, found.freedom))
    return once if rule.within is None else max(2 * once - 1, 0.0)


def enough(found: Estimate, rule: Rule, effect: float | None) -> int:
    """About how many units of replication would give the least power that counts, with the scatter that was found."""
    share = LEAST_POWER if rule.within is None else (1 + LEAST_POWER) / 2
    wanted = stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(share)
    return max(math.ceil(found.n * (wanted * found.error / asked(rule, effect)) ** 2), found.n + 1)
