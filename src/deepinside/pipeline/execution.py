"""Computes the artifact of a plan, after the artifacts that it depends on."""

import csv
import importlib
import logging
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from deepinside.artifacts import artifact
from deepinside.pipeline.plan import Plan
from deepinside.report import summary
from deepinside.runtime import memory
from deepinside.tracking import tracked

if TYPE_CHECKING:
    from deepinside.runtime.engine import Conditions, Engine, Files

log = logging.getLogger(__name__)


@contextmanager
def opened(options: DictConfig) -> Generator[None]:
    """In this block stages are computed where the group machine says."""
    if options.engine == "local":
        yield
        return
    from deepinside.runtime import engine  # slow to import

    with engine.opened(options):
        yield


def execute(plan: Plan) -> Path:
    """Computes the artifact and its inputs, as far as they do not exist yet, and returns its folder."""
    check(plan)
    begin_trainings([plan])
    return _executed(plan, requested=True)


def begin_trainings(plans: Sequence[Plan]) -> None:
    """Sends all missing trainings whose inputs exist or can be computed here to the workers, if there are any."""
    engine = _engine()
    if engine is None:
        return
    steps = {step.folder: step for plan in plans for step in plan.chain()}
    for step in steps.values():
        waits = any(one.stage.whole and not one.cached for one in step.inputs.values())
        if _remote(step) and not step.cached and not waits:
            inputs = {key: _executed(one) for key, one in step.inputs.items()}
            engine.begin(partial(_work, step.stage.name, step.cfg, inputs), _conditions(step))


def _module(plan: Plan) -> Any:
    return importlib.import_module(f"deepinside.stages.{plan.stage.name}")


def check(plan: Plan) -> None:
    """Checks the configuration of all missing artifacts before any work."""
    for step in plan.chain():
        if not step.cached and hasattr(module := _module(step), "check"):
            module.check(step.whole)


def _executed(plan: Plan, requested: bool = False) -> Path:
    if plan.cached:
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


def _engine() -> "Engine | None":
    # Torch, which the engine needs, is slow to import: not for what is cached.
    module = sys.modules.get("deepinside.runtime.engine")
    return module.current() if module else None


def _conditions(plan: Plan) -> "Conditions":
    from deepinside.runtime import machine
    from deepinside.runtime.engine import Conditions

    stage, seed = plan.stage, plan.made_from["seed"]
    named = (OmegaConf.select(plan.cfg, key) for key in (*stage.files, *stage.places))
    return Conditions(
        fingerprint=plan.folder.name,
        machine=OmegaConf.to_container(plan.whole.machine, resolve=True),  # type: ignore[arg-type]
        seed=seed,
        modules=plan.modules,
        source=plan.made_from["source"],
        place=Path.cwd(),
        paths=(*(needed.folder for needed in plan.inputs.values()), *(Path(path) for path in named if path)),
        record=machine.settle(plan.whole.machine, seed),
        versions=artifact.environment()["versions"],
    )


def _work(stage: str, cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    importlib.import_module(f"deepinside.stages.{stage}").run(cfg, inputs, out)


def _remote(plan: Plan) -> bool:
    # Whether one worker computes the whole artifact; the processes of torchrun compute theirs together.
    return plan.stage.whole and not plan.stage.together(plan.whole)


def _fetched(files: "Files", out: Path) -> None:
    for path, content in files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(content)


def _computed(plan: Plan, inputs: dict[str, Path]) -> None:
    from deepinside.runtime import machine  # torch is slow to import: not for what is cached

    name, engine = plan.folder.name, _engine()
    log.info("%s %s ...", plan.stage.name, name)
    work = partial(_work, plan.stage.name, plan.cfg, inputs)
    record = machine.settle(plan.whole.machine, plan.made_from["seed"]) | {"command": list(plan.command)}
    together = plan.stage.together(plan.whole)
    if machine.rank() and together:
        with memory.explained(plan.stage.name, plan.stage.lower):
            artifact.follow(
                plan.folder.parent, plan.made_from, partial(machine.announced, name), partial(_joined, work)
            )
        return

    def compute(out: Path) -> None:
        if together:
            machine.announce(name)
        if engine is not None:
            engine.conditions = _conditions(plan)
            if _remote(plan):
                _fetched(engine.whole(work, engine.conditions), out)
                return
        work(out)

    with (
        memory.accounted() as halved,
        memory.explained(plan.stage.name, plan.stage.lower),
        tracked(
            stage=plan.stage.name,
            kind=plan.stage.kind,
            fingerprint=name,
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
            lambda: log.info("%s %s: another process is computing it; waiting", plan.stage.name, name),
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


def _joined(work: Callable[[Path], None], part: Path) -> None:
    # The part of a process of torchrun other than the first.
    from deepinside.runtime import machine

    with machine.following():
        work(part)
