"""Computes the points of a sweep: each is an ordinary artifact, computed by the program in a separate process."""

import logging
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from deepinside.artifacts.artifact import MANIFEST
from deepinside.pipeline import configuration
from deepinside.pipeline.execution import execute
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


def computed(grid: Grid, commands: Mapping[str, Sequence[str]], plans: Mapping[str, Plan], jobs: int) -> dict[str, str]:
    """Computes the missing points of a sweep, and returns the reasons of those that failed, by label.

    Artifacts that all points share are computed first, once. Several machines with a common outputs folder may run
    the same sweep: each visits the points in a different order, and none computes what another has finished or begun.

    Args:
        grid: of the sweep.
        commands: overrides of all points, by label.
        plans: of all points.
        jobs: processes at a time.

    Raises:
        ValueError: if all points failed, `jobs` is below 1, or the points need several devices under `torchrun`.
    """
    if jobs < 1:
        raise ValueError(f"sweep.jobs: expected at least 1, got {jobs}")
    points = {point.label: point for point in grid.points()}
    missing = [label for label in points if not _there(plans[label])]
    for label in points.keys() - set(missing):
        _check_metrics(grid, points[label], plans[label])
    log.info("sweep: %d points, %d of them cached", len(points), len(points) - len(missing))
    _check_processes([plans[label] for label in missing])
    for step in _common([plans[label] for label in missing]):
        execute(step)
    random.shuffle(missing)  # no result depends on the order
    reasons: dict[str, str] = {}
    pool = ThreadPoolExecutor(jobs)
    try:
        running = {pool.submit(_process, plans[label], commands[label]): label for label in missing}
        for count, done in enumerate(as_completed(running), start=1):
            label, (reason, seconds) = running[done], done.result()
            log.info("%d/%d %s: %s", count, len(missing), label, reason or f"{seconds:.0f} s")
            if reason:
                reasons[label] = reason
            else:
                _check_metrics(grid, points[label], plans[label])
    finally:
        pool.shutdown(cancel_futures=True)
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


def _there(plan: Plan) -> bool:
    return (plan.folder / MANIFEST).exists()


def _check_metrics(grid: Grid, point: Point, plan: Plan) -> None:
    # As soon as one table exists: a misspelt metric must not cost the whole sweep.
    grid.named(point, [row.metric for row in Table.read(plan.folder).rows])


def _common(plans: Sequence[Plan]) -> list[Plan]:
    # What every point takes: if it cannot be made, no point can.
    steps = [{step.folder: step for step in plan.chain()} for plan in plans]
    return [step for folder, step in steps[0].items() if all(folder in others for others in steps)] if steps[1:] else []


def _process(plan: Plan, overrides: Sequence[str]) -> tuple[str, float]:
    started = time.monotonic()
    command = [sys.executable, "-m", "deepinside", *configuration.flags(), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", check=False)
    seconds = time.monotonic() - started
    if _there(plan):
        return "", seconds
    if done.returncode == 0:
        return "code or data changed while the sweep ran; run it again", seconds
    return _reason(done.stderr, done.returncode), seconds


def _reason(stderr: str, code: int) -> str:
    if code < 0:
        return f"killed by signal {-code}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("(DEEPINSIDE_TRACE")]
    message = next((line for line in reversed(lines) if line.startswith("deepinside: ")), lines[-1] if lines else "")
    return _ABSOLUTE.sub("", message.removeprefix("deepinside: ")).replace("${", "$ {") or f"exit status {code}"
