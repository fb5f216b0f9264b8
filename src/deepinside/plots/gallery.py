"""The images of an artifact: saved without metadata, listed with their captions in `pictures.csv`."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image
from scipy.ndimage import binary_erosion

COLUMNS = ("file", "group", "title", "caption")


class Drawn(NamedTuple):
    """An image of a study.

    Args:
        picture: a figure, or RGB bytes (h, w, 3).
        name: unique within the study; may be empty.
        title: a few words.
        caption: its content; the settings are added to it.
    """

    picture: Figure | UInt8[ndarray, "h w 3"]
    name: str
    title: str
    caption: str


class Gallery:
    """Collects the images of one artifact in the folder `pictures/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[str, str, str, str]] = []
        (folder / "pictures").mkdir(parents=True, exist_ok=True)

    def add(
        self, picture: Figure | UInt8[ndarray, "h w 3"], name: str, *, group: str, title: str, caption: str
    ) -> None:
        """Saves an image, a figure or RGB bytes (h, w, 3), under a unique name without ending, and closes it.

        Raises:
            ValueError: if the name is taken.
        """
        file = f"pictures/{name}.png"
        if any(row[0] == file for row in self.rows):
            raise ValueError(f"two images are named {name!r}; give each its own name")
        if isinstance(picture, Figure):
            # Without the version of matplotlib the bytes depend on the pixels alone.
            picture.savefig(self.folder / file, dpi=110, bbox_inches="tight", metadata={"Software": None})
            plt.close(picture)
        else:
            Image.fromarray(np.ascontiguousarray(picture)).save(self.folder / file, optimize=True)
        self.rows.append((file, group, title, caption))

    def write(self) -> None:
        """Writes `pictures.csv`: file, group, title, caption."""
        with (self.folder / "pictures.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(self.rows)


_DIM = 0.35  # brightness outside the mask
_EDGE = (255, 176, 0)


def tile(image: UInt8[ndarray, "h w 3"], mask: Bool[ndarray, "h w"], side: int) -> UInt8[ndarray, "s s 3"]:
    """An image (h, w, 3) in a white square of `side` pixels, dark outside the mask and with a line around it."""
    height, width = mask.shape
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    pixels = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)).astype(float)
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    pixels[~inside] *= _DIM
    pixels[inside & ~binary_erosion(inside, border_value=1)] = _EDGE
    square = np.full((side, side, 3), 255, dtype=np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = pixels.round()
    return square


def mosaic(
    tiles: Sequence[UInt8[ndarray, "s s 3"]], columns: int | None = None, gap: int = 4
) -> UInt8[ndarray, "h w 3"]:
    """Square tiles in rows, on white; by default about as many columns as rows, `gap` pixels apart."""
    columns = columns or int(np.ceil(np.sqrt(len(tiles))))
    rows, side = -(-len(tiles) // columns), len(tiles[0])
    step = side + gap
    sheet = np.full((rows * step - gap, columns * step - gap, 3), 255, dtype=np.uint8)
    for index, one in enumerate(tiles):
        top, left = index // columns * step, index % columns * step
        sheet[top : top + side, left : left + side] = one
    return sheet
