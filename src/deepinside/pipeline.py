"""The whole pipeline: a table of stages, what each depends on, and how to make what is missing.

prepare ───► train ───► visualise
   └──────────┼───────► localise        every arrow is a finished artifact;
concepts ─────┴───────► dissect         the report takes them all
"""

import hashlib
import importlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
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


_WEIGHTS = ("model.weights",)
_SHOWN = ("data.split", "data.limit")
_DATA, _CONCEPTS = ("data.root",), ("concepts.root",)

# fmt: off
_ROWS = (
    #     name         kind       may see                                        raw files       places      inputs
    Stage("prepare",   "dataset", ("data.name", "data.draw", "data.index"),      (*_DATA, "data.blacklist"), seeded=False),
    Stage("concepts",  "dataset", ("concepts.name", "concepts.draw", "concepts.convert"), _CONCEPTS, seeded=False),
    Stage("train",     "model",   ("model", "train"),                            _WEIGHTS,       _DATA,      _pictures, lower="train.batch"),
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
        view: what the stage may see.
        made_from: what names the artifact.
        inputs: key -> plan of an artifact that it takes.
        folder: where the artifact will lie.
        whole: the configuration that it was planned from.
        command: the overrides that lead here, paths left out.
    """

    stage: Stage
    view: dict[str, Any]
    made_from: dict[str, Any]
    inputs: dict[str, "Plan"]
    folder: Path
    whole: DictConfig
    command: tuple[str, ...]

    @cached_property
    def cfg(self) -> DictConfig:
        """The view as the stage takes it."""
        return OmegaConf.create(
            self.view
        )  # half of the time that planning would take, and only stages that run need it

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
        files = (*stage.files, *_read_by_methods(cfg, stage))
        counted = _selected(cfg, stage.config, leave=(*files, *stage.places))
        made_from = {
            "stage": name,
            "seed": cfg.seed if stage.seeded else 0,
            "config": counted,
            "order": _order(counted),
            "inputs": {key: plan.folder.name for key, plan in inputs.items()},
            "raw": self._raw(cfg, files),
            "source": self._code(frozenset({f"deepinside.stages.{name}", *_targets(counted)})),
        }
        common = ("machine", "seed") if stage.seeded else ("machine",)
        view = _selected(cfg, (*stage.config, *files, *stage.places, *common))
        folder = self._folder(made_from)
        return Plan(stage, view, made_from, dict(inputs), folder, cfg, tuple(command))

    def _folder(self, made_from: Mapping[str, Any]) -> Path:
        return self.outputs / made_from["stage"] / artifact.fingerprint(made_from)

    def _raw(self, cfg: DictConfig, files: Sequence[str]) -> dict[str, str]:
        raw: dict[str, str] = {}
        for key in files:
            value = OmegaConf.select(cfg, key)
            if key == "model.weights":
                from deepinside.models.pretrained import locate  # torchvision is slow to import: not for `--help`

                if OmegaConf.is_missing(cfg.model, "target"):
                    raise ValueError(f"model={cfg.model.name} needs a function: model.target=package.module:function")
                value = locate(cfg.model)
            if value is not None:
                how = cfg.data.digest if key == "data.root" else "content"
                raw[key] = self._content(key, Path(value), how)
                for path in _lists_beside(cfg, Path(value)) if key == "data.root" else ():
                    raw[f"{key}/../{path.name}"] = self._content(key, path, how)
        return raw

    def _content(self, key: str, path: Path, how: str) -> str:
        try:
            return self.digest(path, how)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{key}={path}: {error}") from error


def _judging(cfg: DictConfig) -> DictConfig:
    # The second network, as if it were the first.
    return OmegaConf.merge(cfg, {"model": None}, {"model": cfg.judge})  # type: ignore[return-value]


def _read_by_methods(cfg: DictConfig, stage: Stage) -> Iterator[str]:
    for name, keys in cfg.method.items() if "method" in stage.config else ():
        yield from (f"method.{name}.{key}" for key in keys.get("files", ()))


def _lists_beside(cfg: DictConfig, root: Path) -> Sequence[Path]:
    if not cfg.data.index["_target_"].startswith("deepinside.data.ilsvrc."):
        return ()
    from deepinside.data.ilsvrc_layout import outside  # torch is slow to import: not for `--help`

    return outside(root)


_ABSENT = object()


def _selected(cfg: DictConfig, keys: Sequence[str], leave: Sequence[str] = ()) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for key in keys:
        value = OmegaConf.select(cfg, key, default=_ABSENT)
        if value is not _ABSENT:  # not every choice of a group has every key
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            *places, last = key.split(".")
            reduce(lambda holder, place: holder.setdefault(place, {}), places, chosen)[last] = plain
    for key in leave:
        *places, last = key.split(".")
        reduce(lambda holder, place: holder.get(place, {}), places, chosen).pop(last, None)
    return chosen


def _order(content: Any) -> str:
    # The fingerprint itself does not see in which order keys stand, and methods and priors work one after the other.
    return hashlib.sha256(json.dumps(_keys(content)).encode()).hexdigest()[:16]


def _keys(content: Any) -> list:
    if isinstance(content, Mapping):
        return [[key, _keys(value)] for key, value in content.items()]
    return [_keys(value) for value in content] if isinstance(content, list) else []


def _targets(content: Any) -> set[str]:
    # Modules that the configuration names, of this package or of the user's: `package.module.function` and, of a
    # network of one's own, `target: package.module:function`.
    if isinstance(content, Mapping):
        dotted = [content.get(key) for key in ("_target_", "plot", "function")]
        own = {name.rpartition(".")[0] for name in dotted if isinstance(name, str) and "." in name}
        module, colon, _ = str(content.get("target")).partition(":")
        return own.union({module} if colon else (), *map(_targets, content.values()))
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
            lambda out: work(plan.cfg, inputs, out),
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
