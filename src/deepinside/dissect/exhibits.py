"""The pictures that excite chosen units most, with the units' masks on them."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.dissect.counting import Counter
from deepinside.dissect.layers import Layer, answers
from deepinside.dissect.upsample import dense


class Exhibit(NamedTuple):
    """A picture, RGB bytes, and where on it the unit exceeds its threshold."""

    image: UInt8[ndarray, "h w 3"]
    mask: Bool[ndarray, "h w"]


Wanted = Mapping[tuple[str, int], Sequence[int]]


def exhibits(
    counter: Counter, read: Callable[[int], UInt8[Tensor, "3 h w"]], wanted: Wanted
) -> dict[tuple[str, int], list[Exhibit]]:
    """Runs the network on one picture after the other, and keeps the masks that are wanted at the picture's size.

    Args:
        counter: network, layers, thresholds and how to upsample.
        read: number of a picture -> RGB bytes as the network is fed.
        wanted: (layer name, unit) -> numbers of pictures.

    Returns:
        (layer name, unit) -> exhibits in the order of the numbers.

    Source: Bau et al. 2017, code (report.py, activation_visualization).
    """
    layers = {layer.name: layer for layer in counter.layers}
    shown: dict[tuple[str, int, int], Exhibit] = {}
    for number in sorted({number for numbers in wanted.values() for number in numbers}):
        image = read(number)
        units = [key for key, numbers in wanted.items() if number in numbers]
        asked = [layers[name] for name in sorted({name for name, _ in units})]
        found = answers(counter.network, image[None].float() / 255, asked)
        for name, unit in units:
            mask = _mask(counter, layers[name], found[name][0, unit], unit, (image.shape[1], image.shape[2]))
            shown[name, unit, number] = Exhibit(image.permute(1, 2, 0).numpy(), mask)
    return {(name, unit): [shown[name, unit, n] for n in numbers] for (name, unit), numbers in wanted.items()}


def _mask(counter: Counter, layer: Layer, map_: Tensor, unit: int, size: tuple[int, int]) -> Bool[ndarray, "h w"]:
    values = dense(map_, counter.grid(layer, size, size))
    return np.asarray(values > torch.from_numpy(counter.thresholds[layer.name])[unit])
