"""Boxes from separate files: a CSV file, ILSVRC's `LOC_val_solution.csv`, or a folder of XML files."""

from collections import defaultdict
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from deepinside.data.annotation import Annotation, BadAnnotation
from deepinside.data.ilsvrc import solved
from deepinside.data.ilsvrc_layout import annotation_folder
from deepinside.data.index import NO_BOXES
from deepinside.data.reading import BadSource, brief, read_table
from deepinside.records import Boxes

Size = tuple[int, int]  # width, height in pixels
Source = Callable[[Path, str, Size], Boxes]
"""Image, WordNet id of its class, its size -> its boxes in its own pixels, none where the source has none."""

_CORNERS = ("x0", "y0", "x1", "y1")
_SIZE = ("width", "height")
_SOLUTION = ("ImageId", "PredictionString")


def open_boxes(path: Path, known: Container[str]) -> Source:
    """Opens a source of boxes in one of three forms.

    Images are found by the stem of their names, which is unique in ImageNet.

    Args:
        path: a CSV file with the columns image,x0,y0,x1,y1 (half-open) and, if the boxes are for images of another
            size, width,height; `LOC_val_solution.csv`; or a folder with one XML file in VOC form per image,
            `<stem>.xml` or `<WordNet id>/<stem>.xml`.
        known: WordNet ids.

    Returns:
        The source; it scales boxes to the size of the image.

    Raises:
        FileNotFoundError: if the path does not exist, or is a folder without XML files.
        ValueError: if the file has none of these forms.
    """
    if path.is_dir():
        folder = annotation_folder(path, "val") or path
        if next(folder.rglob("*.xml"), None) is None:
            raise FileNotFoundError(
                f"{path}: expected a folder of XML files, such as ILSVRC's bbox/val, got none in it"
            )
        return _Files(folder)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a CSV file or a folder of XML files with boxes, got nothing")
    rows = read_table(path, ())
    columns = rows[0].keys() if rows else set()
    if set(_SOLUTION) <= columns:
        return Solution(path, {row["ImageId"]: row["PredictionString"] for row in rows}, known)
    if {"image", *_CORNERS} <= columns:
        return _table(path, rows)
    expected = f"rows with the columns image,{','.join(_CORNERS)} or {','.join(_SOLUTION)}"
    raise ValueError(f"{path}: expected {expected}, got {brief(str(sorted(map(str, columns))))}")


@dataclass(frozen=True)
class _Files:
    folder: Path

    def __call__(self, picture: Path, wnid: str, size: Size) -> Boxes:
        places = (self.folder / f"{picture.stem}.xml", self.folder / wnid / f"{picture.stem}.xml")
        path = next((place for place in places if place.exists()), None)
        if path is None:
            return NO_BOXES
        annotation = Annotation.read(path)
        made_for = annotation.width, annotation.height
        boxes = annotation.of(picture.stem, *made_for).boxes({wnid})
        if not len(boxes) or min(made_for) < 1:
            came = f"{sorted({name for name, _ in annotation.objects})} of {made_for[0]}x{made_for[1]}"
            raise BadAnnotation(path, f"an object named {wnid}, the class of the image", came, "fetch it again")
        return _scaled(path, picture, boxes, made_for, size)


@dataclass(frozen=True)
class Solution:
    """Boxes of `LOC_val_solution.csv`: in pixels of the original images, whose size it does not state."""

    path: Path
    lines: dict[str, str]
    known: Container[str]

    def __call__(self, picture: Path, wnid: str, size: Size) -> Boxes:
        """The boxes of an image.

        Args:
            picture: its path.
            wnid: its class.
            size: its width and height in pixels, which must be those of the original image.

        Returns:
            Its boxes; none if the file does not list it.

        Raises:
            BadFile: if its line is broken.
            BadSource: if its line names another class, or a box exceeds the image.
        """
        if picture.stem not in self.lines:
            return NO_BOXES
        stated, boxes = solved(picture, self.lines[picture.stem], self.known)
        if stated != wnid:
            raise BadSource(f"{self.path}: expected {picture.name} to be of {wnid}, its folder, got {stated}")
        return _scaled(self.path, picture, boxes, size, size)


@dataclass(frozen=True)
class _Table:
    path: Path
    boxes: dict[str, Boxes]
    sizes: dict[str, Size]

    def __call__(self, picture: Path, _wnid: str, size: Size) -> Boxes:
        boxes = self.boxes.get(picture.stem, NO_BOXES)
        return _scaled(self.path, picture, boxes, self.sizes.get(picture.stem, size), size)


def _table(path: Path, rows: list[dict[str, str]]) -> _Table:
    corners: dict[str, list[list[float]]] = defaultdict(list)
    sizes: dict[str, Size] = {}
    for number, row in enumerate(rows, start=2):
        stem = PurePosixPath(row["image"]).stem
        try:
            box = [float(row[column]) for column in _CORNERS]
            Boxes(np.array([box]))
            if any(row.get(column) for column in _SIZE):
                width, height = (int(row[column]) for column in _SIZE)
                if min(width, height) < 1 or sizes.setdefault(stem, (width, height)) != (width, height):
                    raise ValueError("one size per image, of at least 1x1")
        except (KeyError, TypeError, ValueError) as error:
            expected = "image,x0,y0,x1,y1[,width,height] with x0 < x1, y0 < y1, and one size per image"
            raise ValueError(f"{path}, line {number}: expected {expected}, got {brief(str(row))}") from error
        corners[stem].append(box)
    return _Table(path, {stem: Boxes(np.array(boxes)) for stem, boxes in corners.items()}, sizes)


# Where one box does not fit, the source was made for other images, and none of its boxes can be trusted.
def _scaled(path: Path, picture: Path, boxes: Boxes, made_for: Size, size: Size) -> Boxes:
    if not len(boxes):
        return boxes
    if not boxes.inside(*made_for):
        raise BadSource(
            f"{path}: expected boxes inside {picture.name}, {made_for[0]}x{made_for[1]} pixels, got "
            f"{boxes.xyxy.max(axis=0)[2:].tolist()} as the right and lower end: the boxes are for another image size; "
            "take those of these images, the folder of XML files, which state their size, or the original images"
        )
    return boxes if size == made_for else Boxes(boxes.xyxy * np.tile(np.array(size) / np.array(made_for), 2))
