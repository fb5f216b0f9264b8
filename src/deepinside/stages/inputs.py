"""Opens the artifacts that a stage takes."""

import json
from pathlib import Path
from typing import Any

from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from deepinside import machine
from deepinside.data.broden import Broden
from deepinside.data.index import PICTURES, Index
from deepinside.models.checkpoint import load_weights
from deepinside.network import Network

NOT_FOR_BUILDING = ("fit",)


def fetch(group: DictConfig) -> None:
    """Downloads a public data set where that is asked for and it is not there.

    Args:
        group: data or concepts, with `fetch` (what knows how), `root` and `download`.

    Raises:
        FileNotFoundError: if it is not there and is not to be, or cannot be, downloaded.
    """
    keys: dict[str, Any] = OmegaConf.to_container(group.fetch, resolve=True)  # type: ignore[assignment]
    work = get_method(keys.pop("_target_"))  # and not `instantiate`, which would wrap the error
    work(Path(group.root), download=group.download, **keys)


def open_index(cfg: DictConfig, prepared: Path, network: Path | None = None) -> Index:
    """The pictures that a data set's `prepare` listed.

    Args:
        cfg: with `data.root`.
        prepared: artifact of `prepare`; drawn pictures and those of arrays lie in it, all others stay where they are.
        network: artifact of the network that looks at them. Where `train` made it, pictures without a split of their
            own are divided as they were for that training, so that the network never saw those of `val`.

    Returns:
        All splits.
    """
    inside = cfg.data.root is None or (prepared / PICTURES).is_dir()
    index = Index.read(prepared, prepared if inside else Path(cfg.data.root))
    return index.divided() if network is not None and network.parent.name == "train" else index


def open_broden(cfg: DictConfig, concepts: Path) -> Broden:
    """The pictures with concept masks.

    Args:
        cfg: with `concepts.root`.
        concepts: artifact of `concepts`; drawn and converted pictures lie in it, Broden's stay where they are.

    Returns:
        All rows.
    """
    inside = cfg.concepts.root is None or (concepts / "index.csv").exists()
    return Broden.open(concepts if inside else Path(cfg.concepts.root))


def open_network(cfg: DictConfig, artifact: Path, epoch: int | None = None) -> Network:
    """The network of a `train` or `load` artifact, on the machine's device.

    Args:
        cfg: with `machine.device`.
        artifact: holds `network.json`, how to build it, and `model.safetensors`.
        epoch: as it was after so many epochs, where its training kept that; None: as it ended.

    Returns:
        The network, frozen, in evaluation mode.

    Raises:
        FileNotFoundError: if it has no such weights.
    """
    recipe = json.loads((artifact / "network.json").read_text(encoding="utf-8"))
    network = built(OmegaConf.create(recipe["model"]), recipe["classes"])
    load_weights(network.module, artifact / ("model.safetensors" if epoch is None else early_weights(epoch)))
    return network.to(machine.device(cfg.machine.device))


def early_weights(epoch: int) -> str:
    """Where a training keeps what it had learnt early on.

    Args:
        epoch: after how many.

    Returns:
        The file, relative to the artifact.
    """
    return f"epochs/{epoch:04d}.safetensors"


def built(model: DictConfig, classes: list[str] | None) -> Network:
    """A network as the configuration describes it.

    Args:
        model: the group `model`: `_target_`, `weights` and the builder's own keys.
        classes: names of the scores; None: as the builder knows them.

    Returns:
        The network; with random weights where `weights` is None.
    """
    keys = {key: value for key, value in model.items() if key not in NOT_FOR_BUILDING}
    return instantiate(keys, classes=tuple(classes) if classes else None, _convert_="all")
