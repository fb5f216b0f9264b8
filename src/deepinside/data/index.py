"""The images of a data set, their files, labels and boxes, in one sorted list."""

import csv
import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.data.image import BadImage, read_image, read_values
from deepinside.data.reading import brief
from deepinside.data.tar import MARK, Span
from deepinside.records import Boxes, write_set_aside
from deepinside.runtime.progress import track

__all__ = ["NO_BOXES", "PICTURES", "SPLITS", "BadImage", "Entry", "Index"]

SPLITS = ("train", "val", "all")
PICTURES = "pictures"  # folder of an artifact that the images of a data set without files are written to
NO_BOXES = Boxes(np.empty((0, 4)))
AHEAD = 3  # images that are decoded before they are asked for
FOREGROUND, BORDER = 1, 3  # of a trimap; any other value is background
HELD_OUT = 0.1  # share of the images without a split of their own that `divided` puts into `val`


@dataclass(frozen=True)
class Entry:
    """One image.

    Args:
        image: its unique name, such as ILSVRC2012_val_00000001.
        file: posix path relative to the root of the data; of an image in a tar, the tar's and then its own.
        split: `train`, `val`, or `all` for an image that belongs to either.
        label: index into the classes, -1 where unknown.
        boxes: of the objects of its class; none if unknown.
        width: in pixels.
        height: in pixels.
        span: its position in a tar; None for a separate file.
        mask: posix path of its trimap, relative to the root; None without one. See `Index.mask`.

    Raises:
        ValueError: if a box is outside the image.
    """

    image: str
    file: str
    split: str
    label: int
    boxes: Boxes
    width: int
    height: int
    span: Span | None = None
    mask: str | None = None

    def __post_init__(self) -> None:
        if len(self.boxes) and min(self.width, self.height) > 0 and not self.boxes.inside(self.width, self.height):
            raise ValueError(
                f"expected boxes inside the image of {self.width}x{self.height} pixels, got "
                f"{brief(str(self.boxes.xyxy.tolist()))}: take those of this image, in its pixels"
            )


@dataclass(frozen=True)
class Index:
    """All images of a data set, sorted by split and name.

    Args:
        root: folder of the files.
        ids: one per class: WordNet ids or names of folders.
        classes: readable names of the classes, in the order of the ids.
        entries: the images, in any order.
        set_aside: unusable files, each with the reason, in any order.

    Raises:
        ValueError: if a name is repeated, a label has no class, or a file is outside the root.
    """

    root: Path
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    set_aside: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.classes):
            raise ValueError(f"expected one name for each of {len(self.ids)} class ids, got {len(self.classes)} names")
        entries = sorted(self.entries, key=lambda entry: (entry.split, entry.image))
        object.__setattr__(self, "entries", tuple(entries))
        object.__setattr__(self, "set_aside", tuple(sorted(self.set_aside)))
        seen: set[str] = set()
        for entry in entries:
            _check(entry, len(self.classes))
            if entry.image in seen:
                raise ValueError(f"expected unique image names, got {entry.image!r} twice: rename one ({entry.file})")
            seen.add(entry.image)

    def __len__(self) -> int:
        return len(self.entries)

    def picture(self, entry: Entry) -> UInt8[Tensor, "3 h w"]:
        """An image.

        Args:
            entry: of this index.

        Returns:
            RGB bytes, (3, h, w), see `read_image`.

        Raises:
            BadImage: if it cannot be decoded.
        """
        path = self.root / entry.file
        return read_image(path) if entry.span is None else read_image(path, entry.span.opener(self.root, entry.file))

    def pictures(self, entries: Sequence[Entry]) -> Iterator[UInt8[Tensor, "3 h w"] | BadImage]:
        """Images in order; a thread decodes the next ones meanwhile.

        Args:
            entries: of this index.

        Yields:
            RGB bytes, (3, h, w), or why there are none.
        """
        with ThreadPoolExecutor(1) as pool:
            waiting: deque[Future[UInt8[Tensor, "3 h w"] | BadImage]] = deque()
            for entry in entries:
                waiting.append(pool.submit(self._picture, entry))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            for future in waiting:
                yield future.result()

    def _picture(self, entry: Entry) -> UInt8[Tensor, "3 h w"] | BadImage:
        try:
            return self.picture(entry)
        except BadImage as error:
            return error

    def mask(self, entry: Entry) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]] | None:
        """Where the object of an image is, by its trimap: a PNG file of its size, in the values of Oxford-IIIT Pet.

        Args:
            entry: of this index.

        Returns:
            The pixels of the object (1), and those that count: all but the border that was left open (3). None
            without a trimap.

        Raises:
            BadMask: if it cannot be decoded or has another size.
        """
        if entry.mask is None:
            return None
        values = read_values(self.root / entry.mask, entry.height, entry.width)
        return values == FOREGROUND, values != BORDER

    def split(self, name: str) -> "Index":
        """The images of a split; those of `all` belong to every split.

        Args:
            name: `train`, `val` or `all`.

        Returns:
            The index of that split, with the same classes and skipped files.

        Raises:
            ValueError: if there is no such split.
        """
        if name not in SPLITS:
            raise ValueError(f"expected a split of {SPLITS}, got {name!r}")
        return replace(self, entries=tuple(e for e in self.entries if name == "all" or e.split in {name, "all"}))

    def divided(self) -> "Index":
        """Splits the images that belong to every split: a tenth becomes `val`.

        The split depends on the sha256 of the file only, so that an image is always in the same split, whatever its
        name and the other images.

        Returns:
            The index; images of `all` are now in `train` or `val`, the others are unchanged.

        Raises:
            OSError: if a file cannot be read.
        """
        common = [entry for entry in self.entries if entry.split == "all"]
        sides = {entry.image: self._side(entry) for entry in track(common, "divide")}
        return replace(self, entries=tuple(replace(e, split=sides.get(e.image, e.split)) for e in self.entries))

    def _side(self, entry: Entry) -> str:
        path = self.root / entry.file
        with path.open("rb") if entry.span is None else entry.span.opener(self.root, entry.file)(path) as file:
            digest = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
        return "val" if int.from_bytes(digest[:4]) < HELD_OUT * 2**32 else "train"

    def limit(self, n: int | None) -> "Index":
        """The first images in sorted order.

        Args:
            n: their number; None for all.

        Returns:
            The index of these images.

        Raises:
            ValueError: if n is less than one.
        """
        if n is not None and n < 1:
            raise ValueError(f"expected a limit of at least 1 image or null for all, got {n}")
        return replace(self, entries=self.entries[:n])

    def balanced(self, n: int | None) -> "Index":
        """Equally many images of each class: the first of each in sorted order, then the second of each, and so on.

        Args:
            n: their number; None for all. If it is no multiple of the classes, the lower labels have one more.

        Returns:
            The index of these images, in sorted order; fewer only if there are fewer labelled images.

        Raises:
            ValueError: if n is less than one.
        """
        if n is None:
            return self
        if n < 1:
            raise ValueError(f"expected at least 1 image or null for all, got {n}")
        turns: dict[int, int] = defaultdict(int)
        queue: list[tuple[int, int, Entry]] = []
        for entry in self.entries:
            if entry.label >= 0:
                queue.append((turns[entry.label], entry.label, entry))
                turns[entry.label] += 1
        queue.sort(key=lambda item: item[:2])
        return replace(self, entries=tuple(entry for *_, entry in queue[:n]))

    def shuffled_labels(self, seed: int) -> "Index":
        """The same images with randomly permuted labels, which can only be memorised.

        Args:
            seed: of the permutation.

        Returns:
            The index, with the same number of images of each label.

        Source: Zhang et al. 2017 (understanding deep learning requires rethinking generalization), sec. 2.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        dealt = (self.entries[position].label for position in order)
        return replace(self, entries=tuple(replace(e, label=own) for e, own in zip(self.entries, dealt, strict=True)))

    def labelled(self) -> "Index":
        """The images whose class is known; the others are skipped by name.

        Returns:
            The index of these images, maybe of none.
        """
        aside = tuple((e.file, "expected a class, got none: it is required here") for e in self.entries if e.label < 0)
        kept = tuple(entry for entry in self.entries if entry.label >= 0)
        return replace(self, entries=kept, set_aside=self.set_aside + aside)

    def boxed(self) -> "Index":
        """The images that have a box; the others are skipped by name.

        Returns:
            The index of these images.

        Raises:
            ValueError: if no image has one.
        """
        bare = [entry for entry in self.entries if not len(entry.boxes)]
        if len(bare) == len(self.entries):
            raise ValueError(
                f"expected boxes, got none for {len(bare)} images of {self.root}: ILSVRC has them in "
                "ILSVRC2012_bbox_val_v3.tgz (unpack to bbox/val) or, from Kaggle, in ILSVRC/Annotations; "
                "a folder of your own takes a boxes.csv (image,x0,y0,x1,y1) or a VOC XML file beside each image; "
                "data=imagenette takes any of these files as data.boxes=PATH"
            )
        aside = tuple((entry.file, "expected a box, got none: add one or remove the image") for entry in bare)
        kept = tuple(entry for entry in self.entries if len(entry.boxes))
        return replace(self, entries=kept, set_aside=self.set_aside + aside)

    def tabular(self) -> "Index":
        """The images whose names are valid in a table; one with a carriage return in its name is skipped.

        Returns:
            The index of these images; carriage returns in other names are escaped.
        """
        kept = tuple(entry for entry in self.entries if "\r" not in _names(entry))
        reason = (
            "expected a name without a carriage return, which would break a line of a table, got one: rename the file"
        )
        aside = [(entry.file, reason) for entry in self.entries if "\r" in _names(entry)]
        printable = tuple(
            (file.replace("\r", "\\r"), reason.replace("\r", "\\r")) for file, reason in (*self.set_aside, *aside)
        )
        ids, classes = (tuple(name.replace("\r", "\\r") for name in names) for names in (self.ids, self.classes))
        return replace(self, ids=ids, classes=classes, entries=kept, set_aside=printable)

    def write(self, folder: str | Path) -> None:
        """Writes `images.csv`, `boxes.csv` (half-open), `classes.csv`, `set_aside.csv` and, if any, `masks.csv`.

        Args:
            folder: where to.
        """
        folder = Path(folder)
        images = ((e.split, e.image, e.file, e.label, e.width, e.height, *(e.span or ("", ""))) for e in self.entries)
        boxes = ((e.image, *map(_shortest, box)) for e in self.entries for box in e.boxes.xyxy.tolist())
        classes = ((label, *names) for label, names in enumerate(zip(self.ids, self.classes, strict=True)))
        _write(folder / "images.csv", ("split", "image", "file", "label", "width", "height", "start", "length"), images)
        _write(folder / "boxes.csv", ("image", "x0", "y0", "x1", "y1"), boxes)
        _write(folder / "classes.csv", ("label", "id", "name"), classes)
        if masks := [(entry.image, entry.mask) for entry in self.entries if entry.mask is not None]:
            _write(folder / "masks.csv", ("image", "file"), masks)
        write_set_aside(folder, self.set_aside)

    @classmethod
    def read(cls, folder: str | Path, root: str | Path) -> "Index":
        """Reads an index that `write` wrote.

        Args:
            folder: of the tables.
            root: folder of the images.

        Returns:
            The same index.

        Raises:
            ValueError: if the tables are damaged, or a file is outside the root.
        """
        folder, root = Path(folder), Path(root)
        try:
            return cls._read(folder, root)
        except (ValueError, IndexError, csv.Error) as error:
            what = "expected images.csv, boxes.csv, classes.csv and set_aside.csv as written by `run=prepare`"
            raise ValueError(
                f"{folder}: {what}, got {brief(str(error))}: remove the folder and run it again"
            ) from error

    @classmethod
    def _read(cls, folder: Path, root: Path) -> "Index":
        boxes: dict[str, list[list[float]]] = defaultdict(list)
        for image, *corners in _read(folder / "boxes.csv"):
            boxes[image].append([float(corner) for corner in corners])
        outlines = _read(folder / "masks.csv") if (folder / "masks.csv").exists() else []
        masks = {row[0]: row[1] for row in outlines}
        entries = tuple(
            Entry(
                image=image,
                file=file,
                split=split,
                label=int(label),
                boxes=Boxes(np.array(boxes[image])) if image in boxes else NO_BOXES,
                width=int(width),
                height=int(height),
                span=Span(int(start), int(length)) if start else None,
                mask=masks.get(image),
            )
            for split, image, file, label, width, height, start, length in _read(folder / "images.csv")
        )
        classes = _read(folder / "classes.csv")
        ids, names = tuple(row[1] for row in classes), tuple(row[2] for row in classes)
        return cls(root, ids, names, entries, tuple((file, reason) for file, reason in _read(folder / "set_aside.csv")))


def _check(entry: Entry, classes: int) -> None:
    if not -1 <= entry.label < classes:
        raise ValueError(f"{entry.file}: expected a label of -1 (unknown) to {classes - 1}, got {entry.label}")
    if entry.split not in SPLITS:
        raise ValueError(f"{entry.file}: expected a split of {SPLITS}, got {entry.split!r}")
    if entry.width < 1 or entry.height < 1:
        raise ValueError(f"{entry.file}: expected a size in pixels, got {entry.width}x{entry.height}")
    if entry.span and (MARK not in entry.file or entry.span.start < 0 or entry.span.length < 0):
        raise ValueError(f"{entry.file}: expected a place in a tar, got {entry.span}")
    for file in filter(None, (entry.file, entry.mask)):
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\0" in file:
            raise ValueError(f"{file}: expected a path inside the root, relative to it")


def _names(entry: Entry) -> str:
    return "/".join((entry.file, entry.image, entry.mask or ""))


def _shortest(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


# File names may hold bytes that are no UTF-8; surrogateescape carries them through unchanged.
def _write(path: Path, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.reader(file))[1:]
