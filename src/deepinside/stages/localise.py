"""Images and a network -> boxes for the predicted classes, from class labels alone, and their errors."""

import logging
import shutil
import time
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from deepinside.data.imagenet import matched
from deepinside.data.index import Index
from deepinside.data.opening import blacklisted, open_index
from deepinside.localisation import submission, tables
from deepinside.localisation.cases import draw
from deepinside.localisation.localiser import Inline, Localiser, worker_pool
from deepinside.localisation.outcome import Located, Outcome
from deepinside.localisation.settings import GRAD_CAM, SALIENCY, Settings
from deepinside.localisation.tables import table
from deepinside.models.saved import open_network
from deepinside.network import Network
from deepinside.probe import RULES
from deepinside.records import Row, Table, write_set_aside
from deepinside.runtime.progress import resumable
from deepinside.spelling import closest
from deepinside.visualisation.method import Method, map_method

log = logging.getLogger(__name__)


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `table.csv`, `per_*.csv` (image, class, size), `predictions.txt`, `set_aside.csv`, images of some cases.

    The inputs are `prepare` and `network`; batches that are finished in `out` are not computed again.

    Raises:
        ValueError: if the images have no labels or no boxes, or other classes than the network.
    """
    skipped = blacklisted(inputs["prepare"])
    with worker_pool(cfg.machine.workers) as pool:
        localiser = opened(cfg, inputs, pool)
        index, started = localiser.index, time.perf_counter()
        batches = list(
            resumable(
                out / "parts",
                len(index),
                cfg.localise.batch_size,
                localiser,
                "localise",
                worker=partial(opened, cfg, inputs, Inline()),
                skipped=localiser.skipped,
            )
        )
        log.info("%.2f s per image", (time.perf_counter() - started) / len(index))
        located = Located(*(np.concatenate([batch[field] for batch in batches]) for field in Located._fields))
        outcome = judged(index, located, localiser.baselines, skipped)
        _write(outcome, index, located, out)
        draw(outcome, localiser, out)
    shutil.rmtree(out / "parts")


def opened(cfg: DictConfig, inputs: dict[str, Path], pool: Executor) -> Localiser:
    """The images and the network, ready to localise; the pool segments.

    Raises:
        ValueError: if the images have no labels or no boxes, or other classes than the network.
    """
    index = usable(open_index(cfg, inputs["prepare"], inputs["network"]).split(cfg.data.split).limit(cfg.data.limit))
    network = open_network(cfg, inputs["network"])
    index = matched(index, network.classes)
    agree(index, network)
    return Localiser(network, index, cfg.localise, pool, map_methods(cfg.localise))


def map_methods(options: DictConfig) -> dict[str, Method]:
    """The methods of the group localise whose maps are needed beside saliency and Grad-CAM.

    Raises:
        KeyError: if there is no such method, with those that there are.
        ValueError: if it returns no maps, or one of its settings is wrong.
    """
    own: dict[str, Any] = OmegaConf.to_container(options, resolve=True)  # type: ignore[assignment]
    names = [name for name in Settings.of(own).map if name not in {SALIENCY, GRAD_CAM}]
    if unused := sorted(own["arguments"].keys() - set(names)):
        expected = f"expected methods of localise.map other than {SALIENCY} and {GRAD_CAM}, which are {names}"
        raise KeyError(f"localise.arguments.{unused[0]}: {expected}")
    settings = {name: {**keys, **own["arguments"].get(name, {})} for name, keys in own["settings"].items()}
    return {name: map_method("localise.map", name, settings) for name in names}


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        KeyError: if a method of the map is unknown, with those that there are.
        ValueError: if a choice is unknown, a number is out of range, or a method of the map returns no maps.
    """
    options = cfg.localise
    map_methods(options)
    for key, known in (("crops", ("ten", "centre", "warp")), ("rule", RULES), ("baselines", ("plain", "all"))):
        if options[key] not in known:
            raise ValueError(f"localise.{key}: no choice {options[key]!r}; {closest(str(options[key]), known)}")
    for key, least in (("top", 1), ("batch_size", 1), ("pictures", 0)):
        if not (isinstance(options[key], int) and options[key] >= least):
            raise ValueError(f"localise.{key}: expected a whole number from {least} on, got {options[key]!r}")


def usable(index: Index) -> Index:
    """The images that have a class and a box of it; the others are skipped with a reason.

    Raises:
        ValueError: if there are none.
    """
    if not len(labelled := index.labelled()):
        raise ValueError(
            f"localise needs images whose class is known and boxes around it; none of the {len(index)} in "
            f"{index.root} has a class: use data=ilsvrc, data=miniature, or data=folder with boxes; for images without "
            "labels, run=visualise"
        )
    return labelled.boxed()


def agree(index: Index, network: Network) -> None:
    """Checks that the network's outputs are the classes of the data.

    Raises:
        ValueError: if their numbers differ.
    """
    if len(index.classes) != len(network.classes):
        raise ValueError(
            f"the network {network.name} has {len(network.classes)} classes, the data in {index.root} have "
            f"{len(index.classes)}: use the data that it was trained on (data=ilsvrc for ImageNet's 1000), "
            "or a model trained on these data (model=convnet_mini model.weights=null)"
        )


def judged(index: Index, located: Located, others: tuple[str, ...], skipped: frozenset[str]) -> Outcome:
    """Predictions and ground truth of all readable images; `skipped` names the blacklisted ones."""
    read = located.reason == ""
    entries = [entry for entry, good in zip(index.entries, read, strict=True) if good]
    return Outcome(
        images=tuple(entry.image for entry in entries),
        sizes=np.array([(entry.height, entry.width) for entry in entries]).reshape(-1, 2),
        truth=np.array([entry.label for entry in entries], dtype=np.int64),
        instances=tuple(entry.boxes.xyxy for entry in entries),
        counted=np.array([entry.image not in skipped for entry in entries], dtype=bool),
        located=Located(*(values[read] for values in located)),
        others=others,
    )


def _write(outcome: Outcome, index: Index, located: Located, out: Path) -> None:
    broken = [(entry.file, str(reason)) for entry, reason in zip(index.entries, located.reason, strict=True) if reason]
    aside = sorted({*index.set_aside, *broken})
    Table([*table(outcome).rows, Row("images_set_aside", len(aside), "images")]).write(out)
    outcome.write(out)
    tables.write(outcome, index.classes, out)
    # One line for every image of the index, as the format wants it: label 0 where one could not be read.
    submission.write(out / "predictions.txt", submission.Guesses(located.labels + 1, located.boxes))
    write_set_aside(out, aside)
