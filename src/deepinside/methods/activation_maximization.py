"""Activation maximisation: images that maximise a class score, a unit, a channel or a direction of a layer."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.synthesis.ascent import Ascent, ascend
from deepinside.methods.synthesis.canvas import Canvas, Generators, centred, enlarged
from deepinside.methods.synthesis.material import Plan, needed, prepared
from deepinside.methods.synthesis.photographs import largest
from deepinside.methods.synthesis.priors import Priors
from deepinside.methods.synthesis.target import Frame, Target, Unit, frame, objective_of, target, unit_activations
from deepinside.network import Network
from deepinside.records import Batch, Images
from deepinside.spelling import closest
from deepinside.study import Pictures

Settings = Mapping[str, Any]


def activation_maximization(
    network: Network,
    batch: Batch,
    *,
    layer: str | None,
    units: Sequence[Unit] | None,
    place: str,
    objective: str,
    weight: float,
    relative: bool,
    start: Settings,
    canvas: Settings,
    margin: int,
    steps: int,
    step: Settings,
    priors: Mapping[str, Settings | None],
    octaves: Sequence[Settings] | None,
    patches: Settings,
    batch_size: int,
    pictures: Pictures | None = None,
    inverters: Mapping[str, Any] = MappingProxyType({}),
    seed: int = 0,
) -> Images:
    """The argmax over images of an activation or score of the network, minus the penalties of the priors.

    Each image has its own random generator, seeded by `seed` and its unit, and its own step length: it does not depend
    on the rest of the batch. A unit of a layer is maximised on its receptive field, by a network that ends at the
    layer.

    Args:
        network: to visualise.
        batch: its labels are the classes if there are no `units`; its images are ignored.
        layer: dotted name; None: the class scores.
        units: numbers, or mappings unit -> weight for a direction; None, without a layer: the classes of the batch.
        place: `centre`: the unit in the centre of the map; `everywhere`: the mean over the map.
        objective: `score` before softmax, `log_odds`, `log_probability` or `probability`.
        weight: of the objective against the penalties.
        relative: whether the objective is divided by its largest value over the images first.
        start: `kind` and `sigma`, see `synthesis.canvas.pixels`; `mean`, of the images of the class; or `facet` with
            `facets`, `which`, `nearest`, see `synthesis.photographs.facet`.
        canvas: `kind`: `pixels`; `fourier` with `decay` and `chroma`; `phase` with the number of `photographs` whose
            mean magnitude of the spectrum it keeps; or `generator` with the `code` that is its input (of
            `inverters`) and the code's upper limit `high`, a number or `3 std`.
        margin: pixels by which the canvas is larger than the network's input; see the prior `crop`.
        steps: of gradient ascent.
        step: `policy` and its settings; see `synthesis.steps`.
        priors: name -> settings; see `synthesis.priors`.
        octaves: applied in turn, each changes the settings that it names: `steps`, `step`, `objective`, `priors`, and
            `scale`, the factor by which the canvas grows before it; None: one octave as above.
        patches: `side` and `count` of the patches of photographs for the prior `patches`.
        batch_size: images that are made at once.
        pictures: photographs, for starts, patches and relative objectives.
        inverters: generators by the code that is their input.
        seed: of all random numbers.

    Returns:
        One image per unit. Traces of score, probability, rank and norm (root mean square in grey levels), (steps, n).
        Measured: unit, score, rank among the layer's units, state (`ok`; `dead`: zero gradient in the last 20 steps;
        `stopped at <step>`: NaN, the image is the last valid one).

    Raises:
        KeyError: if a layer, a prior or a policy is misspelt.
        ValueError: if a layer comes without units, a unit or an objective does not exist, a number is out of range, or
            all units are dead.

    Source: Simonyan et al. 2013, sec. 2; Erhan et al. 2009; the survey's family of regularisers. Presets state their
    own.
    """
    check_units(layer, units)
    if units is None and batch.labels is None:
        raise ValueError("expected labels (the classes to draw) or units, got neither")
    for key, value, least in (("margin", margin, 0), ("steps", steps, 1), ("batch_size", batch_size, 1)):
        if value < least:
            raise ValueError(f"expected {key} of at least {least}, got {value}")
    wanted: list[Unit] = list(units) if units is not None else batch.labels.tolist()  # type: ignore[union-attr]
    shape = frame(network, layer, place)
    base = {"steps": steps, "step": step, "objective": objective, "priors": priors, "scale": 1.0}
    octaves = [_merged(base, own) for own in octaves or [{}]]
    plan = Plan(tuple(octaves), start, canvas, margin, weight, relative, patches, pictures, inverters)
    made = []
    for first in range(0, len(wanted), batch_size):
        part = wanted[first : first + batch_size]
        goal = target(network, layer, part, place=place, objective=objective)
        made.append(_made(network, goal, shape, plan, [_seed(seed, unit) for unit in part]))
    return _images(network, layer, wanted, made)


def check_units(layer: str | None, units: Sequence[Unit] | None) -> None:
    """Checks that the units of a layer are named: the classes of the images shown are no units of it.

    Args:
        layer: dotted name; None: the class scores.
        units: of the layer.

    Raises:
        ValueError: if there is a layer, but no units.
    """
    if layer is not None and units is None:
        raise ValueError(
            f"expected units of {layer!r}, got none: units=[3, 17] for two of its units, units=[{{3: 1.0, 17: -1.0}}] "
            "for a direction"
        )


def _seed(seed: int, unit: Unit) -> int:
    key = unit if isinstance(unit, int) else sum((int(n) + 1) * 7919 for n in unit)
    return (seed * 1_000_003 + key) % 2**63


def _merged(base: Settings, own: Settings) -> Settings:
    unknown = own.keys() - base.keys()
    if unknown:
        raise ValueError(f"unknown settings of an octave: {sorted(unknown)}; {closest(min(unknown), base)}")
    return {**base, **own, "priors": {**base["priors"], **own.get("priors", {})}}


def _made(
    network: Network, goal: Target, shape: Frame, plan: Plan, seeds: list[int]
) -> tuple[Ascent, Float[Tensor, "n 3 h w"], Float[Tensor, " n"], Tensor]:
    generators = Generators(seeds, network.device)
    colour = network.preprocessing.colour.to(network.device)
    place = None if goal.place == "everywhere" else shape.position
    canvas, available = prepared(network, goal, shape, plan, generators)
    weights = torch.full((len(seeds),), plan.weight, device=network.device)
    if plan.relative:
        pictures = needed(plan.pictures, "a relative objective")
        weights = weights / largest(network, pictures, goal, side=shape.side, position=place)
    ascents: list[Ascent] = []
    for octave in plan.octaves:
        if ascents:
            canvas = _next(canvas, ascents[-1], octave["scale"], shape)
        objective = objective_of(network, goal._replace(objective=octave["objective"]), shape, weights)
        priors = Priors(octave["priors"], available)
        ascents.append(ascend(objective, canvas, generators, priors, steps=octave["steps"], step=octave["step"]))
    with torch.no_grad():
        grey = centred(canvas.paint(ascents[-1].variable), shape.side)
        images = (colour.view(1, 3, 1, 1) + grey / 255).clamp(0, 1)
        activations = unit_activations(network, images, goal.layer, place)
    whole = {name: torch.cat([octave.traces[name] for octave in ascents]) for name in ascents[0].traces}
    own = (activations * goal.weights).sum(dim=1)
    top, left, height, width = shape.seen
    shown = images[..., top : top + height, left : left + width]
    return ascents[-1]._replace(traces=whole), shown.cpu(), own.cpu(), (activations > own[:, None]).sum(dim=1).cpu() + 1


def _next(canvas: Canvas, before: Ascent, scale: float, shape: Frame) -> Canvas:
    if scale == 1:
        return canvas._replace(start=before.variable)
    with torch.no_grad():
        grey = canvas.paint(before.variable)
    side = [max(round(length * scale), least) for length, least in zip(grey.shape[2:], shape.side, strict=True)]
    return Canvas(enlarged(grey, (side[0], side[1])), lambda grey: grey)


def _images(
    network: Network,
    layer: str | None,
    units: Sequence[Unit],
    made: Sequence[tuple[Ascent, Tensor, Tensor, Tensor]],
) -> Images:
    if not made:
        side = network.preprocessing.input
        return Images(torch.zeros(0, 3, side, side), (), {}, {})
    ascents = [ascent for ascent, *_ in made]
    states = [state for ascent in ascents for state in _states(ascent)]
    if all(state == "dead" for state in states):
        raise ValueError(
            f"no activation of {network.name} at {layer or 'its scores'}, units {list(units)}, depends on the "
            "image: are they dead? Name other units, the layer before its ReLU, or look for zeros in the weights"
        )
    traces = {name: torch.cat([ascent.traces[name] for ascent in ascents], dim=1) for name in ascents[0].traces}
    values, scores, ranks = (torch.cat(parts) for parts in list(zip(*made, strict=True))[1:])
    named = [_title(network, layer, unit) for unit in units]
    whole = all(isinstance(unit, int) for unit in units)
    columns: dict[str, Sequence[Any]] = {
        ("class" if layer is None else "unit"): [u if isinstance(u, int) else str(dict(u)) for u in units],
        "score": scores.tolist(),
        "rank": ranks.tolist() if whole else [None] * len(units),
        "state": states,
    }
    return Images(values, tuple(named), traces, columns)


def _states(ascent: Ascent) -> list[str]:
    pairs = zip(ascent.stopped.tolist(), ascent.silent.tolist(), strict=True)
    return [f"stopped at {step}" if step >= 0 else "dead" if silent else "ok" for step, silent in pairs]


def _title(network: Network, layer: str | None, unit: Unit) -> str:
    if not isinstance(unit, int):
        return f"{layer or 'classes'}: " + " ".join(f"{weight:+g}·{number}" for number, weight in unit.items())
    return network.classes[unit] if layer is None else f"{layer}, unit {unit}"
