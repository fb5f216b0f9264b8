"""Custom images: a folder per class, with or without boxes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from deepinside.data.annotation import Annotation, BadAnnotation
from deepinside.data.image import pictures, read_header, unread
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.data.layouts import instead
from deepinside.data.reading import BadFile, brief, check_name, read_table, survey
from deepinside.records import Boxes
from deepinside.spelling import readable

_COLUMNS = ("image", "x0", "y0", "x1", "y1")
HOW = """Arrange the images as
    {root}/<class>/*.jpg
or, with a split, as (otherwise training holds out a tenth)
    {root}/train/<class>/*.jpg
    {root}/val/<class>/*.jpg
Boxes, if any, go to {root}/boxes.csv (image,x0,y0,x1,y1; the path relative to that folder; half-open pixels)
or to a PASCAL VOC file beside each image (photo.jpg, photo.xml). Then name the folder: data.root={root}"""


def index(root: Path | str, split: str = "all") -> Index:
    """The images of a folder of class folders.

    Args:
        root: with `<class>/...`, or `train/<class>/...` and `val/<class>/...`; other folders beside these two are
            ignored. Images of a root without splits belong to `all`, see `Index.divided`.
        split: `train`, `val` or `all`.

    Returns:
        The index; an image's name is its path relative to the root. Unusable files are skipped.

    Raises:
        FileNotFoundError: if the folder or images in it are missing.
        ValueError: if `boxes.csv` is broken, or nothing in the folder is usable.
    """
    root = Path(root)
    paths = list(_found(root)) if root.is_dir() else []
    others = tuple(row for _, base in _bases(root) for row in unread(base, root))
    if not paths and not others:
        came = "none" if root.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"{root}: expected images (jpg, jpeg, png) in class folders, got {came}{instead(root, 'folder', HOW)}"
        )
    names = {class_ for _, class_, _ in paths if class_}
    folders = sorted(names)
    ids = tuple(map(readable, folders))
    boxes = _listed(root / "boxes.csv", {path.relative_to(root).as_posix() for *_, path in paths})
    labels = {class_: label for label, class_ in enumerate(folders)}
    listed = survey(root, paths, partial(_look, root, labels, boxes), "pictures")
    aside = listed.set_aside + others
    if not listed.found:
        file, reason = aside[0]
        what = f"{root}: expected usable images, got {len(aside)} unusable ones, such as {file}: {reason}"
        raise ValueError(what if ids else f"{what}{instead(root, 'folder', HOW)}")
    classes = tuple(class_.replace("_", " ") for class_ in ids)
    return Index(root, ids, classes, listed.found, aside).split(split)


# Split and folder of its classes.
def _bases(root: Path) -> list[tuple[str, Path]]:
    return [(name, root / name) for name in ("train", "val") if (root / name).is_dir()] or [("all", root)]


# (split, class or nothing, path) of every image.
def _found(root: Path) -> Iterator[tuple[str, str, Path]]:
    for split, base in _bases(root):
        for path in pictures(base):
            folders = path.relative_to(base).parts[:-1]
            yield split, folders[0] if folders else "", path


def _look(
    root: Path, labels: Mapping[str, int], listed: Mapping[str, Boxes], task: tuple[str, str, Path]
) -> Iterator[Entry]:
    split, class_, path = task
    file = path.relative_to(root).as_posix()
    check_name(path, file)
    if not class_:
        raise BadFile(path, "an image in a class folder", "one beside them", "move it into one")
    width, height = read_header(path)
    xml = path.with_suffix(".xml")
    boxes = listed.get(file, NO_BOXES)
    if file not in listed and xml.exists():
        boxes = Annotation.read(xml).of(path.stem, width, height).boxes({class_, class_.replace("_", " ")})
        if not len(boxes):
            raise BadAnnotation(
                xml, f"an object named {class_!r}, as the folder", "none", "correct the name or the folder"
            )
    yield Entry(file, file, split, labels[class_], boxes, width, height)


def _listed(path: Path, known: set[str]) -> dict[str, Boxes]:
    """Reads `boxes.csv`.

    Args:
        path: of the file, which may be missing.
        known: images that it may list, relative to the root.

    Returns:
        The boxes of each image that it lists.

    Raises:
        ValueError: if a column is missing, a row is no box, or an image does not exist.
    """
    if not path.exists():
        return {}
    corners: dict[str, list[list[float]]] = defaultdict(list)
    for number, row in enumerate(read_table(path, (), mend="save it as UTF-8"), start=2):
        try:
            image, box = row["image"], [float(row[column]) for column in _COLUMNS[1:]]
            Boxes(np.array([box]))
        except (KeyError, TypeError, ValueError) as error:
            expected = f"columns {','.join(_COLUMNS)} with x0 < x1, y0 < y1 in pixels"
            came = brief(str(row))
            raise ValueError(f"{path}, line {number}: expected {expected}, got {came}: correct the row") from error
        if image not in known:
            expected = "the path of an image relative to the folder of this file"
            raise ValueError(f"{path}, line {number}: expected {expected}, got {brief(repr(image))}: correct the row")
        corners[image].append(box)
    return {image: Boxes(np.array(rows)) for image, rows in corners.items()}
