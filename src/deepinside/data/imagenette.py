"""Imagenette and Imagewoof: ten classes of ImageNet each, split by the paper's protocol and not by folder.

Their folders `train` and `val` both contain images of ILSVRC's training set and of its validation set, which differ in
their file names. A network is trained on the first and tested on the second, as in ILSVRC, whatever the folder.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from deepinside.data.box_source import Solution, Source, open_boxes
from deepinside.data.image import pictures, read_header
from deepinside.data.imagenet import synsets
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.data.reading import BadFile, survey

log = logging.getLogger(__name__)
# Source: the folders of the archives at github.com/fastai/imagenette.
KNOWN = {
    "Imagenette": "n01440764 n02102040 n02979186 n03000684 n03028079 n03394916 n03417042 n03425413 n03445777 n03888257",
    "Imagewoof": "n02086240 n02087394 n02088364 n02089973 n02093754 n02096294 n02099601 n02105641 n02111889 n02115641",
}
VALIDATION = "ILSVRC2012_val_"
_FOLDERS = ("train", "val")
_SHORT_SIDES = (160, 320)  # pixels, of the resized archives
_MANY = 0.25  # share of images with exactly such a side that a folder of original images does not reach
_MEND = "unpack the archive again, into an empty folder"
HOW = """Get Imagenette, which is not included in this package, in one of two ways:
  data.download=true          downloads it to {root} by torchvision (data.size=160px, 320px or full)
  github.com/fastai/imagenette    has imagenette2-160.tgz, imagenette2-320.tgz and imagenette2.tgz; unpacked they are
    {root}/train/n01440764/*.JPEG ...
    {root}/val/n01440764/*.JPEG ...
Then name the folder: data.root={root}
Boxes are not part of it; training and maps work without. `localise` takes them from {root}/boxes.csv
(image,x0,y0,x1,y1; half-open pixels of these images) or from data.boxes=PATH: such a file, ILSVRC's XML files
(the folder that ILSVRC2012_bbox_val_v3.tgz of image-net.org unpacks to) or, for images of original size, Kaggle's
LOC_val_solution.csv."""


def index(root: Path | str, split: str = "all", boxes: Path | str | None = None) -> Index:
    """The images of Imagenette, Imagewoof, or a folder of the same form with other classes of ImageNet.

    Args:
        root: with `train/<WordNet id>` and `val/<WordNet id>`, or with one folder that has these.
        split: `train`, images of ILSVRC's training set; `val`, those of its validation set; or `all`.
        boxes: of the images of `val`, see `open_boxes`; None for `boxes.csv` beside the folders, if any.

    Returns:
        The index; an image's name is that of its file, without suffix. Unusable files are skipped.

    Raises:
        FileNotFoundError: if the folder, images or the boxes are missing.
        ValueError: for another layout, missing classes, mixed sizes, or boxes of other images.

    Source: Simonyan et al. 2013, sec. 4: trained on ILSVRC's training set, tested on other images.
    """
    root = Path(root)
    base = find(root)
    if base is None:
        raise FileNotFoundError(f"{root}: expected folders train and val, got neither.\n{HOW.format(root=root)}")
    wnids = _classes(base)
    beside = base / "boxes.csv"
    source = open_boxes(Path(boxes), synsets()) if boxes else open_boxes(beside, synsets()) if beside.exists() else None
    paths = [path for folder in _FOLDERS if (base / folder).is_dir() for path in pictures(base / folder)]
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    listed = survey(root, paths, partial(_look, root, base, labels, source), "pictures")
    if not listed.found:
        came = f"{len(paths)} unusable ones, such as {listed.set_aside[0]}" if paths else "none"
        raise FileNotFoundError(f"{root}: expected usable images, got {came}.\n{HOW.format(root=root)}")
    _check_sizes(root, listed.found, source)
    if boxes and not any(len(entry.boxes) for entry in listed.found):
        raise ValueError(f"{boxes}: expected boxes of {VALIDATION}* images of {root}, got none of these")
    return Index(root, wnids, tuple(synsets()[wnid] for wnid in wnids), listed.found, listed.set_aside).split(split)


def fetch(root: Path | str, *, download: bool, size: str = "160px") -> None:
    """Downloads Imagenette if that is requested and it is missing.

    Args:
        root: gets the folder of the archive, such as `imagenette2-160`.
        download: whether it may be downloaded.
        size: `160px`, `320px` or `full`.

    Raises:
        FileNotFoundError: if it is missing, and the download is not requested or fails.
    """
    root = Path(root)
    if find(root):
        return
    if not download:
        raise FileNotFoundError(f"{root}: expected Imagenette, got nothing.\n{HOW.format(root=root)}")
    from torchvision.datasets import Imagenette  # slow to import

    try:
        Imagenette(root, split="val", size=size, download=True)
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(f"{root}: downloading Imagenette failed ({error}).\n{HOW.format(root=root)}") from error


def find(root: Path) -> Path | None:
    """The folder that contains `train` and `val`.

    Args:
        root: that folder, or the one above it.

    Returns:
        The folder; None if there is none.

    Raises:
        ValueError: if there are several below `root`.
    """
    inner = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = [path for path in (root, *inner) if any((path / folder).is_dir() for folder in _FOLDERS)]
    if root in found:
        return root
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{root}: expected one data set, got {names}: name one, data.root={found[0]}")
    return found[0] if found else None


# All folders must have the same classes, and none of a known data set may be missing.
def _classes(base: Path) -> tuple[str, ...]:
    there = {folder: _wnids(base / folder) for folder in _FOLDERS if (base / folder).is_dir()}
    every = set().union(*there.values())
    if not every:
        raise FileNotFoundError(
            f"{base}: expected folders of classes in train and val, got none.\n{HOW.format(root=base)}"
        )
    foreign = sorted(every - synsets().keys())
    if foreign:
        expected = "folders named by WordNet ids of ImageNet's 1000 classes, such as n01440764"
        mend = f"for other classes use data=folder data.root={base}"
        raise ValueError(f"{base}: expected {expected}, got {foreign[0]!r}: {mend}")
    for name, wnids in KNOWN.items():
        if every < (whole := set(wnids.split())):
            raise ValueError(f"{base}: expected the ten classes of {name}, got {len(every)}{_lack(whole - every)}")
    for folder, found in there.items():
        if found < every:
            raise ValueError(f"{base / folder}: expected {len(every)} classes, got {len(found)}{_lack(every - found)}")
    for folder in set(_FOLDERS) - there.keys():
        log.warning("%s: no folder %s; if an archive was unpacked there, it is incomplete", base, folder)
    return tuple(sorted(every))


def _wnids(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _lack(missing: set[str]) -> str:
    return f", {', '.join(f'{wnid} ({synsets()[wnid]})' for wnid in sorted(missing))} missing: {_MEND}"


def _look(root: Path, base: Path, labels: dict[str, int], source: Source | None, path: Path) -> Iterator[Entry]:
    inside = path.relative_to(base).parts
    wnid = inside[1]
    validation = path.stem.startswith(VALIDATION)
    if len(inside) != 3 or not (validation or path.stem.startswith(f"{wnid}_")):
        expected = f"an image of ILSVRC, <class>/<class>_<number>.JPEG or <class>/{VALIDATION}<number>.JPEG"
        raise BadFile(path, expected, "/".join(inside[1:]), _MEND)
    size = read_header(path)
    boxes = source(path, wnid, size) if validation and source else NO_BOXES
    file, split = path.relative_to(root).as_posix(), "val" if validation else "train"
    yield Entry(path.stem, file, split, labels[wnid], boxes, *size)


def _check_sizes(root: Path, entries: Sequence[Entry], source: Source | None) -> None:
    sides = Counter(min(entry.width, entry.height) for entry in entries)
    side = max(_SHORT_SIDES, key=lambda side: sides[side])
    if sides[side] < _MANY * len(entries):
        return  # original images
    larger = next((entry for entry in entries if min(entry.width, entry.height) > side), None)
    if larger:
        came = f"{larger.file} of {larger.width}x{larger.height}"
        raise ValueError(f"{root}: expected images with a shorter side of {side} pixels, as most, got {came}: {_MEND}")
    if isinstance(source, Solution):
        raise ValueError(
            f"{source.path}: its boxes are in pixels of the original images, those of {root} were resized to a "
            f"shorter side of {side}, and the file does not state the original sizes: take the folder of XML files, "
            "which do (data.boxes=FOLDER, ILSVRC2012_bbox_val_v3.tgz), or the original images (imagenette2)"
        )
