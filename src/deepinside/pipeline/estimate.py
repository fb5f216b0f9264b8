"""Estimates the time, memory and disk space of a run by running it on a few images."""

import logging
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from deepinside.artifacts import artifact
from deepinside.pipeline.execution import execute
from deepinside.pipeline.plan import Plan, Planner
from deepinside.runtime.progress import duration, timed

if TYPE_CHECKING:
    from deepinside.data.index import Index

log = logging.getLogger(__name__)
BUDGET = 15.0  # seconds for the trials of a stage; a first trial that takes half of it is the only one
WORLD = 576  # images, at most, of a synthetic data set that replaces one that does not exist yet
_SPLITS = ("train", "val")
RESTED = ("prepare", "concepts", "load")  # stages that everything rests on: they are made, not estimated
_PREPARED = ("images.csv", "boxes.csv", "masks.csv", "classes.csv", "set_aside.csv")  # what an index consists of

Count = Callable[[DictConfig, dict[str, Path]], int]


@dataclass(frozen=True)
class Growth:
    """How the cost of a stage grows with the number of images.

    Args:
        count: configuration and inputs' folders by role -> images of the whole run.
        keys: of the configuration, limit the images of a trial; none: the trial gets a smaller data set.
        loops: by their descriptions, those whose time grows with every image.
        rest: configuration and images -> number of images up to which all other time grows, such as that of drawing.
        disk: likewise, for the size of the artifact.
        fixed: keys that are set for the trials.
        first: images of the first trial.
    """

    count: Count
    keys: tuple[str, ...]
    loops: tuple[str, ...]
    rest: Callable[[DictConfig, int], int]
    disk: Callable[[DictConfig, int], int]
    fixed: tuple[tuple[str, object], ...] = ()
    first: int = 1


def _images(cfg: DictConfig, inputs: dict[str, Path], split: str, limit: int | None) -> int:
    from deepinside.data.opening import open_index

    if (inputs["prepare"] / artifact.MANIFEST).exists():
        count = len(open_index(cfg, inputs["prepare"]).split(split))
    else:
        count = sum(cfg.data.draw[name] for name in _SPLITS if split in {name, "all"})
    return count if limit is None else min(count, limit)


def _shown(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    return _images(cfg, inputs, cfg.data.split, cfg.data.limit)


def _localisable(cfg: DictConfig, prepared: Path) -> "Index":
    from deepinside.data.opening import open_index
    from deepinside.stages.localise import usable

    return usable(open_index(cfg, prepared).split(cfg.data.split).limit(cfg.data.limit))


def _localised(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    there = (inputs["prepare"] / artifact.MANIFEST).exists()
    return len(_localisable(cfg, inputs["prepare"])) if there else _shown(cfg, inputs)


def _labelled(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    from deepinside.data.broden.opening import open_broden

    return len(open_broden(cfg, inputs["concepts"]).limit(cfg.concepts.limit))


def _learnt(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    return _images(cfg, inputs, "train", cfg.train.limit)


def _measured(cfg: DictConfig, inputs: dict[str, Path]) -> int:
    return min(max(cfg.visualise.images, cfg.visualise.measured), _shown(cfg, inputs))


GROWTH = {
    "train": Growth(
        _learnt,
        keys=(),
        loops=("classify",),
        rest=lambda cfg, count: cfg.train.epochs * count,
        disk=lambda _cfg, _count: 0,
        fixed=(("train.epochs", 1),),
        first=48,
    ),
    "localise": Growth(
        _localised,
        keys=("data.limit",),
        loops=("localise",),
        rest=lambda cfg, count: min(3 * cfg.localise.pictures, count),  # best, median and worst are drawn
        disk=lambda cfg, count: min(3 * cfg.localise.pictures, count),
    ),
    "benchmark": Growth(
        _localised,
        keys=("data.limit", "benchmark.sample"),
        loops=("attributions",),
        rest=lambda cfg, count: min(cfg.benchmark.pictures, count),
        disk=lambda cfg, count: min(cfg.benchmark.pictures, count),
    ),
    "visualise": Growth(
        _measured,
        keys=("visualise.images", "visualise.measured"),
        loops=("pictures",),
        rest=lambda cfg, count: min(cfg.visualise.images, count),
        disk=lambda cfg, count: min(cfg.visualise.images, count),
    ),
    "dissect": Growth(
        _labelled,
        keys=("concepts.limit",),
        loops=("thresholds", "intersections"),
        rest=lambda cfg, count: min(cfg.dissect.atlas, count),  # images of every unit
        disk=lambda cfg, count: min(cfg.dissect.atlas, count),
        fixed=(("dissect.epoch", None),),  # all epochs take the same time
    ),
}


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a stage.

    Args:
        stage: its name.
        pictures: that it will go over.
        seconds: of wall time, with the threads and workers of this run; None: not known.
        memory: peak in bytes, of the process itself, up to and including this stage.
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

    Stages that all others depend on are computed first, except a data set that has yet to be drawn. The others run on a
    few images, then on more while `BUDGET` lasts, in a temporary folder; their cost is extrapolated linearly. A data
    set or network that does not exist yet is replaced by a small one, or one with random weights. Stages whose cost
    does not grow with images alone have no seconds.
    """
    seen: set[Path] = set()
    with tempfile.TemporaryDirectory() as folder:
        for step in plan.chain():
            if step.folder in seen or step.cached:
                continue
            seen.add(step.folder)
            if step.stage.name == "prepare" and _drawn(step.whole):
                yield _world(step, Path(folder))
            elif step.stage.name in RESTED:
                execute(step)
            elif _grows(step):
                yield _extended(step, Path(folder))
            else:
                yield Cost(step.stage.name, 0, None)


def _drawn(cfg: DictConfig) -> bool:
    return bool(cfg.data.draw) and all(split in cfg.data.draw for split in _SPLITS)


def _grows(step: Plan) -> bool:
    name = step.stage.name
    return name in GROWTH and (name != "visualise" or len(_fixed(step.whole, name)) < len(step.whole.method))


def _fixed(cfg: DictConfig, stage: str) -> tuple[str, ...]:
    # Methods whose cost is not that of images: of classes, units and layers.
    from deepinside.records import Maps
    from deepinside.visualisation.method import methods

    chosen = methods(OmegaConf.to_container(cfg.method)) if stage == "visualise" else {}  # type: ignore[arg-type]
    return tuple(name for name, method in chosen.items() if method.returns is not Maps)


class Trial(NamedTuple):
    """A run on a few images.

    Args:
        images: how many.
        seconds: of wall time, in all.
        loops: seconds of that in the loops whose time grows with every image.
        disk: bytes of the artifact.
    """

    images: int
    seconds: float = 0.0
    loops: float = 0.0
    disk: float = 0.0


def tried(
    run: Callable[[int], Trial], first: int, whole: int, clock: Callable[[], float] = time.perf_counter
) -> list[Trial]:
    """Runs on a few images twice, for the first run also warms up, then on twice as many or more.

    It goes on as long as the next run is sure to end before `BUDGET` is spent.
    """
    started = clock()
    trials = [run(min(first, whole))]
    while len(trials) == 1 or trials[-1].images < whole:
        last, left = trials[-1], BUDGET - (clock() - started)
        least = last.images if len(trials) == 1 else min(2 * last.images, whole)
        most = int(last.images * left / last.seconds)  # as if nothing but the images took time
        if most < least:
            break
        trials.append(run(max(least, min(most // 4, whole))))  # a quarter leaves time for others
    return trials


def extended(trials: Sequence[Trial], value: Callable[[Trial], float], images: float) -> float:
    """What a cost will be at more images: along the line through the last two trials but the first, which warmed up."""
    *_, before, last = (Trial(0), *(trials[1:] or trials))
    each = max(0.0, value(last) - value(before)) / (last.images - before.images)
    return value(last) + each * max(0.0, images - last.images)


def _extended(step: Plan, folder: Path) -> Cost:
    name, cfg = step.stage.name, step.whole
    growth, inputs = GROWTH[name], {role: needed.folder for role, needed in step.inputs.items()}
    whole = growth.count(cfg, inputs)
    log.info("%s: running it on a few of %d images", name, whole)
    with _quiet():
        bench = _Bench(_small(step), name, folder)
        most = growth.count(bench.cfg, {role: needed.folder for role, needed in bench.inputs.items()})
        tested = _images(cfg, inputs, "val", None) / whole if name == "train" else 0.0
        trials = tried(lambda images: bench.trial(images, tested), growth.first, min(most, whole))
    seconds = extended(trials, lambda trial: trial.loops, whole)
    seconds += extended(trials, lambda trial: trial.seconds - trial.loops, growth.rest(cfg, whole))
    disk = extended(trials, lambda trial: trial.disk, growth.disk(cfg, whole))
    return Cost(name, whole, seconds, _peak(), disk, _fixed(cfg, name))


def _world(step: Plan, folder: Path) -> Cost:
    # In this process alone, whose time is then that of all workers: to start them takes longer than so few images.
    draw, cores = step.whole.data.draw, min(max(1, step.whole.machine.workers), os.cpu_count() or 1)
    small = _small(step)
    small.machine.workers = 0
    log.info("%s: drawing a few of %d images", step.stage.name, whole := sum(draw[split] for split in _SPLITS))
    with _quiet():
        started = time.perf_counter()
        out = execute(Planner(folder).plan(small, step.stage.name))
        seconds = time.perf_counter() - started
    more = whole / sum(small.data.draw[split] for split in _SPLITS)
    return Cost(step.stage.name, whole, more * seconds / cores, _peak(), more * _bytes(out))


def _small(step: Plan) -> DictConfig:
    # The run's configuration, without what does not grow, and with what replaces missing artifacts.
    cfg = step.whole.copy()
    growth = GROWTH.get(step.stage.name)
    with open_dict(cfg):
        for key, value in growth.fixed if growth else ():
            OmegaConf.update(cfg, key, value)
        for name in _fixed(cfg, step.stage.name):
            del cfg.method[name]
        cfg.wandb.mode = "disabled"
        cfg.judge = None
        if _drawn(cfg) and not all(one.cached for one in step.chain() if one.stage.name == "prepare"):
            share = min(1.0, WORLD / sum(cfg.data.draw[split] for split in _SPLITS))
            cfg.data.draw.update({split: max(1, round(share * cfg.data.draw[split])) for split in _SPLITS})
    return cfg


class _Bench:
    """A stage that can be tried.

    Args:
        cfg: of the trials.
        stage: its name.
        folder: gets what the stage takes, and its artifacts for as long as a trial lasts.
    """

    def __init__(self, cfg: DictConfig, stage: str, folder: Path) -> None:
        self.cfg, self.stage = cfg, stage
        _link(Path(cfg.outputs), folder)
        self.planner = Planner(folder)
        self.inputs = self.planner.plan(cfg, stage).inputs
        for needed in self.inputs.values():
            if needed.stage.name == "train" and not needed.cached:
                _untrained(needed)
            execute(needed)
        if stage in {"localise", "benchmark"}:  # the first images of a data set may have no box
            prepared = self.inputs["prepare"]
            self.inputs["prepare"] = _subset(prepared, _localisable(cfg, prepared.folder), "localisable")

    def trial(self, images: int, tested: float) -> Trial:
        """Runs the stage."""
        growth, cfg, inputs, more = GROWTH[self.stage], self.cfg.copy(), self.inputs, 1.0
        for key in growth.keys:
            most = OmegaConf.select(cfg, key)
            OmegaConf.update(cfg, key, images if most is None else min(images, most))
        if tested:
            test = max(1, round(tested * images))
            prepared, found = _shrunk(cfg, inputs["prepare"], images, test)
            inputs, more = inputs | {"prepare": prepared}, tested * images / found
        plan = self.planner.plan(cfg, self.stage, inputs=inputs)
        started = time.perf_counter()
        with timed() as loops:
            out = execute(plan)
        seconds, looped = time.perf_counter() - started, sum(loops.get(name, 0.0) for name in growth.loops)
        trial = Trial(images, seconds + (more - 1) * looped, more * looped, _bytes(out))
        shutil.rmtree(out)
        return trial


def _untrained(plan: Plan) -> None:
    # What a training leaves, with random weights.
    from deepinside.data.opening import open_index
    from deepinside.models.saved import build, save

    classes = open_index(plan.whole, execute(plan.inputs["prepare"])).classes
    plan.folder.mkdir(parents=True)
    save(build(plan.whole.model, list(classes)), plan.whole.model, plan.folder)
    (plan.folder / artifact.MANIFEST).touch()


def _shrunk(cfg: DictConfig, prepared: Plan, train: int, val: int) -> tuple[Plan, int]:
    # The data set with fewer images, and how many of them it can test on.
    from deepinside.data.opening import open_index

    index = open_index(cfg, prepared.folder)
    learnt, tested = index.split("train").balanced(train), index.split("val").balanced(val)
    entries = {entry.image: entry for entry in (*learnt.entries, *tested.entries)}
    return _subset(prepared, replace(index, entries=tuple(entries.values())), f"{train}_{val}"), len(tested)


def _subset(prepared: Plan, index: "Index", name: str) -> Plan:
    folder = prepared.folder.with_name(f"{prepared.folder.name}_{name}")
    if not folder.exists():
        folder.mkdir()
        for path in prepared.folder.iterdir():
            if path.name not in _PREPARED:
                (folder / path.name).symlink_to(path.resolve())
        index.write(folder)
    return replace(prepared, folder=folder)


def _link(outputs: Path, folder: Path) -> None:
    # What is cached is not made again, and raw files are not read again to know them.
    for name in (*RESTED, "train"):
        for made in outputs.glob(f"{name}/*/{artifact.MANIFEST}"):
            place = folder / name / made.parent.name
            place.parent.mkdir(exist_ok=True)
            if not made.parent.is_symlink() and not place.exists():  # `latest` is the trial's own
                place.symlink_to(made.parent.resolve())
    if (outputs / ".digests.json").exists():
        shutil.copy(outputs / ".digests.json", folder)


@contextmanager
def _quiet() -> Generator[None]:
    # What a trial says of itself is not about the run.
    ours = logging.getLogger("deepinside")
    level = ours.level
    ours.setLevel(logging.WARNING)
    try:
        yield
    finally:
        ours.setLevel(level)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def lines(costs: Sequence[Cost]) -> Iterator[str]:
    """One line of text per cost, and their sum."""
    for one in costs:
        if one.seconds is None:
            yield f"{one.stage:10} not estimated: its cost does not depend on images alone"
            continue
        yield (
            f"{one.stage:10} {one.pictures:9,} images  {duration(one.seconds):>9}  "
            f"{one.memory / 2**30:5.1f} GiB memory  {one.disk / 1e6:9,.1f} MB disk"
        )
        if one.without:
            yield f"{'':10} without {', '.join(one.without)}: their cost does not grow with images"
    known = [one for one in costs if one.seconds is not None]
    if len(known) > 1:
        seconds, disk = sum(one.seconds or 0 for one in known), sum(one.disk for one in known)
        yield f"{'together':10} {'':18}  {duration(seconds):>9}  {'':16}  {disk / 1e6:9,.1f} MB disk"
    if not costs:
        yield "nothing to do: all artifacts are there"
