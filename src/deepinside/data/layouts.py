"""Detects the layout of a folder, to suggest the right loader."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from deepinside.data.ilsvrc_layout import beside
from deepinside.data.image import SUFFIXES

_MOST = 10_000  # files that are read
_NAMED = 3  # class folders in a message
_ILSVRC = re.compile(r"ILSVRC2012_|(^|/)n\d{8}[/_]")  # in the paths of ImageNet's images
# Folders or files of a layout with concept masks, and the choice of `concepts` that reads it.
_CONCEPTS = {
    "broden": ("index.csv", "category.csv"),
    "masks": ("images", "masks"),
    "voc": ("JPEGImages", "SegmentationClass"),
    "coco": ("annotations",),
}


def instead(root: Path, choice: str, how: str) -> str:
    """The end of an error message on a folder of images: the loader for its layout, or the expected layout.

    Args:
        root: the folder.
        choice: of `data`.
        how: layout of that choice, with `{root}` in place of the folder.

    Returns:
        The end of an error message.
    """
    files = list(islice(_files(root), _MOST))
    found = _recognised(root, files)
    laid_out = "\n" + how.format(root=root)
    if found is None or found[0] == choice:
        return f".{laid_out}"
    more = laid_out if choice == "ilsvrc" and any(_ILSVRC.search(str(file)) for file in files) else ""
    return f"; the folder holds {found[1]}: did you mean data={found[0]}?{more}"


def concepts_instead(root: Path, choice: str) -> str:
    """The same for a folder of images with concept masks.

    Args:
        root: the folder.
        choice: of `concepts`.

    Returns:
        The end of an error message, empty if no other loader reads it.
    """
    for name, parts in _CONCEPTS.items():
        if name != choice and all((root / part).exists() for part in parts):
            return f" The folder holds {' and '.join(parts)}: did you mean concepts={name}?"
    return ""


def _files(root: Path) -> Iterator[PurePosixPath]:
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (PurePosixPath(Path(place, name).relative_to(root)) for name in files if not name.startswith("."))


def _recognised(root: Path, files: list[PurePosixPath]) -> tuple[str, str] | None:
    # The choice of `data`, and what speaks for it.
    if found := next((file for name in ("LOC_synset_mapping.txt", "meta.mat") if (file := beside(root, name))), None):
        return "ilsvrc", f"ILSVRC's {found.name}"
    whole = len(files) < _MOST
    tars = sum(file.suffix == ".tar" for file in files)
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    if tars > len(pictures):
        return "shards", _counted(tars, "tar shard", whole)
    if not pictures:
        return None
    classes = Counter(_class(file) for file in pictures)
    named = [name for name in sorted(classes) if name]
    if len(named) > 1 and 2 * classes[""] < len(pictures):
        listed = ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
        return "folder", f"{len(named)} folders of images, possibly classes ({listed})"
    return "photos", _counted(len(pictures), "image", whole)


def _counted(count: int, what: str, whole: bool) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if whole else f"{count} {what}s or more"


def _class(file: PurePosixPath) -> str:
    folders = file.parts[:-1]
    inside = folders[1:] if folders[:1] in {("train",), ("val",)} else folders
    return inside[0] if inside else ""
