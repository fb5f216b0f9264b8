"""Which runs the claims rest on, in each world."""

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
    """A run, to be made in every world that has what it needs.

    Args:
        run: overrides after those of the world, world by world.
        needs: what a world has to have, world by world.
        seeds: it is run once for each of these.
        key: that is set to them.
        minutes: what it costs on 2 cores, world by world, all seeds and its training included; 0 where not known.
    """

    run: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...] = ()
    minutes: Mapping[str, float] = field(default_factory=dict)
    key: str = "seed"

    @classmethod
    def read(cls, name: str, content: Mapping) -> Self:
        """From the configuration.

        Args:
            name: of the evidence.
            content: its keys.

        Returns:
            The evidence.

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

    def commands(self, key: str, world: str, words: Iterable[str]) -> dict[str, list[str]]:
        """The overrides of each seed's run.

        Args:
            key: of the artifact.
            world: its name.
            words: overrides that make it.

        Returns:
            `<key>.<seed>` -> overrides, or `<key>` where there are no seeds.
        """
        common = [*words, *self.run[world]]
        return {f"{key}.{seed}": [*common, f"{self.key}={seed}"] for seed in self.seeds} or {key: common}


def _by_world(stated: Mapping[str, Iterable] | Iterable) -> dict[str, tuple[str, ...]]:
    each = stated if isinstance(stated, Mapping) else dict.fromkeys(WORLDS, stated)
    return {world: tuple(map(str, words)) for world, words in each.items()}


def provided(cfg: DictConfig) -> frozenset[str]:
    """What a world has.

    Args:
        cfg: the whole configuration under the world's overrides.

    Returns:
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
    """What a world lacks to pose a claim.

    Args:
        claim: of the register.
        evidence: by name.
        world: its name.
        has: see `provided`; None where the world is not configured.

    Returns:
        Names; empty where the claim can be decided.

    Raises:
        KeyError: if the claim names evidence that is not there, with the closest.
    """
    if claim.measure is None:
        return claim.needs or ("a measurement",)
    needed = list(claim.needs)
    for name in claim.measure.evidence:
        if name not in evidence:
            raise KeyError(f"claims.register.{claim.id}: no evidence {name!r}; {closest(name, evidence)}")
        needed += [
            *evidence[name].needs.get(world, ()),
            *([] if world in evidence[name].run else [f"a run of {name} in this world"]),
        ]
    if has is None:
        return (f"the data of this world: set claims.worlds.{world}",)
    return tuple(dict.fromkeys(need for need in needed if need not in has))


class Case(NamedTuple):
    """All that the stage is given.

    Attributes:
        runs: `<world>.<evidence>` or `<world>.<evidence>.<seed>` -> overrides of the run.
        settled: the group claims with the register itself and what each world lacks for each claim, without the worlds.
    """

    runs: dict[str, list[str]]
    settled: dict[str, Any]


def case(options: DictConfig, ours: Path, composed: Callable[[list[str]], DictConfig]) -> Case:
    """Reads the register and says what has to be run for it.

    Args:
        options: group claims.
        ours: folder of the register that comes with the package.
        composed: overrides -> the whole configuration.

    Returns:
        The case.

    Raises:
        FileNotFoundError: if `claims.register` has no yaml files.
        KeyError: if a claim or its evidence is misspelt, with the closest.
        ValueError: if a file is not as it should be.
    """
    register, given = _read(Path(options.register) if options.register else ours)
    evidence = {name: Evidence.read(name, content) for name, content in given.items()}
    claims = chosen(register, None if options.only is None else [str(name) for name in options.only])
    runs: dict[str, list[str]] = {}
    lacks: dict[str, dict[str, list[str]]] = {}
    for world in WORLDS:
        stated = OmegaConf.select(options, f"worlds.{world}")
        words = [] if stated is None else shlex.split(stated)
        has = None if stated is None else provided(composed(words))
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
                runs |= evidence[name].commands(f"{world}.{name}", world, words)
    settled: dict = OmegaConf.to_container(options, resolve=True)  # type: ignore[assignment]
    del settled["worlds"]  # the runs, and what is lacking, say all that counts of them, and name no folder
    return Case(runs, settled | {"register": register, "lacking": lacks})


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
                    raise ValueError(f"{path.name}: {name} is stated twice")
                into[name] = stated
    return register, evidence
