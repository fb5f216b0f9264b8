"""The maps that are compared: methods of this package, methods of other libraries, and baselines without a network."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy import ndimage
from torch import Tensor

from deepinside.attribution import guests
from deepinside.attribution.guests import Work
from deepinside.localisation.maps import window
from deepinside.network import Network
from deepinside.records import Batch
from deepinside.spelling import closest
from deepinside.visualisation.method import Method, map_method

CENTRE = "centre"
_DEVIATION = 0.25  # of the Gaussian about the centre, share of each side


class Attribution(NamedTuple):
    """One row of the comparison.

    Attributes:
        name: as it was chosen.
        work: network, image, class and seed -> its map, which may be signed.
        learnt: whether the map depends on the network.
    """

    name: str
    work: Work
    learnt: bool


def attributions(
    chosen: Sequence[str], settings: Mapping[str, Mapping[str, Any]], arguments: Mapping[str, Mapping[str, Any]]
) -> tuple[Attribution, ...]:
    """The chosen attribution methods.

    Args:
        chosen: names: of a method of this package that returns `Maps`, of a baseline (`centre`, `noise`, `sobel`), or
            `captum.CLASS`, `zennit.COMPOSITE`, `pytorch_grad_cam.CLASS`.
        settings: content of the yaml files of the first kind, by name.
        arguments: name -> settings that replace the defaults.

    Returns:
        In the same order.

    Raises:
        KeyError: if a name is unknown, with the closest ones.
        ModuleNotFoundError: if its library is not installed, with the command that installs it.
        ValueError: if a method returns no maps, a class cannot attribute to an image, or a name is chosen twice.
    """
    if unused := sorted(arguments.keys() - set(chosen)):
        raise KeyError(f"benchmark.arguments.{unused[0]}: is not in benchmark.methods; {closest(unused[0], chosen)}")
    if twice := [name for name in chosen if list(chosen).count(name) > 1]:
        raise ValueError(f"benchmark.methods: {twice[0]!r} is chosen twice: take one out")
    return tuple(_attribution(name, settings, dict(arguments.get(name) or {})) for name in chosen)


def _attribution(name: str, settings: Mapping[str, Mapping[str, Any]], arguments: dict[str, Any]) -> Attribution:
    library, _, kind = name.partition(".")
    if kind:
        if library not in guests.LIBRARIES:
            raise KeyError(f"benchmark.methods: no library {library!r}; {closest(library, list(guests.LIBRARIES))}")
        return Attribution(name, guests.LIBRARIES[library](kind, arguments), learnt=True)
    if name in BASELINES:
        if arguments:
            raise ValueError(f"benchmark.arguments.{name}: this baseline has no settings")
        return Attribution(name, BASELINES[name], learnt=False)
    others = [*BASELINES, *(f"{library}.CLASS" for library in guests.LIBRARIES)]
    own = {one: {**keys, **(arguments if one == name else {})} for one, keys in settings.items()}
    method = map_method("benchmark.methods", name, own, others)
    return Attribution(name, partial(_own, method), learnt=True)


def _own(method: Method, network: Network, image: Tensor, target: int, seed: int) -> Float[ndarray, "h w"]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = method(network, Batch(image, (f"image.{seed}",), torch.tensor([target])))
    return found.values[0, 0].cpu().numpy().astype(np.float64)


def _centre(_network: Network, image: Tensor, _target: int, _seed: int) -> Float[ndarray, "h w"]:
    return window(tuple(image.shape[2:]), _DEVIATION)


def _noise(_network: Network, image: Tensor, _target: int, seed: int) -> Float[ndarray, "h w"]:
    return np.random.default_rng(seed).random(tuple(image.shape[2:]))


def _sobel(_network: Network, image: Tensor, _target: int, _seed: int) -> Float[ndarray, "h w"]:
    grey = image[0].mean(dim=0).cpu().numpy().astype(np.float64)
    return np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))


BASELINES: dict[str, Work] = {CENTRE: _centre, "noise": _noise, "sobel": _sobel}
