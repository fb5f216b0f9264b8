"""Which layers of a network are worth a look."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinside.network import Network

_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU)


def convolutional(network: Network) -> tuple[str, ...]:
    """All convolutional layers, each after its rectifier where one follows it (the paper's maps are rectified).

    Args:
        network: any.

    Returns:
        Dotted names, in the order in which the network declares them.

    Raises:
        ValueError: if there is none.
    """
    # Some convolutions hold a part of their own, such as their padding.
    parts = [(n, p) for n, p in network.module.named_modules() if isinstance(p, nn.Conv2d) or not list(p.children())]
    found = []
    for index, (name, part) in enumerate(parts):
        if isinstance(part, nn.Conv2d):
            following = [other for other in parts[index + 1 : index + 3] if _siblings(name, other[0])]
            found.append(_rectified(name, following))
    if not found:
        raise ValueError(f"{network.name} has no convolutional layer; name the layers to look at")
    return tuple(found)


def spread(network: Network, count: int) -> tuple[str, ...]:
    """Some convolutional layers, evenly from the first to the last.

    Args:
        network: any.
        count: how many; fewer where there are fewer.

    Returns:
        Dotted names, as `convolutional` gives them.
    """
    names = convolutional(network)
    last = len(names) - 1
    return tuple(names[i] for i in sorted({round(k * last / max(count - 1, 1)) for k in range(count)}))


def _siblings(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


def _rectified(name: str, following: Iterable[tuple[str, nn.Module]]) -> str:
    for other, part in following:
        if isinstance(part, RECTIFIERS):
            return other
        if not isinstance(part, _NORMS):
            break
    return name


def before_scores(network: Network, images: Float[Tensor, "n 3 h w"]) -> str:
    """The layer whose answer the last linear or convolutional layer, that of the class scores, reads.

    Dropout and reshaping in between are looked through: `relu7` in the paper's ConvNet, the pooled features in ResNet,
    the last fire module in SqueezeNet.

    Args:
        network: any.
        images: one picture is enough.

    Returns:
        Dotted name; the last convolution where the scores' layer reads something that no layer answered (a mean over
        positions written as a function).
    """
    answered: list[tuple[str, Tensor]] = []  # kept, so that no memory is used twice
    read: list[Tensor] = []

    def hook(name: str) -> Any:
        def keep(part: nn.Module, args: tuple, answer: Any) -> None:
            if isinstance(answer, Tensor):
                answered.append((name, answer))
            if isinstance(part, nn.Linear | nn.Conv2d):
                read[:] = args[:1]

        return keep

    handles = [network.layer(name).register_forward_hook(hook(name)) for name in network.layers]
    try:
        with torch.no_grad():
            network(images[:1].to(network.device))
    finally:
        for handle in handles:
            handle.remove()
    names = [name for name, _ in answered]
    memory = {_memory(tensor) for tensor in read}
    found = [name for name, answer in answered if _memory(answer) in memory and names.count(name) == 1]
    return found[0] if found else convolutional(network)[-1]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
