"""From the saliency map of a class to the mask and the box of its object.

Quantiles of the map choose seeds, two colour models are fitted to them, a minimum cut parts the picture, the largest
connected part is the object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from PIL import Image
from scipy import ndimage

from deepinside.localise import boxes, color_model
from deepinside.localise.graph_cut import Links, contrast_links, minimum_cut


@dataclass(frozen=True)
class Settings:
    """What the way from map to box leaves open; the keys of `conf/localise/*.yaml`.

    Args:
        side: shorter side of the grid on which everything below happens, in pixels, where the canvas is larger; None
            for the canvas itself.
        smoothing: standard deviation of the Gaussian that smooths the map, as a share of the shorter side; 0 for none.
        foreground_quantile: pixels strictly above this quantile of the map are foreground seeds.
        background_quantile: pixels strictly below this one are background seeds.
        components: Gaussians per colour model.
        samples: seed pixels that a colour model is fitted to, at most.
        seeds_hard: whether seeds keep their label; otherwise they only make the colour models.
        gamma: weight of smoothness against colour.
        connectivity: 8 or 4, of the largest component.
        seed: of the sampling of seed pixels and the start of the mixtures.

    Raises:
        ValueError: if the quantiles are not in order, or another number makes no sense.
    """

    side: int | None = 112
    smoothing: float = 0.0
    foreground_quantile: float = 0.95
    background_quantile: float = 0.30
    components: int = 5
    samples: int = 2000
    seeds_hard: bool = True
    gamma: float = 50.0
    connectivity: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.background_quantile, self.foreground_quantile
        if not 0 < low <= high < 1:
            raise ValueError(f"expected 0 < background_quantile <= foreground_quantile < 1, got {low} and {high}")
        if self.connectivity not in {4, 8}:
            raise ValueError(f"expected connectivity 4 or 8, got {self.connectivity}")
        least = {"components": 1, "samples": 1, "gamma": 0, "smoothing": 0} | ({} if self.side is None else {"side": 1})
        for key, value in least.items():
            if getattr(self, key) < value:
                raise ValueError(f"expected {key} of at least {value}, got {getattr(self, key)}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The settings among other options.

        Args:
            options: by name, all of these and any others.

        Returns:
            The settings.
        """
        return cls(**{field.name: options[field.name] for field in fields(cls)})


class Segmentation(NamedTuple):
    """What became of one map, on the working grid; the box is on the canvas.

    Args:
        picture: RGB in [0, 1], (h, w, 3).
        map: as it was thresholded, (h, w).
        foreground: seeds, (h, w).
        background: seeds, (h, w).
        mask: the largest component of the cut's foreground, (h, w); empty where there was none.
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
    maps: Float[ndarray, "k H W"], covered: Bool[ndarray, "H W"], canvas: Float[ndarray, "3 H W"], settings: Settings
) -> list[Segmentation]:
    """Segments the object of every class of one picture; what the classes share is computed once.

    Args:
        maps: saliency per class on the canvas, (k, H, W), not negative.
        covered: pixels of the canvas that some crop saw; only these can be seeds.
        canvas: RGB in [0, 1], (3, H, W).
        settings: quantiles, colour models, cut.

    Returns:
        One segmentation per map.

    Source: Simonyan et al. 2013, sec. 3.2.
    """
    size = (canvas.shape[1], canvas.shape[2])
    grid = _grid(size, settings.side)
    picture = np.stack([_resized(channel, grid) for channel in canvas], axis=-1)
    seen = _resized(covered.astype(np.float32), grid) > 0.5
    links = contrast_links(picture, settings.gamma)
    small = [smoothed(_resized(map_, grid), seen, settings.smoothing * min(grid)) for map_ in maps]
    return [_segment(map_, seen, picture, links, size, settings) for map_ in small]


class Located(NamedTuple):
    """What is kept of the segmentations of one picture: boxes on the canvas (k, 4), and whether an object was found."""

    boxes: Float[ndarray, "k 4"]
    found: Bool[ndarray, " k"]


def locate(
    maps: Float[ndarray, "k H W"], covered: Bool[ndarray, "H W"], canvas: Float[ndarray, "3 H W"], settings: Settings
) -> Located:
    """The boxes alone of `segment`, small enough to hand from process to process.

    Args:
        maps: saliency per class on the canvas, (k, H, W).
        covered: pixels that some crop saw.
        canvas: RGB in [0, 1], (3, H, W).
        settings: quantiles, colour models, cut.

    Returns:
        One box per map.
    """
    segmented = segment(maps, covered, canvas, settings)
    return Located(np.stack([one.box for one in segmented]), np.array([one.found for one in segmented]))


def _segment(
    map_: Float[ndarray, "h w"],
    covered: Bool[ndarray, "h w"],
    picture: Float[ndarray, "h w 3"],
    links: Links,
    size: tuple[int, int],
    settings: Settings,
) -> Segmentation:
    front, back = seeds(map_, covered, settings.foreground_quantile, settings.background_quantile)
    mask = np.zeros_like(front)
    if front.any() and back.any():
        mask = _object(picture, links, front, back, settings)
    box = boxes.tight_box(mask if mask.any() else np.ones_like(mask))
    return Segmentation(picture, map_, front, back, mask, boxes.rescaled(box, mask.shape, size))


def _object(
    picture: Float[ndarray, "h w 3"],
    links: Links,
    front: Bool[ndarray, "h w"],
    back: Bool[ndarray, "h w"],
    settings: Settings,
) -> Bool[ndarray, "h w"]:
    costs = np.stack(
        [
            color_model.unaries(
                picture, side, components=settings.components, samples=settings.samples, seed=settings.seed
            )
            for side in (back, front)
        ]
    )
    hard = (front, back) if settings.seeds_hard else (None, None)
    return boxes.largest_component(minimum_cut(costs, links, *hard), settings.connectivity)


def seeds(
    map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], foreground: float, background: float
) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]:
    """The pixels strictly above the one quantile of the map and those strictly below the other.

    Where ties leave one side empty (a quantile that equals the map's maximum or minimum), the pixels at that extreme
    are its seeds. A map of one value has none.

    Args:
        map_: (h, w).
        covered: the pixels that count, for the quantiles too.
        foreground: quantile in (0, 1).
        background: likewise.

    Returns:
        Foreground and background seeds, (h, w) each, disjoint; both empty where the map is flat.

    Source: Simonyan et al. 2013, sec. 3.2 (95 % and 30 %).
    """
    values = map_[covered]
    if not len(values) or values.min() == values.max():
        return np.zeros_like(covered), np.zeros_like(covered)
    high, low = np.quantile(values, [foreground, background])
    front = map_ > high if values.max() > high else map_ == values.max()
    back = map_ < low if values.min() < low else map_ == values.min()
    return front & covered, back & covered


def smoothed(map_: Float[ndarray, "h w"], covered: Bool[ndarray, "h w"], sigma: float) -> Float[ndarray, "h w"]:
    """The map under a Gaussian that sees covered pixels only, (G * (m c)) / (G * c).

    Args:
        map_: (h, w).
        covered: the pixels that count.
        sigma: standard deviation in pixels; 0 leaves the map as it is.

    Returns:
        (h, w), zero where nothing covered is near.
    """
    if sigma == 0:
        return map_
    weight = ndimage.gaussian_filter(covered.astype(np.float64), sigma, mode="constant")
    total = ndimage.gaussian_filter(map_ * covered, sigma, mode="constant", output=np.float64)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6)


def _grid(size: Sequence[int], side: int | None) -> tuple[int, int]:
    factor = 1.0 if side is None else min(1.0, side / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _resized(values: Float[ndarray, "H W"], grid: tuple[int, int]) -> Float[ndarray, "h w"]:
    if values.shape == grid:
        return values
    # Area means: a smaller map keeps its mean.
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(grid[::-1], Image.Resampling.BOX))
