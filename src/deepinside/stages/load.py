"""A network that others trained -> the same artifact as training leaves."""

import json
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save_file

from deepinside.network import Network
from deepinside.records import Row, Table
from deepinside.stages.inputs import built


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes `network.json`, `model.safetensors` and `table.csv`.

    Args:
        cfg: group model.
        _inputs: none.
        out: the work folder.
    """
    network = built(cfg.model, None)
    save(network, cfg.model, out)
    Table(described(network)).write(out)


def save(network: Network, model: DictConfig, out: Path) -> None:
    """Keeps a network: how to build it, with the preprocessing that it has, and its weights.

    Args:
        network: any.
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
        network: any.

    Returns:
        Rows for its table.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [
        Row("parameters", parameters, "weights"),
        Row("classes", len(network.classes), "classes"),
        Row("input_side", network.preprocessing.input, "pixels"),
    ]
