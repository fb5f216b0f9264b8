"""Where the paper's localisation loses: its steps replaced by the truth, or by the best that they could be.

    python experiments/localisation/budget.py data=imagenette data.root=PATH model=squeezenet model.weights=FILE

The class is known. Every row of `budget.csv` is the error (IoU below 0.5) of one way from the map to a box:

    paper             simonyan2013, literally
    true_seeds        seeds drawn at random from the true box (5 % of the image) and from outside it (30 %)
    true_colours      the paper's seeds, colour models of all pixels inside and outside the true box
    true_both         both of these
    best_component    of the paper's cut, the component that overlaps the true box most
    all_components    the box around the whole cut: needs no truth
    best_threshold    of the map smoothed by 5 % of the shorter side: the share of its maximum best for this image
    common_threshold  the share that is best for all images together
    centre_seeds      the paper's method with a Gaussian about the centre as its map: what it does without a network
    whole_image, centre_box

`resolution=64` first reduces each photograph to that shorter side. Rows of the same network, data and resolution are
replaced, so that runs add up.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy import ndimage

from deepinside.data.imagenet import matched
from deepinside.localisation import boxes, color_model
from deepinside.localisation.crops import viewed
from deepinside.localisation.graph_cut import contrast_links, minimum_cut
from deepinside.localisation.maps import Scene, smoothed, window
from deepinside.localisation.segment import seeds
from deepinside.localisation.settings import BASELINES, Settings
from deepinside.models.saved import build
from deepinside.pipeline.configuration import composed
from deepinside.runtime.progress import track
from deepinside.statistics import mean_row
from deepinside.views import resized, to_bytes

HERE = Path(__file__).resolve().parent
PAPER = Settings()
SHARES = np.arange(0.05, 1.0, 0.05)  # thresholds, of the map's maximum
Mask = Bool[ndarray, "h w"]


def drawn(shown: Scene, front: Mask, back: Mask, colours: tuple[Mask, Mask] | None = None) -> Mask:
    """The paper's cut, from seeds that keep their labels.

    Args:
        shown: the image on the working grid.
        front: foreground seeds.
        back: background seeds.
        colours: pixels that the two colour models are fitted to; None: the seeds.

    Returns:
        All pixels of the object; none if a side has no seeds.
    """
    fitted = colours or (front, back)
    if not all(side.any() for side in (front, back, *fitted)):
        return np.zeros_like(front)
    models = {"components": PAPER.components, "samples": PAPER.samples, "seed": PAPER.seed}
    costs = color_model.unaries(shown.picture, np.stack(fitted[::-1]), **models)
    return minimum_cut(costs, contrast_links(shown.picture, PAPER.gamma), front, back)


def boxed(mask: Mask) -> Float[ndarray, " 4"]:
    """The box around the largest component; the whole grid if there is none, as in `localise`."""
    part = boxes.largest_component(mask)
    return boxes.tight_box(part if part.any() else np.ones_like(part))


def overlaps(shown: Scene, instances: Float[ndarray, "b 4"], random: np.random.Generator) -> dict[str, float]:
    """The IoU that every way reaches on one image, with the instance that its box overlaps most.

    Args:
        shown: the image and the map of its class on the working grid.
        instances: true boxes on that grid.
        random: of the seeds that are drawn from the true box.

    Returns:
        IoU by name; those of thresholds as `threshold.<share>`.
    """
    map_, covered = shown.maps["saliency"][0], shown.covered
    size = covered.shape

    def met(box: Float[ndarray, " 4"]) -> float:
        return float(boxes.overlap(box, instances).max())

    inside = np.zeros(size, bool)
    for x0, y0, x1, y1 in np.rint(instances).astype(int):
        inside[max(0, y0) : max(y1, y0 + 1), max(0, x0) : max(x1, x0 + 1)] = True
    chosen = random.permuted(np.arange(inside.size).reshape(size))
    true_seeds = _most(chosen, inside, 1 - PAPER.foreground_quantile), _most(chosen, ~inside, PAPER.background_quantile)
    quantiles = PAPER.foreground_quantile, PAPER.background_quantile
    front, back = seeds(map_, covered, *quantiles)
    paper = drawn(shown, front, back)
    labels, count = ndimage.label(paper, structure=np.ones((3, 3)))
    parts = [boxes.tight_box(labels == number) for number in range(1, count + 1)]
    smooth = smoothed(map_, covered, 0.05 * min(size)) * covered
    at = {share: met(boxed(smooth >= share * smooth.max())) for share in SHARES}
    centre = drawn(shown, *seeds(window(size, 0.3), np.ones(size, bool), *quantiles))
    return {
        "paper": met(boxed(paper)),
        "true_seeds": met(boxed(drawn(shown, *true_seeds))),
        "true_colours": met(boxed(drawn(shown, front, back, (inside, ~inside)))),
        "true_both": met(boxed(drawn(shown, *true_seeds, (inside, ~inside)))),
        "best_component": max(map(met, parts), default=met(boxed(paper))),
        "all_components": met(boxes.tight_box(paper if paper.any() else np.ones_like(paper))),
        "best_threshold": max(at.values()),
        "centre_seeds": met(boxed(centre)),
        **{name: met(box(size)) for name, box in BASELINES.items()},
        **{f"threshold.{share:.2f}": value for share, value in at.items()},
    }


def _most(order: ndarray, allowed: Mask, share: float) -> Mask:
    count = min(int(allowed.sum()), round(share * allowed.size))
    return allowed & (order <= np.partition(order[allowed], count - 1)[count - 1]) if count else np.zeros_like(allowed)


def measured(words: Sequence[str], resolution: int | None) -> tuple[str, str, pd.DataFrame]:
    """The overlaps of every photograph with boxes, and where its object is.

    Args:
        words: overrides of data and model.
        resolution: shorter side in pixels that photographs are reduced to first; None: as they are.

    Returns:
        Names of network and data; a row per photograph.
    """
    cfg = composed(words)
    network = build(cfg.model, None).to("cpu")
    index = matched(instantiate(cfg.data.index, root=Path(cfg.data.root)), network.classes)
    index = index.split(cfg.data.split).boxed().limit(cfg.data.limit)
    rows = []
    for number, entry in enumerate(track(index.entries, "budget")):
        image = index.picture(entry)
        if resolution is not None and resolution < min(image.shape[1:]):
            scale = resolution / min(image.shape[1:])
            small = resized(image, *(round(side * scale) for side in image.shape[1:]), "bilinear")
            image = torch.from_numpy(to_bytes(small[None])[0]).permute(2, 0, 1)
        view = viewed(network, image, classes=[entry.label])
        shown = view.scene(PAPER.side)
        instances = boxes.rescaled(entry.boxes.xyxy, (entry.height, entry.width), shown.covered.shape)
        largest = max(instances, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        sides, (height, width) = largest[2:] - largest[:2], shown.covered.shape
        offset = np.abs((largest[:2] + largest[2:]) / 2 / (width, height) - 0.5).max()
        found = overlaps(shown, instances, np.random.default_rng((0, number)))
        rows.append({"area": sides.prod() / (height * width), "offset": offset, "instances": len(instances)} | found)
    return network.name, cfg.data.name, pd.DataFrame(rows)


def tabulated(frame: pd.DataFrame) -> Iterator[dict]:
    """Errors by way and group of photographs.

    Args:
        frame: of `measured`.

    Yields:
        Group, way, error in percent with its interval, number of photographs.
    """
    shares = [name for name in frame if name.startswith("threshold.")]
    frame["common_threshold"] = frame[max(shares, key=lambda name: (frame[name] >= 0.5).mean())]
    frame = frame.drop(columns=shares)
    small, large = frame["area"].quantile([1 / 3, 2 / 3])
    groups = {
        "all": frame["area"] >= 0,
        f"area below {small:.2f}": frame["area"] < small,
        f"area {small:.2f} to {large:.2f}": frame["area"].between(small, large),
        f"area above {large:.2f}": frame["area"] > large,
        "centre within 0.05 of the image's": frame["offset"] <= 0.05,
        "centre farther away": frame["offset"] > 0.05,
        "one instance": frame["instances"] == 1,
        "several instances": frame["instances"] > 1,
    }
    for group, chosen in groups.items():
        for way in frame.columns.drop(["area", "offset", "instances"]):
            row = mean_row(way, 100.0 * (frame.loc[chosen, way] < 0.5).to_numpy(dtype=float))
            yield {"group": group, "way": way, "error": round(row.value, 2), "ci_low": round(row.ci_low, 2),
                   "ci_high": round(row.ci_high, 2), "photographs": row.n}  # fmt: skip


def main(words: Sequence[str]) -> None:
    """Measures and writes the table.

    Args:
        words: `resolution=PIXELS`, if any, then overrides of data and model.
    """
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = [word.partition("=")[2] for word in words if word.startswith("resolution=")]
    resolution = int(given[0]) if given else None
    network, data, frame = measured([word for word in words if not word.startswith("resolution=")], resolution)
    key = {"network": network, "data": data, "resolution": resolution or "full"}
    table = pd.DataFrame([key | row for row in tabulated(frame)])
    path = HERE / "budget.csv"
    if path.exists():
        known = pd.read_csv(path, dtype={"resolution": str})
        same = (known["network"] == network) & (known["data"] == data) & (known["resolution"] == str(key["resolution"]))
        table = pd.concat([known[~same], table])
    table.to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
