"""Custom networks."""

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepinside.models.checkpoint import class_names, load_weights
from deepinside.network import Network, Preprocessing
from deepinside.spelling import closest

_LOG = logging.getLogger(__name__)


def custom(
    target: str,
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "custom",
    fit: bool = False,  # ruff: ignore[unused-function-argument]  read by the train stage
    **preprocessing: Any,
) -> Network:
    """Wraps the torch module that a user's function returns.

    Args:
        target: `package.module:function`; the function (or class) is called without arguments, or with `classes`,
            their number, if it has that parameter and the data name them.
        weights: a file to load into the module; None: the module unchanged.
        classes: one name per output; None: ImageNet's for 1000 outputs, otherwise numbers.
        name: for titles.
        fit: whether the train stage trains it when `weights` is None.
        **preprocessing: as in `Preprocessing`; missing or None: as in `conf/model/custom.yaml`.

    Returns:
        The network, frozen.

    Raises:
        TypeError: if the function does not return a torch module.
    """
    function = imported(target)
    wanted = {"classes": len(classes)} if classes and "classes" in inspect.signature(function).parameters else {}
    module = function(**wanted)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{target} returned {type(module).__name__}: it must return a torch.nn.Module")
    return wrapped(module, weights, classes=classes, name=name, called=target, **preprocessing)


def wrapped(
    module: nn.Module,
    weights: str | Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    name: str = "custom",
    called: str | None = None,
    **preprocessing: Any,
) -> Network:
    """Wraps a torch module as a `Network`. The module is changed: it is frozen, and in evaluation mode.

    Args:
        module: from normalised images (n, 3, h, w) to scores (n, k) before softmax.
        weights: a file to load into it; None or `random`: unchanged.
        classes: one name per output; None: ImageNet's for 1000 outputs, otherwise numbers.
        name: for titles.
        called: its name in error messages; None: `name`.
        **preprocessing: as in `Preprocessing`; missing or None: as in `conf/model/custom.yaml`.

    Returns:
        The network, on the device of the module's parameters.

    Raises:
        ValueError: if its output is not (n, k).
    """
    if weights not in {None, "random"}:
        load_weights(module, str(weights))
    settings = Preprocessing.of("custom", **preprocessing)
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    network = Network(module, settings, (), name).to(device)
    network.classes = class_names(classes, _outputs(network, called or name))
    return network


def imported(target: str) -> Any:
    """Imports a function by name.

    Args:
        target: `package.module:function`.

    Returns:
        The function.

    Raises:
        ValueError: if the name has another form.
        ModuleNotFoundError: if there is no such module, with the closest names and the fix.
        AttributeError: if the module has no such function, with the closest names.
    """
    path, colon, function = str(target).partition(":")
    if not (colon and path and function):
        raise ValueError(f"expected model.target=package.module:function, got {target!r}")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise  # the module exists, what it imports does not
        raise ModuleNotFoundError(
            f"model.target={target}: no module {error.name!r} can be imported; {_neighbours(error.name)} "
            "Add its folder to the path: PYTHONPATH=FOLDER deepinside ..."
        ) from error
    if not hasattr(module, function):
        raise AttributeError(f"model.target: {path} has no {function!r}; {closest(function, vars(module))}")
    return getattr(module, function)


def _neighbours(name: str) -> str:
    parent, _, last = name.rpartition(".")
    folders = importlib.import_module(parent).__path__ if parent else None
    known = [module.name for module in pkgutil.iter_modules(folders)]
    suggestion = closest(last, known)
    return suggestion if suggestion.startswith("did") else "no module has a similar name."


def _outputs(network: Network, target: str) -> int:
    side = network.preprocessing.input
    with torch.no_grad():
        scores = network(torch.full((2, 3, side, side), 0.5, device=network.device))
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != 2:
        came = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"{target}: expected scores (n, k) for images (n, 3, {side}, {side}), got {came}")
    if bool((scores >= 0).all()) and torch.allclose(scores.sum(1), scores.new_ones(2), atol=1e-4):
        _LOG.warning("%s: its scores sum to 1, as after a softmax: remove the softmax", target)
    return scores.shape[1]
