"""ILSVRC-2012 CLS-LOC: images of 1000 classes, and boxes. Any tree in one of its two layouts, however small."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from deepinside.data import ilsvrc_layout as layout
from deepinside.data.annotation import Annotation, BadAnnotation
from deepinside.data.image import pictures, read_header
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.data.reading import BadFile, Survey, brief, check_name, read_text, survey
from deepinside.data.synsets import Synsets
from deepinside.records import Boxes

_MEND = "fetch both files again from one source or take the image out of the data"
BLACKLIST = "ILSVRC201x_clsloc_validation_blacklist.txt"


def index(root: Path | str, split: str = "val") -> Index:
    """The images of a tree in Kaggle's layout or the development kit's, which is detected.

    Labels index the sorted WordNet ids, the order of network outputs. Validation images need a label and, if the tree
    has any boxes, a box of their class; all sources (solution, ground truth, XML) must agree. Training images have the
    label of their folder, and boxes from an XML file, of which an invalid one is skipped without its image. Validation
    images of the synthetic data set have a trimap.

    Args:
        root: of the tree.
        split: `train`, `val`, or `all` for both.

    Returns:
        The index; unusable files are skipped with the reason.

    Raises:
        FileNotFoundError: if the tree or a required part of it is missing.
        ValueError: if nothing in it is usable, or the split has another name.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root}: expected a folder with ILSVRC-2012, got none.\n{layout.HOW.format(root=root)}"
        )
    if split not in {"train", "val", "all"}:
        raise ValueError(f"expected a split of train, val, all, got {split!r}")
    classes = Synsets.find(root)
    there = [
        name for name in ("train", "val") if split == name or (split == "all" and layout.picture_folder(root, name))
    ]
    read = {"train": _train, "val": _validation}
    surveys = [read[name](root, classes) for name in there or ["val"]]
    entries = tuple(entry for one in surveys for entry in one.found)
    aside = tuple(row for one in surveys for row in one.set_aside)
    if not entries:
        reasons = "\n".join(f"  {file}: {reason}" for file, reason in aside[:3])
        raise ValueError(f"{root}: expected usable images, got {len(aside)} unusable ones, such as\n{reasons}")
    return Index(root, classes.ids, classes.words, entries, aside)


def blacklist(root: Path | str, file: Path | str | None = None) -> frozenset[str]:
    """The validation images excluded from localisation for their poor boxes, but not from classification.

    Args:
        root: of the tree.
        file: 1-based lines of the sorted list of validation images; None for the kit's own, if any.

    Returns:
        Names of images, without suffix; none without a list.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if a line is no number, or too large.

    Source: ILSVRC-2014 development kit, readme; 1762 of 50,000 images.
    """
    root = Path(root)
    path = Path(file) if file else layout.beside(root, BLACKLIST)
    if path is None:
        return frozenset()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a blacklist (one line number each), got no such file")
    lines = read_text(path).split()
    wrong = [line for line in lines if not layout.is_number(line) or int(line) < 1]
    if wrong:
        came = brief(str(wrong[:3]))
        raise ValueError(f"{path}: expected line numbers from 1 on, got {came}: fetch the file again")
    numbers = {int(line) for line in lines}
    names = tuple(picture.stem for picture in layout.validation_pictures(root))
    # A tree with fewer images than the highest number is a part of the 50,000; the names tell which.
    line_of = layout.lines_of(names, max(len(names), *numbers, 0))
    if numbers and not line_of:
        raise ValueError(f"{path}: expected lines up to {len(names)}, got {max(numbers)}: it is for other images")
    return frozenset(name for name, line in line_of.items() if line in numbers)


class _Truth(NamedTuple):
    """Label and boxes of an image from the solution or the ground truth."""

    wnid: str
    boxes: Boxes | None = None


@dataclass(frozen=True)
class _Sources:
    """All sources of labels and boxes."""

    root: Path
    classes: Synsets
    labels: Mapping[str, int]
    annotations: Path | None
    truth: Mapping[str, str]
    solution: Mapping[str, str]
    masks: Path | None = None

    def entry(self, split: str, path: Path, size: tuple[int, int], wnid: str, boxes: Boxes) -> Entry:
        file = path.relative_to(self.root).as_posix()
        mask = self.masks and self.masks / f"{path.stem}.png"
        outline = mask.relative_to(self.root).as_posix() if mask and mask.exists() else None
        return Entry(path.stem, file, split, self.labels[wnid], boxes, *size, mask=outline)

    # The solution first, for it has boxes, too.
    def known(self, path: Path) -> _Truth | None:
        if path.stem in self.solution:
            return _Truth(*solved(path, self.solution[path.stem], self.labels))
        return _Truth(self.truth[path.stem]) if path.stem in self.truth else None

    # An XML file that is about this image, and the classes in it.
    def annotation(self, xml: Path, stem: str, size: tuple[int, int]) -> tuple[Annotation, list[str]]:
        annotation = Annotation.read(xml).of(stem, *size)
        names = sorted({name for name, _ in annotation.objects})
        unknown = [name for name in names if name not in self.labels]
        if unknown:
            raise BadAnnotation(xml, f"synsets of {self.classes.file.name}", f"{unknown[0]!r}", _MEND)
        return annotation, names


def solved(path: Path, text: str, labels: Container[str]) -> tuple[str, Boxes]:
    """The class and the boxes of one line of `LOC_val_solution.csv`.

    Args:
        path: of the image, for messages.
        text: groups of `WNID xmin ymin xmax ymax`, corners inclusive.
        labels: known WordNet ids.

    Returns:
        The WordNet id and the boxes, half-open, in pixels of the original image.

    Raises:
        BadFile: if it is no such text, or of several or unknown classes.
    """
    words = text.split()
    wnids = set(words[::5])
    expected = "`WNID xmin ymin xmax ymax` in LOC_val_solution.csv, all of one known class"
    if not words or len(words) % 5 or len(wnids) > 1 or words[0] not in labels:
        raise BadFile(path, expected, repr(text), _MEND)
    try:
        corners = [[float(word) for word in words[start + 1 : start + 5]] for start in range(0, len(words), 5)]
        return words[0], Boxes.from_inclusive(corners)
    except ValueError as error:
        raise BadFile(path, expected, repr(text), _MEND) from error


def _validation(root: Path, classes: Synsets) -> Survey[Entry]:
    paths = layout.validation_pictures(root)
    annotations = layout.annotation_folder(root, "val")
    truth = layout.ground_truth(root, classes.numbered, tuple(path.stem for path in paths))
    labels = {wnid: label for label, wnid in enumerate(classes.ids)}
    sources = _Sources(root, classes, labels, annotations, truth, layout.solution(root), layout.mask_folder(root))
    if not (truth or sources.solution or annotations):
        what = "labels in LOC_val_solution.csv, data/ILSVRC2012_validation_ground_truth.txt or XML files, got none"
        raise FileNotFoundError(f"{root}: expected {what}.\n{layout.HOW.format(root=root)}")
    return survey(root, paths, partial(_look_at_validation, sources), "validation images")


def _look_at_validation(sources: _Sources, path: Path) -> Iterator[Entry]:
    check_name(path, path.relative_to(sources.root).as_posix())
    size = read_header(path)
    known = sources.known(path)
    xml = sources.annotations / f"{path.stem}.xml" if sources.annotations else None
    if xml and (xml.exists() or not (known and known.boxes)):
        known = _agreed(sources, xml, path.stem, size, known)
    if known is None:
        raise BadFile(path, "a label in LOC_val_solution.csv or in the ground truth", "none", _MEND)
    yield sources.entry("val", path, size, known.wnid, known.boxes or NO_BOXES)


# What an XML file says, if the other sources do not say otherwise. Boxes of other classes do not count.
def _agreed(sources: _Sources, xml: Path, stem: str, size: tuple[int, int], known: _Truth | None) -> _Truth:
    annotation, names = sources.annotation(xml, stem, size)
    if known is None and len(names) != 1:
        raise BadAnnotation(xml, "boxes of one class, which determine the label", f"{names}", _MEND)
    wnid = known.wnid if known else names[0]
    boxes = annotation.boxes({wnid})
    if not len(boxes):
        raise BadAnnotation(xml, f"a box of {wnid}, the label of the image", f"boxes of {names}", _MEND)
    if known and known.boxes and sorted(known.boxes.xyxy.tolist()) != sorted(boxes.xyxy.tolist()):
        came = f"{boxes.to_inclusive().tolist()}"
        raise BadAnnotation(xml, f"boxes {known.boxes.to_inclusive().tolist()} as in LOC_val_solution.csv", came, _MEND)
    return _Truth(wnid, boxes)


def _train(root: Path, classes: Synsets) -> Survey[Entry]:
    folder = layout.picture_folder(root, "train")
    paths = pictures(folder) if folder else []
    if not paths:
        what = f"{root}: expected training images in train/<WordNet id>/*.JPEG, got none"
        raise FileNotFoundError(f"{what} (unpack the archives of the classes, too).\n{layout.HOW.format(root=root)}")
    labels = {wnid: label for label, wnid in enumerate(classes.ids)}
    sources = _Sources(root, classes, labels, layout.annotation_folder(root, "train"), {}, {})
    return survey(root, paths, partial(_look_at_training, sources), "training images")


def _look_at_training(sources: _Sources, path: Path) -> Iterator[Entry | BadFile]:
    check_name(path, path.relative_to(sources.root).as_posix())
    size, wnid = read_header(path), path.parent.name
    if wnid not in sources.labels:
        raise BadFile(path, f"a folder named as a synset of {sources.classes.file.name}", repr(wnid), _MEND)
    xml = sources.annotations / wnid / f"{path.stem}.xml" if sources.annotations else None
    boxes = NO_BOXES
    if xml and xml.exists():  # only some training images have boxes
        try:
            boxes = sources.annotation(xml, path.stem, size)[0].boxes({wnid})
        except BadAnnotation as error:
            yield error
    yield sources.entry("train", path, size, wnid, boxes)
