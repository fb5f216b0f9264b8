"""Computes the points of a sweep, each of which is an ordinary artifact."""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence

from deepinside.pipeline.execution import begin_trainings, check, execute
from deepinside.pipeline.plan import Plan
from deepinside.records import Table
from deepinside.stages.sweep import Grid, Point, text

log = logging.getLogger(__name__)

_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^\s/:'\"]+/)+")  # folders of this machine in a message
_OWN = ("run", "sweep", "name", "hydra")  # of the sweep and not of its points


def overrides(grid: Grid, fixed: Sequence[str], command: Sequence[str], seed: int, name: str) -> dict[str, list[str]]:
    """The command line of every point by its label: the overrides of the sweep, of the user, then of the point."""
    own = [word for word in command if re.split(r"[=.@/]", word.lstrip("+~"), maxsplit=1)[0] not in _OWN]
    common = [f"run={grid.stage}", f"name={text(name)}", f"seed={seed}", *fixed, *own]
    return {point.label: [*common, *point.overrides] for point in grid.points()}


def computed(grid: Grid, plans: Mapping[str, Plan]) -> dict[str, str]:
    """Computes the missing points of a sweep, and returns the reasons of those that failed, by label.

    Their batches and trainings are computed where `machine.engine` says.

    Args:
        grid: of the sweep.
        plans: of all points, by label.

    Raises:
        ValueError: if all points failed, or the points need several devices under `torchrun`.
    """
    points = {point.label: point for point in grid.points()}
    missing = [label for label in points if not plans[label].cached]
    for label in points.keys() - set(missing):
        _check_metrics(grid, points[label], plans[label])
    log.info("sweep: %d points, %d of them cached", len(points), len(points) - len(missing))
    _check_processes([plans[label] for label in missing])
    reasons = {label: reason for label in missing if (reason := _reason(check, plans[label]))}
    good = [label for label in missing if label not in reasons]
    for step in _common([plans[label] for label in good]):  # if it cannot be computed, no point can
        execute(step)
    begin_trainings([plans[label] for label in good])
    for count, label in enumerate(missing, start=1):
        started = time.monotonic()
        reason = reasons.get(label) or _reason(execute, plans[label])
        log.info("%d/%d %s: %s", count, len(missing), label, reason or f"{time.monotonic() - started:.0f} s")
        if reason:
            reasons[label] = reason
        else:
            _check_metrics(grid, points[label], plans[label])
    if len(reasons) == len(points):
        raise ValueError(f"all {len(points)} points failed; the first: {next(iter(reasons.values()))}")
    return {label: reasons[label] for label in points if label in reasons}


def _check_processes(plans: Sequence[Plan]) -> None:
    from deepinside.runtime import machine  # torch is slow to import

    if machine.world() > 1 and any(step.stage.together(step.whole) for plan in plans for step in plan.chain()):
        raise ValueError(
            "the points of this sweep train on several devices, and each process of torchrun would run them in a "
            "different order: start the sweep without torchrun"
        )


def _check_metrics(grid: Grid, point: Point, plan: Plan) -> None:
    # As soon as one table exists: a misspelt metric must not cost the whole sweep.
    grid.named(point, [row.metric for row in Table.read(plan.folder).rows])


def _common(plans: Sequence[Plan]) -> list[Plan]:
    # What every point takes: if it cannot be made, no point can.
    steps = [{step.folder: step for step in plan.chain()} for plan in plans]
    return [step for folder, step in steps[0].items() if all(folder in others for others in steps)] if steps[1:] else []


def _reason(work: Callable[[Plan], object], plan: Plan) -> str:
    # Why a point failed; empty if it did not. Whatever is wrong with one point, the others go on.
    try:
        work(plan)
    except Exception as error:
        if os.environ.get("DEEPINSIDE_TRACE"):
            log.exception("a point of the sweep failed")
        message = str(error.args[0] if isinstance(error, KeyError) and error.args else error) or type(error).__name__
        return _ABSOLUTE.sub("", message).replace("${", "$ {")
    return ""
