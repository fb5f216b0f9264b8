"""The paths of ILSVRC-2012 CLS-LOC in Kaggle's layout and the development kit's, which is detected."""

import re
from collections.abc import Mapping
from pathlib import Path

from deepinside.data.image import pictures
from deepinside.data.reading import brief, read_table, read_text

# First place that exists wins; Kaggle's first.
_PICTURES = {
    "val": ("ILSVRC/Data/CLS-LOC/val", "Data/CLS-LOC/val", "val", "ILSVRC2012_img_val"),
    "train": ("ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train", "train", "ILSVRC2012_img_train"),
}
_ANNOTATIONS = {
    "val": (
        "ILSVRC/Annotations/CLS-LOC/val",
        "Annotations/CLS-LOC/val",
        "bbox/val",
        "ILSVRC2012_bbox_val_v3/val",
        "ILSVRC2012_bbox_val_v3",
        "Annotations/val",
    ),
    "train": (
        "ILSVRC/Annotations/CLS-LOC/train",
        "Annotations/CLS-LOC/train",
        "bbox/train",
        "ILSVRC2012_bbox_train_v2/train",
        "ILSVRC2012_bbox_train_v2",
        "Annotations/train",
    ),
}
_MASKS = ("ILSVRC/Masks/CLS-LOC/val", "Masks/CLS-LOC/val")  # ILSVRC has none, the synthetic data set does
_LIST = ("ILSVRC/ImageSets/CLS-LOC/val.txt", "ImageSets/CLS-LOC/val.txt")
_LISTS = (
    "LOC_synset_mapping.txt",
    "LOC_val_solution.csv",
    "ILSVRC2012_validation_ground_truth.txt",
    "ILSVRC201x_clsloc_validation_blacklist.txt",
    "meta.mat",
    "meta_clsloc.mat",
)
_KIT = ("data", "ILSVRC2012_devkit_t12/data", "devkit/data", ".")
_NUMBER = re.compile(r"_val_(\d{8})$")
_DIGITS = 9  # a longer number is none of an image or a class

HOW = """Download ILSVRC-2012 CLS-LOC, which may not be redistributed, in one of its two forms:
  from Kaggle, competition imagenet-object-localization-challenge:
    {root}/LOC_synset_mapping.txt
    {root}/LOC_val_solution.csv
    {root}/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG ...
    {root}/ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml ...
  from https://image-net.org (ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_val.tar, ILSVRC2012_bbox_val_v3.tgz):
    {root}/data/meta.mat
    {root}/data/ILSVRC2012_validation_ground_truth.txt
    {root}/val/ILSVRC2012_val_00000001.JPEG ...
    {root}/bbox/val/ILSVRC2012_val_00000001.xml ...
Training images, where wanted, go to train/<WordNet id>/*.JPEG beside val. Then name the folder: data.root={root}"""


def picture_folder(root: Path, split: str) -> Path | None:
    """The folder of the images of a split.

    Args:
        root: of the data.
        split: `train` or `val`.

    Returns:
        The folder, or None.
    """
    return _first(root, _PICTURES[split])


def annotation_folder(root: Path, split: str) -> Path | None:
    """The folder of the boxes of a split.

    Args:
        root: of the data.
        split: `train` or `val`.

    Returns:
        The folder of XML files, or None.
    """
    return _first(root, _ANNOTATIONS[split])


def mask_folder(root: Path) -> Path | None:
    """The folder of the trimaps of the validation images.

    Args:
        root: of the data.

    Returns:
        The folder of PNG files, or None.
    """
    return _first(root, _MASKS)


def beside(root: Path, name: str) -> Path | None:
    """A file that is beside `ILSVRC/` in Kaggle's layout and in `data/` in the kit's.

    Args:
        root: of the data, or the folder `ILSVRC` itself.
        name: of the file, one of the layouts' lists of labels and classes.

    Returns:
        The file, or None.
    """
    assert name in _LISTS  # `outside` knows them all
    around = {path.name: path for path in outside(root)}
    return _first(root, tuple(f"{folder}/{name}" for folder in _KIT)) or around.get(name)


def outside(root: Path) -> list[Path]:
    """The lists outside the root, if it is Kaggle's folder `ILSVRC` itself.

    Args:
        root: of the data.

    Returns:
        Paths.
    """
    paths = (root.parent / name for name in _LISTS) if root.name == "ILSVRC" else ()
    return [path for path in paths if path.exists()]


def validation_pictures(root: Path) -> tuple[Path, ...]:
    """The validation images in ascending order of their names, which is the order of all lists of labels and numbers.

    Args:
        root: of the data.

    Returns:
        Paths, including missing images that Kaggle's `val.txt` lists.

    Raises:
        FileNotFoundError: if there is no folder of validation images, or nothing in it.
        ValueError: if the list has anything except names of files in that folder.
    """
    folder = picture_folder(root, "val")
    found = {path.stem: path for path in pictures(folder)} if folder else {}
    if folder is None or not found:
        where = f"{root}: expected validation images in one of {', '.join(_PICTURES['val'])}, got none."
        raise FileNotFoundError(f"{where}\n{HOW.format(root=root)}")
    listed = _first(root, _LIST)
    names = _names(listed) if listed else []
    return tuple(found.get(name, folder / f"{name}.JPEG") for name in sorted(set(names) or found))


def _names(path: Path) -> list[str]:
    names = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    for name in names:
        if "/" in name or "\0" in name:
            what = f"expected names of images without folders, got {brief(repr(name))}"
            raise ValueError(f"{path}: {what}: fetch the file again")
    return names


def is_number(text: str) -> bool:
    """Whether a word of a list is the number of a line or a class.

    Args:
        text: the word.

    Returns:
        Whether it consists of a few digits.
    """
    return text.isdecimal() and len(text) <= _DIGITS


def lines_of(names: tuple[str, ...], lines: int) -> dict[str, int]:
    """The line (1-based) of each validation image in the kit's lists.

    That is the rank of its name; if some images are missing, the number in the name, which is the same.

    Args:
        names: of the images, sorted.
        lines: number of lines of the list, or its highest line number.

    Returns:
        Line by name; an image whose line is unknown is omitted.
    """
    if len(names) == lines:
        return {name: rank for rank, name in enumerate(names, start=1)}
    numbers = {name: _NUMBER.search(name) for name in names}
    return {name: int(number[1]) for name, number in numbers.items() if number and int(number[1]) <= lines}


def ground_truth(root: Path, numbered: Mapping[int, str], names: tuple[str, ...]) -> dict[str, str]:
    """The development kit's labels of the validation images.

    Args:
        root: of the data.
        numbered: WordNet ids by the kit's number; empty for Kaggle's tree.
        names: of the validation images, sorted.

    Returns:
        WordNet id by name; empty if the kit's file or its numbering is missing.

    Raises:
        ValueError: if a line is no number of a class.

    Source: ILSVRC-2012 development kit, readme: ILSVRC2012_ID is neither the alphabetical nor the network's order.
    """
    path = beside(root, "ILSVRC2012_validation_ground_truth.txt")
    if path is None or not numbered:
        return {}
    numbers = read_text(path).split()
    for line, number in enumerate(numbers, start=1):
        if not is_number(number) or int(number) not in numbered:
            what = f"expected the number of a class in meta.mat, got {brief(repr(number))}"
            raise ValueError(
                f"{path}, line {line}: {what}: unpack the development kit again, both files from one archive"
            )
    lines = lines_of(names, len(numbers))
    return {name: numbered[int(numbers[line - 1])] for name, line in lines.items()}


def solution(root: Path) -> dict[str, str]:
    """Kaggle's labels and boxes of the validation images.

    Args:
        root: of the data.

    Returns:
        `WNID xmin ymin xmax ymax ...`, inclusive, by name; empty if the file is missing.

    Raises:
        ValueError: if its columns are not the known ones.
    """
    path = beside(root, "LOC_val_solution.csv")
    if path is None:
        return {}
    return {row["ImageId"]: row["PredictionString"] for row in read_table(path, ("ImageId", "PredictionString"))}


def _first(root: Path, places: tuple[str, ...]) -> Path | None:
    return next((root / place for place in places if (root / place).exists()), None)
