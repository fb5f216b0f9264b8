"""Studies of many images, of parts, or of a network during training."""

import inspect
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8
from omegaconf import DictConfig
from torch import Tensor

from deepinside import views
from deepinside.data.broden.opening import open_broden
from deepinside.data.broden.reader import Broden
from deepinside.data.index import Entry, Index
from deepinside.data.reading import BadFile
from deepinside.models.inverter import load_inverters
from deepinside.models.saved import build, open_network
from deepinside.network import Network
from deepinside.plots.gallery import Gallery
from deepinside.records import Boxes, Row
from deepinside.runtime import machine
from deepinside.runtime.memory import explained
from deepinside.spelling import resolved
from deepinside.study import Checkpoint, Pictures, Segments, Study
from deepinside.visualisation.images import lower

Broken = list[tuple[str, str]]


def conduct(
    network: Network,
    index: Index,
    methods: Mapping[str, Any],
    cfg: DictConfig,
    inputs: Mapping[str, Path],
    gallery: Gallery,
    out: Path,
) -> tuple[list[Row], Broken]:
    """Computes every study that is not finished yet, and writes `<study>.csv`, `<study>.npz` and its images.

    Returns rows for the table, and (file, reason) of unreadable images.
    """
    rows: list[Row] = []
    broken: Broken = []
    unfinished = out / "parts" / "studies"
    unfinished.mkdir(parents=True, exist_ok=True)
    for name, method in methods.items():
        finished = unfinished / f"{name}.json"
        if not finished.exists():
            arguments = material(method.work, network, index, cfg, inputs, broken)
            with explained(f"method {name}", lower(name, method.settings)):
                study = method(network, **arguments)
            study.write(unfinished, name)
            (unfinished / f"{name}.broken").write_text(json.dumps(broken), encoding="utf-8")
        study = Study.read(unfinished, name)
        broken += [(file, reason) for file, reason in json.loads((unfinished / f"{name}.broken").read_text())]
        study.write(out, name)
        (out / f"{name}.json").unlink()  # its numbers are in the table
        rows += [row._replace(metric=f"{name}.{row.metric}") for row in study.numbers]
        if method.plot:
            _draw(gallery, name, method, study, network, out)
    return rows, broken


def _draw(gallery: Gallery, name: str, method: Any, study: Study, network: Network, out: Path) -> None:
    chosen = {key: value for key, value in method.settings.items() if value is not None}
    settings = {"network": network.name, **chosen, "artifact": out.name.removesuffix(".part")}
    for drawn in resolved(method.plot)(study):
        group = name.replace("_", " ")
        file = f"{name}_{drawn.name}" if drawn.name else name
        gallery.add(
            drawn.picture, file, group=group, title=drawn.title, caption=drawn.caption, settings=settings,
            panes=drawn.panes, about=drawn.about,
        )  # fmt: skip


def material(
    work: Any, network: Network, index: Index, cfg: DictConfig, inputs: Mapping[str, Path], broken: Broken
) -> dict[str, Any]:
    """The arguments of a method by its parameter names; `broken` collects (file, reason) of unreadable images."""
    parameters = inspect.signature(work).parameters
    arguments: dict[str, Any] = {}
    if "pictures" in parameters:
        arguments["pictures"] = pictures(network, index, cfg.visualise.crops, broken)
    if "segments" in parameters:
        arguments["segments"] = _segments(network, open_broden(cfg, inputs["concepts"]), broken)
    if "checkpoints" in parameters:
        arguments["checkpoints"] = checkpoints(cfg, inputs["network"], network)
    if "inverters" in parameters:
        arguments["inverters"] = load_inverters(inputs["invert"], network) if "invert" in inputs else {}
    if "detectors" in parameters:
        arguments["detectors"] = pd.read_csv(inputs["dissect"] / "units.csv") if "dissect" in inputs else None
    if "judge" in parameters:
        arguments["judge"] = open_network(cfg, inputs["judge"]) if "judge" in inputs else None
    if "seed" in parameters:
        arguments["seed"] = cfg.seed
    return arguments


def pictures(network: Network, index: Index, crops: str, broken: Broken) -> Pictures:
    """The images of an index as network inputs: the centre crop, or the whole image resized (`warp`).

    `broken` collects (file, reason) of unreadable images.
    """
    same = len(index.classes) == len(network.classes)

    def read(position: int) -> Float[Tensor, "3 h w"] | None:
        entry = index.entries[position]
        try:
            return shown(network, index.picture(entry), crops)
        except BadFile as error:
            _note(broken, error.row(index.root))
            return None

    return Pictures(
        names=tuple(entry.image for entry in index.entries),
        labels=tuple(entry.label if same else -1 for entry in index.entries),
        boxes=tuple(_boxes(entry, network, crops) for entry in index.entries),
        read=read,
    )


def shown(network: Network, image: UInt8[Tensor, "3 h w"], crops: str) -> Float[Tensor, "3 s s"]:
    """An image (3, h, w) of bytes as network input, RGB in [0, 1]: the centre crop, or resized (`warp`)."""
    return views.crops_of(image, network.preprocessing, crops if crops == "warp" else "centre").pixels[0]


def _note(broken: Broken, row: tuple[str, str]) -> None:
    if row not in broken:
        broken.append(row)


def _boxes(entry: Entry, network: Network, crops: str) -> Boxes:
    side, resize = network.preprocessing.input, network.preprocessing.resize
    if crops == "warp":
        return Boxes(entry.boxes.xyxy * np.array([side / entry.width, side / entry.height] * 2))
    height, width = views.canvas_size(entry.height, entry.width, resize)
    (place,) = views.placements(height, width, side, "centre")
    scaled = entry.boxes.xyxy * np.array([width / entry.width, height / entry.height] * 2)
    moved = (scaled - np.array([place.left, place.top] * 2)).clip(0, side)
    return Boxes(moved[(moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])])


def _segments(network: Network, broden: Broden, broken: Broken) -> Segments:
    side = network.preprocessing.input
    twice = {name for name, count in Counter(label.name for label in broden.labels).items() if count > 1}
    names = {b.number: f"{b.name} ({b.category})" if b.name in twice else b.name for b in broden.labels}

    def read(position: int) -> Float[Tensor, "3 h w"] | None:
        try:
            return views.warped(broden.image(position), network.preprocessing)
        except BadFile as error:
            _note(broken, error.row(broden.root))
            return None

    def labelled(position: int) -> list:
        try:
            return [part for parts in broden.segmentation(position).values() for part in parts]
        except BadFile as error:
            _note(broken, error.row(broden.root))
            return []

    def whole(position: int) -> dict[str, Bool[Tensor, "h w"]]:
        numbers = [part for part in labelled(position) if isinstance(part, int)]
        return {names[number]: torch.ones(side, side, dtype=torch.bool) for number in numbers if number in names}

    def masks(position: int) -> dict[str, Bool[Tensor, "h w"]]:
        found: dict[str, Tensor] = {}
        for labels in labelled(position):
            if not isinstance(labels, int):
                numbers = torch.from_numpy(np.asarray(labels)).float()[None, None]
                large = torch.nn.functional.interpolate(numbers, (side, side), mode="nearest-exact")[0, 0].long()
                for number in large.unique().tolist():
                    if number in names:
                        found[names[number]] = found.get(names[number], torch.tensor(False)) | (large == number)
        return found

    count = len(broden)
    rows = tuple(broden.names(position) for position in range(count))
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Segments(Pictures(rows, (-1,) * count, empty, read), masks, whole)


def checkpoints(cfg: DictConfig, trained: Path, network: Network) -> tuple[Checkpoint, ...]:
    """The network at its random start (epoch 0) and after each epoch that training kept, in order.

    Raises:
        ValueError: if there are none: it was not trained here, or kept no epochs.
    """
    files = sorted((trained / "epochs").glob("*.safetensors"))
    if not files:
        raise ValueError(
            f"expected weights of several epochs in the artifact of {network.name}, got none: train it "
            "(model.fit=true) and name the epochs to keep, for instance 'train.keep=[1,2,5,8]'"
        )

    def at(epoch: int) -> Network:
        with torch.random.fork_rng():  # building draws random weights
            return open_network(cfg, trained, epoch)

    epochs = [int(file.stem) for file in files]
    kept = tuple(Checkpoint(epoch, lambda epoch=epoch: at(epoch)) for epoch in epochs)  # type: ignore[misc]
    return (Checkpoint(0, lambda: _start(cfg, trained)), *kept)


def _start(cfg: DictConfig, trained: Path) -> Network:
    # The random start, which the seed of the training determines.
    recipe = json.loads((trained / "network.json").read_text(encoding="utf-8"))
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        network = build(recipe["model"], recipe["classes"])
    return network.to(machine.device(cfg.machine.device))
