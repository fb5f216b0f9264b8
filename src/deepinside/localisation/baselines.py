"""What every localisation has to beat: boxes that look at nothing, and the plainest ways from a map to a box."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.localisation.boxes import whole_pixels
from deepinside.localisation.settings import Settings, has_grab_cut


def whole_image(size: tuple[int, int]) -> Float[ndarray, " 4"]:
    """The box around the whole photograph.

    Args:
        size: (height, width) in pixels.

    Returns:
        Half-open x0 y0 x1 y1.
    """
    return np.array([0, 0, size[1], size[0]], dtype=np.float64)


def centre_box(size: tuple[int, int], area: float = 0.5) -> Float[ndarray, " 4"]:
    """The central box of the photograph's own shape that covers a share of its area.

    Half the area is the share at which a centred object of any size from a quarter of the picture to all of it is
    found (IoU 0.5 holds for area ratios between 1/2 and 2).

    Args:
        size: (height, width) in pixels.
        area: share of the photograph's area, in (0, 1].

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
        "grad_cam": replace(plain, saliency=0.0, activation=1.0, threshold=0.2),
    }
