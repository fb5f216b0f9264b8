"""A grid over the configuration: which keys take which values, and which numbers of every point are looked at."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from deepinside.artifact import flat

BETTER = ("lower", "higher", "shown")  # what is better; `shown`: neither
_BARE = re.compile(r"[A-Za-z_][\w.]*")
_MEANT = {"null", "true", "false", "nan", "inf"}  # words that Hydra takes for something else than text


def _closest(name: str, known: Iterable[str]) -> str:
    from deepinside.network import closest  # torch is slow to import: only for who misspelt something

    return closest(name, known)


def text(value: Any) -> str:
    """A value as Hydra's command line spells it.

    Args:
        value: plain: number, text, None, list or mapping.

    Returns:
        For instance `0.95`, `null`, `[am_none]`, `{saliency:0.3,activation:0.7}`.
    """
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(text, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and (not _BARE.fullmatch(value) or value.lower() in _MEANT):
        return "'" + value.replace("'", r"\'") + "'"
    return str(value)


@dataclass(frozen=True)
class Point:
    """One choice of all swept keys.

    Args:
        values: dotted key -> value.
    """

    values: Mapping[str, Any]

    @property
    def words(self) -> tuple[str, ...]:
        """The overrides that lead here."""
        return tuple(f"{key}={text(value)}" for key, value in self.values.items())

    @property
    def label(self) -> str:
        """Its overrides in one line: its role among the inputs of the sweep."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Grid:
    """What a sweep goes through.

    Args:
        stage: whose artifacts are its points.
        keys: dotted key -> its values.
        better: metric -> `lower`, `higher` or `shown`; a metric may hold shell-like patterns, and `{key}` for the value
            of a swept key.
        repeats: the key whose values repeat the same measurement, such as `seed`.

    Raises:
        ValueError: if nothing is swept, or no metric is asked for.
        KeyError: if `repeats` is not swept.
    """

    stage: str
    keys: Mapping[str, Sequence[Any]]
    better: Mapping[str, str]
    repeats: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("sweep.grid is empty; give a key a list of values: '+sweep.grid.localise.gamma=[10,50]'")
        for key, values in self.keys.items():
            if not isinstance(values, list | tuple) or not values:
                raise ValueError(f"sweep.grid.{key}: expected a list of values, got {values!r}")
        if not self.better:
            raise ValueError("sweep.metrics names none; add one of the stage's table.csv: 'sweep.metrics.lower=[...]'")
        if self.repeats is not None and self.repeats not in self.keys:
            raise KeyError(f"sweep.repeats: {self.repeats!r} is not swept; {_closest(self.repeats, self.keys)}")

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """The grid from a plain configuration.

        Args:
            config: as in `conf/sweep/custom.yaml`.

        Returns:
            The same, typed.

        Raises:
            ValueError: if a metric stands under another word than lower, higher or shown.
        """
        unknown = set(config["metrics"]) - set(BETTER)
        if unknown:
            word = sorted(unknown)[0]
            raise ValueError(f"sweep.metrics.{word}: is a metric better lower or higher? {_closest(word, BETTER)}")
        better = {metric: word for word in BETTER for metric in config["metrics"].get(word) or ()}
        return cls(config["stage"], flat(config["grid"]), better, config.get("repeats"))

    def points(self) -> Iterator[Point]:
        """All combinations, the last key changing fastest.

        Yields:
            The points.
        """
        for values in itertools.product(*self.keys.values()):
            yield Point(dict(zip(self.keys, values, strict=True)))

    def __len__(self) -> int:
        return math.prod(map(len, self.keys.values()))

    def named(self, point: Point, known: Sequence[str]) -> dict[str, tuple[str, str]]:
        """The metrics of a point that are asked for.

        Args:
            point: of the grid.
            known: names in the table of its artifact.

        Returns:
            Name there -> name in the sweep, without `{key}.`, and which is better.

        Raises:
            KeyError: if one is not in the table, with the closest that are.
        """
        found: dict[str, tuple[str, str]] = {}
        for asked, better in self.better.items():
            pattern, name = asked, asked
            for key, value in point.values.items():
                pattern = pattern.replace(f"{{{key}}}", text(value).strip("[]"))
                name = name.replace(f"{{{key}}}.", "")
            here = [metric for metric in known if fnmatchcase(metric, pattern)]
            if not here:
                near = _closest(pattern, known)
                raise KeyError(f"sweep.metrics: {self.stage} has no metric {pattern!r} at {point.label}; {near}")
            found |= {metric: (name if pattern == metric else metric, better) for metric in here}
        return found
