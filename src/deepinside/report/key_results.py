"""What was found: the few numbers at the top of the page, in an order chosen by people."""

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from deepinside.report.page import Bar, Found, Number
from deepinside.report.settings import Finding


def found(numbers: Sequence[Number], findings: Iterable[Finding]) -> list[Found]:
    """The numbers that a finding asks for, in its order, each once, with bars on a common scale.

    Args:
        numbers: of all artifacts.
        findings: titles and patterns.

    Returns:
        The groups in which anything was found.
    """
    groups = []
    for finding in findings:
        matches = [one for pattern in finding.numbers for one in numbers if _fits(one, pattern)]
        unique = list({(one.artifact.anchor, one.metric): one for one in matches}.values())[: finding.most]
        if unique:
            groups.append(Found(finding.title, bars(unique)))
    return groups


def _fits(one: Number, pattern: str) -> bool:
    return fnmatchcase(f"{one.artifact.key}:{one.metric}", pattern)


def bars(numbers: Sequence[Number]) -> list[tuple[Number, Bar | None]]:
    """Draws numbers of one unit from zero to the same end, so that they can be compared by eye.

    Args:
        numbers: of a group; negative and unknown ones get no bar.

    Returns:
        Each with its bar.
    """
    ends: dict[str, float] = {}
    for one in numbers:
        reach = max((x for x in (one.value, one.high) if math.isfinite(x)), default=0.0)
        ends[one.unit] = max(ends.get(one.unit, 0.0), reach)
    return [(one, _bar(one, ends[one.unit])) for one in numbers]


def _bar(one: Number, end: float) -> Bar | None:
    if not math.isfinite(one.value) or one.value < 0 or end <= 0:
        return None
    known = math.isfinite(one.low) and math.isfinite(one.high)
    low, high = (max(0.0, 100 * x / end) for x in (one.low, one.high)) if known else (None, None)
    return Bar(*(None if x is None else round(x, 2) for x in (100 * one.value / end, low, high)))  # type: ignore[arg-type]
