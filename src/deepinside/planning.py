"""What a run will be made from, where that is more than a row of the pipeline's table: report, claims, sweep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf, open_dict

from deepinside import pipeline
from deepinside.configuration import beside, check_overrides, folder, groups, portable

if TYPE_CHECKING:
    from deepinside.grid import Grid


def planned(planner: pipeline.Planner, cfg: DictConfig, command: Sequence[str]) -> pipeline.Plan:
    """The plan of the stage asked for; the report takes the stages of this configuration and of the further runs.

    Args:
        planner: plans single stages.
        cfg: the whole configuration.
        command: the overrides that made it.

    Returns:
        The plan.
    """
    if cfg.run == "sweep":
        return _planned_sweep(planner, cfg, command)
    command = portable(command)
    shared = [word for word in command if not word.startswith("run=")]
    if cfg.run != "report":
        return _planned_stage(planner, cfg, cfg.run, (f"run={cfg.run}", *shared))
    plans = {name: _planned_stage(planner, cfg, name, (f"run={name}", *shared)) for name in cfg.report.stages}
    inputs: dict[str, pipeline.Plan] = {}
    for name, plan in plans.items():
        inputs |= {step.stage.name: step for step in ((plan,) if name == "claims" else plan.chain())}
    also = [[str(word) for word in overrides] for overrides in cfg.report.also]
    for overrides in also:
        further = beside(overrides, cfg)
        if further.run == "sweep":  # its points are in its table
            inputs[f"sweep.{further.name}"] = _planned_sweep(planner, further, overrides)
            continue
        plan = planner.plan(further, further.run, portable(overrides))
        suffix = f"{further.data.name}.{further.model.name}"
        inputs |= {f"{step.stage.name}.{suffix}": step for step in plan.chain()}
    known = {plan.folder for plan in inputs.values()}
    evidence = plans["claims"].inputs if "claims" in plans else {}
    inputs |= {f"{plan.stage.name}.{key}": plan for key, plan in evidence.items() if plan.folder not in known}
    cfg = cfg.copy()
    cfg.report.also = [portable(overrides) for overrides in also]
    return planner.plan(cfg, "report", tuple(command), inputs)


def _planned_stage(planner: pipeline.Planner, cfg: DictConfig, name: str, command: Sequence[str]) -> pipeline.Plan:
    return _planned_claims(planner, cfg, command) if name == "claims" else planner.plan(cfg, name, command)


def _planned_claims(planner: pipeline.Planner, cfg: DictConfig, command: Sequence[str]) -> pipeline.Plan:
    from deepinside.claims import evidence  # scipy is slow to import: not for `--help`

    case = evidence.case(cfg.claims, folder() / "claims" / "register", lambda words: beside(words, cfg))
    inputs = {}
    for key, words in case.runs.items():
        further = beside(words, cfg)
        inputs[key] = planner.plan(further, further.run, portable(words))
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.claims = case.settled
    return planner.plan(cfg, "claims", command, inputs)


def settled(planner: pipeline.Planner, cfg: DictConfig, command: Sequence[str]) -> pipeline.Plan:
    """The plan of a sweep once its points are computed: those that failed are set aside with their reasons.

    Args:
        planner: plans single stages.
        cfg: the whole configuration.
        command: the overrides that made it.

    Returns:
        The plan.
    """
    from deepinside import points

    plan = _planned_sweep(planner, cfg, command)
    reasons = points.computed(*_swept(cfg, command), plan.inputs, cfg.sweep.jobs)
    cfg = cfg.copy()
    cfg.sweep.set_aside = [list(pair) for pair in reasons.items()]
    good = {label: point for label, point in plan.inputs.items() if label not in reasons}
    return planner.plan(cfg, "sweep", plan.command, good)


def _planned_sweep(planner: pipeline.Planner, cfg: DictConfig, command: Sequence[str]) -> pipeline.Plan:
    grid, commands = _swept(cfg, command)
    check_overrides(list(dict.fromkeys(word for words in commands.values() for word in words)))
    plans: dict[str, pipeline.Plan] = {}
    for label, words in commands.items():
        plan = planned(planner, beside(words, cfg), words)
        twin = next((other for other, known in plans.items() if known.folder == plan.folder), None)
        if twin:
            raise ValueError(
                f"{grid.stage} is the same at {twin} and {label}: sweep.grid has a key that changes nothing"
            )
        plans[label] = plan
    return planner.plan(cfg, "sweep", portable(command), plans)


def _swept(cfg: DictConfig, command: Sequence[str]) -> tuple["Grid", dict[str, list[str]]]:
    from deepinside import grid, points

    if cfg.sweep is None:
        raise ValueError(f"run=sweep needs the name of one: sweep=NAME, of {', '.join(groups()['sweep'])}")
    found = grid.Grid.of(OmegaConf.to_container(cfg.sweep, resolve=True))  # type: ignore[arg-type]
    return found, points.overrides(found, list(cfg.sweep.fixed), command, cfg.seed, cfg.name)
