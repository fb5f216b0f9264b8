"""All that is wanted of one picture, small enough to hand from process to process."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from PIL import Image

from deepinside.localisation import boxes
from deepinside.localisation.measure import Measured, measured
from deepinside.localisation.scene import Scene, scene
from deepinside.localisation.segment import Segmentation, segmented
from deepinside.localisation.settings import Settings


class Pixels(NamedTuple):
    """A picture and its maps on the canvas, as `segment.scene` takes them."""

    maps: Float[ndarray, "k H W"]
    covered: Bool[ndarray, "H W"]
    canvas: Float[ndarray, "3 H W"]
    activation: Float[ndarray, "k H W"] | None = None


class Located(NamedTuple):
    """What is kept of one picture; boxes are on the canvas.

    Attributes:
        boxes: one per class, (k, 4).
        found: whether there was an object, (k,).
        seeds: the box around the largest part of the true class's foreground seeds, before anything extends them.
        measured: of the true class's map.
        others: boxes by other settings, (k, 4) per name.
    """

    boxes: Float[ndarray, "k 4"]
    found: Bool[ndarray, " k"]
    seeds: Float[ndarray, " 4"]
    measured: Measured
    others: dict[str, Float[ndarray, "k 4"]]


def locate(
    pixels: Pixels,
    settings: Settings,
    known: int,
    instances: Float[ndarray, "b 4"],
    others: Mapping[str, Settings] | None = None,
) -> Located:
    """Boxes for every class, and how well the true one's map points; the true boxes change none of ours.

    Args:
        pixels: of the picture.
        settings: weights of the maps, quantiles, colour models, cut.
        known: position of the true class among the maps.
        instances: boxes of its object on the canvas.
        others: settings, on the same grid, whose boxes are wanted too.

    Returns:
        What is kept.
    """
    shown = _scene(pixels, settings)
    found = segmented(shown, settings)
    truth = boxes.rescaled(instances, shown.size, shown.covered.shape)
    return Located(
        np.stack([one.box for one in found]),
        np.array([one.found for one in found]),
        _seeds_box(found[known], settings, shown.size),
        measured(found[known].map, shown.covered, truth),
        {name: np.stack([one.box for one in segmented(shown, other)]) for name, other in (others or {}).items()},
    )


def drawn(pixels: Pixels, settings: Settings) -> Float[ndarray, "k 4"]:
    """The boxes alone.

    Args:
        pixels: of the picture.
        settings: from maps to boxes.

    Returns:
        One box per class, on the canvas.
    """
    return np.stack([one.box for one in segmented(_scene(pixels, settings), settings)])


def _scene(pixels: Pixels, settings: Settings) -> Scene:
    return scene(pixels.maps, pixels.covered, pixels.canvas, settings.side, pixels.activation)


def _seeds_box(one: Segmentation, settings: Settings, size: tuple[int, int]) -> Float[ndarray, " 4"]:
    part = boxes.largest_component(one.foreground, settings.connectivity)
    return boxes.rescaled(boxes.tight_box(part if part.any() else np.ones_like(part)), part.shape, size)


def borrowed(own: Pixels, other: Pixels, theirs: int) -> Pixels:
    """A picture with the map of another's true class for every class of its own, stretched to its size.

    Args:
        own: the picture.
        other: whose maps.
        theirs: position of the other's true class among them.

    Returns:
        The picture and those maps.
    """
    count, size = len(own.maps), (own.canvas.shape[1], own.canvas.shape[2])

    def stretched(map_: Float[ndarray, "h w"]) -> Float[ndarray, "k H W"]:
        image = Image.fromarray(map_).resize(size[::-1], Image.Resampling.BILINEAR)
        return np.repeat(np.asarray(image)[None], count, axis=0)

    activation = None if other.activation is None else stretched(other.activation[theirs])
    return own._replace(maps=stretched(other.maps[theirs]), activation=activation)
