"""Artifacts -> the register of claims, each with its measurement, interval and verdict."""

import csv
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from deepinside.claims.measures import estimate
from deepinside.claims.register import WORLDS, Claim, chosen
from deepinside.claims.verdict import (
    CONTRADICTED,
    NEEDS_DATA,
    SUPPORTED,
    UNDECIDED,
    Estimate,
    after_holm,
    p_value,
    power,
    verdict,
)
from deepinside.records import Row, Table

log = logging.getLogger(__name__)
COLUMNS = (
    "id", "verdict", "statement", "world", "metric", "value", "ci_low", "ci_high", "n", "predicted", "source",
    "artifact", "unit", "rule", "verdict_holm", "p_value", "power", "needs", "tag", "seen", "otherwise",
)  # fmt: skip


class Decision(NamedTuple):
    """A claim on one data set."""

    claim: Claim
    world: str
    found: Estimate | None
    needs: tuple[str, ...]
    artifacts: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """By the interval, without adjustment for the number of claims."""
        if self.found is None or self.claim.rule is None:
            return NEEDS_DATA
        return verdict(self.found, self.claim.rule)

    @property
    def p_value(self) -> float:
        """See `verdict.p_value`."""
        return math.nan if self.found is None or self.claim.rule is None else p_value(self.found, self.claim.rule)


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `claims.csv` and `table.csv`; the inputs are artifacts by `<world>.<evidence>.<seed>`."""
    register: dict = OmegaConf.to_container(cfg.claims.register, resolve=True)  # type: ignore[assignment]
    claims = chosen(register, None if cfg.claims.only is None else [str(name) for name in cfg.claims.only])
    decisions = [
        _decided(claim, world, tuple(cfg.claims.lacking[world][claim.id]), inputs)
        for claim in claims
        for world in WORLDS
    ]
    _write(decisions, out / "claims.csv")
    Table(list(_counts(decisions))).write(out)


def _decided(claim: Claim, world: str, lacks: tuple[str, ...], inputs: Mapping[str, Path]) -> Decision:
    if lacks or claim.measure is None:
        return Decision(claim, world, None, lacks, ())
    folders = {name: _folders(f"{world}.{name}", inputs) for name in claim.measure.evidence}
    named = tuple(f"{folder.parent.name}/{folder.name}" for found in folders.values() for folder in found)
    try:
        return Decision(claim, world, estimate(claim.measure, folders), (), named)
    except (KeyError, ValueError, FileNotFoundError) as error:
        reason = str(error.args[0] if error.args else error)
        log.warning("claim %s cannot be measured on the data %s: %s", claim.id, world, reason)
        return Decision(claim, world, None, (reason,), named)


def _folders(start: str, inputs: Mapping[str, Path]) -> list[Path]:
    found = [key for key in inputs if key == start or key.startswith(f"{start}.")]
    return [inputs[key] for key in sorted(found, key=lambda key: int(key.rpartition(".")[2]) if key != start else 0)]


def _write(decisions: list[Decision], path: Path) -> None:
    left: dict[int, str] = {}
    for world in WORLDS:  # one register per world
        at = {i: one for i, one in enumerate(decisions) if one.world == world}
        corrected = after_holm([one.verdict for one in at.values()], [one.p_value for one in at.values()])
        left |= dict(zip(at, corrected, strict=True))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(decision, left[i]) for i, decision in enumerate(decisions))


def _row(one: Decision, corrected: str) -> tuple:
    claim, found = one.claim, one.found
    known = claim.measure is not None and found is not None
    had = power(found, claim.rule, claim.effect) if found is not None and claim.rule is not None else math.nan
    numbers = (found.value, found.low, found.high) if found is not None else (math.nan,) * 3
    return (
        claim.id, one.verdict, claim.statement, one.world, claim.measure.title if claim.measure else "",
        *map(_cell, numbers), found.n if found is not None else 0, claim.predicted, claim.source,
        " ".join(one.artifacts), claim.unit, str(claim.rule or ""), corrected if known else NEEDS_DATA,
        _cell(one.p_value), _cell(had), "; ".join(one.needs), claim.tag, "yes" if claim.seen else "no", claim.otherwise,
    )  # fmt: skip


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _counts(decisions: list[Decision]) -> list[Row]:
    rows = [Row("claims", len({one.claim.id for one in decisions}), "claims")]
    for world in WORLDS:
        mine = [one.verdict for one in decisions if one.world == world]
        rows += [
            Row(f"{world}.{word}", mine.count(word), "claims", len(mine))
            for word in (SUPPORTED, CONTRADICTED, UNDECIDED, NEEDS_DATA)
        ]
    return rows
