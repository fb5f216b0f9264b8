"""What Quantus measures on images, maps and a network made from a seed, for a test to compare ours with.

    pip install quantus        # in an environment of its own: LGPL-3, and none of our requirements
    python experiments/attribution/quantus_reference.py

writes quantus.csv beside this file: measure, image, step, value, version of Quantus. Nothing of ours is imported.
`tests/attribution/test_quantus.py` takes the same images, maps and network from `material`.
"""

import csv
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import ndimage
from torch import nn

HERE = Path(__file__).resolve().parent
SEED, IMAGES = 0, 4
SIDE, STEPS = 84, 12  # Quantus wants 3 * SIDE ** 2 / STEPS to divide SIDE ** 2
CORNER = (
    56  # side of the maps that are correlated, which `deepinside.attribution.comparison.compared` takes as they are
)
COLUMNS = ("measure", "image", "step", "value", "quantus")


class Material(NamedTuple):
    """What is measured.

    Attributes:
        images: RGB in [0, 1].
        labels: classes.
        maps: not negative, no two pixels alike.
        others: maps of a network with other weights.
        boxes: half-open x0 y0 x1 y1, whole pixels, one per image.
        network: images -> scores of three classes, without normalisation.
    """

    images: Float[ndarray, "n 3 h w"]
    labels: Int[ndarray, " n"]
    maps: Float[ndarray, "n h w"]
    others: Float[ndarray, "n h w"]
    boxes: Int[ndarray, "n 4"]
    network: nn.Module


def material() -> Material:
    """Images, maps and network of the seed, by NumPy, whose generator is the same everywhere."""
    random = np.random.default_rng(SEED)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 7, stride=3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3)
    )
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.from_numpy(random.normal(scale=0.5, size=tuple(weights.shape))))
    images = random.uniform(0.2, 1, (IMAGES, 3, SIDE, SIDE)).astype(np.float32)
    noise = random.random((2, IMAGES, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 3, 3))
    maps, others = smooth[0], smooth[0] + 0.7 * smooth[1]
    low = random.integers(0, 20, (IMAGES, 2))
    boxes = np.concatenate([low, low + random.integers(12, 36, (IMAGES, 2))], axis=1)
    for number in (0, 2):  # in every second image the maximum is in the box
        maps[number, boxes[number, 1] + 2, boxes[number, 0] + 2] = 2
    return Material(images, random.integers(0, 3, IMAGES), maps, others, boxes, network.eval())


def masks(boxes: Int[ndarray, "n 4"]) -> Int[ndarray, "n 1 h w"]:
    """The boxes as pixels."""
    found = np.zeros((len(boxes), 1, SIDE, SIDE), dtype=int)
    for mask, (x0, y0, x1, y1) in zip(found, boxes, strict=True):
        mask[0, y0:y1, x0:x1] = 1
    return found


def main() -> None:
    """Writes the table."""
    import quantus

    made = material()
    version = importlib.metadata.version("quantus")
    maps, inside = made.maps[:, None], masks(made.boxes)
    quiet = {"disable_warnings": True, "display_progressbar": False}
    asked = {"model": made.network, "x_batch": made.images, "y_batch": made.labels, "a_batch": maps, "device": "cpu"}
    corner = {"x_batch": made.images[..., :CORNER, :CORNER], "a_batch": maps[..., :CORNER, :CORNER]}
    pixels = SIDE * SIDE // STEPS
    found = {
        "pointing_game": quantus.PointingGame(**quiet)(**asked, s_batch=inside),
        "energy": quantus.AttributionLocalisation(**quiet)(**asked, s_batch=inside),
        # a map counts for its three channels, which are flipped together
        "pixel_flipping": quantus.PixelFlipping(
            features_in_step=3 * pixels, normalise=False, perturb_baseline=0.0, **quiet
        )(**asked, softmax=True),
        "mprt": quantus.MPRT(skip_layers=True, return_last_correlation=True, **quiet)(
            **asked | corner, explain_func=lambda **_: made.others[:, None, :CORNER, :CORNER]
        ),
    }
    with (HERE / "quantus.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for measure, values in found.items():
            for image, value in enumerate(values):
                for step, one in enumerate(np.atleast_1d(value), start=1):
                    writer.writerow((measure, image, step, f"{float(one):.9g}", version))


if __name__ == "__main__":
    main()
