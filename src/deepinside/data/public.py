"""Public data sets in the layouts of torchvision's classes, which can also download them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from deepinside.data import matlab
from deepinside.data.annotation import Annotation
from deepinside.data.broden.writer import Outlined, Regions, write_broden
from deepinside.data.image import read_header, read_values
from deepinside.data.index import FOREGROUND, NO_BOXES, PICTURES, Entry, Index
from deepinside.data.reading import BadFile, survey
from deepinside.records import Boxes
from deepinside.runtime.progress import track

log = logging.getLogger(__name__)
Options = Mapping[str, Any] | None
_MEND = "unpack the archive again"
_REFUSED = (RuntimeError, OSError, ValueError, LookupError, TypeError)  # what the classes raise for what is not there


class _Picture(NamedTuple):
    """An image, a function from its width and height to its label (-1: unknown) and boxes, and its trimap, if any."""

    path: Path
    about: Callable[[int, int], tuple[int, Boxes]]
    mask: Path | None = None


class _Content(NamedTuple):
    """Names of the classes by label, and the images."""

    classes: Mapping[int, str]
    pictures: list[_Picture]


class _Known(NamedTuple):
    """A reader for one of torchvision's classes.

    Attributes:
        folder: required in the root.
        splits: our split -> arguments of the class.
        read: data set and a folder for the images of arrays -> its content.
        arrays: whether it has arrays instead of files.
    """

    folder: str
    splits: Mapping[str, Mapping[str, Any]]
    read: Callable[[Any, Path], _Content]
    arrays: bool = False


def index(
    root: Path | str, dataset: str, split: str = "all", options: Options = None, out: Path | str | None = None
) -> Index:
    """The images of a data set of torchvision's, listed by torchvision's own class.

    Boxes are those of the objects (VOC, Caltech-101) or around the foreground of the trimap (Oxford-IIIT Pet). An
    image of VOC has a label if all of its objects are of one class. Unusable files are skipped.

    Args:
        root: as for torchvision: it contains the folder of the archive.
        dataset: name of the class, of `DATASETS`.
        split: `train`, `val` or `all`: the data set's own, if any; test images are `val` if no other
            held-out images have labels.
        options: further arguments of the class, such as `{"year": "2007"}` or `{"small": True}`.
        out: folder to write the images of arrays to, as PNG files; the index is then of this folder.

    Returns:
        The index; an image's name is its path.

    Raises:
        KeyError: if the data set is unknown, with the closest names.
        FileNotFoundError: if it is missing.
        ValueError: if nothing in it is usable, or `out` is required and missing.
    """
    root, known = Path(root), _known(dataset)
    if known.arrays and out is None:
        raise ValueError(f"{dataset} holds arrays: expected a folder to write its images to, got none: out=FOLDER")
    base = Path(out) if known.arrays and out else root
    names: dict[int, str] = {}
    tasks: list[tuple[str, _Picture]] = []
    for name, opened in _opened(dataset, root, options).items():
        classes, pictures = known.read(opened, base / PICTURES / name)
        names |= classes
        tasks += [(name, picture) for picture in pictures]
    labels = {number: label for label, number in enumerate(sorted(names))}
    listed = survey(base, tasks, partial(_look, base, labels), "pictures")
    if not listed.found:
        file, reason = listed.set_aside[0] if listed.set_aside else (dataset, "it contains no images")
        raise ValueError(f"{root}: expected usable images of {dataset}, got none; such as {file}: {reason}")
    ids = tuple(names[number] for number in labels)
    readable = tuple(name.replace("_", " ") for name in ids)
    return Index(base, ids, readable, listed.found, listed.set_aside).split(split)


def fetch(root: Path | str, *, download: bool, dataset: str | None, options: Options = None) -> None:
    """Downloads a data set if that is requested and it is missing.

    Args:
        root: folder to download to.
        download: whether it may be downloaded.
        dataset: name of torchvision's class.
        options: further arguments of the class.

    Raises:
        ValueError: if no data set is named.
        KeyError: if it is unknown, with the closest names.
        FileNotFoundError: if it is missing, and the download is not requested or fails.
    """
    root = Path(root)
    if dataset is None:
        raise ValueError(f"expected the name of a data set, got none: data.dataset=NAME, of {', '.join(DATASETS)}")
    _known(dataset)
    if not root.is_dir() and not download:
        raise FileNotFoundError(_missing(dataset, root, "no such folder"))
    if download:
        _opened(dataset, root, options, download=True)


def write_concepts(
    root: Path, out: Path, *, dataset: str, options: Options = None, category: str = "object"
) -> list[tuple[str, str]]:
    """Converts the trimaps of Oxford-IIIT Pet to a Broden folder: each breed, and cat and dog, as the foreground.

    Args:
        root: as for torchvision.
        out: folder to write to.
        dataset: `OxfordIIITPet`, the only supported one.
        options: further arguments of torchvision's class.
        category: of all concepts.

    Returns:
        (file, reason) of each unusable image.

    Raises:
        ValueError: if the data set has no masks, or nothing is usable.
        FileNotFoundError: if it is missing.
    """
    if dataset != "OxfordIIITPet":
        other = "concepts=voc concepts.root=ROOT/VOCdevkit/VOC2012 reads VOC; concepts=masks takes masks of your own"
        raise ValueError(
            f"concepts=torchvision: expected dataset=OxfordIIITPet, which has masks, got {dataset}: {other}"
        )
    outlined = [
        Outlined(
            picture, picture.name, partial(_outlines, mask, (_breed(picture), pets.bin_classes[kind].lower()), category)
        )
        for pets in _opened(dataset, root, options).values()
        for picture, mask, kind in zip(pets._images, pets._segs, pets._bin_labels, strict=True)
    ]
    return write_broden(out, root, outlined)


def _outlines(mask: Path, concepts: Iterable[str], category: str, height: int, width: int) -> Regions:
    foreground = read_values(mask, height, width) == FOREGROUND
    return {category: dict.fromkeys(concepts, foreground)}


def _known(dataset: str) -> _Known:
    if dataset not in DATASETS:
        from deepinside.spelling import closest

        mend = "data=folder and data=shards read images in other layouts"
        raise KeyError(f"no data set {dataset!r} here; {closest(dataset, DATASETS)} ({mend})")
    return DATASETS[dataset]


def _missing(dataset: str, root: Path, why: str) -> str:
    place = root / DATASETS[dataset].folder
    return (
        f"{root}: expected {dataset} in {place}, as torchvision.datasets.{dataset} lays it out, got none: {why}\n"
        "data.download=true (of masks: concepts.download=true) lets torchvision download it there"
    )


# Our split -> torchvision's data set. One of several splits may be missing, such as 24 GB to train on.
def _opened(dataset: str, root: Path, options: Options, download: bool = False) -> dict[str, Any]:
    import torchvision.datasets  # slow to import

    known, opened, reasons = _known(dataset), {}, {}
    build = getattr(torchvision.datasets, dataset)
    there = (root / known.folder).is_dir()  # Caltech101 would make the folder
    for split, keywords in known.splits.items():
        arguments = {**keywords, **(options or {})}
        try:
            if not there and not download:
                raise FileNotFoundError("no such folder")
            try:
                opened[split] = build(root, **arguments)
            except _REFUSED:
                if not download:
                    raise
                opened[split] = build(root, download=True, **arguments)
        except _REFUSED as error:
            reasons[split] = f"{split}: {error}"
    if not opened:
        raise FileNotFoundError(_missing(dataset, root, "; ".join(reasons.values())))
    for reason in reasons.values():
        log.warning("%s in %s is used without a split, %s", dataset, root, reason)
    return opened


def _look(root: Path, labels: Mapping[int, int], task: tuple[str, _Picture]) -> Iterator[Entry]:
    split, picture = task
    width, height = read_header(picture.path)
    label, boxes = picture.about(width, height)
    file = picture.path.relative_to(root).as_posix()
    mask = picture.mask.relative_to(root).as_posix() if picture.mask else None
    yield Entry(file, file, split, labels.get(label, -1), boxes, width, height, mask=mask)


def _labelled(label: int, _width: int, _height: int) -> tuple[int, Boxes]:
    return label, NO_BOXES


def _pets(dataset: Any, _folder: Path) -> _Content:
    rows = list(zip(dataset._images, dataset._segs, dataset._labels, strict=True))
    classes = {label: _breed(picture) for picture, _, label in rows}
    pictures = [_Picture(picture, partial(_foreground, mask, label), mask) for picture, mask, label in rows]
    return _Content(classes, pictures)


def _breed(picture: Path) -> str:
    return picture.stem.rpartition("_")[0]


def _foreground(mask: Path, label: int, width: int, height: int) -> tuple[int, Boxes]:
    rows, columns = np.nonzero(read_values(mask, height, width) == FOREGROUND)
    if not len(rows):
        return label, NO_BOXES
    return label, Boxes(np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]))


def _voc(dataset: Any, _folder: Path) -> _Content:
    from torchvision.models.segmentation import FCN_ResNet50_Weights  # torchvision's data sets do not name the classes

    names = FCN_ResNet50_Weights.DEFAULT.meta["categories"][1:]  # without background
    labels = {name: label for label, name in enumerate(names)}
    pictures = [Path(image) for image in dataset.images]
    annotations = [picture.parents[1] / "Annotations" / f"{picture.stem}.xml" for picture in pictures]
    about = (partial(_annotated, path, labels) for path in annotations)
    return _Content(dict(enumerate(names)), list(map(_Picture, pictures, about)))


def _annotated(path: Path, labels: Mapping[str, int], width: int, height: int) -> tuple[int, Boxes]:
    annotation = Annotation.read(path).of(path.stem, width, height)
    names = {name for name, _ in annotation.objects}
    if len(names) != 1 or not names <= labels.keys():
        return -1, NO_BOXES
    return labels[names.pop()], annotation.boxes(labels)


def _caltech(dataset: Any, _folder: Path) -> _Content:
    root = Path(dataset.root)
    pictures = []
    for label, number in zip(dataset.y, dataset.index, strict=True):
        path = root / "101_ObjectCategories" / dataset.categories[label] / f"image_{number:04d}.jpg"
        outline = root / "Annotations" / dataset.annotation_categories[label] / f"annotation_{number:04d}.mat"
        pictures.append(_Picture(path, partial(_outlined, outline, label)))
    return _Content(dict(enumerate(dataset.categories)), pictures)


# Rows, then columns, counted from 1, both ends inside (`show_annotation.m` of the data set).
def _outlined(path: Path, label: int, _width: int, _height: int) -> tuple[int, Boxes]:
    if not path.exists():
        return label, NO_BOXES
    try:
        top, bottom, left, right = matlab.read(path)["box_coord"].astype(float).ravel()
        return label, Boxes.from_inclusive([[left - 1, top - 1, right - 1, bottom - 1]])
    except (ValueError, KeyError, AttributeError) as error:
        raise BadFile(path, "box_coord, four numbers: top, bottom, left, right", str(error), _MEND) from error


def _places(dataset: Any, _folder: Path) -> _Content:
    classes = {label: name.split("/", maxsplit=2)[-1] for name, label in dataset.class_to_idx.items()}  # /a/abbey
    if not Path(dataset.images_dir).is_dir():  # the lists of all splits come in one archive
        log.warning("Places365 is used without a split, %s: no folder %s", dataset.split, dataset.images_dir)
        return _Content(classes, [])
    return _Content(classes, [_Picture(Path(path), partial(_labelled, label)) for path, label in dataset.imgs])


def _arrays(dataset: Any, folder: Path) -> _Content:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    rows = list(zip(dataset.data, dataset.targets, strict=True))
    for number, (pixels, label) in enumerate(track(rows, f"{folder.name} images")):
        path = folder / f"{number:05d}.png"
        Image.fromarray(pixels).save(path)
        pictures.append(_Picture(path, partial(_labelled, label)))
    return _Content(dict(enumerate(dataset.classes)), pictures)


_HALVES = {"train": {"train": True}, "val": {"train": False}}
_SETS = {"train": {"image_set": "train"}, "val": {"image_set": "val"}}
DATASETS = {
    "OxfordIIITPet": _Known("oxford-iiit-pet", {"train": {"split": "trainval"}, "val": {"split": "test"}}, _pets),
    "VOCDetection": _Known("", _SETS, _voc),
    "VOCSegmentation": _Known("", _SETS, _voc),
    "Caltech101": _Known("caltech101", {"all": {}}, _caltech),
    "CIFAR10": _Known("cifar-10-batches-py", _HALVES, _arrays, arrays=True),
    "CIFAR100": _Known("cifar-100-python", _HALVES, _arrays, arrays=True),
    "Places365": _Known("", {"train": {"split": "train-standard"}, "val": {"split": "val"}}, _places),
}
