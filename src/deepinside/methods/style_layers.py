"""The layers that tell what a picture shows from how it is painted (Gatys et al. 2016, sec. 2)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.network import Network, closest
from deepinside.probe import convolutional
from deepinside.probe.activations import reached

_STYLES = 5  # layers of style, one per resolution: conv1_1 .. conv5_1 in VGG
_CONTENT = 4  # of which resolution the content is: conv4_2 in VGG


class Layers(NamedTuple):
    """Dotted names of the layers that tell content and style."""

    content: tuple[str, ...]
    style: tuple[str, ...]


def chosen_layers(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    content: Sequence[str] | None,
    style: Sequence[str] | None,
) -> Layers:
    """The layers asked for, or the network's nearest to those of the paper.

    Args:
        network: any with convolutions.
        images: one picture is enough.
        content: dotted names; None: the second convolution, or the only one, of the fourth resolution or the last.
        style: dotted names; None: the first convolution of each of the first five resolutions.

    Returns:
        Names; each convolution after its ReLU where one follows.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if no name is given where one is expected.
    """
    for names in (content, style):
        if names is not None and not names:
            raise ValueError("expected layers of content and of style, got none: name one or more, or say null")
        for name in names or ():
            if name not in network.layers:
                raise KeyError(f"{network.name} has no layer {name!r}; {closest(name, network.layers)}")
    if content is not None and style is not None:
        return Layers(tuple(content), tuple(style))
    groups = list(_resolutions(network, images[:1]).values())
    fourth = groups[min(_CONTENT, len(groups)) - 1]
    found = tuple(group[0] for group in groups[:_STYLES])
    return Layers(tuple(content or fourth[min(1, len(fourth) - 1) :][:1]), tuple(style or found))


def _resolutions(network: Network, image: Tensor) -> dict[tuple[int, ...], list[str]]:
    # Height and width -> convolutions that answer so, in order; those that run once and tell positions apart.
    answered: list[tuple[str, tuple[int, ...]]] = []
    handles = [
        network.layer(name).register_forward_hook(lambda _m, _a, y, name=name: answered.append((name, y.shape[2:])))
        for name in dict.fromkeys(convolutional(network))
    ]
    try:
        with torch.no_grad():
            network(image.to(network.device))
    finally:
        for handle in handles:
            handle.remove()
    ran = [name for name, _ in answered]
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, size in answered:
        if ran.count(name) == 1 and min(size, default=1) > 1:
            groups.setdefault(tuple(size), []).append(name)
    if not groups:
        raise ValueError(f"{network.name} has no convolution with more than one position: name the layers")
    return groups


def features(network: Network, image: Float[Tensor, "1 3 h w"], layers: Layers) -> dict[str, Float[Tensor, "u y x"]]:
    """What the layers answer, by a forward pass that ends at the deepest of them.

    Args:
        network: any.
        image: RGB in [0, 1], (1, 3, h, w), of any size that the layers take.
        layers: whose answers.

    Returns:
        Layer name -> answer, attached to the graph.

    Raises:
        ValueError: if a layer has no positions, or the picture is too small for it.
    """
    names = tuple(dict.fromkeys((*layers.content, *layers.style)))
    try:
        answers = reached(network, image, names)
    except RuntimeError as error:  # torch's own words for a kernel that is larger than what it shall slide over
        size = "x".join(map(str, image.shape[2:]))
        raise ValueError(
            f"expected a picture that {names[-1]!r} can see, got {size} pixels: take a larger one"
        ) from error
    for name, answer in answers.items():
        if answer.ndim != 4:
            raise ValueError(f"expected layers with positions, (n, u, y, x), got {name!r} of {tuple(answer.shape)}")
    return {name: answer[0] for name, answer in answers.items()}
