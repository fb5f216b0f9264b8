"""A claim as the configuration states it."""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self, TypeVar

from deepinside.claims.verdict import Rule
from deepinside.spelling import closest, resolved

WORLDS = ("miniature", "real", "ilsvrc")
_TAGS = ("V", "S", "R", "P", "SEED")  # how well a source is known; of the register's own: prediction, short summary
Stated = TypeVar("Stated")


def _stated(kind: type[Stated], content: Mapping[str, Any]) -> Stated:
    # An object from the keys of a yaml, of which misspelt and missing ones are named.
    known = {one.name: one.default is MISSING and one.default_factory is MISSING for one in fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in known:
            raise ValueError(f"there is no key {key!r}; {closest(key, known)}")
    required = [key for key, needed in known.items() if needed]
    if missing := [key for key in required if key not in content]:
        raise ValueError(f"expected the keys {', '.join(required)}, got no {', '.join(missing)}")
    return kind(**content)


@dataclass(frozen=True)
class Source:
    """The location of numbers in an artifact.

    Args:
        evidence: name of the run that made the artifact.
        metric: row of its `table.csv`, or:
        file: another table of it, with
        column: the numbers,
        key: the column of what they are measured on (class, image, unit): the unit of replication,
        where: rows to take, column -> value or values,
        reduce: how several rows of one key are combined: mean, max or min.
    """

    evidence: str
    metric: str | None = None
    file: str | None = None
    column: str | None = None
    key: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    reduce: str = "mean"

    def __post_init__(self) -> None:
        if (self.metric is None) == (self.file is None):
            raise ValueError(f"expected metric or file of evidence {self.evidence!r}, got both or none")
        if self.file is not None and None in (self.column, self.key):
            raise ValueError(
                f"expected column and key of {self.evidence}/{self.file}, got {self.column} and {self.key}"
            )

    def __str__(self) -> str:
        if self.metric is not None:
            return self.metric
        where = ", ".join(f"{key} {value}" for key, value in self.where.items())
        return f"{self.column}{f' ({self.reduce} of {where})' if where else ''}"


@dataclass(frozen=True)
class Measure:
    """The number that tests a claim.

    Args:
        of: its location; the mean over the units of replication is taken.
        minus: what is subtracted, unit by unit.
        function: instead, dotted name of a function of the evidence's folders.
        settings: of that function.
        evidence: names of its inputs.
        title: of the number, for the table.
    """

    of: Source | None = None
    minus: Source | None = None
    function: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    title: str = ""

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """The measure from its yaml content.

        Raises:
            ValueError: if it is neither of the two kinds.
        """
        if "function" in content:
            function, evidence = str(content["function"]), tuple(content["evidence"])
            own = {key: value for key, value in content.items() if key not in {"function", "evidence", "title"}}
            _check_call(function, own)
            title = str(content.get("title", function.rpartition(".")[2]))
            return cls(function=function, settings=own, evidence=evidence, title=title)
        first = _stated(Source, {key: value for key, value in content.items() if key not in {"minus", "title"}})
        other: dict[str, Any] = {"evidence": first.evidence, **content.get("minus", {})}
        minus = _stated(Source, other) if "minus" in content else None
        named = tuple(dict.fromkeys(one.evidence for one in (first, minus) if one))
        title = str(content.get("title", f"{first}{f' minus {minus}' if minus else ''}"))
        return cls(first, minus, evidence=named, title=title)


def _check_call(function: str, settings: Mapping[str, Any]) -> None:
    try:
        inspect.signature(resolved(function)).bind({}, **settings)
    except TypeError as error:
        raise ValueError(f"{function}: {error}") from error


@dataclass(frozen=True)
class Claim:
    """One row of the register.

    Args:
        id: as in the register, with a suffix where one claim has several numbers.
        statement: of the paper.
        source: where the paper states it.
        tag: how well the claim itself is documented (V verified, S stated, R recalled), and further words.
        predicted: what follows for the number.
        otherwise: the outcome expected if the claim were false.
        unit: of the number.
        measure: how it is taken; None where no available data can test the claim.
        rule: when it is supported.
        effect: the size that the paper reports, in the unit of the number.
        needs: what a data set must provide.
        seen: whether figures of this kind had been seen when the rule was written.
    """

    id: str
    statement: str
    source: str
    tag: str
    predicted: str
    otherwise: str
    unit: str = ""
    measure: Measure | None = None
    rule: Rule | None = None
    effect: float | None = None
    needs: tuple[str, ...] = ()
    seen: bool = False

    def __post_init__(self) -> None:
        if self.tag.partition(" ")[0] not in _TAGS:
            raise ValueError(f"tag: expected V, S or R, got {self.tag!r}")

    @classmethod
    def read(cls, name: str, content: Mapping[str, Any]) -> Self:
        """The claim from its yaml content.

        Raises:
            ValueError: if a key is unknown or missing, or the tag unknown; with the id.
        """
        try:
            keys = dict(content)
            measure, rule = keys.pop("measure", None), keys.pop("rule", None)
            if bool(measure) != bool(rule):
                raise ValueError(f"expected a measure and its rule, got no {'rule' if measure else 'measure'}")
            within = rule and rule.get("within")
            keys |= {
                "id": name,
                "measure": Measure.read(measure) if measure else None,
                "rule": _stated(Rule, {**rule, **({"within": tuple(within)} if within else {})}) if rule else None,
                "needs": tuple(keys.get("needs", ())),
            }
            return _stated(cls, keys)
        except (TypeError, ValueError, KeyError, ImportError) as error:
            raise ValueError(f"claims.register.{name}: {error.args[0] if error.args else error}") from error


def chosen(register: Mapping[str, Mapping[str, Any]], only: list[str] | None) -> list[Claim]:
    """The requested claims, in the order of their ids; `C07` selects C07 and C07.tv, None all.

    Raises:
        KeyError: if there is no such claim, with the closest.
    """
    names = sorted(register)
    for name in only or ():
        if not any(one == name or one.startswith(f"{name}.") for one in names):
            raise KeyError(f"no claim {name!r}; {closest(name, names)}")
    taken = [one for one in names if only is None or one in only or one.partition(".")[0] in only]
    return [Claim.read(name, register[name]) for name in taken]
