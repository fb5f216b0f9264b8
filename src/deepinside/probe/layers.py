"""Which layers of a network are worth a look."""

from collections.abc import Iterable

from torch import nn

from deepinside.network import Network

_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
_RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU)


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


def _siblings(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


def _rectified(name: str, following: Iterable[tuple[str, nn.Module]]) -> str:
    for other, part in following:
        if isinstance(part, _RECTIFIERS):
            return other
        if not isinstance(part, _NORMS):
            break
    return name
