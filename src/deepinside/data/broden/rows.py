"""The index file of a probe set in the Broden format, and checks of its images."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from deepinside.data.broden.labels import read_rows
from deepinside.data.image import BadImage, read_header
from deepinside.data.reading import BadFile, survey

_SIZES = ("ih", "iw", "sh", "sw")
_DIGITS = 9  # a longer number is none that counts labels or pixels
_MAX_LABELS = 2**25  # pixels of a label map, which takes 16 bytes for each while it is read; Broden has 113x113


class BadRow(BadFile):
    """A row of the index file whose image or label map is missing, broken, of another size, or has unknown labels.

    Args:
        path: of the bad file.
        image: name of the image of the row.
        expected: valid content.
        came: actual content.
    """

    def __init__(self, path: Path, image: str, expected: str, came: str) -> None:
        mend = "unzip the probe set again or take the row out of index.csv"
        super().__init__(path, f"{expected} for the row of {image}", came, mend)


class Row(NamedTuple):
    """An image of the index file.

    `cells` has, per category that the image carries, the labels of the whole image (numbers) and the files of the
    label maps (text), dominant first.
    """

    image: str
    split: str
    ih: int
    iw: int
    sh: int
    sw: int
    cells: Mapping[str, tuple[int | str, ...]]


class Rows(NamedTuple):
    """Usable rows by name of the image, (file, reason) of the others, and images without any of the categories."""

    rows: tuple[Row, ...]
    set_aside: tuple[tuple[str, str], ...]
    unlabelled: tuple[str, ...]


def read_index(root: Path, categories: Sequence[str], numbers: Sequence[int]) -> Rows:
    """Reads `index.csv` and checks that each image and label map exists and has the size stated in its row.

    Args:
        root: of the probe set.
        categories: to use.
        numbers: of all labels.

    Returns:
        The rows, sorted by the name of the image.
    """
    table = read_rows(root / "index.csv", ("image", "split", *_SIZES, *categories))
    lines = sorted(table, key=lambda line: line["image"])
    carried = [line for line in lines if any(_parts(line[name]) for name in categories)]
    bare = tuple(line["image"] for line in lines if not any(_parts(line[name]) for name in categories))
    twice = frozenset(image for image, count in Counter(line["image"] for line in carried).items() if count > 1)
    surveyed = survey(root, carried, _Look(root, tuple(categories), frozenset(numbers), twice), "label maps")
    return Rows(surveyed.found, surveyed.set_aside, bare)


# Entries of a cell are separated by semicolons and may be empty; one of digits alone is a label of the whole image.
def _parts(cell: str) -> tuple[int | str, ...]:
    parts = (part.strip() for part in cell.split(";"))
    return tuple(int(part) if _is_number(part) else part for part in parts if part)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS


@dataclass(frozen=True)
class _Look:
    root: Path
    categories: tuple[str, ...]
    numbers: frozenset[int]
    twice: frozenset[str]

    def __call__(self, line: Mapping[str, str]) -> Iterator[Row]:
        image = line["image"]
        path = self.root / "images" / image
        if image in self.twice:
            raise BadRow(path, image, "no other row", "one")
        sizes = [line[name] for name in _SIZES]
        if not all(_is_number(size) and int(size) > 0 for size in sizes):
            raise BadRow(path, image, "sizes ih, iw, sh, sw in pixels", f"{sizes}")
        ih, iw, sh, sw = map(int, sizes)
        if sh * sw > _MAX_LABELS:
            raise BadRow(path, image, f"label maps of at most {_MAX_LABELS} pixels", f"{sw}x{sh}")
        cells = {name: parts for name in self.categories if (parts := _parts(line[name]))}
        everything = {part: None for parts in cells.values() for part in parts}
        unknown = [part for part in everything if isinstance(part, int) and part not in self.numbers]
        if unknown:
            raise BadRow(path, image, "labels of label.csv", f"{unknown}")
        self._check_size(image, image, iw, ih)
        for file in everything:
            if isinstance(file, str):
                self._check_size(file, image, sw, sh)
        yield Row(image, line["split"], ih, iw, sh, sw, cells)

    def _check_size(self, file: str, image: str, width: int, height: int) -> None:
        path = self.root / "images" / file
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise BadRow(self.root / "index.csv", image, "a file in images/", repr(file))
        try:
            size = read_header(path)
        except BadImage as error:
            raise BadRow(path, image, f"{width}x{height} pixels", error.came) from error
        if size != (width, height):
            raise BadRow(path, image, f"{width}x{height} pixels", f"{size[0]}x{size[1]}")
