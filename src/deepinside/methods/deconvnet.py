"""Projections of single activations back to the pixels (Zeiler & Fergus 2014, sec. 2.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.network import Network
from deepinside.probe import check_ruled, contrast_rule, relu_rule
from deepinside.probe.activations import reached
from deepinside.runtime.memory import halved
from deepinside.spelling import closest


class Projection(NamedTuple):
    """Activations and their projections to the pixels.

    Attributes:
        pixels: reconstruction, signed, (n, 3, h, w); zero outside the unit's receptive field.
        values: the activations, (n,).
        positions: in the map, (n, 2), y and x.
    """

    pixels: Float[Tensor, "n 3 h w"]
    values: Float[Tensor, " n"]
    positions: Int[Tensor, "n 2"]


def project(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    *,
    layer: str,
    units: Int[Tensor, " n"] | Sequence[int],
    positions: Int[Tensor, "n 2"] | None = None,
    rule: str = "deconvnet",
    contrast: str = "identity",
) -> Projection:
    """R = the activation a of one unit at one position, all others zero, projected back to the pixels of its image.

    Pooled values are passed back through the image's own switches, and add up where windows share a maximum. The
    forward pass ends at the layer; images of a batch do not influence one another.

    Args:
        network: to visualise.
        images: RGB in [0, 1], (n, 3, h, w).
        layer: dotted name; its activations are (n, u, y, x) or (n, u).
        units: one per image.
        positions: y and x in the unit's map, one pair per image; None: of its maximum.
        rule: of the ReLUs in the backward pass: `deconvnet`, `guided` or `gradient`.
        contrast: of local response normalisation: `identity` or `gradient` (see `probe.contrast_rule`).

    Returns:
        Projections, on the network's device.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a unit or a position is outside the layer.
        UndefinedRule: if a nonlinearity has no such rule.

    Source: Zeiler & Fergus 2014, sec. 2.1 and 4.
    """
    network.layer(layer)
    if len(units) != len(images):
        raise ValueError(f"expected one unit per image, {len(images)}, got {len(units)}")

    def back(part: slice) -> Projection:
        places = None if positions is None else positions[part]
        return _projected(network, images[part], layer, units[part], places, rule, contrast)

    return Projection(*map(torch.cat, zip(*halved(back, len(images), "projections"), strict=True)))


def _projected(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    layer: str,
    units: Int[Tensor, " n"] | Sequence[int],
    positions: Int[Tensor, "n 2"] | None,
    rule: str,
    contrast: str,
) -> Projection:
    images = images.to(network.device).detach().clone().requires_grad_()
    with torch.enable_grad(), relu_rule(rule), contrast_rule(contrast):
        activation = reached(network, images, (layer,))[layer]
        check_ruled(activation, rule)  # the pass ends at the layer, before the rule's own check
        maps = unit_maps(activation)
        chosen = _units(maps, units, layer)
        own = maps[torch.arange(len(maps), device=maps.device), chosen]
        places = strongest(own) if positions is None else check_positions(own, positions, layer)
        values = own[torch.arange(len(own), device=own.device), places[:, 0], places[:, 1]]
        (pixels,) = torch.autograd.grad(values, images, values.detach())
    return Projection(pixels, values.detach(), places)


def unit_maps(activation: Tensor) -> Float[Tensor, "n u y x"]:
    """The activations of a layer as one map per unit.

    Args:
        activation: (n, u, y, x), or (n, u) of a layer without positions.

    Returns:
        (n, u, y, x); maps of one position if the layer has none.
    """
    return activation if activation.ndim == 4 else activation.flatten(1)[..., None, None]


def strongest(maps: Float[Tensor, "n y x"]) -> Int[Tensor, "n 2"]:
    """Where maps are largest.

    Args:
        maps: (n, y, x).

    Returns:
        y and x of each, (n, 2); the first of equals.
    """
    flat = maps.detach().flatten(1).argmax(dim=1)
    return torch.stack([flat // maps.shape[2], flat % maps.shape[2]], dim=1)


def _units(maps: Tensor, units: Int[Tensor, " n"] | Sequence[int], layer: str) -> Int[Tensor, " n"]:
    chosen = torch.as_tensor(units, device=maps.device)
    check_units(chosen.tolist(), maps.shape[1], layer)
    return chosen


def check_units(units: Sequence[int], count: int, layer: str) -> None:
    """Checks that a layer has these units.

    Args:
        units: their numbers, from 0.
        count: number of units of the layer.
        layer: its name.

    Raises:
        ValueError: if one of them is outside, with the closest.
    """
    outside = [unit for unit in units if not 0 <= unit < count]
    if outside:
        near = closest(str(outside[0]), map(str, range(count)))
        raise ValueError(f"layer {layer!r} has the units 0..{count - 1}, not {outside[0]}; {near}")


def check_positions(own: Float[Tensor, "n y x"], positions: Int[Tensor, "n 2"], layer: str) -> Int[Tensor, "n 2"]:
    """Checks that maps have these positions.

    Args:
        own: the maps, (n, y, x).
        positions: y and x, one pair per map, (n, 2).
        layer: its name.

    Returns:
        The positions, on the device of the maps.

    Raises:
        ValueError: if one is outside, with the range.
    """
    places = torch.as_tensor(positions, device=own.device)
    height, width = own.shape[1:]
    inside = (places >= 0).all() and (places < places.new_tensor([height, width])).all()
    if places.shape != (len(own), 2) or not inside:
        raise ValueError(
            f"layer {layer!r} has maps of {height}x{width}: expected positions (y, x) in 0..{height - 1}, "
            f"0..{width - 1}, one per image, got {places.tolist()}"
        )
    return places
