"""Selection of layers."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinside.network import Network

_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
_POOLS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.LPPool2d,
    nn.FractionalMaxPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveAvgPool2d,
)
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU)


def convolutional(network: Network) -> tuple[str, ...]:
    """All convolutional layers, each after its rectifier where one follows it (the paper's maps are rectified).

    Args:
        network: to look into.

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
        raise ValueError(f"{network.name} has no convolutional layer; name the layers")
    return tuple(found)


def spread(network: Network, count: int) -> tuple[str, ...]:
    """Some convolutional layers, evenly from the first to the last.

    Args:
        network: to look into.
        count: number of layers; all, if there are fewer.

    Returns:
        Dotted names, as from `convolutional`.
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
    """The layer whose activation is the input of the last linear or convolutional layer, that of the class scores.

    Dropout and reshaping in between are skipped: `relu7` in the paper's ConvNet, the pooled features in ResNet,
    the last fire module in SqueezeNet.

    Args:
        network: to look into.
        images: one image is enough.

    Returns:
        Dotted name; the last convolution if the input of the scores' layer is the output of no layer (a mean over
        positions implemented as a function).
    """
    seen = _traced(network, images)
    found = [name for name, output in seen.once() if seen.input is not None and _memory(output) == _memory(seen.input)]
    return found[0] if found else convolutional(network)[-1]


def last_maps(network: Network) -> str:
    """The last layer with maps before the class scores; pooling layers do not count.

    The output of the last block of convolutions, after its ReLU: `relu5` in the paper's ConvNet, `features.11` in
    torchvision's AlexNet, `features.12` (the last fire module) in SqueezeNet, `layer4.1` in ResNet-18, `inception5b` in
    GoogLeNet. A layer that runs more than once in a forward pass does not count, because its output is ambiguous.

    Args:
        network: runs on one blank image of its input size.

    Returns:
        Dotted name.

    Raises:
        ValueError: if no layer before the class scores has maps of more than one position.
    """
    side = network.preprocessing.input
    seen = _traced(network, torch.zeros(1, 3, side, side))
    pooled = {_memory(output) for name, output in seen.outputs if isinstance(network.layer(name), _POOLS)}
    maps = [
        (name, _memory(output))
        for name, output in seen.once(seen.scores)
        if output.ndim == 4 and output[0, 0].numel() > 1 and _memory(output) not in pooled
    ]
    if not maps:
        raise ValueError(f"{network.name} has no layer with maps before its class scores; name the layers")
    return next(name for name, memory in maps if memory == maps[-1][1])  # the block itself, not what contains it


class _Traced(NamedTuple):
    """One forward pass: outputs by name in the order of completion, and the position of the scores' layer."""

    outputs: list[tuple[str, Tensor]]  # kept, so that no memory is used twice
    scores: int | None  # position in `outputs` of the last linear or convolutional layer
    input: Tensor | None  # of that layer

    def once(self, stop: int | None = None) -> list[tuple[str, Tensor]]:
        runs = Counter(name for name, _ in self.outputs)
        return [(name, output) for name, output in self.outputs[:stop] if runs[name] == 1]


def _traced(network: Network, images: Float[Tensor, "n 3 h w"]) -> _Traced:
    outputs: list[tuple[str, Tensor]] = []
    last: list[tuple[int, Tensor]] = []

    def hook(name: str) -> Any:
        def keep(part: nn.Module, args: tuple, output: Any) -> None:
            if isinstance(part, nn.Linear | nn.Conv2d):
                last[:] = [(len(outputs), args[0])]
            if isinstance(output, Tensor):
                outputs.append((name, output))

        return keep

    handles = [network.layer(name).register_forward_hook(hook(name)) for name in network.layers]
    try:
        with torch.no_grad():
            network(images[:1].to(network.device))
    finally:
        for handle in handles:
            handle.remove()
    return _Traced(outputs, *(last[0] if last else (None, None)))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
