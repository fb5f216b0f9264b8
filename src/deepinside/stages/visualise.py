"""Images, classes and units -> what the network sees in them.

The signature of a method determines its inputs: one that returns `Maps` is called per image, one that returns `Images`
per class, and one that returns a `Study` once, with what its parameters name: `pictures`, `segments` (images with
outlined concepts) or `checkpoints` (the network during training).
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from deepinside.data.imagenet import matched
from deepinside.data.opening import open_index
from deepinside.methods.activation_maximization import activation_maximization, check_units
from deepinside.models.saved import build, open_network
from deepinside.network import Network, chosen_class
from deepinside.plots.gallery import Gallery
from deepinside.records import Images, Maps, Row, Table, write_set_aside
from deepinside.spelling import closest
from deepinside.study import Pictures, Study
from deepinside.visualisation.images import draw_images
from deepinside.visualisation.judge import Judge
from deepinside.visualisation.maps import Mapper, draw_pictures
from deepinside.visualisation.method import Method, methods
from deepinside.visualisation.studies import conduct, material, pictures

_LAYERS = {"layer", "layers", "content_layers", "style_layers", "low", "high"}  # parameters that name layers


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        KeyError: if a layer does not exist, with the closest names.
        ValueError: if the signature of a method or the type of a setting does not fit, a number is out of range, or a
            layer comes without units.
    """
    chosen = methods(OmegaConf.to_container(cfg.method))  # type: ignore[arg-type]
    _check_layers(cfg, chosen)
    for method in chosen.values():
        if method.work is activation_maximization:
            check_units(method.settings["layer"], method.settings["units"])
    for key in ("images", "measured", "classes"):
        value = cfg.visualise[key]
        if isinstance(value, int) and value < 1:
            raise ValueError(f"expected visualise.{key} of at least 1, got {value}")


def _check_layers(cfg: DictConfig, chosen: Mapping[str, Method]) -> None:
    requested = [
        (f"method.{name}.{key}", layer)
        for name, method in chosen.items()
        for key, value in method.settings.items()
        if key in _LAYERS and isinstance(value, str | list)
        for layer in ([value] if isinstance(value, str) else value)
        if layer != "probabilities" and not layer.startswith("${")  # a code of `invert`, which are checked there
    ]
    if requested:
        with torch.random.fork_rng():  # building draws random weights
            network = build(OmegaConf.merge(cfg.model, {"weights": None}), None)  # type: ignore[arg-type]
        for key, layer in requested:
            if layer not in network.layers:
                raise KeyError(f"{key}: {network.name} has no layer {layer!r}; {closest(layer, network.layers)}")


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `per_image.csv`, `maps.npz`, `synthesis.csv`, `<study>.csv`, `set_aside.csv`, images and `table.csv`.

    The inputs are `prepare` and `network`, and `concepts` where a method needs outlined concepts.
    """
    mapper = opened(cfg, inputs)
    network, index, listed = mapper.network, mapper.index, open_index(cfg, inputs["prepare"], inputs["network"])
    judge = Judge.of(open_network(cfg, inputs["judge"]), network.classes, listed.ids) if "judge" in inputs else None
    gallery = Gallery(out)
    seen = draw_pictures(mapper, gallery, out, partial(opened, cfg, inputs))
    broken: list[tuple[str, str]] = []
    numbers = draw_images(
        network,
        _classes(network, cfg.visualise.classes, seen.classes),
        _returning(cfg, Images),
        lambda work: material(work, network, index, cfg, inputs, broken),
        gallery,
        out,
        judge=judge,
        colours=lambda: _colours(pictures(network, index, cfg.visualise.crops, broken), cfg.visualise.measured),
    )
    studied, more = conduct(network, index, _returning(cfg, Study), cfg, inputs, gallery, out)
    gallery.write()
    aside = sorted({*seen.set_aside, *broken, *more})
    write_set_aside(out, aside)
    Table([*seen.rows, *numbers, *studied, Row("images_set_aside", len(aside), "images")]).write(out)
    shutil.rmtree(out / "parts", ignore_errors=True)


def opened(cfg: DictConfig, inputs: dict[str, Path]) -> Mapper:
    """The images and the network, ready for the methods that return maps."""
    network = open_network(cfg, inputs["network"])
    index = matched(open_index(cfg, inputs["prepare"], inputs["network"]), network.classes)
    index = index.split(cfg.data.split).limit(cfg.data.limit)
    return Mapper(network, index, _returning(cfg, Maps), cfg.visualise, cfg.seed)


def _returning(cfg: DictConfig, kind: type) -> dict[str, Method]:
    chosen = methods(OmegaConf.to_container(cfg.method))  # type: ignore[arg-type]
    return {name: method for name, method in chosen.items() if method.returns is kind}


def _classes(network: Network, requested: int | str | Sequence[int | str], seen: Sequence[int]) -> list[int]:
    if isinstance(requested, int):
        return list(seen[:requested])
    return [chosen_class(network, one) for one in ([requested] if isinstance(requested, str) else requested)]


def _colours(pictures: Pictures, count: int) -> Tensor | None:
    # Some pixels of photographs, to compare colours with.
    pixels = [
        batch.images.flatten(2).permute(0, 2, 1)[:, ::97]
        for _, batch in pictures.batches(16, range(min(count, len(pictures))))
    ]
    return torch.cat([part.flatten(0, 1) for part in pixels]) if pixels else None
