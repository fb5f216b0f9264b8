"""Artifacts -> the register of claims, each with its measurement, null, interval and verdict."""

import csv
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from deepinside.claims.measures import Folders, estimate
from deepinside.claims.origin import origin, stuck
from deepinside.claims.register import WORLDS, Claim, Identity, chosen, for_network
from deepinside.claims.verdict import (
    LEAST_POWER,
    NEEDS_DATA,
    NOT_POSED,
    UNDECIDED,
    VERDICTS,
    Estimate,
    after_holm,
    enough,
    family,
    p_value,
    power,
    verdict,
)
from deepinside.records import Row, Table

log = logging.getLogger(__name__)
COLUMNS = (
    "id", "verdict", "statement", "world", "metric", "value", "ci_low", "ci_high", "n", "predicted", "source",
    "artifact", "unit", "rule", "verdict_holm", "p_value", "power", "needs", "tag", "seen", "otherwise",
    "null", "null_value", "data", "network",
)  # fmt: skip
IDENTITIES = (
    "id",
    "holds",
    "statement",
    "world",
    "metric",
    "value",
    "n",
    "limit",
    "why",
    "source",
    "artifact",
    "needs",
)
_Key = tuple[str, str]  # id and world


class Decision(NamedTuple):
    """A claim on one data set."""

    claim: Claim
    world: str
    found: Estimate | None
    needs: tuple[str, ...]
    artifacts: tuple[str, ...]
    data: str = ""
    network: str = ""
    posed: bool = True

    @property
    def verdict(self) -> str:
        """By the interval and the power, without adjustment for the number of claims."""
        if not self.posed:
            return NOT_POSED
        if self.found is None or self.claim.rule is None:
            return NEEDS_DATA
        said = verdict(self.found, self.claim.rule)
        return NEEDS_DATA if said == UNDECIDED and not self.power >= LEAST_POWER else said

    @property
    def power(self) -> float:
        """See `verdict.power`."""
        return math.nan if self.found is None or self.claim.rule is None else power(self.found, *self._asked)

    @property
    def p_value(self) -> float:
        """See `verdict.p_value`."""
        return math.nan if self.found is None or self.claim.rule is None else p_value(self.found, self.claim.rule)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why there is no verdict."""
        if self.needs or self.verdict != NEEDS_DATA or self.found is None:
            return self.needs
        if not self.found.known:
            equal = (
                f"values that vary: all {self.found.n} are equal"
                if self.found.n > 1
                else "two values or more: one has no interval"
            )
            return (equal,)
        size = enough(self.found, *self._asked)
        return (f"a larger n: with {self.found.n} the power is {self.power:.2f}; about {size} for {LEAST_POWER}",)

    @property
    def _asked(self) -> tuple[Any, float | None]:
        return self.claim.rule, self.claim.effect


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `claims.csv`, `identities.csv`, `table.csv`; the inputs are artifacts by `<world>.<evidence>.<seed>`."""
    options: dict[str, Any] = OmegaConf.to_container(cfg.claims, resolve=True)  # type: ignore[assignment]
    decisions: list[Decision] = []
    checks: list[tuple] = []
    for world in WORLDS:
        layers, lacks = options["layers"].get(world, {}), options["lacking"][world]
        about = options["about"].get(world, {"data": "", "network": ""})
        claims = chosen(for_network(options["register"], layers), None)
        decisions += [_decided(one, world, tuple(lacks[one.id]), about, inputs) for one in claims if one.id in lacks]
        stated = for_network(options["identities"], layers)
        identities = [Identity.read(name, stated[name]) for name in sorted(stated) if name in lacks]
        checks += [_checked(one, world, tuple(lacks[one.id]), inputs) for one in identities]
    decisions.sort(key=lambda one: one.claim.id)
    _write(decisions, out / "claims.csv")
    _table(out / "identities.csv", IDENTITIES, checks)
    Table(list(_counts(decisions, checks))).write(out)


def _decided(
    claim: Claim, world: str, lacks: tuple[str, ...], about: Mapping[str, str], inputs: Mapping[str, Path]
) -> Decision:
    names = (about["data"], about["network"])
    if world in claim.not_posed:
        return Decision(claim, world, None, (claim.not_posed[world],), (), *names, posed=False)
    if lacks or claim.measure is None:
        return Decision(claim, world, None, lacks, (), *names)
    folders = {name: _folders(f"{world}.{name}", inputs) for name in claim.measure.evidence}
    every = [folder for found in folders.values() for folder in found]
    made = _made_from(every, about)
    try:
        if claim.learnt and (reason := stuck(every, claim.learnt)):
            return Decision(claim, world, None, (reason,), _named(folders), *made, posed=False)
        return Decision(claim, world, estimate(claim.measure, folders), (), _named(folders), *made)
    except (KeyError, ValueError, FileNotFoundError) as error:
        reason = str(error.args[0] if error.args else error)
        log.warning("claim %s cannot be measured on the data %s: %s", claim.id, world, reason)
        return Decision(claim, world, None, (reason,), _named(folders), *made)


def _made_from(folders: list[Path], about: Mapping[str, str]) -> tuple[str, str]:
    # Names of the data and networks of the evidence, each once; those of the data set where no manifest says so.
    found = [origin(folder) for folder in folders]
    data = ", ".join(dict.fromkeys(one.data for one in found if one.data))
    networks = ", ".join(dict.fromkeys(one.network for one in found if one.network))
    return data or about["data"], networks or about["network"]


def _named(folders: Folders) -> tuple[str, ...]:
    return tuple(f"{folder.parent.name}/{folder.name}" for found in folders.values() for folder in found)


def _folders(start: str, inputs: Mapping[str, Path]) -> list[Path]:
    found = [key for key in inputs if key == start or key.startswith(f"{start}.")]
    return [inputs[key] for key in sorted(found, key=lambda key: int(key.rpartition(".")[2]) if key != start else 0)]


def _checked(identity: Identity, world: str, lacks: tuple[str, ...], inputs: Mapping[str, Path]) -> tuple:
    head = (identity.id, identity.statement, world, identity.measure.title)
    limit, tail = f"from {identity.low:g} to {identity.high:g}", (identity.why, identity.source)
    folders = {} if lacks else {name: _folders(f"{world}.{name}", inputs) for name in identity.measure.evidence}
    try:
        found = None if lacks else estimate(identity.measure, folders)
    except (KeyError, ValueError, FileNotFoundError) as error:
        found, lacks = None, (str(error.args[0] if error.args else error),)
    name, *rest = head
    if found is None:
        return (name, "", *rest, "", 0, limit, *tail, "", "; ".join(lacks))
    holds = "yes" if identity.low <= found.value <= identity.high else "no"
    return (name, holds, *rest, _cell(found.value), found.n, limit, *tail, " ".join(_named(folders)), "")


def _write(decisions: list[Decision], path: Path) -> None:
    left: dict[int, str] = {}
    for name in dict.fromkeys(map(family, WORLDS)):  # one register per family of data sets
        at = {i: one for i, one in enumerate(decisions) if family(one.world) == name}
        corrected = after_holm([one.verdict for one in at.values()], [one.p_value for one in at.values()])
        left |= dict(zip(at, corrected, strict=True))
    _table(path, COLUMNS, [_row(decision, left[i]) for i, decision in enumerate(decisions)])


def _table(path: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _row(one: Decision, corrected: str) -> tuple:
    claim, found = one.claim, one.found
    numbers = (found.value, found.low, found.high) if found is not None else (math.nan,) * 3
    null = math.nan if found is None else found.null
    return (
        claim.id, one.verdict, claim.statement, one.world, claim.measure.title if claim.measure else "",
        *map(_cell, numbers), found.n if found is not None else 0, claim.predicted, claim.source,
        " ".join(one.artifacts), claim.unit, str(claim.rule or ""), corrected, _cell(one.p_value), _cell(one.power),
        "; ".join(one.reasons), claim.tag, "yes" if claim.seen else "no", claim.otherwise,
        claim.measure.null.name if claim.measure else "", _cell(null), one.data, one.network,
    )  # fmt: skip


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _counts(decisions: list[Decision], checks: list[tuple]) -> list[Row]:
    worlds = [world for world in WORLDS if any(one.world == world for one in decisions)]
    claims, numbers = ({name(one.claim.id) for one in decisions} for name in (lambda id_: id_.partition(".")[0], str))
    rows = [
        Row("claims", len(claims), "claims"),
        Row("numbers", len(numbers), "numbers"),
        Row("data_sets", len(worlds), "data sets"),
        Row("identities", len({row[0] for row in checks}), "identities"),
        Row("identities_broken", sum(row[1] == "no" for row in checks), "identities"),
    ]
    for world in worlds:
        mine = [one.verdict for one in decisions if one.world == world]
        rows += [Row(f"{world}.{word}", mine.count(word), "numbers", len(mine)) for word in VERDICTS]
    return rows
