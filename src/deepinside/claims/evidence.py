"""The runs that claims depend on, for each data set ("world" in the configuration)."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from omegaconf import DictConfig, OmegaConf

from deepinside.claims.register import WORLDS, Claim, chosen
from deepinside.spelling import closest


@dataclass(frozen=True)
class Evidence:
    """A run, to be made on every data set that has what it needs.

    Args:
        run: overrides after those of the data set, by data set.
        needs: what a data set must provide, by data set.
        seeds: it is run once for each of these.
        key: that is set to them.
        minutes: run time on 2 cores by data set, including all seeds and training; 0: unknown.
    """

    run: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...] = ()
    minutes: Mapping[str, float] = field(default_factory=dict)
    key: str = "seed"

    @classmethod
    def read(cls, name: str, content: Mapping) -> Self:
        """The evidence from its yaml content.

        Raises:
            ValueError: if a key is unknown or missing.
        """
        keys = dict(content)
        run = keys.pop("run", None)
        needs, seeds = keys.pop("needs", None) or (), tuple(keys.pop("seeds", None) or ())
        minutes = keys.pop("minutes", 0)
        if not run or keys.keys() - {"key"}:
            raise ValueError(f"claims.evidence.{name}: expected run, needs, seeds, key, minutes, got {sorted(content)}")
        known = minutes if isinstance(minutes, Mapping) else dict.fromkeys(WORLDS, float(minutes))
        return cls(_by_world(run), _by_world(needs), seeds, known, **keys)

    def commands(self, key: str, world: str, overrides: Iterable[str]) -> dict[str, list[str]]:
        """The overrides of each seed's run: `<key>.<seed>` -> overrides, or `<key>` without seeds."""
        common = [*overrides, *self.run[world]]
        return {f"{key}.{seed}": [*common, f"{self.key}={seed}"] for seed in self.seeds} or {key: common}


def _by_world(stated: Mapping[str, Iterable] | Iterable) -> dict[str, tuple[str, ...]]:
    each = stated if isinstance(stated, Mapping) else dict.fromkeys(WORLDS, stated)
    return {world: tuple(map(str, overrides)) for world, overrides in each.items()}


def provided(cfg: DictConfig) -> frozenset[str]:
    """What a data set provides, given the whole configuration with its overrides.

    Of `labels`, `boxes`, `concepts`, `training`, `judge`, `photographs`, `drawings`, `network`.
    """
    drawn = cfg.data.name == "miniature"
    root = OmegaConf.select(cfg, "concepts.root")
    trained = bool(cfg.model.fit) and cfg.model.weights is None
    have = {
        "labels": drawn or cfg.data.name == "ilsvrc",
        "boxes": drawn or cfg.data.name == "ilsvrc",
        "photographs": not drawn,
        "drawings": drawn,
        "concepts": drawn if cfg.concepts.name == "miniature" else bool(root and Path(root).exists()),
        "training": trained and (drawn or cfg.data.index.get("split") != "val"),
        "judge": cfg.judge is not None,
        "network": trained or cfg.model.weights is not None or not cfg.model.fit,
    }
    return frozenset(name for name, there in have.items() if there)


def lacking(claim: Claim, evidence: Mapping[str, Evidence], world: str, has: frozenset[str] | None) -> tuple[str, ...]:
    """What is missing to test a claim on a data set; empty if it can be tested.

    Args:
        claim: of the register.
        evidence: by name.
        world: name of the data set.
        has: see `provided`; None where the data set is not configured.

    Raises:
        KeyError: if the claim names unknown evidence, with the closest name.
    """
    if claim.measure is None:
        return claim.needs or ("a measurement",)
    needed = list(claim.needs)
    for name in claim.measure.evidence:
        if name not in evidence:
            raise KeyError(f"claims.register.{claim.id}: no evidence {name!r}; {closest(name, evidence)}")
        needed += [
            *evidence[name].needs.get(world, ()),
            *([] if world in evidence[name].run else [f"a run of {name} on this data set"]),
        ]
    if has is None:
        return (f"this data set: set claims.worlds.{world}",)
    return tuple(dict.fromkeys(need for need in needed if need not in has))


class Case(NamedTuple):
    """The inputs of the stage.

    Attributes:
        runs: `<world>.<evidence>` or `<world>.<evidence>.<seed>` -> overrides of the run.
        settled: the group claims including the register and what is missing for each claim on each data set.
    """

    runs: dict[str, list[str]]
    settled: dict[str, Any]


def case(options: DictConfig, ours: Path, composed: Callable[[list[str]], DictConfig]) -> Case:
    """Reads the register and determines the runs that it needs.

    Args:
        options: group claims.
        ours: folder of the register that comes with the package.
        composed: overrides -> the whole configuration.

    Raises:
        FileNotFoundError: if `claims.register` has no yaml files.
        KeyError: if a claim or its evidence is misspelt, with the closest name.
        ValueError: if the content of a file is invalid.
    """
    register, listed = _read(Path(options.register) if options.register else ours)
    evidence = {name: Evidence.read(name, content) for name, content in listed.items()}
    claims = chosen(register, None if options.only is None else [str(name) for name in options.only])
    runs: dict[str, list[str]] = {}
    lacks: dict[str, dict[str, list[str]]] = {}
    for world in WORLDS:
        stated = OmegaConf.select(options, f"worlds.{world}")
        overrides = [] if stated is None else shlex.split(stated)
        has = None if stated is None else provided(composed(overrides))
        if world == "ilsvrc" and has is not None:
            has |= {"all_of_ilsvrc"}  # whoever configures it says so
        lacks[world] = {claim.id: list(lacking(claim, evidence, world, has)) for claim in claims}
        for claim in claims:
            takes = {name: evidence[name].minutes.get(world, 0) for name in _named(claim)}
            dear = {name: minutes for name, minutes in takes.items() if options.quick and minutes > options.quick}
            if dear and not lacks[world][claim.id]:
                lacks[world][claim.id] = [
                    f"more time: {name} takes {minutes:g} minutes" for name, minutes in dear.items()
                ]
            for name in () if lacks[world][claim.id] else _named(claim):
                runs |= evidence[name].commands(f"{world}.{name}", world, overrides)
    settled: dict = OmegaConf.to_container(options, resolve=True)  # type: ignore[assignment]
    del settled["worlds"]  # the runs, and what is lacking, say all that counts of them, and name no folder
    requested = {claim.id for claim in claims}
    stated = {name: content for name, content in register.items() if name in requested}
    return Case(runs, settled | {"register": stated, "lacking": lacks})


def _named(claim: Claim) -> tuple[str, ...]:
    return claim.measure.evidence if claim.measure else ()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"claims.register={folder}: expected yaml files with claims and evidence, got none")
    register: dict[str, Any] = {}
    evidence: dict[str, Any] = {}
    for path in paths:
        content: dict = OmegaConf.to_container(OmegaConf.load(path)) or {}  # type: ignore[assignment]
        if unknown := content.keys() - {"claims", "evidence"}:
            raise ValueError(f"{path.name}: expected claims and evidence, got {sorted(unknown)}")
        for kind, into in (("claims", register), ("evidence", evidence)):
            for name, stated in (content.get(kind) or {}).items():
                if name in into:
                    raise ValueError(f"{path.name}: {name} is defined twice")
                into[name] = stated
    return register, evidence
