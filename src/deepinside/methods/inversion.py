"""Inversion: pictures that a layer cannot tell from a given one (Mahendran & Vedaldi 2015, 2016)."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.pre_image import Recipe, features, pre_images
from deepinside.methods.quality import detail_kept
from deepinside.network import Network, closest
from deepinside.probe.codes import check_code
from deepinside.probe.layers import before_scores, convolutional, spread
from deepinside.probe.receptive_field import receptive_fields
from deepinside.reconstruction import image_error, pair_distance
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study
from deepinside.views import to_bytes

Settings = Mapping[str, Any]
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
    together: int,
    inverters: Mapping[str, Any] = MappingProxyType({}),
    seed: int = 0,
) -> Study:
    """x* = argmin ||Φ(x) - Φ0||² / ||Φ0||² · weight + penalties, for several layers, pictures and starts.

    Beside it, where networks were trained to invert the same codes, what these make of them in one pass.

    Args:
        network: any.
        pictures: of a data set.
        layers: dotted names, or how many, spread evenly over the convolutions (each after its ReLU), and then what the
            scores are made from; `probabilities` is the code after softmax.
        images: pictures to invert.
        repeats: starts for each.
        region: side of the square in the middle of the map that has to match, in units; None: all.
        channels: [first, beyond the last] of the units that have to match; None: all.
        start: `kind` and `sigma`, see `synthesis.canvas.pixels`.
        weight: of the feature error against the penalties.
        per_value: whether the weight is times 3·h·w, because the penalties are sums and no means.
        margin: pixels by which the canvas is larger than what the network is shown; None: a quarter of the layer's
            stride, less one.
        steps: of the descent.
        step: `policy` and its settings; see `synthesis.steps`.
        priors: name -> settings; see `synthesis.priors`.
        by_depth: prior -> its weight in the first, second and last third of the network's layers, on top of `priors`.
        octaves: one after the other, each changes `steps`, `step` or `priors`; None: one.
        together: pictures per batch.
        inverters: trained on codes of this network, by code.
        seed: of the starts.

    Returns:
        `table`: layer, way (`optimised`, `learned`), picture, repeat, feature error ||Φ(x*) - Φ0||² / ||Φ0||² (of what
        has to match), image error |x* - x|² over the mean of that between pictures, detail (correlation of what the
        picture has above an eighth of the sampling rate with the original's), same label or not, passes through
        the network, state (see `PreImages`).

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
        recipe = Recipe(start, weight, per_value, deep, room, region, group, together, seed)
        found = pre_images(network, originals, name, recipe, repeats)
        shown[f"optimised.{name}"] = np.stack([to_bytes(part) for part in found.pictures])
        shown[f"errors.{name}"] = found.errors.numpy()
        passes = sum(octave["steps"] for octave in deep)
        for repeat, part in enumerate(found.pictures):
            how = ("optimised", repeat, passes, found.states[repeat])
            rows += _rows(network, originals, part, name, recipe, how, scale)
        if name in inverters:
            part = torch.cat([inverters[name](x.to(network.device)).cpu() for x in originals.split(together)])
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
        raise ValueError(f"an octave knows no {sorted(unknown)}; {closest(min(unknown), base)}")
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
        mean = part.groupby("picture", sort=False)[["feature_error", "image_error", "detail", "same_label"]].mean()
        for metric in mean:
            yield mean_row(f"{name}.{way}.{metric}", mean[metric])
    for name in names:
        repeats = shown[f"optimised.{name}"].astype(np.float64) / 255
        if len(repeats) > 1:
            pairs = [(i, j) for i in range(len(repeats)) for j in range(i)]
            spread = np.mean([np.square(repeats[i] - repeats[j]).mean(axis=(1, 2, 3)) for i, j in pairs], axis=0)
            yield mean_row(f"{name}.spread_over_starts", np.sqrt(spread))
