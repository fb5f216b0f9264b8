"""The pictures that excite chosen units most, with the units' masks on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.counting import Counter
from deepinside.dissection.layers import Layer, answers
from deepinside.dissection.upsample import dense


class Exhibit(NamedTuple):
    """A picture, RGB bytes, and where on it the unit exceeds its threshold."""

    image: UInt8[ndarray, "h w 3"]
    mask: Bool[ndarray, "h w"]


Wanted = Mapping[tuple[str, int], Sequence[int]]


def exhibits(
    counter: Counter, read: Callable[[int], UInt8[Tensor, "3 h w"]], wanted: Wanted
) -> Iterator[tuple[tuple[str, int], int, Exhibit]]:
    """Runs the network once on every picture that is wanted, in the order of their numbers.

    Args:
        counter: network, layers, thresholds and how to upsample.
        read: number of a picture -> RGB bytes as the network is fed.
        wanted: (layer name, unit) -> numbers of pictures.

    Yields:
        (layer name, unit), number of the picture, and the exhibit at the picture's size.

    Source: Bau et al. 2017, code (report.py, activation_visualization).
    """
    layers = {layer.name: layer for layer in counter.layers}
    users: dict[int, list[tuple[str, int]]] = {}
    for key, numbers in wanted.items():
        for number in numbers:
            users.setdefault(number, []).append(key)
    for number in sorted(users):
        image = read(number)
        asked = [layers[name] for name in sorted({name for name, _ in users[number]})]
        found = answers(counter.network, image[None].float() / 255, asked)
        pixels, size = image.permute(1, 2, 0).numpy(), (image.shape[1], image.shape[2])
        for name, unit in users[number]:
            mask = _mask(counter, layers[name], found[name][0, unit], unit, size)
            yield (name, unit), number, Exhibit(pixels, mask)


def _mask(counter: Counter, layer: Layer, map_: Tensor, unit: int, size: tuple[int, int]) -> Bool[ndarray, "h w"]:
    values = dense(map_, counter.grid(layer, size, size))
    return np.asarray(values > torch.from_numpy(counter.thresholds[layer.name])[unit])
