"""Images without labels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from tests.data.trees import picture

from deepinside.data import photos
from deepinside.data.index import Index, read_image


def pixels(index: Index, name: str) -> np.ndarray:
    (entry,) = [entry for entry in index.entries if entry.image == name]
    image = read_image(index.root / entry.file)
    assert image.shape == (3, entry.height, entry.width)
    return image.permute(1, 2, 0).numpy()


def test_the_default_is_what_scikit_image_ships_under_readable_names() -> None:
    index = photos.index()
    assert {"cat", "astronaut", "coffee", "rocket", "camera"} <= {entry.image for entry in index.entries}
    assert (pixels(index, "cat") == data.chelsea()).all()
    assert (pixels(index, "camera") == data.camera()[..., None]).all()
    assert {(entry.label, len(entry.boxes), entry.split) for entry in index.entries} == {(-1, 0, "all")}
    assert (index.ids, index.classes, index.set_aside) == ((), (), ())


def test_the_copies_are_the_same_pictures_and_the_only_ones(tmp_path: Path) -> None:
    picture(tmp_path / "pictures/drawn_later.png")
    for _ in range(2):  # as after a kill
        photos.copy_shipped(tmp_path, workers=2)
    index = photos.index(tmp_path, "val")
    assert [entry.image for entry in index.entries] == [entry.image for entry in photos.index().entries]
    assert (pixels(index, "cat") == data.chelsea()).all()


def test_ones_own_folder_is_named_by_path_and_by_suffix_only_where_needed(tmp_path: Path) -> None:
    for file in ("b.png", "b.jpg", "holiday/a.jpg"):
        picture(tmp_path / file, 31, 17)
    index = photos.index(tmp_path, "val")
    assert [(e.image, e.file) for e in index.entries] == [
        ("b.jpg", "b.jpg"),
        ("b.png", "b.png"),
        ("holiday/a", "holiday/a.jpg"),
    ]
    assert {(e.width, e.height) for e in index.entries} == {(31, 17)}


def test_broken_pictures_are_set_aside(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"")
    index = photos.index(tmp_path)
    assert [entry.image for entry in index.entries] == ["a"]
    assert index.set_aside[0][0] == "b.jpg"
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"got 1 unusable ones, such as b\.jpg"):
        photos.index(tmp_path)


def test_pictures_of_other_formats_are_set_aside_by_name(tmp_path: Path) -> None:
    Image.new("RGB", (9, 7)).save(tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"got 1 unusable ones, such as a\.gif: expected a JPEG or PNG image"):
        photos.index(tmp_path)
    picture(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").touch()
    index = photos.index(tmp_path)
    assert [entry.image for entry in index.entries] == ["a"]
    assert [file for file, _ in index.set_aside] == ["a.gif"]


def test_a_missing_or_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError, match=r"expected a folder of images .*\n.*data\.root=null"):
            photos.index(root)
