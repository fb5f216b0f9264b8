"""A claim as the configuration states it."""

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self, TypeVar

from deepinside.claims.verdict import Rule, asked
from deepinside.spelling import closest, resolved

WORLDS = (
    "miniature",
    "real",
    "ilsvrc",
    "photographs",
    "photographs_squeezenet",
    "photographs_lite0",
    "photographs_ilsvrc",
)  # of one data set and network each; those of one family are counted together (see `verdict.family`)
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
        over: what each number is divided by, unit by unit.
    """

    evidence: str
    metric: str | None = None
    file: str | None = None
    column: str | None = None
    key: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    reduce: str = "mean"
    over: "Source | None" = None

    def __post_init__(self) -> None:
        if (self.metric is None) == (self.file is None):
            raise ValueError(f"expected metric or file of evidence {self.evidence!r}, got both or none")
        if self.file is not None and None in (self.column, self.key):
            raise ValueError(
                f"expected column and key of {self.evidence}/{self.file}, got {self.column} and {self.key}"
            )

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """The source from its yaml content; what `over` does not say is as in the source itself."""
        own = {key: value for key, value in content.items() if key != "over"}
        over = {"over": cls.read(beside(own, content["over"]))} if content.get("over") else {}
        return _stated(cls, {**own, **over})

    @property
    def named(self) -> tuple[str, ...]:
        """The evidence that it takes."""
        return (self.evidence, *(self.over.named if self.over else ()))

    def __str__(self) -> str:
        where = ", ".join(f"{key} {value}" for key, value in self.where.items())
        column = f"{self.column}{f' ({self.reduce} of {where})' if where else ''}"
        over = f" over {self.over}" if self.over else ""
        return (self.metric if self.metric is not None else column) + over


def beside(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a second source: that of the first, but for what is stated; a metric replaces a file."""
    places = {"metric", "file", "column", "key", "where", "reduce"}
    drops = places if "metric" in changes or "file" in changes else set()
    return {key: value for key, value in content.items() if key not in drops} | dict(changes)


@dataclass(frozen=True)
class Null:
    """What would be seen if a claim were false, measured the same way.

    Args:
        name: in words, such as `the centre of the image`.
        value: an exact number, such as a share expected by chance; or:
        of: its location, subtracted unit by unit. Neither: the function of the measure takes the difference.
    """

    name: str
    value: float | None = None
    of: Source | None = None

    @classmethod
    def read(cls, content: Mapping[str, Any] | None, measure: Mapping[str, Any]) -> Self:
        """The null from its yaml content; where it is measured, what is not stated is as in the measure.

        Raises:
            ValueError: if it has no name, or both a value and a location; or neither, without a function.
        """
        if not content or not content.get("name"):
            raise ValueError(
                "expected null: {name: ..., and a value, or what differs from the measure}, got none: "
                "a claim needs what would be seen if it were false"
            )
        keys = dict(content)
        name, value = str(keys.pop("name")), keys.pop("value", None)
        if value is not None and keys:
            raise ValueError(
                f"null {name!r}: expected a value or a location, got a value and {', '.join(sorted(keys))}"
            )
        if "function" in measure:
            if keys:
                raise ValueError(f"null {name!r}: a function measures its null itself, got {', '.join(sorted(keys))}")
            return cls(name, value)
        if value is None and not keys:
            raise ValueError(f"null {name!r}: expected its value, or where it is measured, got neither")
        own = {key: value for key, value in measure.items() if key not in {"title", "yes_no"}}
        return cls(name, value, Source.read(beside(own, keys)) if value is None else None)


@dataclass(frozen=True)
class Measure:
    """The number that tests a claim, and its null.

    Args:
        null: what is subtracted.
        of: its location; the mean over the units of replication is taken.
        function: instead, dotted name of a function of the evidence's folders.
        settings: of that function.
        evidence: names of its inputs.
        title: of the number, for the table.
        yes_no: whether each number is 0 or 1, and the mean a share.
    """

    null: Null
    of: Source | None = None
    function: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    title: str = ""
    yes_no: bool = False

    @classmethod
    def read(cls, content: Mapping[str, Any], null: Mapping[str, Any] | None) -> Self:
        """The measure from its yaml content and that of its null.

        Raises:
            ValueError: if it is neither of the two kinds, or has no null.
        """
        measured = Null.read(null, content)
        if "function" in content:
            function, evidence = str(content["function"]), tuple(content["evidence"])
            own = {key: value for key, value in content.items() if key not in {"function", "evidence", "title"}}
            _check_call(function, own)
            title = str(content.get("title", function.rpartition(".")[2].replace("_", " ")))
            return cls(measured, function=function, settings=own, evidence=evidence, title=title)
        first = Source.read({key: value for key, value in content.items() if key not in {"title", "yes_no"}})
        named = tuple(dict.fromkeys([*first.named, *(measured.of.named if measured.of else ())]))
        title = str(content.get("title", first))
        return cls(measured, first, evidence=named, title=title, yes_no=bool(content.get("yes_no", False)))


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
        statement: of the paper; a failure that a paper predicts is a statement of that paper.
        source: where the paper states it.
        tag: how well the claim itself is documented (V verified, S stated, R recalled), and further words.
        predicted: what follows for the number.
        otherwise: the outcome expected if the claim were false.
        unit: of the number.
        measure: how it is taken; None where no available data can test the claim.
        rule: when it is supported.
        effect: the difference that the paper reports, in the unit of the number; needed where the rule's limit is 0.
        needs: what a data set must provide.
        learnt: layers, or `all`, that must have left their random start: a claim about what is learnt.
        not_posed: why it is not posed, on all data sets or by data set.
        seen: whether figures of this kind had been seen when the rule was written.
        changed: what is different from an earlier form of the row, and why.
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
    learnt: tuple[str, ...] = ()
    not_posed: Mapping[str, str] = field(default_factory=dict)
    seen: bool = False
    changed: str = ""

    def __post_init__(self) -> None:
        if self.tag.partition(" ")[0] not in _TAGS:
            raise ValueError(f"tag: expected V, S or R, got {self.tag!r}")
        if self.rule is not None and not asked(self.rule, self.effect) > 0:
            raise ValueError(
                f"effect: expected the size that the paper reports, got none: the rule {self.rule} has none"
            )
        for world in self.not_posed:
            if world not in WORLDS:
                raise ValueError(f"not_posed: no data set {world!r}; {closest(world, WORLDS)}")

    @classmethod
    def read(cls, name: str, content: Mapping[str, Any]) -> Self:
        """The claim from its yaml content.

        Raises:
            ValueError: if a key is unknown or missing, the tag unknown, or there is no null; with the id.
        """
        try:
            keys = dict(content)
            measure, null, rule = (keys.pop(key, None) for key in ("measure", "null", "rule"))
            if bool(measure) != bool(rule):
                raise ValueError(f"expected a measure and its rule, got no {'rule' if measure else 'measure'}")
            within, why = rule and rule.get("within"), keys.get("not_posed", {})
            learnt = keys.get("learnt", ())
            keys |= {
                "id": name,
                "measure": Measure.read(measure, null) if measure else None,
                "rule": _stated(Rule, {**rule, **({"within": tuple(within)} if within else {})}) if rule else None,
                "needs": tuple(keys.get("needs", ())),
                "learnt": (learnt,) if isinstance(learnt, str) else tuple(learnt),
                "not_posed": dict.fromkeys(WORLDS, why) if isinstance(why, str) else dict(why),
            }
            return _stated(cls, keys)
        except (TypeError, ValueError, KeyError, ImportError) as error:
            raise ValueError(f"claims.register.{name}: {error.args[0] if error.args else error}") from error


@dataclass(frozen=True)
class Identity:
    """A statement that is true by construction: a check of the program, which is not counted among the claims.

    Args:
        id: as in the register.
        statement: of the paper.
        source: where the paper states it.
        why: it cannot be false.
        measure: the number that shows it.
        low: it is not below this,
        high: nor above this.
        needs: what a data set must provide.
    """

    id: str
    statement: str
    source: str
    why: str
    measure: Measure
    low: float = -math.inf
    high: float = math.inf
    needs: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str, content: Mapping[str, Any]) -> Self:
        """The identity from its yaml content.

        Raises:
            ValueError: if a key is unknown or missing; with the id.
        """
        try:
            keys = dict(content)
            measure, null = keys.pop("measure"), keys.pop("null", {"name": "0", "value": 0})
            keys |= {"id": name, "measure": Measure.read(measure, null), "needs": tuple(keys.get("needs", ()))}
            return _stated(cls, keys)
        except (TypeError, ValueError, KeyError, ImportError) as error:
            raise ValueError(f"claims.identities.{name}: {error.args[0] if error.args else error}") from error


def for_network(content: Any, layers: Mapping[str, str]) -> Any:
    """The content of a yaml with the layers of a network in place of `{first}`, `{last}` and so on."""
    if isinstance(content, str):
        for name, layer in layers.items():
            content = content.replace(f"{{{name}}}", layer)
        return content
    if isinstance(content, Mapping):
        return {key: for_network(value, layers) for key, value in content.items()}
    return [for_network(one, layers) for one in content] if isinstance(content, list | tuple) else content


def chosen(register: Mapping[str, Mapping[str, Any]], only: list[str] | None, also: Iterable[str] = ()) -> list[Claim]:
    """The requested claims, in the order of their ids; `C07` selects C07 and C07.tv, None all.

    Args:
        register: id -> its yaml content.
        only: ids.
        also: ids that may be requested and are no claims.

    Returns:
        The claims.

    Raises:
        KeyError: if there is no such claim, with the closest.
    """
    names = sorted([*register, *also])
    for name in only or ():
        if not any(one == name or one.startswith(f"{name}.") for one in names):
            raise KeyError(f"no claim {name!r}; {closest(name, names)}")
    return [Claim.read(name, register[name]) for name in sorted(register) if requested(name, only)]


def requested(name: str, only: list[str] | None) -> bool:
    """Whether an id is among the requested ones."""
    return only is None or name in only or name.partition(".")[0] in only
