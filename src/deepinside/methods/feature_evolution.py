"""How features form while a network learns (Zeiler & Fergus 2014, sec. 4 and fig. 4)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from deepinside.methods.top_activations import Tops, cut_out, spread_units, strongest_pictures
from deepinside.network import Network
from deepinside.probe import activations, convolutional, receptive_fields
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Checkpoint, Pictures, Study

_COLUMNS = ("layer", "epoch", "unit", "value", "picture", "y", "x", "same_picture", "cosine", "correlation")


class Agreement(NamedTuple):
    """Similarity of two networks' units on the same images; NaN where a unit is constant in one of them.

    Attributes:
        cosine: of the activations at all positions of all images, (u,).
        correlation: the same without each unit's mean, (u,); unrelated units have 0.
    """

    cosine: Float[Tensor, " u"]
    correlation: Float[Tensor, " u"]


def feature_evolution(
    network: Network,
    pictures: Pictures,
    checkpoints: Sequence[Checkpoint],
    *,
    layers: Sequence[str] | None = None,
    units: Sequence[int] | int = 8,
    rule: str = "deconvnet",
    contrast: str = "identity",
    batch_size: int = 32,
    images: int = 200,
) -> Study:
    """At every checkpoint: each unit's strongest activation, its projection, and the convergence of its layer.

    A layer has converged when its units' strongest images are those of the last epoch, and their activations on the
    same images have the same direction. Units that are dead in the last epoch are excluded.

    Args:
        network: the trained one.
        pictures: of a data set.
        checkpoints: the network during training.
        layers: dotted names, with maps; None: every convolution, after its ReLU where one follows.
        units: to show: numbers, or their number, spread evenly over each layer; all units are measured.
        rule: of the ReLUs in the backward pass: `deconvnet`, `guided` or `gradient`.
        contrast: of local response normalisation in the backward pass: `identity` or `gradient`.
        batch_size: images per pass.
        images: number of images, the first ones, which are held in memory.

    Returns:
        `table`: per layer, epoch and unit the strongest activation, its image and place, whether it is the image of
        the last epoch, cosine and correlation with the last epoch's activations; `shown`: `epochs`, `layers`, and per
        layer projections and patches (epochs, u, h, w, 3), their `inside` and `units`.

    Raises:
        ValueError: if there are fewer than two checkpoints, or a layer has no maps.

    Source: Zeiler & Fergus 2014, sec. 4 and fig. 4 (the images).
    Deviation: the measures are ours; the paper judges by eye.
    """
    stages = sorted(checkpoints, key=lambda checkpoint: checkpoint.epoch)
    if len(stages) < 2:
        raise ValueError(f"expected checkpoints of two epochs or more, got {len(stages)}: set 'train.keep=[1,2,5,8]'")
    pictures = _first(pictures, images)
    _, probe = pictures.first(1)
    names = tuple(layers) if layers else convolutional(network)
    maps = activations(network, probe.images.to(network.device), names)
    fields = receptive_fields(network, names, (probe.images.shape[2], probe.images.shape[3]))
    drawn = {name: spread_units(units, maps[name].shape[1], name) for name in names}
    last = stages[-1].network()
    tops: dict[tuple[str, int], Tops] = {}
    agreements: dict[tuple[str, int], Agreement] = {}
    cuts: dict[tuple[str, int], dict[str, ndarray]] = {}
    for epoch, build in stages:
        early = last if epoch == stages[-1].epoch else build()
        alike = agreement(early, last, pictures, layers=names, batch_size=batch_size)
        for name in names:
            every = list(range(maps[name].shape[1]))
            found = strongest_pictures(early, pictures, layer=name, units=every, top=1, batch_size=batch_size)
            how = {"layer": name, "rule": rule, "contrast": contrast}
            part = found.of(drawn[name])
            _, cuts[name, epoch] = cut_out(early, pictures, drawn[name], part, fields[name], how, batch_size)
            tops[name, epoch], agreements[name, epoch] = found, alike[name]
    table = pd.DataFrame(_rows(tops, agreements, pictures, stages[-1].epoch), columns=list(_COLUMNS))
    numbers = (Row("pictures", len(pictures), "images"), *_numbers(table, names, stages[-1].epoch))
    return Study(table, numbers, _shown(cuts, drawn, [stage.epoch for stage in stages]))


def _first(pictures: Pictures, count: int) -> Pictures:
    # Every layer of every epoch needs them: they are read once.
    part = slice(count)
    return Pictures(pictures.names[part], pictures.labels[part], pictures.boxes[part], cache(pictures.read))


def agreement(
    one: Network, other: Network, pictures: Pictures, *, layers: Sequence[str], batch_size: int = 32
) -> dict[str, Agreement]:
    """cos_u = <a_u, b_u> / |a_u| |b_u| of the activations of unit u in two networks at all positions of all images.

    One pass of each; memory is constant in the number of images.

    Args:
        one: a network.
        other: a network with the same layers.
        pictures: inputs of both.
        layers: dotted names.
        batch_size: images per pass.

    Returns:
        Layer -> cosine and correlation of its units.
    """
    sums = {name: torch.zeros(()) for name in layers}
    for _, part in pictures.batches(batch_size):
        a = activations(one, part.images.to(one.device), layers)
        b = activations(other, part.images.to(other.device), layers)
        for name in layers:
            sums[name] = sums[name] + _moments(a[name], b[name])
    return {name: _agreed(*total) for name, total in sums.items()}


def _moments(a: Tensor, b: Tensor) -> Float[Tensor, "6 u"]:
    x, y = (activation.transpose(0, 1).flatten(1).cpu().double() for activation in (a, b))
    count = torch.full((len(x),), x.shape[1], dtype=torch.float64)
    return torch.stack([(x * y).sum(1), (x * x).sum(1), (y * y).sum(1), x.sum(1), y.sum(1), count])


def _agreed(xy: Tensor, xx: Tensor, yy: Tensor, x: Tensor, y: Tensor, count: Tensor) -> Agreement:
    centred = [xy - x * y / count, xx - x * x / count, yy - y * y / count]
    flat = (centred[1] <= 1e-12 * xx) | (centred[2] <= 1e-12 * yy)  # what is left of a constant is rounding
    correlation = centred[0] / (centred[1].clamp(min=0) * centred[2].clamp(min=0)).sqrt()
    return Agreement(xy / (xx * yy).sqrt(), torch.where(flat, torch.nan, correlation))


def _rows(
    tops: Mapping[tuple[str, int], Tops],
    agreements: Mapping[tuple[str, int], Agreement],
    pictures: Pictures,
    final: int,
) -> Iterator[tuple]:
    for (name, epoch), found in tops.items():
        settled = tops[name, final]
        for unit in range(len(found.values)):
            value, position = float(found.values[unit, 0]), int(found.pictures[unit, 0])
            same = position == int(settled.pictures[unit, 0]) and value > 0
            y, x = found.places[unit, 0].tolist()
            cosine, correlation = (float(values[unit]) for values in agreements[name, epoch])
            yield (name, epoch, unit, round(value, 6), pictures.names[position], y, x, same, cosine, correlation)


def _numbers(table: pd.DataFrame, layers: Sequence[str], final: int) -> Iterator[Row]:
    for layer in layers:
        mine = table[table["layer"] == layer]
        ends = mine[mine["epoch"] == final].set_index("unit")["value"] > 0
        yield Row(f"{layer}.dead_units", int((~ends).sum()), "units", len(ends))
        for epoch, part in mine[mine["unit"].map(ends) & (mine["epoch"] != final)].groupby("epoch"):
            for word, column in (
                ("same_picture_share", "same_picture"),
                ("cosine", "cosine"),
                ("correlation", "correlation"),
            ):
                values = part[column].astype(float).dropna().to_numpy()
                if len(values):
                    yield mean_row(f"{layer}.epoch_{epoch}.{word}", values)


def _shown(
    cuts: Mapping[tuple[str, int], dict[str, ndarray]], drawn: Mapping[str, list[int]], epochs: list[int]
) -> dict[str, ndarray]:
    shown = {"layers": np.array(list(drawn)), "epochs": np.array(epochs)}
    for name, units in drawn.items():
        shown[f"units.{name}"] = np.array(units)
        for what in ("projections", "patches", "inside"):
            shown[f"{what}.{name}"] = np.stack([cuts[name, epoch][what][:, 0] for epoch in epochs])
    return shown
