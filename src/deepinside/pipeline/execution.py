"""Computes the artifact of a plan, after the artifacts that it depends on."""

import csv
import importlib
import logging
from functools import partial
from pathlib import Path
from typing import Any

from deepinside.artifacts import artifact
from deepinside.pipeline.plan import Plan
from deepinside.report import summary
from deepinside.runtime import memory
from deepinside.runtime.progress import helping
from deepinside.tracking import tracked

log = logging.getLogger(__name__)


def execute(plan: Plan) -> Path:
    """Computes the artifact and its inputs, as far as they do not exist yet, and returns its folder."""
    _checked(plan)
    return _executed(plan, requested=True)


def _module(plan: Plan) -> Any:
    return importlib.import_module(f"deepinside.stages.{plan.stage.name}")


def _checked(plan: Plan) -> None:
    # Before any work: an hour of training is not the moment to learn that a layer's name is misspelt.
    for step in plan.chain():
        if not (step.folder / artifact.MANIFEST).exists() and hasattr(module := _module(step), "check"):
            module.check(step.whole)


def _executed(plan: Plan, requested: bool = False) -> Path:
    if (plan.folder / artifact.MANIFEST).exists():
        count = len(_set_aside(plan.folder))
        log.info("%s %s: cached%s", plan.stage.name, plan.folder.name, f", {count} skipped" if count else "")
    else:
        inputs = {key: _executed(needed) for key, needed in plan.inputs.items()}
        _computed(plan, inputs)
        if not requested:  # the command line prints the numbers of the requested one, on standard output
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
    from deepinside.runtime import machine  # torch is slow to import: not for what is cached

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
            _say_set_aside(plan)
            run.log(plan.folder)


def _set_aside(folder: Path) -> list[list[str]]:
    path = folder / "set_aside.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [row for row in list(csv.reader(file))[1:] if len(row) == 2]


def _say_set_aside(plan: Plan, most: int = 3) -> None:
    # Each stage lists what it could not use itself: `prepare` by how files begin and end, others by decoding them.
    rows = _set_aside(plan.folder)
    if not rows:
        return
    before = {step.stage.name: len(_set_aside(step.folder)) for step in plan.inputs.values()}
    beside = ", ".join(f"{count} by {name}" for name, count in before.items() if count)
    count = f"{len(rows)} skipped" + (f", beside {beside}" if beside else "")
    log.warning("%s: %s; all with their reasons in %s", plan.stage.name, count, plan.folder / "set_aside.csv")
    for file, reason in rows[:most]:
        log.warning("  %s", _printable(f"{file}: {reason}"))
    if len(rows) > most:
        log.warning("  and %d more", len(rows) - most)


def _printable(text: str) -> str:
    # A file's name may hold anything but a slash, such as what would move the cursor.
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _joined(plan: Plan, inputs: dict[str, Path], part: Path) -> None:
    # Another process is making this artifact: finish batches for it.
    log.info("%s %s: another process is computing it; this one helps", plan.stage.name, plan.folder.name)
    with helping():
        _module(plan).run(plan.cfg, inputs, part)
