"""One's own images in class folders."""

from pathlib import Path

import pytest
from tests.data.trees import picture, xml

from deepinside.data import folder


def test_class_folders_without_splits_belong_to_every_split(tmp_path: Path) -> None:
    for file in ("zebra/2.jpg", "zebra/1.PNG", "great_tit/deep/er/x.jpeg", ".cache/x.jpg"):
        picture(tmp_path / file, 20, 10)
    index = folder.index(tmp_path)
    assert (index.ids, index.classes) == (("great_tit", "zebra"), ("great tit", "zebra"))
    found = [(e.image, e.file, e.split, e.label, len(e.boxes), e.width, e.height) for e in index.entries]
    assert found == [
        ("great_tit/deep/er/x.jpeg", "great_tit/deep/er/x.jpeg", "all", 0, 0, 20, 10),
        ("zebra/1.PNG", "zebra/1.PNG", "all", 1, 0, 20, 10),
        ("zebra/2.jpg", "zebra/2.jpg", "all", 1, 0, 20, 10),
    ]
    assert len(index.split("val")) == len(index.split("train")) == 3


def test_splits_share_their_classes(tmp_path: Path) -> None:
    for file in ("train/cat/1.jpg", "train/dog/1.jpg", "val/dog/1.jpg", "other/bird/1.jpg"):
        picture(tmp_path / file)
    index = folder.index(tmp_path)
    assert index.ids == ("cat", "dog")
    found = [(e.image, e.split, e.label) for e in index.entries]
    assert found == [("train/cat/1.jpg", "train", 0), ("train/dog/1.jpg", "train", 1), ("val/dog/1.jpg", "val", 1)]
    assert [e.image for e in folder.index(tmp_path, "val").entries] == ["val/dog/1.jpg"]


def test_boxes_of_the_table_are_half_open_already(tmp_path: Path) -> None:
    for file in ("cat/1.jpg", "cat/2.jpg"):
        picture(tmp_path / file)
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\ncat/2.jpg,1,2,3,4\ncat/2.jpg,0.5,0,9,9\n")
    index = folder.index(tmp_path)
    assert [e.boxes.xyxy.tolist() for e in index.entries] == [[], [[1, 2, 3, 4], [0.5, 0, 9, 9]]]
    assert [e.image for e in index.boxed().entries] == ["cat/2.jpg"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("image,x0,y0,x1\ncat/1.jpg,1,2,3\n", "line 2: expected columns image,x0,y0,x1,y1"),
        ("image,x0,y0,x1,y1\ncat/1.jpg,1,2,3,4\ncat/1.jpg,1,2,3\n", "line 3"),
        ("image,x0,y0,x1,y1\ncat/1.jpg,5,2,3,4\n", "line 2: .*x0 < x1"),
        ("image,x0,y0,x1,y1\n1.jpg,1,2,3,4\n", r"line 2: expected the path .* relative .*, got '1\.jpg'"),
    ],
)
def test_a_broken_table_of_boxes_is_named_by_line(tmp_path: Path, rows: str, message: str) -> None:
    picture(tmp_path / "cat/1.jpg")
    (tmp_path / "boxes.csv").write_text(rows)
    with pytest.raises(ValueError, match=rf"boxes\.csv, {message}"):
        folder.index(tmp_path)


def test_voc_files_beside_the_pictures(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        picture(tmp_path / f"great_tit/{number}.jpg")
    xml(tmp_path / "great_tit/1.xml", [("great tit", (1, 2, 3, 4)), ("branch", (0, 0, 9, 9))], image="1.jpg")
    xml(tmp_path / "great_tit/2.xml", [("branch", (1, 2, 3, 4))])
    xml(tmp_path / "great_tit/3.xml", [("great_tit", (1, 2, 3, 4))], image="9.jpg")
    index = folder.index(tmp_path)
    found = [(e.image, e.boxes.xyxy.tolist()) for e in index.entries]
    assert found == [("great_tit/1.jpg", [[1, 2, 4, 5]]), ("great_tit/4.jpg", [])]  # files include their last pixel
    (second, third) = index.set_aside
    assert second[0] == "great_tit/2.xml"
    assert "expected an object named 'great_tit'" in second[1]
    assert third[0] == "great_tit/3.xml"
    assert "got one of '9.jpg'" in third[1]


def test_pictures_beside_the_folders_and_broken_ones_are_set_aside(tmp_path: Path) -> None:
    picture(tmp_path / "cat/1.jpg")
    picture(tmp_path / "stray.jpg")
    (tmp_path / "cat/2.jpg").write_bytes(b"no image")
    index = folder.index(tmp_path)
    assert [e.image for e in index.entries] == ["cat/1.jpg"]
    assert [file for file, _ in index.set_aside] == ["cat/2.jpg", "stray.jpg"]
    assert "move it into one" in index.set_aside[1][1]


def test_pictures_of_other_formats_are_set_aside_by_name(tmp_path: Path) -> None:
    for file in ("train/cat/1.jpg", "val/cat/1.jpg"):
        picture(tmp_path / file)
    for file in ("train/cat/2.webp", "val/3.GIF", "other/4.gif"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    index = folder.index(tmp_path)
    assert [file for file, _ in index.set_aside] == ["train/cat/2.webp", "val/3.GIF"]
    assert "got a .webp file" in index.set_aside[0][1]


@pytest.mark.parametrize("made", [False, True])
def test_a_missing_or_empty_root_says_how_to_lay_the_pictures_out(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "mine"
    if made:
        root.mkdir()
    came = "none" if made else "no such folder"
    with pytest.raises(
        FileNotFoundError, match=rf"mine: expected images .* got {came}\..*\n.*\n.*mine/<class>/\*\.jpg"
    ):
        folder.index(root)


def test_a_box_outside_its_image_is_skipped_with_the_image(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        picture(tmp_path / f"cat/{number}.png", width=120, height=80, format="PNG")
    rows = "cat/1.png,20,10,600,40\ncat/2.png,20,10,121,81\ncat/3.png,-9,10,20,40\n"
    (tmp_path / "boxes.csv").write_text(f"image,x0,y0,x1,y1\n{rows}")
    xml(tmp_path / "cat/4.xml", [("cat", (1, 1, 600, 40))], size=(120, 80))
    index = folder.index(tmp_path)
    assert [entry.file for entry in index.entries] == ["cat/2.png"]  # as ILSVRC's boxes, which count from 1
    assert [file for file, _ in index.set_aside] == ["cat/1.png", "cat/3.png", "cat/4.xml"]
    said = "expected boxes inside the image of 120x80 pixels, got [[20.0, 10.0, 600.0, 40.0]]"
    assert index.set_aside[0][1].startswith(said)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/2.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"expected usable images, got 1 unusable ones, such as cat/2\.jpg"):
        folder.index(tmp_path)
