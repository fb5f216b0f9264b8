"""Broden, or any probe set in its format: images with label maps per category, read by header and by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from deepinside.data.broden.labels import Label, read_categories, read_labels
from deepinside.data.broden.rows import BadRow, Row, read_index
from deepinside.data.image import BROKEN, BadImage, fault, read_image
from deepinside.data.layouts import concepts_instead

__all__ = ["HOW", "BadRow", "Broden", "Label", "Row"]

HOW = """Download broden1_224.zip, broden1_227.zip or broden1_384.zip (1 GB) from netdissect.csail.mit.edu/data to have
    {root}/index.csv  category.csv  label.csv  c_color.csv ...
    {root}/images/ade20k  dtd  opensurfaces  pascal
and name the folder: concepts.root={root}"""


@dataclass(frozen=True)
class Broden:
    """A probe set, its rows sorted by the name of the image.

    Args:
        root: of the probe set.
        categories: that count, in the order of `category.csv`.
        labels: that occur in these categories, by number.
        numbers: of all labels in `label.csv`, sorted.
        rows: images that carry one of the categories.
        set_aside: (file, reason) of each unusable row.
        unlabelled: images excluded because they carry none of the categories.
    """

    root: Path
    categories: tuple[str, ...]
    labels: tuple[Label, ...]
    numbers: tuple[int, ...]
    rows: tuple[Row, ...]
    set_aside: tuple[tuple[str, str], ...] = ()
    unlabelled: tuple[str, ...] = ()

    @classmethod
    def open(cls, root: Path | str, categories: Sequence[str] | None = None) -> "Broden":
        """Reads the tables, and checks that each image and label map exists and has the size stated in the index.

        The content of the label maps is checked when they are read.

        Args:
            root: of the probe set.
            categories: some of them; None for all. Images that carry none of them are excluded, so that this choice
                changes the set of images, and with it the thresholds.

        Returns:
            The probe set.

        Raises:
            FileNotFoundError: if a table is missing.
            ValueError: if no row is usable.

        Source: Bau et al. 2017, released code (`joinseg.py`, `loadseg.py`).
        """
        root = Path(root)
        if not (root / "index.csv").is_file():
            what = f"{root}: expected a probe set, got no index.csv.{concepts_instead(root, 'broden')}"
            raise FileNotFoundError(f"{what}\n{HOW.format(root=root)}")
        names = read_categories(root, categories)
        labels, numbers = read_labels(root, names)
        rows, aside, bare = read_index(root, names, numbers)
        if not rows:
            what = f"{len(aside)} unusable ones, such as {aside[0]}" if aside else "none"
            raise ValueError(f"{root / 'index.csv'}: expected usable rows, got {what}.\n{HOW.format(root=root)}")
        return cls(root, names, labels, numbers, rows, aside, bare)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> int:
        """Length of a lookup table for the labels in label maps.

        Returns:
            One more than the highest number of a label.
        """
        return self.numbers[-1] + 1 if self.numbers else 1

    def limit(self, n: int | None) -> "Broden":
        """The first images in sorted order of their names.

        The index file itself is in the order of a hash of the names, which is effectively shuffled; sorting makes the
        first n independent of the order of the rows.

        Args:
            n: their number; None for all.

        Returns:
            A probe set with these images and the same labels.

        Raises:
            ValueError: if n is less than one.
        """
        if n is not None and n < 1:
            raise ValueError(f"expected a limit of at least 1 image or null for all, got {n}")
        return replace(self, rows=self.rows[:n])

    def names(self, i: int) -> str:
        """The name of an image.

        Args:
            i: row.

        Returns:
            Its path relative to `images/`, as in the index file.
        """
        return self.rows[i].image

    def image(self, i: int) -> UInt8[Tensor, "3 h w"]:
        """An image.

        Args:
            i: row.

        Returns:
            RGB bytes, (3, ih, iw).

        Raises:
            BadRow: if it cannot be decoded, or has changed its size.
        """
        row = self.rows[i]
        path = self.root / "images" / row.image
        try:
            pixels = read_image(path)
        except BadImage as error:
            raise BadRow(path, row.image, "a whole image", error.came) from error
        if pixels.shape[1:] != (row.ih, row.iw):
            came = f"{pixels.shape[2]}x{pixels.shape[1]}"
            raise BadRow(path, row.image, f"{row.iw}x{row.ih} pixels", came)
        return pixels

    def segmentation(self, i: int) -> dict[str, tuple[int | Int32[ndarray, "sh sw"], ...]]:
        """The labels of an image: label = R + 256 G, 0 for none.

        Args:
            i: row.

        Returns:
            Per category that the image carries: labels of the whole image and label maps (sh, sw), dominant first.

        Raises:
            BadRow: if a label map cannot be decoded, has changed its size, or has labels that are not in `label.csv`.
        """
        row = self.rows[i]
        return {
            name: tuple(part if isinstance(part, int) else self._map(row, part) for part in parts)
            for name, parts in row.cells.items()
        }

    @cached_property
    def _known(self) -> Bool[ndarray, " 65536"]:
        known = np.zeros(2**16, dtype=bool)
        known[[0, *self.numbers]] = True
        return known

    def _map(self, row: Row, file: str) -> Int32[ndarray, "sh sw"]:
        path = self.root / "images" / file
        expected = f"an RGB label map of {row.sw}x{row.sh} pixels"
        try:
            with Image.open(path, formats=("PNG",)) as image:
                kind = (*image.size, image.mode)
                pixels = np.asarray(image) if kind == (row.sw, row.sh, "RGB") else None
        except BROKEN as error:
            raise BadRow(path, row.image, expected, fault(path, error)) from error
        if pixels is None:
            raise BadRow(path, row.image, expected, "{}x{} {}".format(*kind))
        labels = pixels[..., 0] + np.int32(256) * pixels[..., 1]
        if not self._known[labels].all():
            unknown = sorted({*labels.flat} - {0, *self.numbers})
            raise BadRow(path, row.image, "labels of label.csv", f"{[int(label) for label in unknown[:5]]}")
        if pixels[..., 2].any():
            raise BadRow(path, row.image, "label = R + 256 G and blue 0", f"blue up to {pixels[..., 2].max()}")
        return labels
