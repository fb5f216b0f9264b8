"""From the maps of a class to the mask and the box of its object.

Quantiles of the map select seeds, two colour models are fitted to them, a minimum cut segments the image, and its
largest connected component is the object. Alternatively the map is thresholded at a share of its maximum.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from deepinside.localisation import boxes, color_model
from deepinside.localisation.graph_cut import contrast_links, minimum_cut
from deepinside.localisation.maps import Scene, blended
from deepinside.localisation.settings import Settings

Sides = tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]  # foreground and background


def above(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], share: float) -> Sides:
    """The covered pixels of at least a share of the map's maximum, and the others.

    Args:
        map_: (h, w), non-negative.
        covered: the pixels that count.
        share: in (0, 1).

    Returns:
        Foreground and background, (h, w) each; both empty if the map is constant.

    Source: Zhou et al. 2016 (CAM), sec. 3.2 (20 %).
    """
    values = map_[covered]
    if not len(values) or values.min() == values.max():
        return np.zeros_like(covered), np.zeros_like(covered)
    front = covered & (map_ >= share * values.max())
    return front, covered & ~front


def seeds(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], foreground: float, background: float) -> Sides:
    """The pixels strictly above the one quantile of the map and those strictly below the other.

    If ties leave one side empty (a quantile that equals the map's maximum or minimum), the pixels at that extreme are
    its seeds. A constant map has none.

    Args:
        map_: (h, w).
        covered: the pixels that count, for the quantiles too.
        foreground: quantile in (0, 1).
        background: likewise.

    Returns:
        Foreground and background seeds, (h, w) each, disjoint; both empty if the map is constant.

    Source: Simonyan et al. 2013, sec. 3.2 (95 % and 30 %).
    """
    values = map_[covered]
    if not len(values) or values.min() == values.max():
        return np.zeros_like(covered), np.zeros_like(covered)
    high, low = np.quantile(values, [foreground, background])
    front = map_ > high if values.max() > high else map_ == values.max()
    back = map_ < low if values.min() < low else map_ == values.min()
    return front & covered, back & covered


class Segmentation(NamedTuple):
    """Segmentation of one map, on the working grid; the box is on the canvas.

    Args:
        picture: RGB in [0, 1], (h, w, 3).
        map: as it was thresholded, (h, w).
        foreground: seeds, or all above the threshold, (h, w).
        background: seeds, or all other covered pixels, (h, w).
        mask: the largest component of the foreground, (h, w); empty for none.
        box: half-open x0 y0 x1 y1 in pixels of the canvas; all of it if the mask is empty.
    """

    picture: Float[ndarray, "h w 3"]
    map: Float[ndarray, "h w"]
    foreground: Bool[ndarray, "h w"]
    background: Bool[ndarray, "h w"]
    mask: Bool[ndarray, "h w"]
    box: Float[ndarray, " 4"]

    @property
    def found(self) -> bool:
        """Whether an object was found."""
        return bool(self.mask.any())


class Parts(NamedTuple):
    """Result of a rule for one map: foreground and background as in `Segmentation`, and all pixels of the object."""

    foreground: Bool[ndarray, "h w"]
    background: Bool[ndarray, "h w"]
    object: Bool[ndarray, "h w"]


class Rule(NamedTuple):
    """A way from the maps of a scene to the pixels of the object, with its description.

    Attributes:
        run: maps (h, w) of all classes, scene, settings -> parts for each map.
        describe: settings -> description for a caption.
        panels: titles of the panel of foreground and background, and of the object.
    """

    run: Callable[[Sequence[Float[ndarray, "h w"]], Scene, Settings], list[Parts]]
    describe: Callable[[Settings], str]
    panels: tuple[str, str]


def segment(scene: Scene, settings: Settings) -> list[Segmentation]:
    """Segments the object of every class of one image.

    Args:
        scene: the image and its maps, of every method whose weight is not 0.
        settings: weights of the maps, quantiles, colour models, cut.

    Returns:
        One segmentation per class.

    Raises:
        ValueError: if a map is required and missing.

    Source: Simonyan et al. 2013, sec. 3.2.
    """
    each = (dict(zip(scene.maps, own, strict=True)) for own in zip(*scene.maps.values(), strict=True))
    maps = [blended(own, scene.covered, settings) for own in each]
    parts = SEGMENTATIONS[settings.segmentation].run(maps, scene, settings)
    return [_segmentation(map_, part, scene, settings) for map_, part in zip(maps, parts, strict=True)]


def _segmentation(map_: Float[ndarray, "h w"], part: Parts, scene: Scene, settings: Settings) -> Segmentation:
    mask = boxes.largest_component(part.object, settings.connectivity)
    return Segmentation(scene.picture, map_, part.foreground, part.background, mask, object_box(mask, scene.size))


def object_box(mask: Bool[ndarray, "h w"], canvas: tuple[int, int]) -> Float[ndarray, " 4"]:
    """The box around a mask, on the canvas.

    Args:
        mask: on the working grid, (h, w).
        canvas: its (height, width) in pixels.

    Returns:
        Half-open x0 y0 x1 y1 in pixels of the canvas; all of it if the mask is empty.
    """
    return boxes.rescaled(boxes.tight_box(mask if mask.any() else np.ones_like(mask)), mask.shape, canvas)


def _threshold(maps: Sequence[Float[ndarray, "h w"]], scene: Scene, settings: Settings) -> list[Parts]:
    divided = [above(map_, scene.covered, settings.threshold) for map_ in maps]
    return [Parts(front, back, front) for front, back in divided]


def _graph_cut(maps: Sequence[Float[ndarray, "h w"]], scene: Scene, settings: Settings) -> list[Parts]:
    return _from_seeds(maps, scene, settings, partial(_cuts, scene.picture, settings))


def _grab_cut(maps: Sequence[Float[ndarray, "h w"]], scene: Scene, settings: Settings) -> list[Parts]:
    return _from_seeds(maps, scene, settings, lambda pairs: [grab_cut(scene.picture, *pair) for pair in pairs])


def _from_seeds(
    maps: Sequence[Float[ndarray, "h w"]],
    scene: Scene,
    settings: Settings,
    extended: Callable[[Sequence[Sides]], list[Bool[ndarray, "h w"]]],
) -> list[Parts]:
    quantiles = settings.foreground_quantile, settings.background_quantile
    divided = [seeds(map_, scene.covered, *quantiles) for map_ in maps]
    usable = [number for number, (front, back) in enumerate(divided) if front.any() and back.any()]
    found = dict(zip(usable, extended([divided[number] for number in usable]), strict=True))
    return [Parts(front, back, found.get(number, np.zeros_like(front))) for number, (front, back) in enumerate(divided)]


def _cuts(picture: Float[ndarray, "h w 3"], settings: Settings, pairs: Sequence[Sides]) -> list[Bool[ndarray, "h w"]]:
    if not pairs:
        return []
    links = contrast_links(picture, settings.gamma)
    models = {"components": settings.components, "samples": settings.samples, "seed": settings.seed}
    sides = np.stack([(back, front) for front, back in pairs])
    shape = -1, *picture.shape[:2]
    free = ~sides.any(axis=1, keepdims=True) | (not settings.seeds_hard)  # the label of a seed costs nothing
    where = np.broadcast_to(free, sides.shape).reshape(shape)
    costs = color_model.unaries(picture, sides.reshape(shape), **models, where=where).reshape(sides.shape)
    hard = pairs if settings.seeds_hard else [(None, None)] * len(pairs)
    return [minimum_cut(cost, links, *own) for cost, own in zip(costs, hard, strict=True)]


def grab_cut(
    picture: Float[ndarray, "h w 3"], front: Bool[ndarray, "h w"], back: Bool[ndarray, "h w"]
) -> Bool[ndarray, "h w"]:
    """OpenCV's grabCut, one iteration from hard seeds, to compare with.

    Args:
        picture: RGB in [0, 1].
        front: foreground seeds.
        back: background seeds.

    Returns:
        The foreground.

    Source: Rother et al. 2004, as OpenCV has it.
    """
    import cv2  # type: ignore[import-not-found]  # not among our requirements: see `settings.Settings`

    labels = np.where(front, cv2.GC_FGD, np.where(back, cv2.GC_BGD, cv2.GC_PR_BGD)).astype(np.uint8)
    image = np.ascontiguousarray((255 * picture[..., ::-1]).round().astype(np.uint8))
    cv2.setRNGSeed(0)
    cv2.grabCut(image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _described_seeds(settings: Settings) -> str:
    high, low = 100 * settings.foreground_quantile, 100 * settings.background_quantile
    return f"seeds above the {high:.4g} % and below the {low:.4g} % quantile of the map"


def _described_threshold(settings: Settings) -> str:
    return f"object: the largest part where the map is at least {100 * settings.threshold:.4g} % of its maximum"


def _described_grab_cut(settings: Settings) -> str:
    return f"{_described_seeds(settings)}, extended by OpenCV's grabCut"


SEGMENTATIONS = {
    "graph_cut": Rule(_graph_cut, _described_seeds, ("seeds", "segmentation")),
    "threshold": Rule(_threshold, _described_threshold, ("above the threshold", "object")),
    "grab_cut": Rule(_grab_cut, _described_grab_cut, ("seeds", "segmentation")),
}
