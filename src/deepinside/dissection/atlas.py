"""Sheets of small top images of every unit, for an atlas of a network."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from deepinside.dissection.counting import Counter
from deepinside.dissection.figures import Batches, exhibits, slug
from deepinside.dissection.tables import write_csv
from deepinside.dissection.thresholds import TopImages
from deepinside.plots.gallery import tile

SIDE = 80  # pixels of an image on a sheet
GAP = 2
UNITS = 150  # rows of a sheet; WebP takes no more than 16383 pixels
QUALITY = 82  # percent, WebP
COLUMNS = ("layer", "unit", "file", "left", "top", "width", "height", "images")


def draw_atlas(
    out: Path,
    counter: Counter,
    batches: Batches,
    read: Callable[[int], UInt8[Tensor, "3 h w"]],
    tops: Mapping[str, TopImages],
    pictures: int,
) -> None:
    """Writes `atlas/<layer>_<first unit>.webp`, a row per unit, and `atlas.csv` with their positions.

    Args:
        out: folder of the artifact.
        counter: layers, thresholds and upsampling.
        batches: as `Counter.count` returned them.
        read: number of an image -> RGB bytes.
        tops: layer name -> top images of each unit.
        pictures: highest number per unit; 0 writes nothing.
    """
    wanted = {
        (layer, unit): numbers[:pictures]
        for layer, top in tops.items()
        for unit, numbers in enumerate(top.image.tolist())
    }
    columns = max(map(len, wanted.values()), default=0)
    if not columns:
        return
    step = SIDE + GAP
    rows = [_row(layer, unit, len(numbers), columns) for (layer, unit), numbers in wanted.items()]
    tall = {file: max(row["top"] for row in rows if row["file"] == file) + SIDE for file in {r["file"] for r in rows}}
    sheets = {file: np.full((height, columns * step - GAP, 3), 255, dtype=np.uint8) for file, height in tall.items()}
    places = {(row["layer"], row["unit"]): (sheets[row["file"]], row["top"]) for row in rows}
    for key, number, exhibit in exhibits(counter, batches, read, wanted):
        sheet, top = places[key]
        left = wanted[key].index(number) * step
        sheet[top : top + SIDE, left : left + SIDE] = tile(exhibit.image, exhibit.mask, SIDE)
    (out / "atlas").mkdir(exist_ok=True)
    for file, sheet in sheets.items():
        Image.fromarray(sheet).save(out / file, "WEBP", quality=QUALITY, method=4)
    write_csv(pd.DataFrame(rows, columns=list(COLUMNS)), out / "atlas.csv")


def _row(layer: str, unit: int, count: int, columns: int) -> dict:
    step, first = SIDE + GAP, unit // UNITS * UNITS
    file = f"atlas/{slug(layer)}_{first:05d}.webp"
    size = {"width": columns * step - GAP, "height": SIDE}
    return {
        "layer": layer,
        "unit": unit,
        "file": file,
        "left": 0,
        "top": (unit - first) * step,
        **size,
        "images": count,
    }
