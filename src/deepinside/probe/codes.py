"""Codes, the inputs of inverters: a layer's activation, the class probabilities, or a part of them."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.network import Network
from deepinside.probe.activations import capture, reached
from deepinside.spelling import closest

_TOP = 5
BINARISED = ".binarised"  # after a code's name
OF_SCORES = ("probabilities", "top5", "not_top5")


def check_code(network: Network, name: str) -> None:
    """Checks the name of a code.

    Args:
        network: of the code.
        name: as for `codes`.

    Raises:
        KeyError: if there is no such code, with the closest names.
    """
    plain = name.removesuffix(BINARISED)
    if plain not in OF_SCORES and plain not in network.layers:
        raise KeyError(f"{network.name} has no code {name!r}; {closest(plain, (*OF_SCORES, *network.layers))}")


def source(name: str) -> str:
    """The layer or probabilities that a code is computed from.

    Args:
        name: of the code.

    Returns:
        `probabilities` for these and their parts, otherwise the layer.
    """
    plain = name.removesuffix(BINARISED)
    return "probabilities" if plain in OF_SCORES else plain


def codes(
    network: Network, images: Float[Tensor, "n 3 h w"], names: Sequence[str]
) -> dict[str, Float[Tensor, "n u *grid"]]:
    """Codes of some images by one forward pass, attached to the graph.

    Args:
        network: to look into.
        images: RGB in [0, 1], (n, 3, h, w).
        names: each a layer, dotted; `probabilities`, after softmax; `top5`, all but the five largest zeroed;
            `not_top5`, the five largest zeroed; or one of these with `.binarised`: 1 where it is above zero, otherwise
            0.

    Returns:
        Name -> code, (n, u) for vectors, (n, u, y, x) for maps.

    Raises:
        KeyError: if there is no such code, with the closest names.
        ValueError: if the activations of a layer are neither vectors nor maps.

    Source: Dosovitskiy & Brox 2016 (AlexNet's layers, class probabilities and parts of them, binarised features).
    """
    for name in names:
        check_code(network, name)
    plain = {name: name.removesuffix(BINARISED) for name in names}
    layers = sorted({name for name in plain.values() if name not in OF_SCORES})
    outputs = _activations(network, images, layers, whole=len(layers) < len(set(plain.values())))
    return {name: _form(outputs, plain[name], name.endswith(BINARISED)) for name in names}


def _activations(network: Network, images: Tensor, layers: Sequence[str], whole: bool) -> dict[str, Tensor]:
    if not whole:
        return reached(network, images, layers)
    with capture(network, layers) as outputs:
        scores = network(images)
    return outputs | {"probabilities": scores.softmax(dim=1)}


def _form(outputs: Mapping[str, Tensor], name: str, binarised: bool) -> Float[Tensor, "n u *grid"]:
    output = part_of(outputs["probabilities"], name) if name in OF_SCORES else outputs[name]
    if output.ndim not in {2, 4}:
        raise ValueError(
            f"layer {name!r} has activations of shape {tuple(output.shape)}, expected (n, u) or (n, u, y, x): "
            "name another layer"
        )
    return (output > 0).to(output.dtype) if binarised else output


def part_of(probabilities: Float[Tensor, "n k"], name: str) -> Float[Tensor, "n k"]:
    """All class probabilities, the five largest, or all others; `top5` + `not_top5` = `probabilities`.

    Args:
        probabilities: after softmax, (n, k).
        name: `probabilities`, `top5` or `not_top5`.

    Returns:
        (n, k), zero for the excluded classes; not normalised again.
    """
    if name == "probabilities":
        return probabilities
    largest = probabilities.topk(min(_TOP, probabilities.shape[1]), dim=1).indices
    first = torch.zeros_like(probabilities, dtype=torch.bool).scatter(1, largest, value=True)
    return torch.where(first if name == "top5" else ~first, probabilities, 0)
