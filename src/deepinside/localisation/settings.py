"""The settings that lead from maps to a box, and the baselines that every localisation has to beat."""

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.localisation.boxes import whole_pixels

SALIENCY, GRAD_CAM = "saliency", "grad_cam"  # the maps of all classes that one backward pass each gives together
_FORMER = {"activation": GRAD_CAM}  # name of a map -> name today


def has_grab_cut() -> bool:
    """Whether OpenCV is installed.

    Returns:
        Whether it is.
    """
    return importlib.util.find_spec("cv2") is not None


@dataclass(frozen=True)
class Settings:
    """The keys of `conf/localise/*.yaml` that lead from maps to a box.

    Args:
        side: shorter side of the working grid, in pixels, if the canvas is larger; None for the canvas itself.
        map: method -> weight of its map; without those of weight 0. Saliency alone is not scaled. `activation`, a
            former name, is `grad_cam`.
        smoothing: standard deviation of the Gaussian that smooths every map but that of Grad-CAM, which is smooth, as a
            share of the shorter side; 0 for none.
        centre: standard deviation of a Gaussian window about the centre, as a share of each side; None for none.
        segmentation: a rule of `segment.SEGMENTATIONS`: `graph_cut`, or `threshold`: all from a share of the map's
            maximum on, or `grab_cut`: OpenCV's, from the same seeds, if cv2 is installed.
        threshold: that share.
        foreground_quantile: pixels strictly above this quantile of the map are foreground seeds.
        background_quantile: pixels strictly below this one are background seeds.
        components: Gaussians per colour model.
        samples: highest number of seed pixels of a colour model.
        seeds_hard: whether seeds keep their label; otherwise they are only used for the colour models.
        gamma: weight of smoothness against colour.
        connectivity: 8 or 4, of the largest component.
        seed: of the sampling of seed pixels and the start of the mixtures.

    Raises:
        ValueError: if the quantiles are not in order, or another number is out of range.
    """

    side: int | None = 112
    map: Mapping[str, float] = field(default_factory=lambda: {SALIENCY: 1.0})
    smoothing: float = 0.0
    centre: float | None = None
    segmentation: str = "graph_cut"
    threshold: float = 0.2
    foreground_quantile: float = 0.95
    background_quantile: float = 0.30
    components: int = 5
    samples: int = 2000
    seeds_hard: bool = True
    gamma: float = 50.0
    connectivity: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        from deepinside.localisation.segment import SEGMENTATIONS  # whose rules take these settings

        low, high = self.background_quantile, self.foreground_quantile
        if not 0 < low <= high < 1:
            raise ValueError(f"expected 0 < background_quantile <= foreground_quantile < 1, got {low} and {high}")
        if self.connectivity not in {4, 8}:
            raise ValueError(f"expected connectivity 4 or 8, got {self.connectivity}")
        if self.segmentation not in SEGMENTATIONS:
            raise ValueError(f"expected segmentation {' or '.join(SEGMENTATIONS)}, got {self.segmentation!r}")
        if self.segmentation == "grab_cut" and not has_grab_cut():
            raise ValueError("segmentation grab_cut is OpenCV's: pip install opencv-python-headless")
        if not (0 < self.threshold < 1 and (self.centre is None or self.centre > 0)):
            raise ValueError(f"expected 0 < threshold < 1 and centre > 0, got {self.threshold} and {self.centre}")
        least = {"components": 1, "samples": 1, "gamma": 0, "smoothing": 0}
        for key, value in (least | ({} if self.side is None else {"side": 1})).items():
            if getattr(self, key) < value:
                raise ValueError(f"expected {key} of at least {value}, got {getattr(self, key)}")
        object.__setattr__(self, "map", _weights(self.map))

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The settings among other options.

        Args:
            options: by name, all of these and any others.

        Returns:
            The settings.
        """
        return cls(**{one.name: options[one.name] for one in fields(cls)})


def _weights(given: Mapping[str, float]) -> dict[str, float]:
    names = [_FORMER.get(name, name) for name in given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"expected each map once, got {', '.join(given)}: {twice[0]} has two names here")
    weights = dict(zip(names, given.values(), strict=True))
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise ValueError(f"map.{name}: expected a weight of at least 0, got {weight!r}")
    positive = {name: weight for name, weight in weights.items() if weight > 0}
    if not positive:
        raise ValueError(f"map: expected a weight above 0, got {weights}: nothing to segment")
    return positive


def whole_image(size: tuple[int, int]) -> Float[ndarray, " 4"]:
    """The box around the whole photograph.

    Args:
        size: (height, width) in pixels.

    Returns:
        Half-open x0 y0 x1 y1.
    """
    return np.array([0, 0, size[1], size[0]], dtype=np.float64)


def centre_box(size: tuple[int, int], area: float = 0.5) -> Float[ndarray, " 4"]:
    """The central box with the image's aspect ratio that covers a share of its area.

    Half the area is the share at which a centred object of any size from a quarter of the image to all of it is
    found (IoU 0.5 holds for area ratios between 1/2 and 2).

    Args:
        size: (height, width) in pixels.
        area: share of the image's area, in (0, 1].

    Returns:
        Half-open x0 y0 x1 y1, whole pixels.
    """
    height, width = size
    x, y = (side * (1 - math.sqrt(area)) / 2 for side in (width, height))
    return whole_pixels(np.array([x, y, width - x, height - y]), size)


BASELINES: dict[str, Callable[[tuple[int, int]], Float[ndarray, " 4"]]] = {
    "whole_image": whole_image,
    "centre_box": centre_box,
}


def from_maps(settings: Settings) -> dict[str, Settings]:
    """Boxes by a threshold on one map, on the same grid.

    Args:
        settings: of the preset.

    Returns:
        `cam_rule`: 20 % of the smoothed saliency's maximum (Zhou et al. 2016, sec. 3.2); `tuned_threshold`: the best
        smoothing and threshold on the shared sample; `grad_cam`: the class activation by the same 20 %; `grab_cut`:
        OpenCV's from the seeds of the paper, where cv2 is installed.
    """
    plain = Settings(side=settings.side, segmentation="threshold", connectivity=settings.connectivity)
    cut = {"grab_cut": Settings(side=settings.side, segmentation="grab_cut")} if has_grab_cut() else {}
    return cut | {
        "cam_rule": replace(plain, smoothing=0.05, threshold=0.2),
        "tuned_threshold": replace(plain, smoothing=0.08, threshold=0.35),
        "grad_cam": replace(plain, map={GRAD_CAM: 1.0}, threshold=0.2),
    }
