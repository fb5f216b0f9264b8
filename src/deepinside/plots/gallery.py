"""The images of an artifact: saved without metadata, listed in `pictures.csv`, their parts in `panes.csv`."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image
from scipy.ndimage import binary_erosion

COLUMNS = ("file", "group", "title", "caption", "settings", "about")
PANES = ("file", "of", "columns", "kind", "title", "note")
_MOST = 64  # panes of a figure


class Pane(NamedTuple):
    """A part of a figure as an image without text: a page arranges the parts and sets the words.

    Args:
        pixels: RGB bytes (h, w, 3); all panes of a figure have one aspect ratio, except those of kind `other`.
        title: a few words.
        note: scale or legend.
        kind: `image`, `map` (of the image, pixel for pixel) or `other`.
    """

    pixels: UInt8[ndarray, "h w 3"]
    title: str
    note: str = ""
    kind: str = "other"


def to_pixels(image: ndarray) -> UInt8[ndarray, "h w 3"]:
    """An image (h, w, 3), bytes or floats in [0, 1], as bytes."""
    return image if image.dtype == np.uint8 else (255 * image.astype(np.float32)).round().clip(0, 255).astype(np.uint8)


class Drawn(NamedTuple):
    """An image of a study.

    Args:
        picture: a figure, or RGB bytes (h, w, 3).
        name: unique within the study; may be empty.
        title: a few words.
        caption: its content; the settings are added to it.
        panes: its parts, if they are more exact than those cut from the figure.
        about: what it shows, as `image/NAME` or `unit/LAYER/NUMBER`.
    """

    picture: Figure | UInt8[ndarray, "h w 3"]
    name: str
    title: str
    caption: str
    panes: Sequence[Pane] = ()
    about: Sequence[str] = ()


class Gallery:
    """Collects the images of one artifact in the folder `pictures/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[str, ...]] = []
        self.panes: list[tuple[str, ...]] = []
        (folder / "pictures").mkdir(parents=True, exist_ok=True)

    def add(
        self,
        picture: Figure | UInt8[ndarray, "h w 3"],
        name: str,
        *,
        group: str,
        title: str,
        caption: str,
        settings: Mapping[str, Any] | None = None,
        panes: Sequence[Pane] = (),
        about: Sequence[str] = (),
    ) -> None:
        """Saves an image, a figure or RGB bytes (h, w, 3), under a unique name without ending, and closes it.

        A figure without images is saved as SVG, too; one that consists of images also in parts (`panes`).

        Raises:
            ValueError: if the name is taken.
        """
        file = f"pictures/{name}.png"
        if any(row[0] == file for row in self.rows):
            raise ValueError(f"two images are named {name!r}; give each its own name")
        if isinstance(picture, Figure):
            # Without the version of matplotlib the bytes depend on the pixels alone.
            picture.savefig(self.folder / file, dpi=110, bbox_inches="tight", metadata={"Software": None})
            if not any(axis.images for axis in picture.axes):
                # letters as text; the same figure, the same bytes
                with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "deepinside"}):
                    about_file = {"Date": None, "Creator": None}
                    vector = self.folder / f"pictures/{name}.svg"
                    picture.savefig(vector, bbox_inches="tight", transparent=True, metadata=about_file)
            columns, panes = (len(panes), panes) if panes else cut(picture)
            plt.close(picture)
        else:
            columns = len(panes)
            Image.fromarray(np.ascontiguousarray(picture)).save(self.folder / file, optimize=True)
        chosen = json.dumps(settings, default=str) if settings else ""
        self.rows.append((file, group, title, caption, chosen, "\n".join(about)))
        for number, pane in enumerate(panes):
            part = f"pictures/panes/{name}_{number}.png"
            (self.folder / "pictures/panes").mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pane.pixels)).save(self.folder / part, optimize=True)
            self.panes.append((part, file, str(columns), pane.kind, pane.title, pane.note))

    def write(self) -> None:
        """Writes `pictures.csv`, and `panes.csv` if any figure has panes."""
        for name, header, rows in (("pictures", COLUMNS, self.rows), ("panes", PANES, self.panes)):
            if rows or name == "pictures":
                with (self.folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file, lineterminator="\n")
                    writer.writerow(header)
                    writer.writerows(rows)


def cut(figure: Figure) -> tuple[int, list[Pane]]:
    """The axes of a figure that consists of images alone, row by row, and the number of columns; otherwise none.

    The titles name column and row; the notes are the labels below the images.
    """
    shown = [axis for axis in figure.axes if axis.has_data() and axis.get_label() != "<colorbar>"]
    if not 0 < len(shown) <= _MOST or not all(_bare(axis) for axis in shown):
        return 0, []
    spots = {_spot(axis): axis for axis in shown}
    if len(spots) < len(shown):
        return 0, []
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    panes = []
    for (row, column), axis in sorted(spots.items()):
        first, top = spots.get((row, 0), axis), spots.get((0, column), axis)
        titles = (first.get_ylabel(), axis.get_title() or top.get_title())
        box = axis.get_window_extent()
        down, across = (
            slice(len(pixels) - round(box.y1), len(pixels) - round(box.y0)),
            slice(round(box.x0), round(box.x1)),
        )
        title = " · ".join(" ".join(one.split()) for one in titles if one)
        panes.append(Pane(pixels[down, across], title, axis.get_xlabel().replace("\n", "; ")))
    return max(column for _, column in spots) + 1, panes


def _bare(axis: Axes) -> bool:
    return bool(axis.images) and not (axis.axison and (len(axis.get_xticks()) or len(axis.get_yticks())))


def _spot(axis: Axes) -> tuple[int, int]:
    place = axis.get_subplotspec()
    return (place.rowspan.start, place.colspan.start) if place else (0, 0)


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
