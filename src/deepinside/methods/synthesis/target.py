"""Objectives: a class, a unit, a whole channel, or a direction of a layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.synthesis.ascent import Seen
from deepinside.methods.synthesis.canvas import centred
from deepinside.network import Network
from deepinside.probe.activations import activations, entering, reached
from deepinside.probe.layers import RECTIFIERS
from deepinside.probe.receptive_field import receptive_fields
from deepinside.spelling import closest

OBJECTIVES = ("score", "log_odds", "log_probability", "probability")
PLACES = ("centre", "everywhere")
Unit = int | Mapping[int, float]


class Frame(NamedTuple):
    """The smallest image that contains the receptive field of a unit, and the unit's position in the map.

    Attributes:
        side: (h, w) of the image in pixels.
        position: (y, x) in the layer's map; None if the layer has no map.
        seen: (top, left, h, w) of the unit's receptive field.
    """

    side: tuple[int, int]
    position: tuple[int, int] | None
    seen: tuple[int, int, int, int]


class Target(NamedTuple):
    """An objective.

    Attributes:
        layer: dotted name; None: the class scores.
        weights: of the layer's units, one row per image, (n, u): one 1 for a unit, several numbers for a direction.
        place: `centre`: the unit in the centre of the map; `everywhere`: the mean over the map (a channel).
        objective: `score`: the activation itself; `log_probability` and `probability`: after softmax over the layer;
            `log_odds`: log p/(1 - p), the score over all others, which does not saturate as p approaches 1.
    """

    layer: str | None
    weights: Float[Tensor, "n u"]
    place: str
    objective: str


def frame(network: Network, layer: str | None, place: str) -> Frame:
    """The size of image that a target needs.

    Args:
        network: to visualise.
        layer: dotted name; None: the class scores.
        place: `centre` or `everywhere`.

    Returns:
        The receptive field of one unit, if it is smaller than the network's input and the network takes images of that
        size, as one with position embeddings does not; otherwise the whole input.

    Raises:
        KeyError: if there is no such layer.
        ValueError: for an unknown place.
    """
    if place not in PLACES:
        raise ValueError(f"no place {place!r}; {closest(place, PLACES)}")
    side = network.preprocessing.input
    whole = (0, 0, side, side)
    activation = None if layer is None else activations(network, _blank(network, (side, side)), [layer])[layer]
    if activation is None or activation.ndim != 4:
        return Frame((side, side), None, whole)
    middle = (activation.shape[2] // 2, activation.shape[3] // 2)
    field = receptive_fields(network, [str(layer)], (side, side))[str(layer)]
    if place == "everywhere" or max(field.size) >= side:
        return Frame((side, side), middle, whole)
    first = [
        -(offset // stride) if offset < 0 else 0 for offset, stride in zip(field.offset, field.stride, strict=True)
    ]
    starts = [o + i * s for o, i, s in zip(field.offset, first, field.stride, strict=True)]
    sides = [start + size for start, size in zip(starts, field.size, strict=True)]
    if max(sides) >= side or not _accepted(network, str(layer), (sides[0], sides[1])):
        return Frame((side, side), middle, whole)
    return Frame((sides[0], sides[1]), (first[0], first[1]), (starts[0], starts[1], *field.size))


def _accepted(network: Network, layer: str, size: tuple[int, int]) -> bool:
    try:
        activations(network, _blank(network, size), [layer])
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True


def unit_activations(
    network: Network, images: Float[Tensor, "n 3 h w"], layer: str | None, position: tuple[int, int] | None
) -> Float[Tensor, "n u"]:
    """The activations of all units of a layer, by a forward pass that ends there.

    For a rectifier its input: equal where a unit is active, and with a gradient where it is not.

    Args:
        network: to visualise.
        images: RGB in [0, 1].
        layer: dotted name; None: the class scores.
        position: (y, x) in the map; None: the mean over the map.

    Returns:
        (n, u), attached to the graph.

    Raises:
        ValueError: if the position is outside the map.
    """
    if layer is None:
        return network(images)
    if isinstance(network.layer(layer), RECTIFIERS):
        activation = entering(network, images, layer)
    else:
        activation = reached(network, images, [layer])[layer]
    if activation.ndim == 2:
        return activation
    if position is None:
        return activation.mean(dim=(2, 3))
    if not all(0 <= p < length for p, length in zip(position, activation.shape[2:], strict=True)):
        raise ValueError(f"position {position} is outside the map of {layer}, which is {tuple(activation.shape[2:])}")
    return activation[:, :, position[0], position[1]]


def target(
    network: Network, layer: str | None, units: Sequence[Unit], *, place: str = "centre", objective: str = "score"
) -> Target:
    """Checks the units and returns the objective.

    Args:
        network: to visualise.
        layer: dotted name; None: the class scores.
        units: numbers, or mappings unit -> weight for directions.
        place: `centre` or `everywhere`.
        objective: `score`, `log_odds`, `log_probability` or `probability`.

    Returns:
        The target.

    Raises:
        KeyError: if there is no such layer.
        ValueError: if there is no such unit or objective.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"expected an objective of {OBJECTIVES}, got {objective!r}")
    side = frame(network, layer, place)
    with torch.no_grad():
        count = unit_activations(network, _blank(network, side.side), layer, None).shape[1]
    weights = torch.zeros(len(units), count, device=network.device)
    for row, unit in enumerate(units):
        for number, weight in (unit if isinstance(unit, Mapping) else {unit: 1.0}).items():
            if not 0 <= int(number) < count:
                what = "class" if layer is None else f"unit of {layer}"
                raise ValueError(f"there is no {what} {number}: {network.name} has 0..{count - 1}")
            weights[row, int(number)] = float(weight)
    return Target(layer, weights, place, objective)


def objective_of(
    network: Network, goal: Target, shape: Frame, weights: Float[Tensor, " n"]
) -> Callable[[Float[Tensor, "n 3 h w"]], Seen]:
    """The objective as a function of the images.

    Args:
        network: to visualise.
        goal: the target, one row per image.
        shape: size of the image, and position in the map; the centre of a larger canvas is used.
        weights: factor of each image's value.

    Returns:
        Images in grey levels, mean colour subtracted -> value, with `score`, `probability` and `rank` traced.
    """
    colour = network.preprocessing.colour.view(1, 3, 1, 1).to(network.device)
    place = None if goal.place == "everywhere" else shape.position

    def objective(grey: Float[Tensor, "n 3 h w"]) -> Seen:
        activations = unit_activations(network, colour + centred(grey, shape.side) / 255, goal.layer, place)
        score = (activations * goal.weights).sum(dim=1)
        logarithm = (activations.log_softmax(dim=1) * goal.weights).sum(dim=1)
        values = {"score": score, "log_probability": logarithm, "probability": logarithm.exp()}
        if goal.objective == "log_odds":
            values["log_odds"] = score - activations.masked_fill(goal.weights != 0, -torch.inf).logsumexp(dim=1)
        rank = 1.0 + (activations > score[:, None]).sum(dim=1)
        traced = {"score": score, "probability": values["probability"], "rank": rank}
        return Seen(weights * values[goal.objective], traced)

    return objective


def _blank(network: Network, side: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    return network.preprocessing.colour.view(1, 3, 1, 1).expand(1, 3, *side).to(network.device)
