"""The pictures of an artifact: saved without metadata, listed with their captions in `pictures.csv`."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy import ndarray
from PIL import Image

COLUMNS = ("file", "group", "title", "caption")


class Drawn(NamedTuple):
    """A picture of a study.

    Args:
        picture: a figure, or RGB bytes (h, w, 3).
        name: unique within the study; may be empty.
        title: a few words.
        caption: what it shows; the settings are added to it.
    """

    picture: Figure | UInt8[ndarray, "h w 3"]
    name: str
    title: str
    caption: str


class Gallery:
    """Collects the pictures of one artifact.

    Args:
        folder: of the artifact; pictures go to `pictures/` in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[str, str, str, str]] = []
        (folder / "pictures").mkdir(parents=True, exist_ok=True)

    def add(
        self, picture: Figure | UInt8[ndarray, "h w 3"], name: str, *, group: str, title: str, caption: str
    ) -> None:
        """Saves a picture and closes it.

        Args:
            picture: a figure, or RGB bytes (h, w, 3).
            name: of the file, without ending; unique.
            group: the gallery it belongs to.
            title: a few words.
            caption: what it shows and with which settings.

        Raises:
            ValueError: if the name is taken.
        """
        file = f"pictures/{name}.png"
        if any(row[0] == file for row in self.rows):
            raise ValueError(f"two pictures are named {name!r}; give each its own name")
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
