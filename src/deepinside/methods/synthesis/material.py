"""Inputs of gradient ascent: the canvas to start from, and the arguments of priors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepinside.methods.synthesis.canvas import (
    CANVASES,
    Canvas,
    Generators,
    centred,
    fourier,
    mean_magnitude,
    phase,
    pixels,
)
from deepinside.methods.synthesis.photographs import bank, mean_pictures
from deepinside.methods.synthesis.target import Frame, Target
from deepinside.network import Network
from deepinside.spelling import closest
from deepinside.study import Pictures


class Plan(NamedTuple):
    """Settings of activation maximisation, apart from the network and the objective."""

    octaves: tuple[Mapping[str, Any], ...]
    start: Mapping[str, Any]
    canvas: Mapping[str, Any]
    margin: int
    weight: float
    relative: bool
    patches: Mapping[str, Any]
    pictures: Pictures | None
    inverters: Mapping[str, Any]


def needed(pictures: Pictures | None, what: str) -> Pictures:
    """Checks that there are photographs.

    Args:
        pictures: or None.
        what: name of what needs them.

    Returns:
        The images.

    Raises:
        ValueError: if there are none.
    """
    if pictures is None or not len(pictures):
        raise ValueError(f"expected photographs for {what}, got none: pass `pictures`, or choose another preset")
    return pictures


def prepared(
    network: Network, goal: Target, shape: Frame, plan: Plan, generators: Generators
) -> tuple[Canvas, dict[str, Any]]:
    """The canvas and the arguments of the priors.

    Args:
        network: to visualise.
        goal: the objective.
        shape: size of its images.
        plan: settings.
        generators: a random generator per image.

    Returns:
        The canvas; name -> value for `Priors`.

    Raises:
        ValueError: if there is no such canvas, or a start needs photographs or a class.
    """
    colour = network.preprocessing.colour.to(network.device)
    available: dict[str, Any] = {"side": shape.side, "colour": colour}
    if any(octave["priors"].get("patches") for octave in plan.octaves):
        available["bank"] = bank(needed(plan.pictures, "the prior `patches`"), colour, **plan.patches).to(
            network.device
        )
    side = (shape.side[0] + plan.margin, shape.side[1] + plan.margin)
    kind = plan.canvas["kind"]
    if kind == "generator":
        canvas, bounds, reconstructed = _generated(plan, shape, colour, generators)
        return canvas, {**available, "bounds": bounds, "reconstructed": reconstructed}
    if kind == "fourier":
        shape_of = {key: plan.canvas[key] for key in ("decay", "chroma")}
        return fourier(generators, side, colour, **shape_of, sigma=plan.start["sigma"]), available
    if kind == "phase":
        photographs = _photographs(needed(plan.pictures, "the canvas `phase`"), plan.canvas["photographs"], side)
        return phase(generators, side, colour, mean_magnitude(photographs.to(colour), colour)), available
    if kind != "pixels":
        raise ValueError(f"no canvas {kind!r}; {closest(kind, CANVASES)}")
    if plan.start["kind"] in {"mean", "facet"}:
        return Canvas(_means(network, goal, shape, plan, colour), lambda grey: grey), available
    start = pixels(generators, side, colour, start=plan.start["kind"], sigma=plan.start["sigma"])
    return Canvas(start, lambda grey: grey), available


def _photographs(pictures: Pictures, count: int, side: tuple[int, int]) -> Tensor:
    # Evenly spaced over the data set, so that all classes are among them.
    chosen = sorted({len(pictures) * i // count for i in range(count)})
    _, batch = pictures.batch(chosen)
    if batch is None:
        raise ValueError(f"expected photographs that can be read, got none of {len(chosen)}")
    return torch.nn.functional.interpolate(batch.images, side, mode="bilinear", antialias=True)


def _means(network: Network, goal: Target, shape: Frame, plan: Plan, colour: Tensor) -> Tensor:
    if goal.layer is not None:
        raise ValueError(
            f"the start `{plan.start['kind']}` is a mean of a class's images; units of a layer have none: use zero"
        )
    labels = goal.weights.argmax(dim=1).tolist()
    pictures = needed(plan.pictures, f"the start `{plan.start['kind']}`")
    images = mean_pictures(network, pictures, labels, start=plan.start).to(colour)
    grey = 255 * (images - colour.view(1, 3, 1, 1))
    side = (shape.side[0] + plan.margin, shape.side[1] + plan.margin)
    return grey if grey.shape[2:] == side else torch.nn.functional.interpolate(grey, side, mode="bilinear")


def _generated(
    plan: Plan, shape: Frame, colour: Tensor, generators: Generators
) -> tuple[Canvas, tuple[Tensor, Tensor], Callable[[Tensor], Tensor]]:
    name, mean = plan.canvas["code"], colour.view(1, 3, 1, 1)
    if name not in plan.inverters:
        raise ValueError(
            f"expected a generator from {name!r}, there are {list(plan.inverters)}: train one with "
            f"'invert.codes=[{name}]', and add `needs: [invert]` to the method's yaml"
        )
    inverter, high = plan.inverters[name], plan.canvas["high"]
    code = inverter.code(mean.expand(1, 3, *[inverter.network.preprocessing.input] * 2))
    statistics = [values.view(-1, *[1] * (code.ndim - 2)).expand(code.shape[1:]) for values in inverter.statistics]
    highest = statistics[0] + 3 * statistics[1] if high == "3 std" else torch.full_like(statistics[0], high)

    def paint(variable: Tensor) -> Tensor:
        return centred(255 * (inverter.picture(variable) - mean), shape.side)

    def reconstructed(variable: Tensor) -> Tensor:
        return inverter.code(inverter.picture(variable).clamp(0, 1)).detach()

    start = Canvas(plan.start["sigma"] * generators.normal(*code.shape[1:]), paint)
    return start, (torch.zeros_like(highest), highest), reconstructed
