"""A folder that was named to the wrong loader: the message says which one reads it."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.trees import picture, picture_bytes, shard

from deepinside.data import folder, ilsvrc, layouts, photos, shards
from deepinside.data.broden.coco import write_coco
from deepinside.data.broden.masks import write_masks, write_voc
from deepinside.data.broden.reader import Broden


def loose(root: Path) -> None:
    for name in ("a.jpg", "b.png", "deep/c.jpeg", ".hidden/d.jpg", "notes.txt"):
        picture(root / name)


def classes(root: Path) -> None:
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "eel/1.jpg", "fox/deep/1.jpg", "stray.jpg"):
        picture(root / name)


def split(root: Path) -> None:
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg"):
        picture(root / name)


def imagenet(root: Path) -> None:
    for name in ("train/n01440764/1.JPEG", "train/n01443537/1.JPEG"):
        picture(root / name)


def tars(root: Path) -> None:
    for name in ("train-0.tar", "train-1.tar", "deep/val-0.tar"):
        shard(root / name, {"1.jpg": picture_bytes()})


def kaggle(root: Path) -> None:
    picture(root / "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG")
    (root / "LOC_synset_mapping.txt").write_text("n01440764 tench\n")


LOADERS = {"ilsvrc": ilsvrc.index, "folder": folder.index, "shards": shards.index, "photos": photos.index}
LOOSE = "; the folder holds 3 images: did you mean data=photos?"
CLASSES = "; the folder holds 4 folders of images, possibly classes (cat, dog, eel, ...): did you mean data=folder?"
SPLIT = "; the folder holds 2 folders of images, possibly classes (cat, dog): did you mean data=folder?"
TARS = "; the folder holds 3 tar shards: did you mean data=shards?"
KAGGLE = "; the folder holds ILSVRC's LOC_synset_mapping.txt: did you mean data=ilsvrc?"


@pytest.mark.parametrize(
    ("choice", "laid", "said"),
    [
        ("ilsvrc", loose, LOOSE),
        ("ilsvrc", classes, CLASSES),
        ("ilsvrc", split, SPLIT),
        ("ilsvrc", tars, TARS),
        ("folder", tars, TARS),
        ("shards", loose, LOOSE),
        ("shards", classes, CLASSES),
        ("shards", kaggle, KAGGLE),
        ("photos", tars, TARS),
    ],
)
def test_a_folder_of_another_layout_is_recognised(
    tmp_path: Path, choice: str, laid: Callable[[Path], None], said: str
) -> None:
    laid(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        LOADERS[choice](tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: expected ")
    assert str(caught.value).endswith(said)


def test_pictures_that_are_in_no_class_folder_are_recognised(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / name)
    with pytest.raises(ValueError, match=r"move it into one; the folder holds 2 images: did you mean data=photos\?$"):
        folder.index(tmp_path)


def test_half_a_tree_of_ilsvrc_is_told_how_it_goes_on(tmp_path: Path) -> None:
    imagenet(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"(?s)did you mean data=folder\?\nDownload ILSVRC-2012.*meta\.mat"):
        ilsvrc.index(tmp_path)


@pytest.mark.parametrize("choice", LOADERS)
def test_an_empty_folder_is_told_how_to_lay_it_out(tmp_path: Path, choice: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"data\.root=") as caught:
        LOADERS[choice](tmp_path)
    assert "did you mean" not in str(caught.value)


def test_a_large_folder_is_looked_at_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "_MOST", 3)
    for number in range(5):
        picture(tmp_path / f"{number}.jpg")
    with pytest.raises(FileNotFoundError, match="the folder holds 3 images or more: did"):
        shards.index(tmp_path)


CONCEPTS = {
    "broden": lambda root: Broden.open(root),
    "masks": lambda root: write_masks(root, root / "out"),
    "voc": lambda root: write_voc(root, root / "out", images="JPEGImages", masks="SegmentationClass", names=["a"]),
    "coco": lambda root: write_coco(root, root / "out", images="val2017", annotations="annotations/x.json"),
}


PARTS = {
    "broden": ("index.csv", "category.csv"),
    "masks": ("images/1.jpg", "masks/cat/1.png"),
    "voc": ("JPEGImages/1.jpg", "SegmentationClass/1.png"),
    "coco": ("val/1.jpg", "annotations/y.json"),
}


@pytest.mark.parametrize(("choice", "other"), itertools.permutations(CONCEPTS, 2))
def test_concepts_of_another_layout_are_recognised(tmp_path: Path, choice: str, other: str) -> None:
    for part in PARTS[other]:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).touch()
    with pytest.raises(FileNotFoundError, match=rf"did you mean concepts={other}\?"):
        CONCEPTS[choice](tmp_path)
