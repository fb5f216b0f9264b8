"""Estimates the time, memory and disk space of a run by running it on a few images."""

import logging
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from deepinside.artifacts import artifact
from deepinside.pipeline.execution import execute
from deepinside.pipeline.plan import Plan, Planner

log = logging.getLogger(__name__)
FIRST, ENOUGH = 2, 15.0  # images of the first trial, doubled until one takes so many seconds; the first warms up
RESTED = ("prepare", "concepts", "load")  # stages that everything rests on: they are made, not estimated


@dataclass(frozen=True)
class Growth:
    """How the cost of a stage grows with the number of images.

    Args:
        keys: of the configuration, limit its images.
        count: configuration and input folders by role -> images of the whole run.
        total: likewise -> images processed in all passes; None: each once.
        kept: configuration -> images that leave something on disk, where not all do.
        fixed: keys that are set for the trials.
        first: images of the first trial.
    """

    keys: tuple[str, ...]
    count: Callable[[DictConfig, dict[str, Path]], int]
    total: Callable[[DictConfig, dict[str, Path]], float] | None = None
    kept: Callable[[DictConfig], int] | None = None
    fixed: tuple[tuple[str, object], ...] = ()
    first: int = FIRST


def _looked_at(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    from deepinside.data.opening import open_index

    return len(open_index(cfg, inputs["prepare"], inputs["network"]).split(cfg.data.split).limit(cfg.data.limit))


def _labelled(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    from deepinside.data.opening import open_broden

    return len(open_broden(cfg, inputs["concepts"]).limit(cfg.concepts.limit))


def _learnt(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    from deepinside.data.opening import open_index

    return len(open_index(cfg, inputs["prepare"]).divided().split("train").balanced(cfg.train.limit))


def _learnt_in_all(cfg: DictConfig, inputs: dict[str, Path]) -> float:
    from deepinside.data.opening import open_index

    seen = len(open_index(cfg, inputs["prepare"]).divided().split("val"))  # a forward pass alone takes a third
    return cfg.train.epochs * _learnt(cfg, inputs) + (cfg.train.epochs - 1) * seen / 3


def _measured(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    return min(max(cfg.visualise.images, cfg.visualise.measured), _looked_at(cfg, inputs))


GROWTH = {
    "train": Growth(("train.limit",), _learnt, _learnt_in_all, fixed=(("train.epochs", 1),), first=512),
    "localise": Growth(("data.limit",), _looked_at),
    "visualise": Growth(("visualise.images", "visualise.measured"), _measured, kept=lambda cfg: cfg.visualise.images),
    "dissect": Growth(("concepts.limit",), _labelled),
}


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a stage.

    Args:
        stage: its name.
        pictures: number of images that it processes.
        seconds: of wall time, with the threads and workers of this run; None: unknown.
        memory: peak in bytes, of the process itself.
        disk: bytes of the artifact.
        without: methods that are excluded, because their cost does not grow with images.
    """

    stage: str
    pictures: int
    seconds: float | None
    memory: float = 0.0
    disk: float = 0.0
    without: tuple[str, ...] = ()


def estimate(plan: Plan) -> Iterator[Cost]:
    """Estimates the costs of the artifacts that do not exist yet, inputs first.

    Stages that all others depend on are computed first. The others run on a few images, each in a process of its own
    and in a temporary folder; time and disk space are extrapolated linearly. A network that is not trained yet is
    replaced by one with random weights. Stages whose cost does not grow with images alone have no seconds.
    """
    seen: set[Path] = set()
    for step in plan.chain():
        if step.folder in seen or (step.folder / artifact.MANIFEST).exists():
            continue
        seen.add(step.folder)
        if step.stage.name in RESTED:
            execute(step)
        elif _grows(step):
            yield _extended(step)
        else:
            yield Cost(step.stage.name, 0, None)


def _grows(step: Plan) -> bool:
    name = step.stage.name
    return name in GROWTH and (name != "visualise" or len(_fixed(step.whole, name)) < len(step.whole.method))


def _fixed(cfg: DictConfig, stage: str) -> tuple[str, ...]:
    # Methods whose cost is not that of images: of classes, units and layers.
    from deepinside.records import Maps
    from deepinside.stages.visualise import methods

    chosen = methods(OmegaConf.to_container(cfg.method)) if stage == "visualise" else {}  # type: ignore[arg-type]
    return tuple(name for name, method in chosen.items() if method.returns is not Maps)


def _extended(step: Plan) -> Cost:
    growth, cfg = GROWTH[step.stage.name], step.whole
    inputs = {role: needed.folder for role, needed in step.inputs.items()}
    whole = growth.count(cfg, inputs)
    log.info("%s: running it on a few of %d images", step.stage.name, whole)
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    words = OmegaConf.to_container(_small(step), resolve=True)
    process = context.Process(target=_tried, args=(queue, step.stage.name, words, step.folder.parent.parent, whole))
    process.start()
    process.join()
    if process.exitcode:
        raise ValueError(f"{step.stage.name} cannot be run on a few images; see the error above")
    *_, less, more = queue.get()
    span, total = max(1, more.pictures - less.pictures), growth.total(cfg, inputs) if growth.total else whole
    each, bytes_ = ((b - a) / span for a, b in ((less.seconds, more.seconds), (less.disk, more.disk)))
    seconds = more.seconds + max(0.0, each) * (total - more.pictures)
    kept = min(whole, growth.kept(cfg)) if growth.kept else whole
    disk = more.disk + max(0.0, bytes_) * max(0, kept - more.pictures)
    return Cost(step.stage.name, whole, seconds, more.memory, disk, _fixed(cfg, step.stage.name))


def _small(step: Plan) -> DictConfig:
    cfg = step.whole.copy()
    with open_dict(cfg):
        for key, value in GROWTH[step.stage.name].fixed:
            OmegaConf.update(cfg, key, value)
        for name in _fixed(cfg, step.stage.name):
            del cfg.method[name]
        cfg.wandb.mode = "disabled"
        network = step.inputs.get("network")
        if network and not (network.folder / artifact.MANIFEST).exists():
            cfg.model.weights = "random"
    return cfg


class _Trial(NamedTuple):
    pictures: int
    seconds: float
    memory: float
    disk: float


def _tried(queue: SimpleQueue, stage: str, words: dict, outputs: Path, whole: int) -> None:
    found: list[_Trial] = []
    size = min(GROWTH[stage].first, whole)
    with tempfile.TemporaryDirectory() as folder:
        for made in (path.parent for name in RESTED for path in outputs.glob(f"{name}/*/{artifact.MANIFEST}")):
            _linked(made, Path(folder))
        for made in outputs.glob(f"train/*/{artifact.MANIFEST}") if stage != "train" else ():
            _linked(made.parent, Path(folder))
        while len(found) < 2 or (found[-1].seconds < ENOUGH and found[-1].pictures < whole):
            cfg = OmegaConf.create(words)
            for key in GROWTH[stage].keys:
                most = OmegaConf.select(cfg, key)
                OmegaConf.update(cfg, key, size if most is None else min(size, most))
            plan = Planner(Path(folder)).plan(cfg, stage)
            for needed in plan.inputs.values():
                execute(needed)
            started = time.perf_counter()
            out = execute(plan)
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            found.append(_Trial(size, seconds, peak, disk))
            shutil.rmtree(out)
            size = min(2 * size, whole)
    queue.put(found)


def _linked(made: Path, folder: Path) -> None:
    place = folder / made.parent.name
    place.mkdir(exist_ok=True)
    if not (place / made.name).exists():
        (place / made.name).symlink_to(made.resolve())


def lines(costs: Sequence[Cost]) -> Iterator[str]:
    """One line of text per cost, and their sum."""
    for one in costs:
        if one.seconds is None:
            yield f"{one.stage:10} not estimated: its cost does not depend on images alone"
            continue
        yield (
            f"{one.stage:10} {one.pictures:9,} images  {_clock(one.seconds):>9}  "
            f"{one.memory / 2**30:5.1f} GiB memory  {one.disk / 1e6:9,.1f} MB disk"
        )
        if one.without:
            yield f"{'':10} without {', '.join(one.without)}: their cost does not grow with images"
    known = [one for one in costs if one.seconds is not None]
    if len(known) > 1:
        seconds, disk = sum(one.seconds or 0 for one in known), sum(one.disk for one in known)
        yield f"{'together':10} {'':18}  {_clock(seconds):>9}  {'':16}  {disk / 1e6:9,.1f} MB disk"
    if not costs:
        yield "nothing to do: all artifacts exist"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02} min" if hours else f"{rest // 60} min {rest % 60:02} s"
