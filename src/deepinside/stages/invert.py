"""Images and a network -> networks that reconstruct images from its features, and their errors."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from deepinside.data.augmentation import Augmentation
from deepinside.data.datamodule import Pictures
from deepinside.data.index import Index
from deepinside.data.opening import open_index
from deepinside.inversion.figures import draw
from deepinside.inversion.score import held_out, score
from deepinside.inversion.survey import Survey, survey
from deepinside.inversion.training import TERMS, Inversion, train_inverter
from deepinside.models.checkpoint import load_weights, save_weights
from deepinside.models.inverter import CONTENTS, Inverter, UpConvNet
from deepinside.models.saved import build, open_network
from deepinside.network import Network
from deepinside.probe.codes import OF_SCORES, check_code
from deepinside.records import Row, Table

_ANY = ("any",)  # no classes: all that a label says here is that the image could be read


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        KeyError: if a code or the comparator does not exist, with the closest names.
        ValueError: if there is nothing to train, or a number is out of range.
    """
    chosen = cfg.invert
    if not chosen.codes or len(set(chosen.codes)) < len(chosen.codes):
        raise ValueError(f"expected invert.codes, each once, such as [relu5,probabilities], got {list(chosen.codes)}")
    for key, least in (("epochs", 1), ("batch_size", 1), ("tested", 2), ("shown", 1)):
        if chosen[key] < least:
            raise ValueError(f"expected invert.{key} of at least {least}, got {chosen[key]}")
    weights = {term: chosen.loss[term] for term in TERMS}
    if min(weights.values()) < 0 or not any(weights.values()):
        raise ValueError(f"expected weights of at least 0 in invert.loss, not all of them 0, got {weights}")
    with torch.random.fork_rng():  # building draws random weights
        network = build(OmegaConf.merge(cfg.model, {"weights": None}), None)  # type: ignore[arg-type]
    for name in [*chosen.codes, *([chosen.loss.comparator] if chosen.loss.comparator else [])]:
        check_code(network, name)


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `<code>.safetensors`, `inverters.json`, `history.csv`, `per_image.csv`, `table.csv` and images.

    Finished codes in `out` are not trained again; an interrupted one resumes from its last whole epoch.
    """
    network = open_network(cfg, inputs["network"])
    train, held = _divided(open_index(cfg, inputs["prepare"], inputs["network"]), cfg.invert)
    pictures = _pictures(train, held, network, cfg)
    held_codes = held_out(pictures.val_views, network, cfg.invert.codes)
    floors = {name: _floor(name, cfg.invert) for name in cfg.invert.codes}
    found = survey(pictures.train_views, network, {name: held_codes.codes[name] for name in floors}, floors)
    inverters, histories, contents = {}, [], {}
    for name in cfg.invert.codes:
        architecture = _architecture(name, found, network, cfg.invert.architecture) | {"floor": floors[name]}
        inverters[name], history = _inverter(name, network, architecture, found, pictures, cfg, out)
        histories.append(history.assign(code=name))
        contents[name] = _content(network, architecture, history, cfg.invert.loss)
    (out / CONTENTS).write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    whole = pd.concat(histories, ignore_index=True)
    whole = whole[["code", *[column for column in whole if column != "code"]]]
    whole.to_csv(out / "history.csv", index=False, lineterminator="\n")
    scored = score(inverters, held_codes, found, pictures.train_views)
    scored.images.to_csv(out / "per_image.csv", index=False, lineterminator="\n")
    sizes = [Row("training_images", found.size, "images"), Row("images", len(held_codes.names), "images")]
    Table([*sizes, *scored.rows, Row("images_set_aside", len(held) - len(held_codes.names), "images")]).write(out)
    draw(inverters, whole, held_codes, found, scored.nearest, cfg.invert, out)
    shutil.rmtree(out / "parts")


def _divided(index: Index, options: DictConfig) -> tuple[Index, Index]:
    held = _some(index.split("val"), options.tested)
    names = {entry.image for entry in held.entries}  # where there are no splits, what is tested is left out
    rest = index.split("train")
    train = _some(replace(rest, entries=tuple(e for e in rest.entries if e.image not in names)), options.limit)
    if len(held) < 2 or not len(train):
        raise ValueError(
            f"expected images to train on and two or more to hold out, got {len(train)} and {len(held)} in "
            f"{index.root}: lower invert.tested={options.tested}, or use data with the splits train and val"
        )
    return train, held


def _some(index: Index, count: int | None) -> Index:
    labelled = any(entry.label >= 0 for entry in index.entries)
    chosen = index.balanced(count) if labelled else index.limit(count)
    return Index(index.root, _ANY, _ANY, tuple(replace(entry, label=0) for entry in chosen.entries))


def _pictures(train: Index, held: Index, network: Network, cfg: DictConfig) -> Pictures:
    chosen = cfg.invert
    variation = Augmentation(**OmegaConf.to_container(chosen.augmentation))  # type: ignore[arg-type]
    how = {
        "seed": cfg.seed,
        "batch_size": chosen.batch_size,
        "workers": cfg.machine.workers,
        "cache_gb": chosen.cache_gb,
    }
    pictures = Pictures(train, held, network.preprocessing, variation, **how)
    pictures.setup("fit")
    return pictures


def _floor(name: str, options: DictConfig) -> float | None:
    return options.floor if name in OF_SCORES else None


def _architecture(name: str, found: Survey, network: Network, options: DictConfig) -> dict[str, Any]:
    recipe = network.preprocessing
    chosen: dict[str, Any] = OmegaConf.to_container(options)  # type: ignore[assignment]
    known = {"shape": list(found.shapes[name]), "input": recipe.input, "colour": recipe.colour.tolist()}
    return known | chosen


def _inverter(
    name: str,
    network: Network,
    architecture: dict[str, Any],
    found: Survey,
    pictures: Pictures,
    cfg: DictConfig,
    out: Path,
) -> tuple[Inverter, pd.DataFrame]:
    file, folder, chosen = out / f"{name}.safetensors", out / "parts" / name, cfg.invert
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        module = UpConvNet(**architecture)
        inversion = Inversion(network, name, module, loss=OmegaConf.to_container(chosen.loss), **chosen.optimiser)  # type: ignore[arg-type]
    module.settle(found.raw[name], found.read[name])
    if file.exists():  # trained before the run was interrupted
        history = pd.read_csv(folder / "history.csv")
        load_weights(module, file)
        module.requires_grad_(False).eval().to(network.device)
    else:
        history = train_inverter(inversion, pictures, folder, epochs=chosen.epochs, device=cfg.machine.device)
        save_weights(module, file)
    return Inverter(network, name, module), history


def _content(network: Network, architecture: dict[str, Any], history: pd.DataFrame, loss: DictConfig) -> dict[str, Any]:
    final = {key: float(value) for key, value in history.iloc[-1].items() if key != "epoch"}
    weights = OmegaConf.to_container(loss)
    return {"network": network.name, "architecture": architecture, "loss": weights, "final": final}
