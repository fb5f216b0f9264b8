"""COCO's instance annotations: polygons and run lengths in one JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from deepinside.data.broden.writer import Outlined, Regions, write_broden
from deepinside.data.layouts import concepts_instead
from deepinside.data.reading import BadFile
from deepinside.spelling import readable

HOW = """Expected
    {root}/{images}/NAME.jpg    images
    {root}/{annotations}        COCO instances: images, annotations, categories
and other names as concepts.convert.images=FOLDER concepts.convert.annotations=FILE"""
_MEND = "export the annotations again"


class BadAnnotation(BadFile):
    """An annotation whose outline cannot be drawn."""


def write_coco(
    root: str | Path, out: str | Path, *, images: str, annotations: str, category: str = "object"
) -> list[tuple[str, str]]:
    """Converts COCO instances to a Broden folder: a concept covers all of its instances, including crowds.

    Args:
        root: of the data.
        out: folder to write to.
        images: folder of the images, in `root`.
        annotations: the JSON file, in `root`.
        category: of all concepts.

    Returns:
        (file, reason) of each unusable image, because of itself or of one of its annotations.

    Raises:
        FileNotFoundError: if the folder or the file is missing.
        ValueError: if the file is no such JSON, or nothing is usable.

    Source: Lin et al. 2014; format at cocodataset.org/#format-data.
    """
    root, out = Path(root), Path(out)
    file = root / annotations
    for path in (root / images, file):
        if not path.exists():
            how = HOW.format(root=root, **_names(images, annotations))
            raise FileNotFoundError(f"{path}: no such file or folder.{concepts_instead(root, 'coco')} {how}")
    content = _content(file)
    names = {entry["id"]: readable(str(entry["name"])) for entry in content["categories"]}
    drawn: dict[Any, list[Mapping[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
    lost = 0
    for one in content["annotations"]:
        if one.get("image_id") in drawn:
            drawn[one["image_id"]].append(one)
        else:
            lost += 1
    pictures = [
        Outlined(root / images / _inside(entry["file_name"], file), entry["file_name"], read)
        for entry in sorted(content["images"], key=lambda entry: str(entry["file_name"]))
        for read in [_Read(file, entry["file_name"], category, names, tuple(drawn[entry["id"]]))]
    ]
    rows = write_broden(out, root, pictures)
    return [*rows, (annotations, f"{lost} annotations belong to images that are not listed")] if lost else rows


def _names(images: str, annotations: str) -> dict[str, str]:
    return {"images": images, "annotations": annotations}


def _content(file: Path) -> dict[str, list[dict[str, Any]]]:
    wanted = {"images": ("id", "file_name"), "annotations": ("id",), "categories": ("id", "name")}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: expected COCO instances, got no JSON ({error}): {_MEND}") from error
    for part, keys in wanted.items():
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(e, dict) and e.keys() >= set(keys) for e in entries):
            raise ValueError(f"{file}: expected a list {part!r} of entries with {', '.join(keys)}: {_MEND}")
    return content


def _inside(name: str, file: Path) -> str:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ValueError(f"{file}: expected file names below the folder of the images, got {name!r}")
    return name


@dataclass(frozen=True)
class _Read:
    file: Path
    picture: str
    category: str
    names: Mapping[Any, str]
    annotations: Sequence[Mapping[str, Any]]

    def __call__(self, height: int, width: int) -> Regions:
        concepts: dict[str, Bool[ndarray, "h w"]] = {}
        for one in self.annotations:
            try:
                name = self.names[one["category_id"]]
                mask = outline(one.get("segmentation"), height, width)
            except (KeyError, TypeError, ValueError) as error:
                expected = f"an outline of a known category for {self.picture}, annotation {one['id']}"
                raise BadAnnotation(self.file, expected, str(error), _MEND) from error
            concepts[name] = concepts[name] | mask if name in concepts else mask
        return {self.category: concepts}


def outline(segmentation: Any, height: int, width: int) -> Bool[ndarray, "h w"]:
    """The mask of an instance.

    Args:
        segmentation: polygons [[x, y, x, y, ...], ...] in pixels, or run lengths {size, counts}, counts a list or
            COCO's text.
        height: of the image, in pixels.
        width: likewise.

    Returns:
        The mask, rasterised as by COCO's tools.

    Raises:
        ValueError: if it is neither, or does not fit the image.
    """
    if isinstance(segmentation, Mapping):
        return _runs(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError(f"polygons or run lengths expected, got {str(segmentation)[:60]}")
    for polygon in segmentation:
        good = isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
        if not (good and np.isfinite(np.asarray(polygon, dtype=np.float64)).all()):
            raise ValueError(f"a polygon of three or more points expected, got {str(polygon)[:60]}")
    from pycocotools import mask  # a compiled library that only this format needs

    return mask.decode(mask.merge(mask.frPyObjects(segmentation, height, width))).astype(bool)


def _runs(encoded: Mapping[str, Any], height: int, width: int) -> Bool[ndarray, "h w"]:
    # By hand, because pycocotools reads beyond its memory where the counts do not fit the size.
    size, counts = encoded["size"], encoded["counts"]
    if list(size) != [height, width]:
        raise ValueError(f"run lengths of the image's size {[height, width]} expected, got {size}")
    lengths = np.asarray(counts if isinstance(counts, list) else _spelt(str(counts)), dtype=np.int64)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"run lengths that add up to {height * width} pixels expected, got {lengths.sum()}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T  # COCO counts down the columns


def _spelt(text: str) -> list[int]:
    # Five bits to a letter, the lowest first, sign in the last; from the third on the change to the last but one.
    lengths: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"COCO's run lengths expected, got {letter!r}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError("COCO's run lengths expected, got a truncated text")
    return lengths
