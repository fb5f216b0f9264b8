"""Images with outlined concepts -> a Broden folder, pixel for pixel."""

import csv
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, UInt8
from numpy import ndarray
from PIL import Image

from deepinside.data.image import read_image
from deepinside.data.reading import check_name, survey
from deepinside.runtime.progress import track

_TRAIN = 0.7  # share of the split called train


@dataclass(frozen=True)
class Probe:
    """One image and its labels.

    Args:
        file: relative to `images/`.
        maps: category -> label maps, (levels, h, w), numbers into `names`; 0 is unlabelled.
        names: category -> what the numbers mean.
        whole: category -> names for the whole image, the dominant first.
    """

    file: str
    maps: dict[str, UInt8[ndarray, "levels h w"]]
    names: dict[str, tuple[str, ...]]
    whole: dict[str, tuple[str, ...]]

    def coverage(self) -> dict[tuple[str, str], float]:
        """How much of the image each concept covers.

        Returns:
            (category, name) -> share of the image, 0 to 1.
        """
        shares = {(category, name): 1.0 for category, names in self.whole.items() for name in names}
        for category, maps in self.maps.items():
            area = maps[0].size
            for code in np.unique(maps[maps > 0]).tolist():
                shares[category, self.names[category][code]] = float((maps == code).any(0).sum()) / area
        return shares


class Label(NamedTuple):
    """A concept: its number, name, category, number of images and coverage in whole images."""

    number: int
    name: str
    category: str
    frequency: int
    coverage: float


def numbered(probes: Iterable[Probe], least_frequency: int, least_coverage: float) -> list[Label]:
    """The concepts, numbered from 1 by decreasing frequency.

    Args:
        probes: all images.
        least_frequency: a label of fewer images is dropped.
        least_coverage: a label that covers less, in whole images, is dropped.

    Returns:
        The labels in order of number; of equal frequency, the larger coverage comes first.
    """
    frequency: Counter[tuple[str, str]] = Counter()
    coverage: Counter[tuple[str, str]] = Counter()
    for probe in probes:
        for label, share in probe.coverage().items():
            frequency[label] += 1
            coverage[label] += share  # type: ignore[assignment]
    kept = [
        label for label, count in frequency.items() if count >= least_frequency and coverage[label] >= least_coverage
    ]
    kept.sort(key=lambda label: (-frequency[label], -coverage[label], label))
    return [Label(k, name, c, frequency[c, name], coverage[c, name]) for k, (c, name) in enumerate(kept, start=1)]


def categories(labels: Sequence[Label]) -> list[str]:
    """The categories in order of their first label.

    Args:
        labels: in order of number.

    Returns:
        Each once.
    """
    return list(dict.fromkeys(label.category for label in labels))


def index_rows(
    probes: Sequence[Probe], cells: Sequence[dict[str, str]], labels: Sequence[Label], side: int
) -> list[dict[str, str | int]]:
    """The rows of `index.csv`, in the order of the hashes of the file names.

    Args:
        probes: all images.
        cells: content for each image in each category.
        labels: in order of number.
        side: of the images in pixels.

    Returns:
        Column -> cell.
    """
    rows = []
    for probe, cell in zip(probes, cells, strict=True):
        digest = hashlib.md5(probe.file.encode(), usedforsecurity=False).hexdigest()
        split = "train" if int(digest[:8], 16) < _TRAIN * 2**32 else "val"
        row: dict[str, str | int] = {"image": probe.file, "split": split, "ih": side, "iw": side}
        row |= {"sh": side // 2, "sw": side // 2} | {name: cell.get(name, "") for name in categories(labels)}
        rows.append((digest, row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def write_tables(out: Path, labels: Sequence[Label], index: Sequence[dict[str, str | int]]) -> None:
    """Writes `index.csv`, `category.csv`, `label.csv` and the `c_*.csv`.

    Args:
        out: folder to write to.
        labels: in order of number.
        index: rows of the index.
    """
    _write(out / "index.csv", index)
    rows = []
    for category in categories(labels):
        mine = [label for label in labels if label.category == category]
        total = sum(label.frequency for label in mine)
        spread = {"first": mine[0].number, "last": mine[-1].number, "count": len(mine), "frequency": total}
        rows.append({"name": category, **spread})
        _write(out / f"c_{category}.csv", [{"code": k, **_cell(label)} for k, label in enumerate(mine, start=1)])
    _write(out / "category.csv", rows)
    _write(out / "label.csv", [_long_cell(label) for label in labels])


def _cell(label: Label) -> dict[str, str | int]:
    coverage = f"{label.coverage:.6f}"
    return {"number": label.number, "name": label.name, "frequency": label.frequency, "coverage": coverage}


def _long_cell(label: Label) -> dict[str, str | int]:
    cell = _cell(label)
    category = f"{label.category}({label.frequency})"
    return {"number": cell.pop("number"), "name": cell.pop("name"), "category": category, **cell, "syns": ""}


def _write(path: Path, rows: Sequence[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


Mask = Bool[ndarray, "h w"]
Regions = Mapping[str, Mapping[str, Mask]]
"""Category -> concept -> its mask. A category without concepts was annotated, but is not in the image."""

_COLUMNS = ("image", "split", "ih", "iw", "sh", "sw")
_THREADS = 8
MOST = 2**16 - 1  # labels: a label map has two bytes for each pixel


@dataclass(frozen=True)
class Outlined:
    """An image, and a function that reads its outlines.

    Args:
        path: of the image.
        name: its posix path below `images/`.
        read: height and width of the image -> regions of that size; raises `BadFile` if they are unreadable.
    """

    path: Path
    name: str
    read: Callable[[int, int], Regions]


@dataclass(frozen=True)
class _Seen:
    outlined: Outlined
    height: int
    width: int
    shares: Mapping[str, Mapping[str, float]]  # category -> concept in the image -> share of the image


def write_broden(out: Path, root: Path, pictures: Sequence[Outlined]) -> list[tuple[str, str]]:
    """Writes `index.csv`, `category.csv`, `label.csv`, `c_*.csv`, the images unchanged, and their label maps.

    Label maps have the size of the images. Overlapping concepts of one category are in several maps, so that none is
    lost. An image carries a category if that was annotated, whether or not any concept is present.

    Args:
        out: folder to write to.
        root: of the raw data; reasons name files relative to it.
        pictures: with unique names.

    Returns:
        (file, reason) of each unusable image.

    Raises:
        ValueError: if nothing can be used, or a name is invalid in the format.

    Source: Bau et al. 2017, released code (`joinseg.py`).
    """
    surveyed = survey(root, pictures, _look, "masks")
    labels = _numbered(surveyed.found)
    if not labels:
        why = f", {len(surveyed.set_aside)} unusable, such as {surveyed.set_aside[:1]}"
        raise ValueError(f"{root}: expected outlined concepts, got none on {len(pictures)} images{why}")
    numbers = {(label.category, label.name): label.number for label in labels}
    tasks = list(enumerate(surveyed.found))
    with ThreadPoolExecutor(_THREADS) as pool:
        rows = list(track(pool.map(partial(_write_image, out, numbers), tasks), "label maps", total=len(tasks)))
    rows.sort(key=lambda row: _hash(str(row["image"])))
    names = categories(labels)
    write_tables(out, labels, [{column: row.get(column, "") for column in (*_COLUMNS, *names)} for row in rows])
    return list(surveyed.set_aside)


def _look(picture: Outlined) -> Iterator[_Seen]:
    check_name(picture.path, picture.name)
    height, width = read_image(picture.path).shape[1:]
    regions = picture.read(height, width)
    shares = {
        category: {name: float(mask.mean()) for name, mask in concepts.items() if mask.any()}
        for category, concepts in regions.items()
    }
    yield _Seen(picture, height, width, shares)


def _numbered(seen: Sequence[_Seen]) -> list[Label]:
    # From 1 by decreasing frequency; where that is the same, the larger coverage comes first.
    frequency: Counter[tuple[str, str]] = Counter()
    coverage: dict[tuple[str, str], float] = {}
    for picture in seen:
        for category, concepts in picture.shares.items():
            _check_category(category)
            for name, share in concepts.items():
                frequency[category, name] += 1
                coverage[category, name] = coverage.get((category, name), 0.0) + share
    if len(frequency) > MOST:
        raise ValueError(f"expected at most {MOST} concepts, which is what Broden's format holds, got {len(frequency)}")
    order = sorted(frequency, key=lambda label: (-frequency[label], -coverage[label], label))
    return [Label(k, name, c, frequency[c, name], coverage[c, name]) for k, (c, name) in enumerate(order, start=1)]


def _check_category(name: str) -> None:
    if name in _COLUMNS or not name or set(name) & set(";/\\"):
        raise ValueError(f"expected a category that is valid as a column and file name, got {name!r}: rename it")


def _hash(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def _write_image(out: Path, numbers: Mapping[tuple[str, str], int], task: tuple[int, _Seen]) -> dict[str, str | int]:
    position, seen = task
    target = out / "images" / seen.outlined.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(seen.outlined.path, target)
    size = (seen.height, seen.width)
    row: dict[str, str | int] = dict(zip(_COLUMNS[2:], size * 2, strict=True))
    row |= {"image": seen.outlined.name}
    row |= {"split": "train" if int(_hash(seen.outlined.name)[:8], 16) < _TRAIN * 2**32 else "val"}
    for category, concepts in seen.outlined.read(*size).items():
        there = {numbers[category, name]: mask for name, mask in concepts.items() if mask.any()}
        files = []
        for level, labels in enumerate(levels(there, size), start=1):
            files.append(f"label_maps/{position:07d}_{category}_{level}.png")
            _save(labels, out / "images" / files[-1])
        row[category] = ";".join(files)
    return row


def levels(regions: Mapping[int, Mask], size: tuple[int, int]) -> list[Int32[ndarray, "h w"]]:
    """As few label maps as the largest first allow, each pixel of each region in exactly one of them.

    Args:
        regions: number of the label -> its mask, (h, w).
        size: h, w.

    Returns:
        Label maps, 0 for no label, the one with the largest regions first; one of zeros without regions.
    """
    maps = [np.zeros(size, dtype=np.int32)]
    for number, mask in sorted(regions.items(), key=lambda item: (-int(item[1].sum()), item[0])):
        free = next((labels for labels in maps if not labels[mask].any()), None)
        if free is None:
            maps.append(free := np.zeros(size, dtype=np.int32))
        free[mask] = number
    return maps


def _save(labels: Int32[ndarray, "h w"], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.stack([labels % 256, labels // 256, np.zeros_like(labels)], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
