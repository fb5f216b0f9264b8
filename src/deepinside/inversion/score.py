"""Errors of inverters on held-out images, beside two baselines that need no training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from deepinside.data.datamodule import Views
from deepinside.inversion.survey import BATCH, Survey, centre_crops
from deepinside.metrics import contour_and_colour, feature_error, image_error, pair_distance
from deepinside.models.inverter import Inverter
from deepinside.network import Network
from deepinside.probe.codes import codes, source
from deepinside.records import Row
from deepinside.statistics import mean_row

MEAN, NEAREST = "mean_image", "nearest_image"
_UNITS = {"image_error": "of a random pair", "feature_error": "of the code", "correlation": ""}


class Held(NamedTuple):
    """Held-out images with their raw codes."""

    names: tuple[str, ...]
    images: Float[Tensor, "n 3 h w"]
    codes: Mapping[str, Float[Tensor, "n u *grid"]]


class Scored(NamedTuple):
    """Rows for the table, one line per image, and per code the nearest training images of the held-out ones."""

    rows: tuple[Row, ...]
    images: pd.DataFrame
    nearest: Mapping[str, Float[Tensor, "n 3 h w"]]


def held_out(views: Views, network: Network, names: Sequence[str]) -> Held:
    """The held-out images that can be read, with their codes.

    Raises:
        ValueError: if they are fewer than two.
    """
    read = [
        (position, image)
        for positions, part in centre_crops(views)
        for position, image in zip(positions, part, strict=True)
    ]
    if len(read) < 2:
        raise ValueError(f"expected two held-out images or more, got {len(read)} of {len(views.canvases)} readable")
    images = torch.stack([image for _, image in read])
    entries = views.canvases.index.entries
    wanted = list(dict.fromkeys([*names, *map(source, names)]))
    return Held(tuple(entries[position].image for position, _ in read), images, _codes(network, images, wanted))


def _codes(network: Network, images: Float[Tensor, "n 3 h w"], names: Sequence[str]) -> dict[str, Tensor]:
    with torch.no_grad():
        parts = [codes(network, part.to(network.device), names) for part in images.split(BATCH)]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def score(inverters: Mapping[str, Inverter], held: Held, found: Survey, train: Views) -> Scored:
    """Errors in pixels and in the code, contours and colours, of each inverter, the mean and the nearest image.

    Metrics are `<code>.<what>.<baseline>`; those of the inverter itself end with what they measure.
    """
    near = {name: _at(train, found.nearest[name]) for name in inverters}
    columns: dict[str, ndarray] = {}
    for name, inverter in inverters.items():
        made = torch.cat([inverter.invert(part).cpu() for part in held.codes[name].split(BATCH)])
        whose = {"": made, f".{MEAN}": found.mean.expand_as(made), f".{NEAREST}": near[name]}
        for suffix, pictures in whose.items():
            columns |= {f"{name}.{what}{suffix}": v for what, v in _measured(inverter, pictures, held, found).items()}
        others = torch.roll(torch.arange(len(made)), 1)
        chance = contour_and_colour(made[others], held.images, found.mean)
        for what, values in zip(("contour", "colour"), chance, strict=True):
            columns[f"{name}.{what}_correlation.other_picture"] = values
        better = min((MEAN, NEAREST), key=lambda of: columns[f"{name}.image_error.{of}"].mean())
        columns[f"{name}.image_error_below.{better}"] = (
            columns[f"{name}.image_error.{better}"] - columns[f"{name}.image_error"]
        )
    images = pd.DataFrame({"image": held.names, **{key: values.round(6) for key, values in columns.items()}})
    return Scored(tuple(_rows(columns)), images, near)


def _at(views: Views, positions: Tensor) -> Float[Tensor, "n 3 h w"]:
    plain = Views(views.canvases, None, views.seed)
    return plain.__getitems__([(0, position) for position in positions.tolist()])[0].float() / 255


def _measured(inverter: Inverter, made: Tensor, held: Held, found: Survey) -> dict[str, Float[ndarray, " n"]]:
    layer, images = source(inverter.name), held.images
    seen = _codes(inverter.network, made, [layer])[layer]
    contour, colour = contour_and_colour(made, images, found.mean)
    return {
        "image_error": image_error(made, images, pair_distance(images)),
        "feature_error": feature_error(seen, held.codes[layer]),
        "contour_correlation": contour,
        "colour_correlation": colour,
    }


def _rows(columns: Mapping[str, Float[ndarray, " n"]]) -> Iterator[Row]:
    for metric, values in columns.items():
        if np.isfinite(values).any():
            yield mean_row(metric, values, next(unit for word, unit in _UNITS.items() if word in metric))
