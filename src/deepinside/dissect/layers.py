"""Which layers of a network are dissected, and the sizes of their maps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch

from deepinside.network import Network
from deepinside.probe import ReceptiveField, activations, receptive_fields


class Layer(NamedTuple):
    """A layer with its number of units, its receptive field and the sides of its maps by size of the picture."""

    name: str
    units: int
    field: ReceptiveField
    maps: Mapping[tuple[int, int], tuple[int, int]]


def survey_layers(network: Network, names: Sequence[str], sizes: Iterable[tuple[int, int]]) -> tuple[Layer, ...]:
    """Finds out about layers by running the network on blank pictures.

    Args:
        network: any.
        names: dotted names of layers.
        sizes: (h, w) of the pictures to come; at least one.

    Returns:
        The layers, in the order of the names.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a layer does not answer (n, u, h, w), or a picture is too small for it.
    """
    for name in names:
        network.layer(name)
    maps = {size: _maps(network, names, size) for size in sorted(set(sizes))}
    first = next(iter(maps))
    fields = receptive_fields(network, names, first)
    return tuple(
        Layer(name, maps[first][name][0], fields[name], {size: shapes[name][1:] for size, shapes in maps.items()})
        for name in names
    )


def _maps(network: Network, names: Sequence[str], size: tuple[int, int]) -> dict[str, tuple[int, int, int]]:
    blank = torch.zeros(1, 3, *size, device=network.device)
    try:
        answers = activations(network, blank, names)
    except RuntimeError as error:
        raise ValueError(
            f"{network.name} cannot take pictures of {size[0]}x{size[1]} up to {names}: {error}; set dissect.input"
        ) from error
    for name, answer in answers.items():
        if answer.ndim != 4:
            raise ValueError(f"layer {name!r} answers {tuple(answer.shape)}, but a unit's map needs (n, u, h, w)")
    return {name: (answer.shape[1], answer.shape[2], answer.shape[3]) for name, answer in answers.items()}
