"""Networks in artifacts: builder, weights and size."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file

from deepinside.models.checkpoint import load_weights
from deepinside.network import Network
from deepinside.records import Row
from deepinside.runtime import machine
from deepinside.spelling import resolved

_NOT_FOR_BUILDING = ("fit",)


def open_network(cfg: DictConfig, artifact: Path, epoch: int | None = None) -> Network:
    """The network of a `train` or `load` artifact, on the machine's device.

    Args:
        cfg: with `machine.device`.
        artifact: with `network.json`, its builder, and `model.safetensors`.
        epoch: after which it is to be loaded, if its training stored that; None: the last one.

    Returns:
        The network, frozen, in evaluation mode.

    Raises:
        FileNotFoundError: if it has no such weights.
    """
    recipe = json.loads((artifact / "network.json").read_text(encoding="utf-8"))
    network = build(recipe["model"], recipe["classes"])
    load_weights(network.module, artifact / ("model.safetensors" if epoch is None else early_weights(epoch)))
    return network.to(machine.device(cfg.machine.device))


def builder_settings(artifact: Path) -> dict[str, Any]:
    """The group `model` from which a network of an artifact was built.

    Args:
        artifact: of `train` or `load`.

    Returns:
        `_target_`, name and the builder's own keys.
    """
    return json.loads((artifact / "network.json").read_text(encoding="utf-8"))["model"]


def early_weights(epoch: int) -> str:
    """The file of the weights of an early epoch.

    Args:
        epoch: its number.

    Returns:
        The file, relative to the artifact.
    """
    return f"epochs/{epoch:04d}.safetensors"


def build(model: Mapping[str, Any], classes: Sequence[str] | None) -> Network:
    """Builds a network from the configuration.

    Args:
        model: the group `model`: `_target_`, `weights` and the builder's own keys.
        classes: names of the scores; None: those of the builder.

    Returns:
        The network; with random weights where `weights` is None.

    Raises:
        ValueError: if the builder lacks a key, or has none of that name.
    """
    content: Any = OmegaConf.to_container(model, resolve=True) if isinstance(model, DictConfig) else model
    keys = {key: value for key, value in content.items() if key not in _NOT_FOR_BUILDING}
    name = keys.pop("_target_")
    builder = resolved(name)
    try:
        inspect.signature(builder).bind(**keys, classes=classes)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; see the yaml of model={keys.get('name')}") from error
    try:
        network = builder(**keys, classes=tuple(classes) if classes else None)
    except (TypeError, AttributeError) as error:  # of the function of one's own that `model.target` names
        raise ValueError(str(error)) from error
    if not isinstance(network, Network):
        raise ValueError(f"{name} must return a deepinside.network.Network, not {type(network).__name__}")
    return network


def save(network: Network, model: DictConfig, out: Path) -> None:
    """Saves a network: its builder, its preprocessing, and its weights.

    Args:
        network: to save.
        model: the configuration that built it.
        out: folder of the artifact.
    """
    recipe: dict = OmegaConf.to_container(model, resolve=True)  # type: ignore[assignment]
    recipe |= {"weights": None, **asdict(network.preprocessing)}
    content = {"model": recipe, "classes": list(network.classes), "layers": list(network.layers)}
    (out / "network.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.module.state_dict().items()}
    save_file(tensors, out / "model.safetensors")


def described(network: Network) -> list[Row]:
    """The size of a network.

    Args:
        network: to save.

    Returns:
        Rows for its table.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [
        Row("parameters", parameters, "weights"),
        Row("classes", len(network.classes), "classes"),
        Row("input_side", network.preprocessing.input, "pixels"),
    ]
