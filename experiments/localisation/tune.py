"""How `localise=best` was chosen: maps stored once, settings tried on them, cross-validated over photographs.

    python experiments/localisation/tune.py maps=FOLDER data=ilsvrc data.root=PATH model=squeezenet model.weights=FILE

Maps of the true class go to FOLDER as half floats on the working grid (about 70 kB a photograph), once. Every setting
of `GRID` then draws a box on each. A setting's worth is its class-known accuracy plus a fifth of its mean IoU, which
breaks ties. Five folds: chosen on four, counted on the fifth, four times over. The preset is not the best cell but one
whose neighbours (a step in every direction) do well too. Writes `tune.csv` and `cross_validation.csv` beside itself.
"""

import csv
import itertools
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.localisation.boxes import overlap, rescaled
from deepinside.localisation.maps import Scene
from deepinside.localisation.segment import segment
from deepinside.localisation.settings import Settings

HERE = Path(__file__).resolve().parent
SIDE = 112
FOLDS, REPEATS = 5, 4
GRID = {
    "centre": (None, 0.3, 0.35, 0.4, 0.5),
    "smoothing": (0.03, 0.04, 0.06),
    "activation": (0.0, 0.5, 0.6, 0.7, 0.8, 1.0),  # saliency has the rest
    "threshold": (0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.35),
}
BEST = {"centre": 0.35, "smoothing": 0.04, "activation": 0.7, "threshold": 0.15}  # conf/localise/best.yaml


def settings() -> Iterator[dict]:
    """The cells of the grid.

    Yields:
        Values by name.
    """
    for values in itertools.product(*GRID.values()):
        yield dict(zip(GRID, values, strict=True))


def store(folder: Path, overrides: Sequence[str]) -> None:
    """Stores scene and boxes of every photograph that has none in the folder yet.

    Args:
        folder: for the maps.
        overrides: of the configuration: data and model.
    """
    from hydra import compose, initialize_config_dir  # with torch, slow to import: workers need neither

    from deepinside.data import ilsvrc
    from deepinside.data.index import read_image
    from deepinside.localisation.crops import viewed
    from deepinside.methods.grad_cam import spatial_layer
    from deepinside.models.saved import build

    with initialize_config_dir(str(HERE.parents[1] / "conf"), version_base=None):
        cfg = compose("config", list(overrides))
    index = ilsvrc.index(Path(cfg.data.root)).boxed()
    net = build(cfg.model, None)
    layer = None
    for entry in index.entries:
        path = folder / f"{entry.image}.npz"
        if path.exists():
            continue
        image = read_image(index.root / entry.file)
        layer = layer or spatial_layer(net, image[None].float() / 255)
        shown = viewed(net, image, classes=[entry.label], layer=layer).scene(SIDE)
        truth = entry.boxes.xyxy / np.tile([entry.width, entry.height], 2)
        np.savez(path, **{name: np.float16(maps[0]) for name, maps in shown.maps.items()},
                 covered=shown.covered, truth=truth)  # fmt: skip


def tried(path: Path, cells: Sequence[dict] | None = None) -> Float[ndarray, " s"]:
    """The overlap that every setting reaches on one photograph.

    Args:
        path: of its maps.
        cells: settings to try; None: those of the grid.

    Returns:
        IoU per setting.
    """
    with np.load(path) as kept:
        covered, truth = kept["covered"], kept["truth"]
        maps = {name: kept[name].astype(np.float32)[None] for name in ("saliency", "grad_cam")}
    picture = np.zeros((*covered.shape, 3))  # a threshold does not look at it
    shown = Scene(picture, covered, maps, covered.shape)
    plain = Settings(side=None, segmentation="threshold")
    found = []
    for cell in settings() if cells is None else cells:
        rest = {key: value for key, value in cell.items() if key != "activation"}
        one = replace(plain, map={"saliency": 1 - cell["activation"], "grad_cam": cell["activation"]}, **rest)
        box = rescaled(segment(shown, one)[0].box, covered.shape, (1, 1))
        found.append(float(overlap(box, truth).max()))
    return np.array(found)


def folds(overlaps: Float[ndarray, "n s"], seed: int = 0) -> Iterator[tuple[int, int, int, float]]:
    """Cross-validation: chosen on four folds, counted on the fifth.

    Args:
        overlaps: per photograph and setting.
        seed: of the folds.

    Yields:
        Repeat, fold, chosen setting, and the share of the fold's photographs that it finds.
    """
    right, random = overlaps >= 0.5, np.random.default_rng(seed)
    for repeat in range(REPEATS):
        fold = random.permutation(len(overlaps)) % FOLDS
        for out in range(FOLDS):
            seen = fold != out
            chosen = int(np.argmax(right[seen].mean(axis=0) + 0.2 * overlaps[seen].mean(axis=0)))
            yield repeat, out, chosen, float(right[~seen, chosen].mean())


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _neighbours(accuracy: Float[ndarray, " s"]) -> Float[ndarray, " s"]:
    shape = tuple(map(len, GRID.values()))
    table = accuracy.reshape(shape)
    around = [np.ix_(*(range(max(0, i - 1), i + 2)[: n - max(0, i - 1)] for i, n in zip(at, shape, strict=True)))
              for at in np.ndindex(shape)]  # fmt: skip
    return np.array([table[window].mean() for window in around])


def main(words: Sequence[str]) -> None:
    """Stores what is missing, tries the grid, writes the tables.

    Args:
        words: `maps=FOLDER`, then overrides of data and model; without overrides the maps must be there.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(words[0].removeprefix("maps="))
    folder.mkdir(parents=True, exist_ok=True)
    if len(words) > 1:
        store(folder, words[1:])
    paths = sorted(folder.glob("*.npz"))
    with ProcessPoolExecutor(2) as pool:
        overlaps = np.array(list(pool.map(tried, paths, chunksize=20)))
    cells = list(settings())
    accuracy, mean = 100 * (overlaps >= 0.5).mean(axis=0), overlaps.mean(axis=0)
    around = _neighbours(accuracy)
    order = np.argsort(-accuracy, kind="stable")
    rows = [(*cells[i].values(), f"{accuracy[i]:.2f}", f"{around[i]:.2f}", f"{mean[i]:.4f}") for i in order]
    _write(HERE / "tune.csv", (*GRID, "class_known_accuracy", "mean_of_neighbours", "mean_iou"), rows)
    counted = list(folds(overlaps))
    _write(
        HERE / "cross_validation.csv",
        ("repeat", "fold", *GRID, "held_out_accuracy"),
        [(repeat, out, *cells[chosen].values(), f"{100 * share:.2f}") for repeat, out, chosen, share in counted],
    )
    best = cells.index(BEST)
    logging.info("%d photographs, %d settings", *overlaps.shape)
    logging.info("cross-validated class-known accuracy %.1f %%", 100 * np.mean([row[3] for row in counted]))
    logging.info("preset best: %.2f %%, neighbours %.2f %%", accuracy[best], around[best])


if __name__ == "__main__":
    main(sys.argv[1:])
