"""Activations of layers."""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinside.network import Network
from deepinside.runtime.memory import halved
from deepinside.spelling import closest


class _Reached(Exception):  # it reports success: all that was asked for has been seen
    pass


def _named(module: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    if isinstance(module, Network):
        return {name: module.layer(name) for name in layers}
    known = dict(module.named_modules())
    for name in layers:
        if name not in known:
            raise KeyError(f"no layer {name!r}; {closest(name, [k for k in known if k])}")
    return {name: known[name] for name in layers}


def _one_tensor(name: str, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(
            f"expected layer {name!r} to return a tensor, got {type(output).__name__}: name the layer that contains "
            "it, or the one that follows"
        )
    return output


_OTHERS = 8  # tokens before those of the image, at most: class, distillation, registers


def on_grid(activation: Tensor, size: tuple[int, int]) -> Tensor:
    """Tokens as maps: those of the image at their places, without class tokens and registers, which precede them.

    The fewest of these, at most 8, are assumed with which the others are square patches of the image, row by row: 196
    of 197 tokens are 14 x 14 patches of 16 pixels of an image of 224.

    Args:
        activation: (n, t, u); others are returned as they are.
        size: (h, w) of the image in pixels.

    Returns:
        (n, u, y, x), or the activation itself if its tokens are no patches.
    """
    if activation.ndim != 3:
        return activation
    (height, width), count = size, activation.shape[1]
    for others in range(min(_OTHERS, count - 1) + 1):
        side = math.isqrt(height * width // (count - others))
        if side * side * (count - others) == height * width and height % side == width % side == 0:
            tokens = activation[:, others:].transpose(1, 2)
            return tokens.unflatten(2, (height // side, width // side))
    return activation


@contextmanager
def capture(module: nn.Module, layers: Sequence[str]) -> Generator[dict[str, Tensor]]:
    """Captures the activations of layers during the block.

    Args:
        module: any torch module, or a `Network`, whose layer names are those of the module inside.
        layers: dotted names.

    Yields:
        Layer name -> its last activation, filled by the forward pass; graphs stay attached.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: at the end, if a layer ran more than once in one forward pass, which is ambiguous, or if its
            activation was overwritten in place after it was captured.
    """
    captured: dict[str, Tensor] = {}
    versions: dict[str, int] = {}
    runs: dict[str, int] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            output = _one_tensor(name, output)
            captured[name], versions[name] = output, output._version
            runs[name] = runs.get(name, 0) + 1

        return hook

    def start(_module: nn.Module, _args: Any) -> None:
        runs.clear()

    handles = [module.register_forward_pre_hook(start)]
    handles += [part.register_forward_hook(keep(name)) for name, part in _named(module, layers).items()]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()
    for name, tensor in captured.items():
        if runs.get(name, 1) > 1:
            raise ValueError(f"layer {name!r} runs {runs[name]} times in a forward pass; name a layer that runs once")
        if tensor._version != versions[name]:
            raise ValueError(f"layer {name!r} is overwritten in place by the next layer; use that one")


def activations(
    network: Network, images: Float[Tensor, "n 3 h w"], layers: Sequence[str]
) -> dict[str, Float[Tensor, "n u y x"]]:
    """Activations of layers, by a forward pass that ends as soon as all are known; in parts if memory is insufficient.

    Tokens of a transformer (n, t, u) are laid out as maps, see `on_grid`.

    Args:
        network: whose layers.
        images: RGB in [0, 1], (n, 3, h, w), of any size that the layers accept.
        layers: dotted names.

    Returns:
        Layer name -> activation, detached, on the device of the images.

    Raises:
        KeyError: if there is no such layer, with the closest names.
    """

    def compute(part: slice) -> dict[str, Tensor]:
        with torch.no_grad():
            found = reached(network, images[part], layers)
        whole = part.stop - part.start == len(images)
        return found if whole else {name: output.cpu() for name, output in found.items()}

    parts = halved(compute, len(images), "activations")
    if len(parts) == 1:
        return parts[0]
    return {name: torch.cat([part[name] for part in parts]).to(images.device) for name in layers}


def reached(
    network: Network, images: Float[Tensor, "n 3 h w"], layers: Sequence[str]
) -> dict[str, Float[Tensor, "n u y x"]]:
    """As `activations`, but attached to the graph.

    Tokens of a transformer (n, t, u) are laid out as maps, see `on_grid`.

    Args:
        network: whose layers.
        images: RGB in [0, 1], (n, 3, h, w).
        layers: dotted names.

    Returns:
        Layer name -> activation.

    Raises:
        ValueError: if a layer does not take part in the forward pass.
    """
    captured: dict[str, Tensor] = {}
    wanted = set(layers)

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            output = _one_tensor(name, output)
            # What follows in the same forward pass may still overwrite it in place.
            output = output if captured.keys() | {name} == wanted else output.clone()
            captured[name] = (
                on_grid(output, (images.shape[2], images.shape[3])) if len(output) == len(images) else output
            )
            if captured.keys() == wanted:
                raise _Reached

        return hook

    handles = [part.register_forward_hook(keep(name)) for name, part in _named(network, layers).items()]
    try:
        network(images)
    except _Reached:
        return captured
    finally:
        for handle in handles:
            handle.remove()
    missing = sorted(wanted - captured.keys())
    raise ValueError(f"the forward pass of {network.name} does not reach {missing}; name layers that take part in it")


def entering(network: Network, images: Float[Tensor, "n 3 h w"], layer: str) -> Float[Tensor, "n u ..."]:
    """The input of a layer, by a forward pass that ends there; attached to the graph.

    Args:
        network: whose layer.
        images: RGB in [0, 1], (n, 3, h, w).
        layer: dotted name.

    Returns:
        Its first argument.

    Raises:
        ValueError: if the layer does not take part in the forward pass.
    """
    captured: list[Tensor] = []

    def keep(_module: nn.Module, args: Any) -> None:
        captured.append(args[0])
        raise _Reached

    handle = network.layer(layer).register_forward_pre_hook(keep)
    try:
        network(images)
    except _Reached:
        return captured[0]
    finally:
        handle.remove()
    raise ValueError(f"the forward pass of {network.name} does not reach {layer!r}; name a layer that takes part in it")
