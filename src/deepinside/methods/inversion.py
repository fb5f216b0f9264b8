"""Inversion: images whose features match those of a given image (Mahendran & Vedaldi 2015, 2016)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.methods.synthesis.ascent import Seen, ascend
from deepinside.methods.synthesis.canvas import Canvas, Generators, centred, pixels
from deepinside.methods.synthesis.priors import Priors
from deepinside.metrics import detail_kept, image_error, pair_distance
from deepinside.network import Network
from deepinside.probe.codes import check_code, codes
from deepinside.probe.layers import before_scores, convolutional, spread
from deepinside.probe.receptive_field import receptive_fields
from deepinside.records import Row
from deepinside.spelling import closest
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study
from deepinside.views import to_bytes

Settings = Mapping[str, Any]
TRIES, SLOWER = 5, 4  # how often a descent that does not come down is begun again, each time so much more slowly


class Recipe(NamedTuple):
    """Settings of the optimisation of pre-images.

    Attributes:
        start: `kind` and `sigma`, see `synthesis.canvas.pixels`.
        weight: of the feature error against the penalties.
        per_value: whether the weight is times 3·h·w, because the penalties are sums and no means.
        octaves: applied in turn: `steps`, `step`, `priors`.
        margin: pixels by which the canvas is larger than the network's input.
        region: side of the square in the centre of the map that must match, in units; None: all.
        channels: first and past-the-last of the units that must match; None: all.
        batch_size: images per batch.
        seed: of the starts.
    """

    start: Settings
    weight: float
    per_value: bool
    octaves: tuple[Settings, ...]
    margin: int
    region: int | None
    channels: tuple[int, int] | None
    batch_size: int
    seed: int


class PreImages(NamedTuple):
    """Results of the optimisation.

    Attributes:
        pictures: RGB in [0, 1], (repeats, n, 3, h, w).
        floats: the same before they were cut to [0, 1].
        errors: feature error before each step, of all repeats, (steps, repeats·n).
        states: `ok`, `ok, rates / <divisor>` if only a slower descent converged, or `stopped at <step>`; by repeat.
    """

    pictures: Float[Tensor, "r n 3 h w"]
    floats: Float[Tensor, "r n 3 h w"]
    errors: Float[Tensor, "steps m"]
    states: list[list[str]]


def features(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    name: str,
    region: int | None = None,
    channels: tuple[int, int] | None = None,
) -> Float[Tensor, "n f"]:
    """What has to match.

    Args:
        network: to visualise.
        images: RGB in [0, 1].
        name: of a layer, or `probabilities`.
        region: side of the square in the middle of the map; None: all.
        channels: first and beyond the last; None: all.

    Returns:
        (n, f), attached to the graph.

    Raises:
        ValueError: if channels or region do not fit the layer.
    """
    code = codes(network, images, [name])[name]
    if channels is not None:
        if not 0 <= channels[0] < channels[1] <= code.shape[1]:
            raise ValueError(f"expected channels within 0..{code.shape[1]} of {name}, got {channels}")
        code = code[:, channels[0] : channels[1]]
    if region is not None:
        if code.ndim != 4 or region > min(code.shape[2:]):
            raise ValueError(
                f"a region of {region}x{region} does not fit {name}, whose activations are {tuple(code.shape[1:])}"
            )
        code = centred(code, (region, region))
    return code.flatten(1)


def pre_images(
    network: Network, originals: Float[Tensor, "n 3 h w"], name: str, recipe: Recipe, repeats: int = 1
) -> PreImages:
    """Minimises weight · ||Φ(x) - Φ0||² / ||Φ0||² plus penalties, from several starts.

    Args:
        network: to visualise.
        originals: RGB in [0, 1].
        name: of a layer, or `probabilities`.
        recipe: settings.
        repeats: number of starts per image.

    Returns:
        The images, with errors and states.

    Raises:
        ValueError: if all activations of the layer are zero for an image.

    Source: Mahendran & Vedaldi 2015, eq. 1.
    Deviation: their rates are for one network; a descent whose error does not decrease, or becomes NaN, is restarted
        with a quarter of the rates, up to five times.
    """
    jobs = [(repeat, i) for repeat in range(repeats) for i in range(len(originals))]
    made, traces = [], []
    states: list[str] = []
    for first in range(0, len(jobs), recipe.batch_size):
        part = jobs[first : first + recipe.batch_size]
        wanted = originals[[i for _, i in part]].to(network.device)
        found = _descended(network, wanted, name, recipe, part)
        made.append(found.pictures)
        traces.append(found.errors)
        states += map(_state, found.stopped.tolist(), found.slower.tolist())
    count = len(originals)
    by_repeat = [states[i : i + count] for i in range(0, len(states), count)]
    floats = torch.cat(made).unflatten(0, (repeats, count))
    return PreImages(floats.clamp(0, 1), floats, torch.cat(traces, dim=1), by_repeat)


class _Descent(NamedTuple):
    # Images, their errors by step, the step that a NaN stopped them at or -1, and what their rates were divided by.
    pictures: Float[Tensor, "n 3 h w"]
    errors: Float[Tensor, "steps n"]
    stopped: Int[Tensor, " n"]
    slower: Int[Tensor, " n"]


def _state(stopped: int, slower: int) -> str:
    word = f"stopped at {stopped}" if stopped >= 0 else "ok"
    return word if slower == 1 else f"{word}, rates / {slower}"


def _descended(
    network: Network, wanted: Float[Tensor, "n 3 h w"], name: str, recipe: Recipe, jobs: Sequence[tuple[int, int]]
) -> _Descent:
    # A rate that suits one network is too fast for a layer of another: who did not come down tries again, more slowly.
    found = _attempted(network, wanted, name, recipe, jobs, 1)
    for tries in range(1, TRIES + 1):
        lost = ((found.stopped >= 0) | ~(found.errors[-1] < found.errors[0])).nonzero().flatten()
        if not len(lost) or any("rate" not in octave["step"] for octave in recipe.octaves):
            break
        again = _attempted(network, wanted[lost], name, recipe, [jobs[i] for i in lost.tolist()], SLOWER**tries)
        found.pictures[lost], found.stopped[lost], found.slower[lost] = again.pictures, again.stopped, again.slower
        found.errors[:, lost] = again.errors
    return found


def _attempted(
    network: Network,
    wanted: Float[Tensor, "n 3 h w"],
    name: str,
    recipe: Recipe,
    jobs: Sequence[tuple[int, int]],
    slower: int,
) -> _Descent:
    side = (wanted.shape[2], wanted.shape[3])
    colour = network.preprocessing.colour.to(network.device)
    mean = colour.view(1, 3, 1, 1)
    weight = recipe.weight * (wanted[0].numel() if recipe.per_value else 1)
    with torch.no_grad():
        goal = features(network, wanted, name, recipe.region, recipe.channels)
    norm = goal.square().sum(dim=1)
    if bool((norm == 0).any()):
        raise ValueError(f"the activations of {name} are all zero for an image: choose another layer")

    def objective(grey: Float[Tensor, "n 3 h w"]) -> Seen:
        activation = features(network, mean + centred(grey, side) / 255, name, recipe.region, recipe.channels)
        error = (activation - goal).square().sum(dim=1) / norm
        return Seen(-weight * error, {"error": error})

    generators = Generators([recipe.seed * 1_000_003 + 7919 * repeat + i for repeat, i in jobs], network.device)
    canvas_side = (side[0] + recipe.margin, side[1] + recipe.margin)
    start = pixels(generators, canvas_side, colour, start=recipe.start["kind"], sigma=recipe.start["sigma"])
    canvas, traces, stopped = Canvas(start, lambda grey: grey), [], torch.full((len(jobs),), -1)
    for octave in recipe.octaves:
        priors = Priors(octave["priors"], {"side": side, "colour": colour})
        step = dict(octave["step"])
        if slower > 1:
            rates = step["rate"]
            step["rate"] = [r / slower for r in rates] if isinstance(rates, Sequence) else rates / slower
        ascent = ascend(objective, canvas, generators, priors, steps=octave["steps"], step=step)
        stopped = torch.where(stopped >= 0, stopped, ascent.stopped)
        canvas = canvas._replace(start=ascent.variable)
        traces.append(ascent.traces["error"])
    pictures = (mean + centred(ascent.variable, side) / 255).cpu()
    return _Descent(pictures, torch.cat(traces), stopped, torch.full((len(jobs),), slower))


COLUMNS = (
    "layer",
    "way",
    "picture",
    "repeat",
    "feature_error",
    "image_error",
    "detail",
    "same_label",
    "passes",
    "state",
)
_MEASURED = {  # unit, and what a mean can be
    "feature_error": ("", (0, math.inf)),
    "image_error": ("", (0, math.inf)),
    "detail": ("", (-math.inf, math.inf)),
    "same_label": ("share", (0, 1)),
}


def inversion(
    network: Network,
    pictures: Pictures,
    *,
    layers: Sequence[str] | int,
    images: int,
    repeats: int,
    region: int | None,
    channels: Sequence[int] | None,
    start: Settings,
    weight: float,
    per_value: bool,
    margin: int | None,
    steps: int,
    step: Settings,
    priors: Mapping[str, Settings | None],
    by_depth: Mapping[str, Sequence[float]] | None,
    octaves: Sequence[Settings] | None,
    batch_size: int,
    inverters: Mapping[str, Any] = MappingProxyType({}),
    seed: int = 0,
) -> Study:
    """x* = argmin ||Φ(x) - Φ0||² / ||Φ0||² · weight + penalties, for several layers, images and starts.

    For comparison also the reconstructions of networks that were trained to invert the same codes.

    Args:
        network: to visualise.
        pictures: of a data set.
        layers: dotted names, or their number, spread evenly over the convolutions (each after its ReLU), plus the input
            of the scores' layer; `probabilities` is the code after softmax.
        images: number of images.
        repeats: number of starts per image.
        region: side of the square in the centre of the map that must match, in units; None: all.
        channels: [first, past-the-last] of the units that must match; None: all.
        start: `kind` and `sigma`, see `synthesis.canvas.pixels`.
        weight: of the feature error against the penalties.
        per_value: whether the weight is times 3·h·w, because the penalties are sums and no means.
        margin: pixels by which the canvas is larger than the network's input; None: a quarter of the layer's
            stride, less one.
        steps: of the descent.
        step: `policy` and its settings; see `synthesis.steps`.
        priors: name -> settings; see `synthesis.priors`.
        by_depth: prior -> its weight in the first, second and last third of the network's layers, on top of `priors`.
        octaves: applied in turn, each changes `steps`, `step` or `priors`; None: one.
        batch_size: images per batch.
        inverters: trained on codes of this network, by code.
        seed: of the starts.

    Returns:
        `table`: layer, way (`optimised`, `learned`), image, repeat, feature error ||Φ(x*) - Φ0||² / ||Φ0||² (of what
        must match), image error |x* - x|² over the mean of that between images, detail (correlation above an eighth of
        the sampling rate with the original), same label or not, passes through the network, state (see `PreImages`).

    Raises:
        KeyError: if there is no such layer.
        ValueError: if channels or region do not fit the layer.

    Source: Mahendran & Vedaldi 2015, eq. 1; 2016. Image error: Dosovitskiy & Brox 2016.
    """
    positions, batch = pictures.first(images)
    originals = batch.images
    names = _codes(network, originals, layers)
    base = {"steps": steps, "step": step, "priors": priors}
    octaves = [_merged(base, own) for own in octaves or [{}]]
    group = (int(channels[0]), int(channels[1])) if channels else None
    scale = pair_distance(originals)
    rows: list[tuple] = []
    shown: dict[str, np.ndarray] = {"originals": to_bytes(originals), "layers": np.array(names)}
    for name in names:
        deep = _deeper(tuple(octaves), by_depth, _third(network, name))
        room = _jitter(network, name) - 1 if margin is None else margin
        recipe = Recipe(start, weight, per_value, deep, room, region, group, batch_size, seed)
        found = pre_images(network, originals, name, recipe, repeats)
        shown[f"optimised.{name}"] = np.stack([to_bytes(part) for part in found.pictures])
        shown[f"floats.{name}"] = found.floats[:1].permute(0, 1, 3, 4, 2).half().numpy()  # spikes are cut from bytes
        shown[f"errors.{name}"] = found.errors.numpy()
        passes = sum(octave["steps"] for octave in deep)
        for repeat, part in enumerate(found.pictures):
            how = ("optimised", repeat, passes, found.states[repeat])
            rows += _rows(network, originals, part, name, recipe, how, scale)
        if name in inverters:
            part = torch.cat([inverters[name](x.to(network.device)).cpu() for x in originals.split(batch_size)])
            shown[f"learned.{name}"] = to_bytes(part)
            rows += _rows(network, originals, part, name, recipe, ("learned", 0, 1, ["ok"] * len(part)), scale)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["picture"] = [pictures.names[positions[i]] for i in table["picture"]]
    return Study(table, (Row("pictures", len(positions), "images"), *_numbers(table, shown, names)), shown)


def _codes(network: Network, originals: Float[Tensor, "n 3 h w"], layers: Sequence[str] | int) -> list[str]:
    names = [*spread(network, layers), before_scores(network, originals)] if isinstance(layers, int) else [*layers]
    names = list(dict.fromkeys(names))
    for name in names:
        check_code(network, name)
    return names


def _third(network: Network, name: str) -> int:
    if name not in network.layers:
        return 2  # after the scores
    return min(3 * network.layers.index(name) // len(network.layers), 2)


def _jitter(network: Network, name: str) -> int:
    # Mahendran & Vedaldi 2016, code: a quarter of the stride; where there is no map, of the last that there is.
    side = network.preprocessing.input
    places = network.layers
    before = places[: places.index(name) + 1] if name in places else places
    maps = [layer for layer in convolutional(network) if layer in before]
    stride = receptive_fields(network, maps[-1:], (side, side))[maps[-1]].stride[0] if maps else 1
    return max(round(stride / 4), 1)


def _merged(base: Settings, own: Settings) -> dict[str, Any]:
    unknown = own.keys() - base.keys()
    if unknown:
        raise ValueError(f"unknown settings of an octave: {sorted(unknown)}; {closest(min(unknown), base)}")
    return {**base, **own, "priors": {**base["priors"], **own.get("priors", {})}}


def _deeper(
    octaves: tuple[Settings, ...], by_depth: Mapping[str, Sequence[float]] | None, third: int
) -> tuple[Settings, ...]:
    changed = []
    for octave in octaves:
        priors = dict(octave["priors"])
        for name, weights in (by_depth or {}).items():
            priors[name] = {**(priors.get(name) or {}), "weight": weights[third]}
        changed.append({**octave, "priors": priors})
    return tuple(changed)


def _rows(
    network: Network,
    originals: Float[Tensor, "n 3 h w"],
    found: Float[Tensor, "n 3 h w"],
    name: str,
    recipe: Recipe,
    how: tuple[str, int, int, list[str]],
    scale: float,
) -> Iterator[tuple]:
    way, repeat, passes, states = how
    with torch.no_grad():
        pairs = [
            (
                features(network, x.to(network.device), name, recipe.region, recipe.channels),
                network(x.to(network.device)),
            )
            for x in (originals, found)
        ]
    (before, labels), (after, guesses) = pairs
    feature = ((after - before).square().sum(dim=1) / before.square().sum(dim=1)).tolist()
    image = image_error(found, originals, scale).tolist()
    detail = detail_kept(found, originals).tolist()
    same = (labels.argmax(dim=1) == guesses.argmax(dim=1)).long().tolist()
    for i in range(len(originals)):
        numbers = (round(feature[i], 6), round(image[i], 6), round(detail[i], 6))
        yield (name, way, i, repeat, *numbers, same[i], passes, states[i])


def _numbers(table: pd.DataFrame, shown: Mapping[str, np.ndarray], names: Sequence[str]) -> Iterator[Row]:
    for (name, way), part in table.groupby(["layer", "way"], sort=False):
        mean = part.groupby("picture", sort=False)[list(_MEASURED)].mean()
        for metric, (unit, within) in _MEASURED.items():
            yield mean_row(f"{name}.{way}.{metric}", mean[metric], unit, within)
    for name in names:
        repeats = shown[f"optimised.{name}"].astype(np.float64) / 255
        if len(repeats) > 1:
            pairs = [(i, j) for i in range(len(repeats)) for j in range(i)]
            spread = np.mean([np.square(repeats[i] - repeats[j]).mean(axis=(1, 2, 3)) for i, j in pairs], axis=0)
            yield mean_row(f"{name}.spread_over_starts", np.sqrt(spread), within=(0, math.inf))
