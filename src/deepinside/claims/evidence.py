"""The runs that claims depend on, for each data set ("world" in the configuration)."""

import logging
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from omegaconf import DictConfig, OmegaConf

from deepinside.claims.register import WORLDS, Claim, Identity, Measure, chosen, for_network, requested
from deepinside.spelling import closest

log = logging.getLogger(__name__)
LAYERS = ("first", "early", "middle", "last", "hidden")  # what yaml files call layers of any network
_BOXED, _LABELLED = {"miniature", "ilsvrc"}, {"miniature", "ilsvrc", "imagenette", "folder"}


@dataclass(frozen=True)
class Evidence:
    """A run, to be made on every data set that has what it needs.

    Args:
        run: overrides after those of the data set, by data set.
        needs: what a data set must provide, by data set.
        seeds: it is run once for each of these, by data set.
        key: that is set to them.
        minutes: run time on 2 cores by data set, including all seeds and training; 0: unknown.
    """

    run: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, tuple[str, ...]]
    seeds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
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
        needs, seeds = keys.pop("needs", None) or (), keys.pop("seeds", None) or ()
        minutes = keys.pop("minutes", 0)
        if not run or keys.keys() - {"key"}:
            raise ValueError(f"claims.evidence.{name}: expected run, needs, seeds, key, minutes, got {sorted(content)}")
        known = minutes if isinstance(minutes, Mapping) else dict.fromkeys(WORLDS, float(minutes))
        repeated = {world: tuple(map(int, each)) for world, each in _by_world(seeds).items()}
        return cls(_by_world(run), _by_world(needs), repeated, known, **keys)

    def commands(
        self, key: str, world: str, overrides: Iterable[str], layers: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, list[str]]:
        """The overrides of each seed's run: `<key>.<seed>` -> overrides, or `<key>` without seeds."""
        common = [*overrides, *for_network(self.run[world], layers)]
        return {f"{key}.{seed}": [*common, f"{self.key}={seed}"] for seed in self.seeds.get(world, ())} or {key: common}


def _by_world(stated: Mapping[str, Iterable] | Iterable) -> dict[str, tuple[str, ...]]:
    each = stated if isinstance(stated, Mapping) else dict.fromkeys(WORLDS, stated)
    if unknown := each.keys() - set(WORLDS):
        raise ValueError(f"claims.evidence: no data set {min(unknown)!r}; {closest(min(unknown), WORLDS)}")
    return {world: tuple(map(str, overrides)) for world, overrides in each.items()}


def provided(cfg: DictConfig) -> frozenset[str]:
    """What a data set provides, given the whole configuration with its overrides.

    Of `labels`, `boxes`, `concepts`, `training`, `judge`, `photographs`, `drawings`, `network`.
    """
    drawn = cfg.data.name == "miniature"
    root = OmegaConf.select(cfg, "concepts.root")
    trained = bool(cfg.model.fit) and cfg.model.weights is None
    boxes = OmegaConf.select(cfg, "data.boxes") or (cfg.data.root and (Path(cfg.data.root) / "boxes.csv").exists())
    have = {
        "labels": cfg.data.name in _LABELLED,
        "boxes": cfg.data.name in _BOXED or bool(boxes),
        "photographs": not drawn,
        "drawings": drawn,
        "concepts": drawn if cfg.concepts.name == "miniature" else bool(root and Path(root).exists()),
        "training": trained and (drawn or cfg.data.index.get("split") != "val"),
        "judge": cfg.judge is not None,
        "network": trained or cfg.model.weights is not None or not cfg.model.fit,
    }
    return frozenset(name for name, there in have.items() if there)


def absent(cfg: DictConfig) -> str:
    """Which files that a data set names are not there: `data.root` or `model.weights`; empty if all are."""
    root, weights = cfg.data.get("root"), cfg.model.weights
    if root and cfg.data.get("draw") is None and not Path(root).exists():
        return f"the files of data.root (data={cfg.data.name})"
    if weights and Path(weights).suffix and not Path(weights).exists():
        return f"the file model.weights (model={cfg.model.name})"
    return ""


def lacking(
    claim: Claim | Identity, evidence: Mapping[str, Evidence], world: str, has: frozenset[str] | None
) -> tuple[str, ...]:
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


def without(case: Case, missing: Iterable[str]) -> Case:
    """The case without some of its runs, and without what only rows that need these would have run.

    Args:
        case: the inputs of the stage.
        missing: keys of `runs` whose files are not there.

    Returns:
        The case; the rows say which evidence is missing.
    """
    gone = {tuple(key.split(".")[:2]) for key in missing}
    if not gone:
        return case
    lacks = {world: dict(rows) for world, rows in case.settled["lacking"].items()}
    needed = set()
    stated = case.settled["register"] | case.settled["identities"]
    for world, rows in lacks.items():
        for name, found in rows.items():
            evidence = _evidence(stated[name]) if not found else ()
            if absent := [one for one in evidence if (world, one) in gone]:
                rows[name] = [f"files that {one} reads" for one in absent]
            else:
                needed |= {(world, one) for one in evidence}
    runs = {key: overrides for key, overrides in case.runs.items() if tuple(key.split(".")[:2]) in needed}
    return Case(runs, case.settled | {"lacking": lacks})


def _evidence(content: Mapping[str, Any]) -> tuple[str, ...]:
    # What a row of the register names, in its yaml content.
    if "measure" not in content:
        return ()
    null = content.get("null") or {"name": "0", "value": 0}
    return Measure.read(content["measure"], null).evidence


class _World(NamedTuple):
    # A data set with a network: its overrides, what it provides, files that are missing, names, layers of the network.
    name: str
    overrides: list[str]
    has: frozenset[str]
    absent: str
    about: dict[str, str]
    layers: dict[str, str]


def case(options: DictConfig, ours: Path, composed: Callable[[list[str]], DictConfig]) -> Case:
    """Reads the register and determines the runs that it needs.

    A claim has a row for each configured data set that has a run for it, or for which it says why it is not posed; if
    there is none, one row that says what is missing.

    Args:
        options: group claims.
        ours: folder of the register that comes with the package.
        composed: overrides -> the whole configuration.

    Raises:
        FileNotFoundError: if `claims.register` has no yaml files.
        KeyError: if a claim or its evidence is misspelt, with the closest name.
        ValueError: if the content of a file is invalid, or a claim has no null.
    """
    register, listed, identities = _read(Path(options.register) if options.register else ours)
    evidence = {name: Evidence.read(name, content) for name, content in listed.items()}
    only = None if options.only is None else [str(name) for name in options.only]
    claims: list[Claim | Identity] = [*chosen(register, only, also=identities)]
    claims += [Identity.read(name, identities[name]) for name in sorted(identities) if requested(name, only)]
    worlds = [
        _world(name, options, composed) for name in WORLDS if OmegaConf.select(options, f"worlds.{name}") is not None
    ]
    runs: dict[str, list[str]] = {}
    lacks: dict[str, dict[str, list[str]]] = {name: {} for name in WORLDS}
    minutes: dict[str, float] = {}
    for world in worlds:
        for claim in claims:
            if not _posed(claim, evidence, world.name):
                continue
            lacks[world.name][claim.id] = found = _lacks(claim, evidence, world, options.quick)
            if found or world.name in getattr(claim, "not_posed", ()):
                continue
            for name in _named(claim):
                minutes[f"{world.name}.{name}"] = evidence[name].minutes.get(world.name, 0)
                runs |= evidence[name].commands(f"{world.name}.{name}", world.name, world.overrides, world.layers)
    _fill(claims, evidence, worlds, lacks)
    log.info("claims: %d runs, %.1f hours on two cores without those that exist", len(runs), sum(minutes.values()) / 60)
    settled: dict = OmegaConf.to_container(options, resolve=True)  # type: ignore[assignment]
    del settled["worlds"]  # the runs, and what is lacking, say all that counts of them, and name no folder
    ids = {claim.id for claim in claims}
    settled |= {"register": {name: content for name, content in register.items() if name in ids}}
    settled |= {"identities": {name: content for name, content in identities.items() if name in ids}}
    settled |= {"lacking": lacks, "layers": {world.name: world.layers for world in worlds}}
    return Case(runs, settled | {"about": {world.name: world.about for world in worlds}})


def _world(name: str, options: DictConfig, composed: Callable[[list[str]], DictConfig]) -> _World:
    overrides = shlex.split(OmegaConf.select(options, f"worlds.{name}"))
    cfg = composed(overrides)
    has = provided(cfg)
    if name == "ilsvrc":
        has |= {"all_of_ilsvrc"}  # whoever configures it says so
    about = {"data": str(cfg.data.name), "network": str(cfg.model.name)}
    layers = dict(OmegaConf.select(options, "layers") or {}).get(cfg.model.name) or {}
    return _World(name, overrides, has, absent(cfg), about, {str(key): str(layer) for key, layer in layers.items()})


def _posed(claim: Claim | Identity, evidence: Mapping[str, Evidence], world: str) -> bool:
    # Whether there is anything to say of a claim on a data set: a run for it, or why it is not posed.
    if world in getattr(claim, "not_posed", ()):
        return True
    return claim.measure is not None and all(
        name not in evidence or world in evidence[name].run for name in claim.measure.evidence
    )


def _lacks(claim: Claim | Identity, evidence: Mapping[str, Evidence], world: _World, quick: float | None) -> list[str]:
    if world.name in getattr(claim, "not_posed", ()):
        return []
    if found := lacking(claim, evidence, world.name, world.has):
        return list(found)
    if world.absent:
        return [world.absent]
    words = f"{claim.measure} {[evidence[name].run[world.name] for name in _named(claim)]}"
    if unknown := [name for name in LAYERS if f"{{{name}}}" in words and name not in world.layers]:
        return [f"claims.layers.{world.about['network']}.{name}" for name in unknown]
    takes = {name: evidence[name].minutes.get(world.name, 0) for name in _named(claim)}
    return [f"more time: {name} takes {time:g} minutes" for name, time in takes.items() if quick and time > quick]


def _fill(
    claims: Iterable[Claim | Identity],
    evidence: Mapping[str, Evidence],
    worlds: Sequence[_World],
    lacks: dict[str, dict[str, list[str]]],
) -> None:
    # A claim that no data set poses has one row, on the first, which says what is missing.
    first = worlds[0] if worlds else None
    for claim in claims:
        if not any(claim.id in rows for rows in lacks.values()):
            has = first.has if first else None
            name = first.name if first else WORLDS[0]
            lacks[name][claim.id] = list(lacking(claim, evidence, name, has)) or ["a data set that provides this"]


def _named(claim: Claim | Identity) -> tuple[str, ...]:
    return claim.measure.evidence if claim.measure else ()


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a yaml file of a register, in which `null` may be a key as it is: YAML takes it for nothing."""
    text = re.sub(r"(?m)(^\s*|[{,]\s*)null\s*:", r'\1"null":', path.read_text(encoding="utf-8"))
    return OmegaConf.to_container(OmegaConf.create(text)) or {}  # type: ignore[return-value]


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"claims.register={folder}: expected yaml files with claims and evidence, got none")
    kinds: dict[str, dict[str, Any]] = {"claims": {}, "evidence": {}, "identities": {}}
    for path in paths:
        content = read_yaml(path)
        if unknown := content.keys() - kinds.keys():
            raise ValueError(f"{path.name}: expected claims, evidence and identities, got {sorted(unknown)}")
        for kind, into in kinds.items():
            for name, stated in (content.get(kind) or {}).items():
                if name in into or (kind != "evidence" and any(name in kinds[one] for one in ("claims", "identities"))):
                    raise ValueError(f"{path.name}: {name} is defined twice")
                into[name] = stated
    return kinds["claims"], kinds["evidence"], kinds["identities"]
