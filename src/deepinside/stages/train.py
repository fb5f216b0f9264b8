"""Pictures and a network without weights -> the network trained, and how often it is wrong."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from deepinside.data.index import Index
from deepinside.network import Network
from deepinside.plots.gallery import Gallery
from deepinside.plots.history import learning
from deepinside.records import Row, Table
from deepinside.stages.fitting import classification_errors, fit
from deepinside.stages.inputs import built, open_index
from deepinside.stages.load import described, save
from deepinside.statistics import bootstrap_interval

TESTS = ("centre", "ten")  # views: the network is judged by both (Krizhevsky et al. 2012, sec. 4.1)


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes the network and its weights, early ones in `epochs/`, `history.csv`, `per_image.csv`, `table.csv`.

    Args:
        cfg: groups model, train, machine.
        inputs: `prepare`.
        out: the work folder; an interrupted training goes on from its last whole epoch.

    Raises:
        ValueError: if the data has no labels or only one of the two splits.
    """
    index = open_index(cfg, inputs["prepare"])
    train, val = _learnable(index, "train"), _learnable(index, "val")
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        network = built(cfg.model, list(index.classes))
    settings: dict[str, Any] = OmegaConf.to_container(cfg.train)  # type: ignore[assignment]
    machine = {"device": cfg.machine.device, "workers": cfg.machine.workers}
    history = fit(network, train, val, out=out, seed=cfg.seed, **machine, **settings)
    save(network, cfg.model, out)
    rows = [Row("epochs", len(history), "epochs"), Row("training_images", len(train), "images"), *described(network)]
    Table([*rows, *_tested(network, val, out)]).write(out)
    _draw(pd.read_csv(out / "history.csv"), network, out)
    shutil.rmtree(out / "checkpoints")
    (out / "best.safetensors").unlink()  # `model.safetensors` holds the same weights


def _learnable(index: Index, split: str) -> Index:
    chosen = index.split(split)
    labelled = [entry for entry in chosen.entries if entry.label >= 0]
    if not labelled:
        raise ValueError(
            f"training needs pictures with labels in the splits train and val; {index.root} has none in {split!r}: "
            "take a network that is trained already, such as model=efficientnet_lite0, or data with class labels"
        )
    return Index(index.root, index.ids, index.classes, tuple(labelled))


def _tested(network: Network, val: Index, out: Path) -> list[Row]:
    rows, columns = [], {}
    for crops in TESTS:
        errors = classification_errors(network, val, crops=crops)
        columns["image"] = np.array(errors.images)
        for name, wrong in (("top1", errors.top1), ("top5", errors.top5)):
            columns[f"{name}_error_{crops}_crop"] = wrong.astype(int)
            percent = 100.0 * wrong
            low, high = bootstrap_interval(percent)
            rows.append(Row(f"{name}_error_{crops}_crop", float(percent.mean()), "%", len(wrong), low, high))
    pd.DataFrame(columns).to_csv(out / "per_image.csv", index=False, lineterminator="\n")
    return [*rows, Row("images_set_aside", len(val) - len(columns["image"]), "images")]


def _draw(history: pd.DataFrame, network: Network, out: Path) -> None:
    gallery = Gallery(out)
    best = int(history["val_top1_error"].argmin())
    gallery.add(
        learning(history, best),
        "history",
        group="training",
        title="Training",
        caption=f"{network.name}: loss and validation error per epoch (centre crop); kept: epoch {best + 1}.",
    )
    gallery.write()
