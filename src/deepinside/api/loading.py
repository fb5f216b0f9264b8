"""Networks by name, from a folder, or from a torch module: `deepinside.load`."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import nn

from deepinside.defaults import choices, defaults
from deepinside.models.custom import wrapped
from deepinside.models.saved import build, open_network
from deepinside.network import Network
from deepinside.spelling import closest


def load(
    network: str | Path | nn.Module,
    *,
    weights: str | Path | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    **settings: Any,
) -> Network:
    """Loads a network for analysis: frozen, in evaluation mode, with its own preprocessing.

    Args:
        network: a choice of `conf/model`, such as `efficientnet_lite0`, `squeezenet`, `torchvision` with `arch=NAME`;
            or the folder of a trained network (`outputs/train/latest`); or any torch module from normalised images
            (n, 3, input, input) to scores (n, k) before softmax, which is copied.
        weights: a file (safetensors, or a torch state dict), or `random`; None: those of the choice, or
            the module unchanged.
        classes: one name per score; None: ImageNet's for 1000 scores, otherwise numbers.
        name: for titles; None: that of the choice, or of the module's class.
        **settings: keys of `conf/model/<choice>.yaml` to change. Of a module: its `input` and `resize` in pixels,
            `mean`, `std`, `bgr`, `scale` and `interpolation`; the others are as in `conf/model/custom.yaml`.

    Returns:
        The network, on the CPU or the device of the module; `.to("cuda")` moves it.

    Raises:
        FileNotFoundError: if there are no weights.
        KeyError: if there is no such network or setting, with the closest names.
        ValueError: if settings are given for a network that has its own.

    >>> import deepinside as di
    >>> network = di.load("efficientnet_lite0")
    >>> network.preprocessing.input, network.classes[281]
    (224, 'tabby')

    A custom network, here an untrained one:

    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    >>> mine = di.load(module, input=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), classes=["cat", "dog"])
    >>> mine.layers
    ('0', '1', '2', '3', '4')
    """
    named = {"weights": weights, "name": name}
    chosen = {key: value for key, value in named.items() if value is not None} | settings
    if isinstance(network, nn.Module) and not isinstance(network, Network):
        return wrapped(copy.deepcopy(network), classes=classes, **{"name": type(network).__name__} | chosen)
    if str(network) in choices("model"):
        return _built(str(network), chosen, classes)
    trained = isinstance(network, str | Path) and (Path(network) / "network.json").is_file()
    if not (trained or isinstance(network, Network)):
        raise KeyError(
            f"no network {str(network)!r}; {closest(str(network), choices('model'))}; another classifier of "
            "torchvision: load('torchvision', arch=NAME); a trained network: load('outputs/train/latest')"
        )
    if chosen or classes:
        raise ValueError(f"expected no settings for a module, which has its own, got {sorted(chosen) or 'classes'}")
    if isinstance(network, Network):
        return network
    return open_network(OmegaConf.create({"machine": {"device": "cpu"}}), Path(network))


def _built(choice: str, chosen: Mapping[str, Any], classes: Sequence[str] | None) -> Network:
    keys = defaults("model", choice, chosen)
    if keys["weights"] is None and "target" not in keys:
        raise FileNotFoundError(
            f"{choice} comes without weights: pass weights=FILE (conf/model/{choice}.yaml says where to get it), or "
            "weights='random' for an untrained network"
        )
    return build(keys, classes)
