"""Pre-images: pictures that a layer cannot tell from given ones, by descent (Mahendran & Vedaldi 2015, 2016)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.methods.synthesis.ascent import Seen, ascend
from deepinside.methods.synthesis.canvas import Canvas, centred, pixels
from deepinside.methods.synthesis.draws import Draws
from deepinside.methods.synthesis.priors import Priors
from deepinside.network import Network
from deepinside.probe.codes import codes

Settings = Mapping[str, Any]
TRIES, SLOWER = 5, 4  # how often a descent that does not come down is begun again, each time so much more slowly


class Recipe(NamedTuple):
    """How pre-images are made.

    Attributes:
        start: `kind` and `sigma`, see `synthesis.canvas.pixels`.
        weight: of the feature error against the penalties.
        per_value: whether the weight is times 3·h·w, because the penalties are sums and no means.
        octaves: one after the other: `steps`, `step`, `priors`.
        margin: pixels by which the canvas is larger than what the network is shown.
        region: side of the square in the middle of the map that has to match, in units; None: all.
        channels: first and beyond the last of the units that have to match; None: all.
        together: pictures per batch.
        seed: of the starts.
    """

    start: Settings
    weight: float
    per_value: bool
    octaves: tuple[Settings, ...]
    margin: int
    region: int | None
    channels: tuple[int, int] | None
    together: int
    seed: int


class PreImages(NamedTuple):
    """What came of it.

    Attributes:
        pictures: RGB in [0, 1], (repeats, n, 3, h, w).
        errors: feature error before each step, of all repeats side by side, (steps, repeats·n).
        states: `ok`, `ok, rates / <divisor>` where a slower descent came down, or `stopped at <step>`; by repeat.
    """

    pictures: Float[Tensor, "r n 3 h w"]
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
        network: any.
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
                f"a region of {region}x{region} does not fit {name}, which answers {tuple(code.shape[1:])}"
            )
        code = centred(code, (region, region))
    return code.flatten(1)


def pre_images(
    network: Network, originals: Float[Tensor, "n 3 h w"], name: str, recipe: Recipe, repeats: int = 1
) -> PreImages:
    """Minimises weight · ||Φ(x) - Φ0||² / ||Φ0||² plus penalties, from several starts.

    Args:
        network: any.
        originals: RGB in [0, 1].
        name: of a layer, or `probabilities`.
        recipe: how.
        repeats: starts for each picture.

    Returns:
        The pictures, and how they came about.

    Raises:
        ValueError: if the layer answers nothing to a picture.

    Source: Mahendran & Vedaldi 2015, eq. 1.
    Deviation: their rates are those of one network; a descent whose error does not fall, or becomes NaN, is begun again
        with rates a quarter as high, up to five times.
    """
    jobs = [(repeat, i) for repeat in range(repeats) for i in range(len(originals))]
    made, traces = [], []
    states: list[str] = []
    for first in range(0, len(jobs), recipe.together):
        part = jobs[first : first + recipe.together]
        wanted = originals[[i for _, i in part]].to(network.device)
        found = _descended(network, wanted, name, recipe, part)
        made.append(found.pictures)
        traces.append(found.errors)
        states += map(_state, found.stopped.tolist(), found.slower.tolist())
    count = len(originals)
    by_repeat = [states[i : i + count] for i in range(0, len(states), count)]
    return PreImages(torch.cat(made).unflatten(0, (repeats, count)), torch.cat(traces, dim=1), by_repeat)


class _Descent(NamedTuple):
    # Pictures, their errors by step, the step that a NaN stopped them at or -1, and what their rates were divided by.
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
        raise ValueError(
            f"{name} answers nothing at all to a picture: there is nothing to invert, choose another layer"
        )

    def look(grey: Float[Tensor, "n 3 h w"]) -> Seen:
        answer = features(network, mean + centred(grey, side) / 255, name, recipe.region, recipe.channels)
        error = (answer - goal).square().sum(dim=1) / norm
        return Seen(-weight * error, {"error": error})

    draws = Draws([recipe.seed * 1_000_003 + 7919 * repeat + i for repeat, i in jobs], network.device)
    canvas_side = (side[0] + recipe.margin, side[1] + recipe.margin)
    start = pixels(draws, canvas_side, colour, start=recipe.start["kind"], sigma=recipe.start["sigma"])
    canvas, traces, stopped = Canvas(start, lambda grey: grey), [], torch.full((len(jobs),), -1)
    for octave in recipe.octaves:
        priors = Priors(octave["priors"], {"side": side, "colour": colour})
        step = dict(octave["step"])
        if slower > 1:
            rates = step["rate"]
            step["rate"] = [r / slower for r in rates] if isinstance(rates, Sequence) else rates / slower
        ascent = ascend(look, canvas, draws, priors, steps=octave["steps"], step=step)
        stopped = torch.where(stopped >= 0, stopped, ascent.stopped)
        canvas = canvas._replace(start=ascent.variable)
        traces.append(ascent.traces["error"])
    pictures = (mean + centred(ascent.variable, side) / 255).clamp(0, 1).cpu()
    return _Descent(pictures, torch.cat(traces), stopped, torch.full((len(jobs),), slower))
