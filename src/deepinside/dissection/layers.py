"""Which layers of a network are dissected, and the sizes of their maps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import schur
from torch import Tensor

from deepinside.network import Network
from deepinside.probe import ReceptiveField, activations, receptive_fields
from deepinside.runtime.memory import short


def rotation(units: int, power: float, seed: int) -> Float[Tensor, "u u"]:
    """Q^a with Q uniform on SO(u): Q = Z diag(exp(i t)) Z*, Q^a = Z diag(exp(i a t)) Z*, t in (-pi, pi].

    Q is the orthogonal factor of a Gaussian matrix whose triangular factor has a positive diagonal, one row negated
    where its determinant is -1. A normal matrix has a diagonal complex Schur form, and its eigenvalues come in
    conjugate pairs, so that Q^a is real and orthogonal.

    Args:
        units: u, at least 1.
        power: a; 0 gives the identity, 1 gives Q.
        seed: of Q.

    Returns:
        (u, u), float64.

    Source: Bau et al. 2017, sec. 3.2 and fig. 4.
    """
    full, triangle = np.linalg.qr(np.random.default_rng(seed).standard_normal((units, units)))
    full = full * np.sign(np.diag(triangle))
    if np.linalg.det(full) < 0:
        full[0] *= -1
    return torch.from_numpy(_power(full, power))


def _power(matrix: Float[ndarray, "u u"], power: float) -> Float[ndarray, "u u"]:
    triangle, basis = schur(matrix, output="complex")
    angles = np.angle(np.diag(triangle))
    return np.ascontiguousarray(((basis * np.exp(1j * power * angles)) @ basis.conj().T).real)


def turned(maps: Float[Tensor, "n u h w"], turn: Float[Tensor, "u u"]) -> Float[Tensor, "n u h w"]:
    """Q f(x) at every position.

    Args:
        maps: f(x), (n, u, h, w).
        turn: Q, (u, u).

    Returns:
        (n, u, h, w), of the maps' type.
    """
    return torch.einsum("vu,nuhw->nvhw", turn.to(maps.device, maps.dtype), maps).contiguous()


def logits_moved(
    network: Network, layer: str, turn: Float[Tensor, "u u"], images: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, " n"]:
    """The change of the scores when a layer's maps are multiplied by Q and the rest of the network inverts it.

    Q^T is applied before the next layer, and not folded into its weights, because that may be a maximum pool; for a
    convolution the two are equal.

    Args:
        network: with the layer.
        layer: dotted name.
        turn: Q, (u, u).
        images: RGB in [0, 1], (n, 3, h, w).

    Returns:
        The largest change of an image's scores, in standard deviations of them, (n,).

    Source: Bau et al. 2017, sec. 3.2 ("does not change the discriminative power").
    """

    def there_and_back(_module: object, _inputs: object, maps: Float[Tensor, "n u h w"]) -> Float[Tensor, "n u h w"]:
        return turned(turned(maps, turn), turn.T)

    plain = network.scores(images)
    handle = network.layer(layer).register_forward_hook(there_and_back)
    try:
        moved = network.scores(images)
    finally:
        handle.remove()
    return ((moved - plain).abs().amax(dim=1) / plain.std(dim=1)).cpu()


class Layer(NamedTuple):
    """A layer with its number of units, its receptive field and the sides of its maps by size of the image.

    With a `turn` the units are directions: rows of an orthogonal matrix (u, u) that its maps are multiplied by.
    """

    name: str
    units: int
    field: ReceptiveField
    maps: Mapping[tuple[int, int], tuple[int, int]]
    turn: Float[Tensor, "u u"] | None = None

    def rotated(self, power: float, seed: int) -> "Layer":
        """The same layer in a rotated basis.

        Args:
            power: of the rotation, from 0 (none) to 1 (all of it).
            seed: of the rotation; layers with as many units share it.

        Returns:
            The layer; unchanged if the power is 0.
        """
        return self if power == 0 else self._replace(turn=rotation(self.units, power, seed))


def layer_maps(
    network: Network, images: Float[Tensor, "n 3 h w"], layers: Sequence[Layer]
) -> dict[str, Float[Tensor, "n u y x"]]:
    """The maps of the layers, each in its basis.

    Args:
        network: with the layers.
        images: RGB in [0, 1], (n, 3, h, w), on any device.
        layers: with their rotations.

    Returns:
        Layer name -> maps, on the network's device.
    """
    found = activations(network, images.to(network.device), [layer.name for layer in layers])
    return {x.name: found[x.name] if x.turn is None else turned(found[x.name], x.turn) for x in layers}


def survey_layers(network: Network, names: Sequence[str], sizes: Iterable[tuple[int, int]]) -> tuple[Layer, ...]:
    """Inspects layers by running the network on blank images.

    Args:
        network: to analyse.
        names: dotted names of layers.
        sizes: (h, w) of the images; at least one.

    Returns:
        The layers, in the order of the names.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if the activations of a layer are not (n, u, h, w), or an image is too small for it.
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
            f"{network.name} cannot process images of {size[0]}x{size[1]} up to {names}: {error}; set dissect.input"
        ) from error
    for name, maps in found.items():
        if maps.ndim != 4:
            raise ValueError(f"layer {name!r} has activations of shape {tuple(maps.shape)}, expected maps (n, u, h, w)")
    return {name: (maps.shape[1], maps.shape[2], maps.shape[3]) for name, maps in found.items()}
