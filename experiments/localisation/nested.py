"""`localise=best` tuned without the photographs and the networks that it is then tried on.

    python experiments/localisation/nested.py maps=FOLDER data=ilsvrc data.root=PATH model=squeezenet model.weights=FILE
    python experiments/localisation/nested.py maps=FOLDER data=imagenette data.root=PATH model=efficientnet_lite0
    ...
    python experiments/localisation/nested.py maps=FOLDER

With overrides it stores the maps of the true class of every photograph with boxes in FOLDER/<network>.<data>, once.
Without, every setting of `GRID` draws a box on each; then, for each network and data set, the setting is chosen on all
other networks and all other data sets together, so that neither the network nor any photograph took part, and counted.
`nested.csv` has the class-known errors beside those of the whole image and of the centre box, and the differences per
photograph, with 95 % intervals over photographs.
"""

import csv
import itertools
import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from tune import BEST, SIDE, tried  # beside this file

from deepinside.localisation.boxes import overlap, rescaled
from deepinside.localisation.settings import BASELINES
from deepinside.statistics import mean_row

HERE = Path(__file__).resolve().parent
GRID = {
    "centre": (None, 0.3, 0.35, 0.4, 0.5),
    "smoothing": (0.03, 0.06),
    "activation": (0.0, 0.5, 0.7, 1.0),  # saliency has the rest
    "threshold": (0.1, 0.15, 0.2, 0.3),
}


def cells() -> Iterator[dict]:
    """The settings of the grid, and the preset after them.

    Yields:
        Values by name.
    """
    for values in itertools.product(*GRID.values()):
        yield dict(zip(GRID, values, strict=True))
    yield BEST


def store(folder: Path, words: Sequence[str]) -> None:
    """Stores the maps of every photograph that has none yet.

    Args:
        folder: of all maps.
        words: overrides of data and model.
    """
    from hydra.utils import instantiate  # with torch, slow to import: workers need neither

    from deepinside.data.imagenet import matched
    from deepinside.localisation.crops import viewed
    from deepinside.localisation.localiser import last_positions
    from deepinside.models.saved import build
    from deepinside.pipeline.configuration import composed
    from deepinside.runtime.progress import track

    cfg = composed(words)
    network = build(cfg.model, None)
    index = matched(instantiate(cfg.data.index, root=Path(cfg.data.root)), network.classes)
    index = index.split(cfg.data.split).boxed().limit(cfg.data.limit)
    layer, place = last_positions(network), folder / f"{network.name}.{cfg.data.name}"
    place.mkdir(parents=True, exist_ok=True)
    for entry in track(index.entries, "maps"):
        path = place / f"{Path(entry.image).name}.npz"
        if path.exists():
            continue
        shown = viewed(network, index.picture(entry), classes=[entry.label], layer=layer).scene(SIDE)
        truth = entry.boxes.xyxy / np.tile([entry.width, entry.height], 2)
        np.savez(path, **{name: np.float16(maps[0]) for name, maps in shown.maps.items()},
                 covered=shown.covered, truth=truth)  # fmt: skip


def reached(path: Path) -> Float[ndarray, " s"]:
    """The overlap that every setting and every baseline reaches on one photograph.

    Args:
        path: of its maps.

    Returns:
        IoU per setting, then of the baselines.
    """
    with np.load(path) as kept:
        truth = kept["truth"]
    blind = [rescaled(box((1000, 1000)), (1000, 1000), (1, 1)) for box in BASELINES.values()]
    return np.append(tried(path, list(cells())), [float(overlap(box, truth).max()) for box in blind])


def counted(overlaps: dict[tuple[str, str], Float[ndarray, "n s"]]) -> Iterator[tuple]:
    """Errors of the setting chosen on other networks and other data.

    Args:
        overlaps: (network, data) -> per photograph and setting.

    Yields:
        Network, data, way, chosen setting, mean, interval, number of photographs.
    """
    settings = list(cells())
    names = list(BASELINES)
    for (network, data), found in overlaps.items():
        others = [rows for (n, d), rows in overlaps.items() if n != network and d != data]
        if not others:
            continue
        ours = slice(len(settings) - 1)  # without the preset
        worth = np.mean([(rows[:, ours] >= 0.5).mean(0) + 0.2 * rows[:, ours].mean(0) for rows in others], axis=0)
        chosen = int(np.argmax(worth))
        wrong = 100.0 * (found < 0.5)
        ways = {"nested": wrong[:, chosen], "best": wrong[:, len(settings) - 1]}
        ways |= {name: wrong[:, len(settings) + number] for number, name in enumerate(names)}
        ways |= {f"{name}_minus_nested": ways[name] - ways["nested"] for name in names}
        for way, values in ways.items():
            row = mean_row(way, values, "%")
            setting = " ".join(f"{key}={value}" for key, value in settings[chosen].items()) if way == "nested" else ""
            yield network, data, way, setting, *(f"{x:.2f}" for x in (row.value, row.ci_low, row.ci_high)), row.n


def main(words: Sequence[str]) -> None:
    """Stores maps, or tries the grid and writes the table.

    Args:
        words: `maps=FOLDER`, then overrides of data and model, if any.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(words[0].removeprefix("maps="))
    if len(words) > 1:
        store(folder, words[1:])
        return
    overlaps = {}
    with ProcessPoolExecutor(2) as pool:
        for place in sorted(path for path in folder.iterdir() if path.is_dir()):
            network, _, data = place.name.rpartition(".")
            overlaps[network, data] = np.array(list(pool.map(reached, sorted(place.glob("*.npz")), chunksize=10)))
    head = ("network", "data", "way", "setting", "error", "ci_low", "ci_high", "photographs")
    with (HERE / "nested.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(counted(overlaps))


if __name__ == "__main__":
    main(sys.argv[1:])
