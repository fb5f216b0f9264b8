"""Which layers of a network are dissected, and the sizes of their maps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.dissection.rotate import rotation, turned
from deepinside.memory import short
from deepinside.network import Network
from deepinside.probe import ReceptiveField, activations, receptive_fields


class Layer(NamedTuple):
    """A layer with its number of units, its receptive field and the sides of its maps by size of the picture.

    With a `turn` the units are directions: rows of an orthogonal matrix (u, u) that its maps are multiplied by.
    """

    name: str
    units: int
    field: ReceptiveField
    maps: Mapping[tuple[int, int], tuple[int, int]]
    turn: Float[Tensor, "u u"] | None = None

    def rotated(self, power: float, seed: int) -> "Layer":
        """The same layer seen in a rotated basis.

        Args:
            power: of the rotation, from 0 (none) to 1 (all of it).
            seed: of the rotation; layers with as many units share it.

        Returns:
            The layer; as it is where the power is 0.
        """
        return self if power == 0 else self._replace(turn=rotation(self.units, power, seed))


def answers(
    network: Network, images: Float[Tensor, "n 3 h w"], layers: Sequence[Layer]
) -> dict[str, Float[Tensor, "n u y x"]]:
    """The maps of the layers, in the basis that each is looked at in.

    Args:
        network: whose layers.
        images: RGB in [0, 1], (n, 3, h, w), on any device.
        layers: which, and how turned.

    Returns:
        Layer name -> maps, on the network's device.
    """
    found = activations(network, images.to(network.device), [layer.name for layer in layers])
    return {x.name: found[x.name] if x.turn is None else turned(found[x.name], x.turn) for x in layers}


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
        found = activations(network, blank, names)
    except RuntimeError as error:
        if short(error):
            raise
        raise ValueError(
            f"{network.name} cannot take pictures of {size[0]}x{size[1]} up to {names}: {error}; set dissect.input"
        ) from error
    for name, answer in found.items():
        if answer.ndim != 4:
            raise ValueError(f"layer {name!r} answers {tuple(answer.shape)}, but a unit's map needs (n, u, h, w)")
    return {name: (answer.shape[1], answer.shape[2], answer.shape[3]) for name, answer in found.items()}
