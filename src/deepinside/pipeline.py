"""The whole pipeline: a table of stages, what each depends on, and how to make what is missing.

prepare ───► train ───► visualise
   └──────────┼───────► localise        every arrow is a finished artifact;
concepts ─────┴───────► dissect         the report takes them all
"""

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepinside import artifact, memory, source
from deepinside.digests import RawDigests
from deepinside.progress import helping
from deepinside.report import summary
from deepinside.tracking import tracked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One row of the table; its work is `stages.<name>.run(cfg, inputs, out)`.

    Args:
        name: as in `run=<name>`.
        kind: type of its artifact on W&B.
        config: keys that can change the result; a stage sees no others, but for seed, machine and these two:
        files: keys that name raw files or folders, whose content counts and not their place;
        places: keys that name folders whose content the inputs already stand for.
        inputs: configuration -> role -> name of the stage whose artifact plays it; the role `judge` is played by a
            network of the configuration's group `judge`.
        shared: whether several processes that are asked for the same artifact share the work; else one waits.
        together: whether the processes that `torchrun` started compute it together, while the first alone writes.
        seeded: whether the seed can change the result; else all seeds share the artifact, and the stage sees none.
        lower: keys to lower should memory not suffice.
    """

    name: str
    kind: str
    config: tuple[str, ...]
    files: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    inputs: Callable[[DictConfig], dict[str, str]] = lambda _cfg: {}
    shared: bool = False
    together: Callable[[DictConfig], bool] = lambda _cfg: False
    seeded: bool = True
    lower: str = "machine.workers"


def _pictures(_cfg: DictConfig) -> dict[str, str]:
    return {"prepare": "prepare"}


def _network(cfg: DictConfig) -> dict[str, str]:
    return {"network": "train" if cfg.model.fit and cfg.model.weights is None else "load"}


def _pictures_and_network(cfg: DictConfig) -> dict[str, str]:
    return _pictures(cfg) | _network(cfg)


def _seen(cfg: DictConfig) -> dict[str, str]:
    asked = {name for method in cfg.method.values() for name in method.get("needs", ())}
    judge = {"judge": _network(_judging(cfg))["network"]} if cfg.judge else {}
    return _pictures_and_network(cfg) | {name: name for name in sorted(asked)} | judge


def _concepts_and_network(cfg: DictConfig) -> dict[str, str]:
    return {} if cfg.dissect.from_csv else {"concepts": "concepts"} | _network(cfg)


def _on_several_devices(cfg: DictConfig) -> bool:
    return cfg.train.trainer.devices * cfg.train.trainer.num_nodes > 1


_WEIGHTS = ("model.weights", "model.target")
_SHOWN = ("data.split", "data.limit")
_DATA, _CONCEPTS = ("data.root",), ("concepts.root",)

# fmt: off
_ROWS = (
    #     name         kind       may see                                        raw files       places      inputs
    Stage("prepare",   "dataset", ("data.name", "data.draw", "data.index"),      (*_DATA, "data.blacklist"), seeded=False),
    Stage("concepts",  "dataset", ("concepts.name", "concepts.draw", "concepts.convert"), _CONCEPTS, seeded=False),
    Stage("train",     "model",   ("model", "train"),                            _WEIGHTS,       _DATA,      _pictures, together=_on_several_devices, lower="train.batch"),
    Stage("load",      "model",   ("model",),                                    _WEIGHTS),
    Stage("invert",    "model",   ("invert",),                                   (),             _DATA,      _pictures_and_network, lower="invert.batch"),
    Stage("visualise", "maps",    ("visualise", "method", *_SHOWN),              (),             _DATA + _CONCEPTS, _seen, shared=True, lower="visualise.images"),
    Stage("localise",  "maps",    ("localise", *_SHOWN),                         (),             _DATA,      _pictures_and_network, shared=True, lower="localise.batch"),
    Stage("dissect",   "table",   ("dissect", "concepts.limit"),                 ("dissect.from_csv",), _CONCEPTS, _concepts_and_network, shared=True, lower="dissect.batch"),
    Stage("score",     "table",   ("score", "data.split"),                       ("predictions", "score.blacklist"), _DATA, _pictures),
    Stage("claims",    "table",   ("claims",)),
    Stage("sweep",     "table",   ("sweep.stage", "sweep.grid", "sweep.metrics", "sweep.repeats", "sweep.says", "sweep.set_aside", "name")),
    Stage("report",    "report",  ("report", "name"), ("report.benchmarks", "report.networks")),
)
# fmt: on
STAGES = {stage.name: stage for stage in _ROWS}


@dataclass(frozen=True)
class Plan:
    """A stage with everything that decides its result, before anything is computed.

    Args:
        stage: of the table.
        cfg: what the stage may see.
        made_from: what names the artifact.
        inputs: key -> plan of an artifact that it takes.
        folder: where the artifact will lie.
        whole: the configuration that it was planned from.
        command: the overrides that lead here, paths left out.
    """

    stage: Stage
    cfg: DictConfig
    made_from: dict[str, Any]
    inputs: dict[str, "Plan"]
    folder: Path
    whole: DictConfig
    command: tuple[str, ...]

    def chain(self) -> Iterator["Plan"]:
        """All plans that this one rests on, and itself, inputs first.

        Yields:
            Plans.
        """
        for plan in self.inputs.values():
            yield from plan.chain()
        yield self


class Planner:
    """Says what stages will be made from.

    Args:
        outputs: root of all artifacts.
    """

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.digest = RawDigests(outputs / ".digests.json")
        self._code = cache(source.digest)  # the points of a sweep share their code

    def plan(
        self, cfg: DictConfig, name: str, command: Sequence[str] = (), inputs: Mapping[str, Plan] | None = None
    ) -> Plan:
        """What a stage will be made from.

        Args:
            cfg: the whole configuration.
            name: of the stage.
            command: the overrides that lead here.
            inputs: plans to take instead of those of the table; the report's are not in it.

        Returns:
            The plan, its inputs' plans included.

        Raises:
            KeyError: if there is no such stage, with the closest names.
            FileNotFoundError: if raw data or weights are not where the configuration says.
        """
        if name not in STAGES:
            from deepinside.network import closest  # torch is slow to import: not for `--help`

            raise KeyError(f"no stage {name!r}; {closest(name, STAGES)}")
        stage = STAGES[name]
        if inputs is None:
            inputs = {
                role: self.plan(_judging(cfg) if role == "judge" else cfg, needed, command)
                for role, needed in stage.inputs(cfg).items()
            }
        counted = OmegaConf.to_container(_selected(cfg, stage.config, leave=(*stage.files, *stage.places)))
        made_from = {
            "stage": name,
            "seed": cfg.seed if stage.seeded else 0,
            "config": counted,
            "inputs": {key: plan.folder.name for key, plan in inputs.items()},
            "raw": self._raw(cfg, stage),
            "source": self._code(frozenset({f"deepinside.stages.{name}", *_targets(counted)})),
        }
        common = ("machine", "seed") if stage.seeded else ("machine",)
        view = _selected(cfg, (*stage.config, *stage.files, *stage.places, *common))
        return Plan(stage, view, made_from, dict(inputs), self._folder(made_from), cfg, tuple(command))

    def _folder(self, made_from: Mapping[str, Any]) -> Path:
        return self.outputs / made_from["stage"] / artifact.fingerprint(made_from)

    def _raw(self, cfg: DictConfig, stage: Stage) -> dict[str, str]:
        raw: dict[str, str] = {}
        for key in stage.files:
            value = OmegaConf.select(cfg, key)
            if key == "model.weights":
                from deepinside.models.pretrained import locate  # torchvision is slow to import: not for `--help`

                value = locate(cfg.model)
            if value is None:
                continue
            if key == "model.target":
                raw[key] = source.digest({str(value).split(":", maxsplit=1)[0]})
            else:
                raw[key] = self._content(key, Path(value), cfg.data.digest if key == "data.root" else "content")
        return raw

    def _content(self, key: str, path: Path, how: str) -> str:
        try:
            return self.digest(path, how)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{key}={path}: {error}") from error


def _judging(cfg: DictConfig) -> DictConfig:
    # The second network, as if it were the first.
    return OmegaConf.merge(cfg, {"model": None}, {"model": cfg.judge})  # type: ignore[return-value]


_ABSENT = object()


def _selected(cfg: DictConfig, keys: Sequence[str], leave: Sequence[str] = ()) -> DictConfig:
    chosen = OmegaConf.create()
    for key in keys:
        value = OmegaConf.select(cfg, key, default=_ABSENT)
        if value is _ABSENT:
            continue  # not every choice of a group has every key
        if isinstance(value, DictConfig):
            value = OmegaConf.create(OmegaConf.to_container(value, resolve=True))
        OmegaConf.update(chosen, key, value, force_add=True)
    for key in leave:
        place, _, last = key.rpartition(".")
        holder = OmegaConf.select(chosen, place) if place else chosen
        if holder is not None and last in holder:
            del holder[last]
    return chosen


def _targets(content: Any) -> set[str]:
    # Modules that the configuration names: of this package, or of the user's.
    if isinstance(content, Mapping):
        named = [content.get(key) for key in ("_target_", "plot")]
        own = {name.rpartition(".")[0] for name in named if isinstance(name, str)}
        return own.union(*map(_targets, content.values()))
    return set().union(*map(_targets, content)) if isinstance(content, list) else set()


def execute(plan: Plan) -> Path:
    """Makes the artifact, and first those that it takes, unless they are there.

    Args:
        plan: of the stage.

    Returns:
        The artifact's folder.
    """
    _checked(plan)
    return _executed(plan, asked=True)


def _module(plan: Plan) -> Any:
    return importlib.import_module(f"deepinside.stages.{plan.stage.name}")


def _checked(plan: Plan) -> None:
    # Before any work: an hour of training is not the moment to learn that a layer's name is misspelt.
    for step in plan.chain():
        if not (step.folder / artifact.MANIFEST).exists() and hasattr(module := _module(step), "check"):
            module.check(step.whole)


def _executed(plan: Plan, asked: bool = False) -> Path:
    if (plan.folder / artifact.MANIFEST).exists():
        log.info("%s %s is there", plan.stage.name, plan.folder.name)
    else:
        inputs = {key: _executed(needed) for key, needed in plan.inputs.items()}
        _computed(plan, inputs)
        if not asked:  # of what was asked for the command line says the numbers, on standard output
            _say_numbers(plan.folder)
    artifact.point_latest(plan.folder.parent, plan.folder.name)
    return plan.folder


def _say_numbers(folder: Path, most: int = 6) -> None:
    lines = summary.lines(folder)
    for line in lines[:most]:
        log.info("  %s", line)
    if len(lines) > most:
        log.info("  ... (deepinside show %s)", folder)


def _computed(plan: Plan, inputs: dict[str, Path]) -> None:
    from deepinside import machine  # torch is slow to import: not for what is there already

    log.info("%s %s ...", plan.stage.name, plan.folder.name)
    work = _module(plan).run
    record = machine.settle(plan.whole.machine, plan.made_from["seed"]) | {"command": list(plan.command)}
    name = plan.folder.name
    if machine.rank() and plan.stage.together(plan.whole):
        with memory.explained(plan.stage.name, plan.stage.lower):
            begun, join = partial(machine.announced, name), partial(_joined, plan, inputs)
            artifact.follow(plan.folder.parent, plan.made_from, begun, join)
        return

    def compute(out: Path) -> None:
        if plan.stage.together(plan.whole):
            machine.announce(name)
        work(plan.cfg, inputs, out)

    with (
        memory.accounted() as halved,
        memory.explained(plan.stage.name, plan.stage.lower),
        tracked(
            stage=plan.stage.name,
            kind=plan.stage.kind,
            fingerprint=plan.folder.name,
            config=plan.made_from["config"],
            inputs=inputs,
            group=plan.whole.name,
            root=plan.folder.parent.parent,
            **plan.whole.wandb,
        ) as run,
    ):
        _, fresh = artifact.make(
            plan.folder.parent,
            plan.made_from,
            compute,
            lambda: record | artifact.environment() | ({"halved": halved} if halved else {}),
            lambda part: _joined(plan, inputs, part) if plan.stage.shared else None,
        )
        if fresh:
            run.log(plan.folder)


def _joined(plan: Plan, inputs: dict[str, Path], part: Path) -> None:
    # Another process is making this artifact: finish batches for it.
    log.info("%s %s: another process is at it; this one helps", plan.stage.name, plan.folder.name)
    with helping():
        _module(plan).run(plan.cfg, inputs, part)
