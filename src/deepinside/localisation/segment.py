"""From the maps of a class to the mask and the box of its object.

Quantiles of the map choose seeds, two colour models are fitted to them, a minimum cut parts the picture, the largest
connected part is the object. Or all above a share of the map's maximum is taken, as it stands.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from deepinside.localisation import boxes, color_model
from deepinside.localisation.blend import blended
from deepinside.localisation.graph_cut import Links, contrast_links, minimum_cut
from deepinside.localisation.scene import Scene, scene
from deepinside.localisation.seeds import above, seeds
from deepinside.localisation.settings import Settings


class Segmentation(NamedTuple):
    """What became of one map, on the working grid; the box is on the canvas.

    Args:
        picture: RGB in [0, 1], (h, w, 3).
        map: as it was thresholded, (h, w).
        foreground: seeds, or all above the threshold, (h, w).
        background: seeds, or all the rest that is covered, (h, w).
        mask: the largest component of the foreground, (h, w); empty where there was none.
        box: half-open x0 y0 x1 y1 in pixels of the canvas; all of it where the mask is empty.
    """

    picture: Float[ndarray, "h w 3"]
    map: Float[ndarray, "h w"]
    foreground: Bool[ndarray, "h w"]
    background: Bool[ndarray, "h w"]
    mask: Bool[ndarray, "h w"]
    box: Float[ndarray, " 4"]

    @property
    def found(self) -> bool:
        """Whether there is an object at all."""
        return bool(self.mask.any())


def segment(
    maps: Float[ndarray, "k H W"],
    covered: Bool[ndarray, "H W"],
    canvas: Float[ndarray, "3 H W"],
    settings: Settings,
    activation: Float[ndarray, "k H W"] | None = None,
) -> list[Segmentation]:
    """Segments the object of every class of one picture.

    Args:
        maps: saliency per class on the canvas, (k, H, W), not negative.
        covered: pixels of the canvas that some crop saw.
        canvas: RGB in [0, 1], (3, H, W).
        settings: weights of the maps, quantiles, colour models, cut.
        activation: class activation per class, (k, H, W), where its weight is not 0.

    Returns:
        One segmentation per map.

    Source: Simonyan et al. 2013, sec. 3.2.
    """
    return segmented(scene(maps, covered, canvas, settings.side, activation), settings)


def segmented(shown: Scene, settings: Settings) -> list[Segmentation]:
    """Segments the object of every class of a scene.

    Args:
        shown: on the grid that `settings.side` asks for.
        settings: likewise.

    Returns:
        One segmentation per class.
    """
    activation = [None] * len(shown.saliency) if shown.activation is None else shown.activation
    blends = [blended(s, a, shown.covered, settings) for s, a in zip(shown.saliency, activation, strict=True)]
    links = contrast_links(shown.picture, settings.gamma) if settings.segmentation == "graph_cut" else None
    return [_segment(map_, shown, links, settings) for map_ in blends]


def _segment(map_: Float[ndarray, "h w"], shown: Scene, links: Links | None, settings: Settings) -> Segmentation:
    if settings.segmentation == "threshold":
        front, back = above(map_, shown.covered, settings.threshold)
        mask = boxes.largest_component(front, settings.connectivity)
    else:
        front, back = seeds(map_, shown.covered, settings.foreground_quantile, settings.background_quantile)
        mask = np.zeros_like(front)
        if front.any() and back.any():
            mask = _object(shown.picture, links, front, back, settings)
    box = boxes.tight_box(mask if mask.any() else np.ones_like(mask))
    return Segmentation(shown.picture, map_, front, back, mask, boxes.rescaled(box, mask.shape, shown.size))


def _object(
    picture: Float[ndarray, "h w 3"],
    links: Links | None,
    front: Bool[ndarray, "h w"],
    back: Bool[ndarray, "h w"],
    settings: Settings,
) -> Bool[ndarray, "h w"]:
    if links is None:
        return boxes.largest_component(grab_cut(picture, front, back), settings.connectivity)
    hard = (front, back) if settings.seeds_hard else (None, None)
    models = {"components": settings.components, "samples": settings.samples, "seed": settings.seed}
    free = ~(front | back) if settings.seeds_hard else None  # the label of a seed costs nothing
    costs = np.stack([color_model.unaries(picture, side, **models, where=free) for side in (back, front)])
    return boxes.largest_component(minimum_cut(costs, links, *hard), settings.connectivity)


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
