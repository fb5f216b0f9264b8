"""A folder of images and a folder tree of masks, one file per image and concept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from deepinside.data.broden.writer import Outlined, Regions, write_broden
from deepinside.data.image import BadMask, pictures, read_values, unread
from deepinside.data.layouts import concepts_instead
from deepinside.spelling import readable

HOW = """Expected
    {root}/{images}/NAME.jpg                      images, JPEG or PNG, of any size
    {root}/{masks}/CONCEPT/NAME.png               non-zero where the concept is
    {root}/{masks}/CATEGORY/CONCEPT/NAME.png      the same, with your own categories"""
Key = tuple[str, str]  # category, concept


def write_masks(
    root: str | Path, out: str | Path, *, images: str = "images", masks: str = "masks", category: str = "object"
) -> list[tuple[str, str]]:
    """Converts images and masks to a Broden folder.

    An image carries a category if it has a mask file for one of its concepts: a mask of zeros states that the concept
    is absent. An image with an unreadable mask is skipped.

    Args:
        root: of both folders.
        out: folder to write to.
        images: folder of the images, in subfolders or not.
        masks: folder of the masks, `<concept>/<name>.png` or `<category>/<concept>/<name>.png`, where `<name>` is the
            image's path in its folder without the suffix.
        category: of the concepts that are not in a folder of a category.

    Returns:
        (file, reason) of each unusable image and each mask without an image.

    Raises:
        FileNotFoundError: if one of the folders is missing.
        ValueError: if two images have the same name but for the suffix, or nothing is usable.
    """
    root, out = Path(root), Path(out)
    how = HOW.format(root=root, images=images, masks=masks)
    for folder in (root / images, root / masks):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder.{concepts_instead(root, 'masks')} {how}")
    named = _named(root / images)
    found: dict[str, dict[Key, Path]] = {}
    orphans = []
    for key, name, path in _masks(root / masks, named, category):
        if unreadable := [part for part in key if readable(part) != part]:
            orphans.append(BadMask(path, "a folder name in UTF-8", unreadable[0], "rename it").row(root))
        elif name in named:
            found.setdefault(name, {})[key] = path
        else:
            orphans.append(BadMask(path, f"an image {name}.jpg or .png", "none", f"add it to {images}/").row(root))
    if not found:
        raise ValueError(f"{root / masks}: no mask belongs to one of {len(named)} images. {how}")
    outlined = [
        Outlined(path, path.relative_to(root / images).as_posix(), _Read(found[name]))
        for name, path in named.items()
        if name in found
    ]
    bare = [
        (readable(f"{images}/{named[name].relative_to(root / images).as_posix()}"), "no mask")
        for name in named.keys() - found
    ]
    return [*write_broden(out, root, outlined), *sorted(bare), *orphans, *unread(root / images, root)]


def _named(folder: Path) -> dict[str, Path]:
    # Image's path without the suffix -> image.
    named: dict[str, Path] = {}
    for path in pictures(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise ValueError(f"{path} and {named[name]} would share their masks: rename one of them")
        named[name] = path
    return named


def _masks(folder: Path, named: Mapping[str, Path], category: str) -> Iterator[tuple[Key, str, Path]]:
    for place in _folders(folder):
        inside = dict(_names(place))
        if inside.keys() & named.keys() or not any(_folders(place)):
            yield from (((category, place.name), name, path) for name, path in inside.items())
        else:  # none of its files is named as an image: the folder is a category and holds those of its concepts
            for concept in _folders(place):
                yield from (((place.name, concept.name), name, path) for name, path in _names(concept))


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _names(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in pictures(folder):
        if path.suffix.lower() == ".png":
            yield path.relative_to(folder).with_suffix("").as_posix(), path


@dataclass(frozen=True)
class _Read:
    masks: Mapping[Key, Path]

    def __call__(self, height: int, width: int) -> Regions:
        regions: dict[str, dict[str, Bool[ndarray, "h w"]]] = {}
        for (category, concept), path in self.masks.items():
            regions.setdefault(category, {})[concept] = read_values(path, height, width) != 0
        return regions


BACKGROUND, VOID = 0, 255  # VOID: the border that VOC's annotators left open


def write_voc(
    root: str | Path, out: str | Path, *, images: str, masks: str, names: Sequence[str], category: str = "object"
) -> list[tuple[str, str]]:
    """Converts VOC's folders, or any in the same layout, to a Broden folder.

    Args:
        root: of both folders.
        out: folder to write to.
        images: folder of the images.
        masks: folder of the PNG files, named as the images.
        names: of the indices from 1 on.
        category: of all concepts.

    Returns:
        (file, reason) of each unusable image.

    Raises:
        FileNotFoundError: if one of the folders is missing.
        ValueError: if nothing is usable.

    Source: Everingham et al. 2010; VOC2012 development kit, section 4.2.
    """
    root, out = Path(root), Path(out)
    for folder in (root / images, root / masks):
        if not folder.is_dir():
            how = f"Expected {root}/{images}/NAME.jpg, {masks}/NAME.png"
            raise FileNotFoundError(f"{folder}: no such folder.{concepts_instead(root, 'voc')} {how}")
    outlined = [
        Outlined(path, path.name, _ReadVoc(mask, tuple(names), category))
        for path in pictures(root / images)
        if (mask := root / masks / f"{path.stem}.png").exists()  # VOC has many images that nobody segmented
    ]
    if not outlined:
        raise ValueError(f"{root / masks}: expected PNG files named as the images in {images}, got none")
    return [*write_broden(out, root, outlined), *unread(root / images, root)]


@dataclass(frozen=True)
class _ReadVoc:
    path: Path
    names: tuple[str, ...]
    category: str

    def __call__(self, height: int, width: int) -> Regions:
        values = read_values(self.path, height, width)
        there = [int(value) for value in np.unique(values) if value not in {BACKGROUND, VOID}]
        if there and there[-1] > len(self.names):
            mend = "name its class in concepts.convert.names"
            raise BadMask(self.path, f"indices up to {len(self.names)}", str(there[-1]), mend)
        return {self.category: {self.names[value - 1]: values == value for value in there}}
