"""The plan of every artifact: what it is made from, determined before anything is computed."""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from deepinside.artifacts import artifact, digest
from deepinside.artifacts.digest import RawDigests
from deepinside.pipeline.configuration import HydraException, beside, check_overrides, folder, groups, portable
from deepinside.pipeline.table import STAGES, Stage, judging
from deepinside.spelling import closest

if TYPE_CHECKING:
    from deepinside.stages.sweep import Grid

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A stage with everything that determines its result.

    Args:
        stage: of the table.
        view: the part of the configuration that the stage receives.
        made_from: what names the artifact.
        modules: whose source code, with all that they import, names it too.
        inputs: key -> plan of an input artifact.
        folder: of the artifact.
        whole: the configuration that it was planned from.
        command: the overrides that produce it, without paths.
    """

    stage: Stage
    view: dict[str, Any]
    made_from: dict[str, Any]
    modules: frozenset[str]
    inputs: dict[str, "Plan"]
    folder: Path
    whole: DictConfig
    command: tuple[str, ...]

    @cached_property
    def cfg(self) -> DictConfig:
        """The view as the stage receives it."""
        return OmegaConf.create(
            self.view
        )  # half of the time that planning would take, and only stages that run need it

    @property
    def cached(self) -> bool:
        """Whether the artifact exists, whole."""
        return (self.folder / artifact.MANIFEST).exists()

    def chain(self) -> Iterator["Plan"]:
        """This plan after all plans that it depends on, inputs first."""
        for plan in self.inputs.values():
            yield from plan.chain()
        yield self


class Planner:
    """Plans stages; `outputs` is the root folder of all artifacts."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.digest: Callable[[Path, str], str] = RawDigests(outputs / ".digests.json")
        self._code = cache(digest.digest)  # the points of a sweep share their code

    def steady(self) -> "Planner":
        """The same, for many plans at once: raw files are looked at once, as they do not change meanwhile."""
        planner = Planner(self.outputs)
        planner.digest, planner._code = cache(self.digest), self._code
        return planner

    def plan(
        self, cfg: DictConfig, name: str, command: Sequence[str] = (), inputs: Mapping[str, Plan] | None = None
    ) -> Plan:
        """The plan of a stage, including the plans of its inputs.

        Args:
            cfg: the whole configuration.
            name: of the stage.
            command: the overrides that produce it.
            inputs: plans to use instead of those of the table, which has none for the report.

        Raises:
            KeyError: if there is no such stage, with the closest names.
            FileNotFoundError: if raw data or weights are missing.
        """
        if name not in STAGES:
            raise KeyError(f"no stage {name!r}; {closest(name, STAGES)}")
        stage = STAGES[name]
        if inputs is None:
            inputs = {
                role: self.plan(judging(cfg) if role == "judge" else cfg, needed, command)
                for role, needed in stage.inputs(cfg).items()
            }
        files = (*stage.files, *_read_by_methods(cfg, stage))
        counted = _selected(cfg, stage.config, leave=(*files, *stage.places))
        modules = frozenset({f"deepinside.stages.{name}", *_targets(counted)})
        made_from = {
            "stage": name,
            "seed": cfg.seed if stage.seeded else 0,
            "config": counted,
            "order": _order(counted),
            "inputs": {key: plan.folder.name for key, plan in inputs.items()},
            "raw": self._raw(cfg, files),
            "source": self._code(modules),
        }
        common = ("machine", "seed") if stage.seeded else ("machine",)
        view = _selected(cfg, (*stage.config, *files, *stage.places, *common))
        folder = self._folder(made_from)
        return Plan(stage, view, made_from, modules, dict(inputs), folder, cfg, tuple(command))

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
            if value is None:
                continue
            group = cfg[key.partition(".")[0]]
            if key in {"data.root", "concepts.root"} and group.get("fetch"):
                from deepinside.data.opening import fetch  # torch is slow to import

                fetch(group)
            how = cfg.data.digest if key == "data.root" else "content"
            if key in {"data.root", "concepts.root"} and not Path(value).exists():
                from deepinside.data.missing import instructions

                if how_to_get := instructions(group):
                    raise FileNotFoundError(how_to_get)
            raw[key] = self._content(key, Path(value), how)
            for path in _lists_beside(cfg, Path(value)) if key == "data.root" else ():
                raw[f"{key}/../{path.name}"] = self._content(key, path, how)
        return raw

    def _content(self, key: str, path: Path, how: str) -> str:
        try:
            return self.digest(path, how)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{key}={path}: {error}") from error


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


def planned(planner: Planner, cfg: DictConfig, command: Sequence[str]) -> Plan:
    """The plan of the requested stage; a report takes the stages of this configuration and of the further runs."""
    planner = planner.steady()
    if cfg.run == "sweep":
        return _planned_sweep(planner, cfg, command)
    command = portable(command)
    shared = [word for word in command if not word.startswith("run=")]
    if cfg.run != "report":
        return _planned_stage(planner, cfg, cfg.run, (f"run={cfg.run}", *shared))
    inputs: dict[str, Plan] = {}
    evidence: Mapping[str, Plan] = {}
    missing: list[str] = []
    for name in cfg.report.stages:
        with _noted(missing, cfg, name):
            plan = _planned_stage(planner, cfg, name, (f"run={name}", *shared))
            inputs |= {step.stage.name: step for step in ((plan,) if name == "claims" else plan.chain())}
            evidence = plan.inputs if name == "claims" else evidence
    also = [[str(word) for word in overrides] for overrides in cfg.report.also]
    for overrides in also:
        with _noted(missing, cfg, " ".join(portable(overrides))):
            inputs |= _planned_further(planner, beside(overrides, cfg), overrides)
    if missing and not inputs:
        raise FileNotFoundError("; ".join(missing))
    known = {plan.folder for plan in inputs.values()}
    inputs |= {f"{plan.stage.name}.{key}": plan for key, plan in evidence.items() if plan.folder not in known}
    cfg = cfg.copy()
    cfg.report.also = [portable(overrides) for overrides in also]
    cfg.report.missing = missing
    return planner.plan(cfg, "report", tuple(command), inputs)


def _planned_further(planner: Planner, cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Plan]:
    if cfg.run == "sweep":  # its points are in its table
        return {f"sweep.{cfg.name}": _planned_sweep(planner, cfg, overrides)}
    plan = planner.plan(cfg, cfg.run, portable(overrides))
    return {f"{step.stage.name}.{cfg.data.name}.{cfg.model.name}": step for step in plan.chain()}


@contextmanager
def _noted(missing: list[str], cfg: DictConfig, part: str) -> Generator[None]:
    # A part whose data or weights are missing is named on the page, where the report may go on without it.
    try:
        yield
    except (FileNotFoundError, ModuleNotFoundError) as error:
        if not cfg.report.skip_missing:
            raise
        log.warning("skipped: %s: %s", part, error)
        missing.append(f"{part}: {error}")


def _planned_stage(planner: Planner, cfg: DictConfig, name: str, command: Sequence[str]) -> Plan:
    return _planned_claims(planner, cfg, command) if name == "claims" else planner.plan(cfg, name, command)


def _planned_claims(planner: Planner, cfg: DictConfig, command: Sequence[str]) -> Plan:
    from deepinside.claims import evidence  # scipy is slow to import: not for `--help`

    case = evidence.case(cfg.claims, folder() / "claims" / "register", lambda overrides: beside(overrides, cfg))
    inputs, missing = {}, []
    for key, overrides in case.runs.items():
        try:
            further = beside(overrides, cfg)
            own = any(word.startswith("seed=") for word in overrides)
            words = overrides if own or not cfg.seed else [*overrides, f"seed={cfg.seed}"]
            inputs[key] = planner.plan(further, further.run, portable(words))
        except HydraException:
            check_overrides(overrides)  # says what was misspelt
            raise
        except (FileNotFoundError, ModuleNotFoundError) as error:
            if not cfg.report.skip_missing:
                raise
            log.warning("skipped: %s: %s", key, error)
            missing.append(key)
    case = evidence.without(case, missing)
    inputs = {key: plan for key, plan in inputs.items() if key in case.runs}
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.claims = case.settled
    return planner.plan(cfg, "claims", command, inputs)


def settled(planner: Planner, cfg: DictConfig, command: Sequence[str]) -> Plan:
    """The plan of a sweep once its points are computed; failed points are skipped, with their reasons."""
    from deepinside.pipeline import sweep

    plan = _planned_sweep(planner, cfg, command)
    reasons = sweep.computed(_swept(cfg, command)[0], plan.inputs)
    cfg = cfg.copy()
    cfg.sweep.set_aside = [list(pair) for pair in reasons.items()]
    good = {label: point for label, point in plan.inputs.items() if label not in reasons}
    return planner.plan(cfg, "sweep", plan.command, good)


def _planned_sweep(planner: Planner, cfg: DictConfig, command: Sequence[str]) -> Plan:
    grid, commands = _swept(cfg, command)
    check_overrides(list(dict.fromkeys(word for overrides in commands.values() for word in overrides)))
    plans: dict[str, Plan] = {}
    for label, overrides in commands.items():
        plan = planned(planner, beside(overrides, cfg), overrides)
        twin = next((other for other, known in plans.items() if known.folder == plan.folder), None)
        if twin:
            raise ValueError(f"{grid.stage} is the same at {twin} and {label}: sweep.grid has a key without effect")
        plans[label] = plan
    return planner.plan(cfg, "sweep", portable(command), plans)


def _swept(cfg: DictConfig, command: Sequence[str]) -> tuple["Grid", dict[str, list[str]]]:
    from deepinside.pipeline import sweep
    from deepinside.stages.sweep import Grid

    if cfg.sweep is None:
        raise ValueError(f"run=sweep needs a sweep: sweep=NAME, of {', '.join(groups()['sweep'])}")
    found = Grid.of(OmegaConf.to_container(cfg.sweep, resolve=True))  # type: ignore[arg-type]
    return found, sweep.overrides(found, list(cfg.sweep.fixed), command, cfg.seed, cfg.name)
