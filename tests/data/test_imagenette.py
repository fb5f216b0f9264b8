"""Imagenette's folder as its archive unpacks, small, and what may be wrong with it."""

from pathlib import Path

import pytest
import torchvision
from tests.data.trees import name, picture, xml
from tests.shared import SHARED, needs_shared

from deepinside.data import imagenette
from deepinside.data.imagenet import synsets
from deepinside.data.index import Index

NETTE, WOOF = (imagenette.KNOWN[key].split() for key in ("Imagenette", "Imagewoof"))
TENCH = NETTE[0]
SIZE = (200, 160)


def lay(root: Path, wnids: list[str] = NETTE, size: tuple[int, int] = SIZE) -> Path:
    """Per class one training image in `train`, one in `val`, and a validation image in each of the folders."""
    for number, wnid in enumerate(wnids, start=1):
        for file in (f"train/{wnid}/{wnid}_{number}.JPEG", f"val/{wnid}/{wnid}_{100 + number}.JPEG"):
            picture(root / file, *size)
        for file in (f"train/{wnid}/{name(number)}.JPEG", f"val/{wnid}/{name(100 + number)}.JPEG"):
            picture(root / file, *size)
    return root


def boxes(index: Index, image: str) -> list[list[float]]:
    (entry,) = (entry for entry in index.entries if entry.image == image)
    return entry.boxes.xyxy.tolist()


def test_the_file_name_decides_the_split_whatever_the_folder(tmp_path: Path) -> None:
    index = imagenette.index(lay(tmp_path / "imagenette2-160"))
    of_tench = [(e.split, e.image, e.file, e.width, e.height) for e in index.entries if e.label == 0]
    assert of_tench == [
        ("train", f"{TENCH}_1", f"train/{TENCH}/{TENCH}_1.JPEG", *SIZE),
        ("train", f"{TENCH}_101", f"val/{TENCH}/{TENCH}_101.JPEG", *SIZE),
        ("val", name(1), f"train/{TENCH}/{name(1)}.JPEG", *SIZE),
        ("val", name(101), f"val/{TENCH}/{name(101)}.JPEG", *SIZE),
    ]
    assert index.ids == tuple(NETTE)
    plain = (
        "tench,English springer,cassette player,chain saw,church,French horn,garbage truck,gas pump,golf ball,parachute"
    )
    assert index.classes == tuple(plain.split(","))
    assert len(imagenette.index(tmp_path, "val")) == 20


def test_the_folder_may_be_below_the_root(tmp_path: Path) -> None:
    lay(tmp_path / "imagenette2-160")
    assert imagenette.index(tmp_path).entries[0].file == f"imagenette2-160/train/{TENCH}/{TENCH}_1.JPEG"
    lay(tmp_path / "imagenette2-320", size=(400, 320))
    with pytest.raises(ValueError, match=r"one data set, got imagenette2-160, imagenette2-320: name one"):
        imagenette.index(tmp_path)


def test_imagewoof_has_its_own_classes(tmp_path: Path) -> None:
    index = imagenette.index(lay(tmp_path, WOOF))
    assert index.ids == tuple(WOOF)
    assert index.classes[:3] == ("Shih-Tzu", "Rhodesian ridgeback", "beagle")


def test_its_classes_are_torchvisions() -> None:
    known = torchvision.datasets.Imagenette._WNID_TO_CLASS
    assert [known[wnid][0] for wnid in NETTE] == [synsets()[wnid] for wnid in NETTE]


def test_boxes_of_the_folder_are_in_pixels_of_its_pictures(tmp_path: Path) -> None:
    lay(tmp_path)
    rows = f"val/{TENCH}/{name(101)}.JPEG,1,2,30.5,40\nval/{TENCH}/{name(101)}.JPEG,5,6,7,8\n"
    (tmp_path / "boxes.csv").write_text(f"image,x0,y0,x1,y1\n{rows}")
    index = imagenette.index(tmp_path)
    assert boxes(index, name(101)) == [[1, 2, 30.5, 40], [5, 6, 7, 8]]
    assert boxes(index, name(1)) == []
    assert len(index.boxed()) == 1


def test_a_table_that_states_sizes_is_scaled(tmp_path: Path) -> None:
    lay(tmp_path / "data")
    table = tmp_path / "mine.csv"
    table.write_text(f"image,x0,y0,x1,y1,width,height\n{name(101)}.JPEG,10,20,100,80,100,80\n")
    index = imagenette.index(tmp_path / "data", boxes=table)
    assert boxes(index, name(101)) == [[20, 40, 200, 160]]  # 200x160 pixels: twice as large


def test_xml_files_are_scaled_by_the_size_that_they_state(tmp_path: Path) -> None:
    lay(tmp_path / "data")
    xml(tmp_path / f"bbox/{name(1)}.xml", [(TENCH, (10, 20, 99, 59))], size=(500, 400))
    xml(tmp_path / f"bbox/{name(101)}.xml", [("n02102040", (1, 2, 3, 4))], size=(500, 400))
    index = imagenette.index(tmp_path / "data", boxes=tmp_path / "bbox")
    assert boxes(index, name(1)) == [[4, 8, 40, 24]]  # 10 20 100 60, half-open, by 200/500 and 160/400
    ((file, reason),) = index.set_aside
    assert file == f"{name(101)}.xml"
    assert f"expected an object named {TENCH}" in reason


def test_the_solution_fits_original_pictures(tmp_path: Path) -> None:
    lay(tmp_path / "data", size=(500, 375))
    index = imagenette.index(tmp_path / "data", boxes=solution(tmp_path))
    assert boxes(index, name(1)) == [[10, 20, 401, 301]]
    assert boxes(index, name(2)) == [[1, 2, 4, 5], [5, 6, 8, 9]]


def solution(folder: Path) -> Path:
    path = folder / "LOC_val_solution.csv"
    lines = (
        f"{name(1)},{TENCH} 10 20 400 300 \n{name(2)},{NETTE[1]} 1 2 3 4 {NETTE[1]} 5 6 7 8 \n{name(9999)},n9 1 2 3\n"
    )
    path.write_text(f"ImageId,PredictionString\n{lines}")
    return path


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((90, 90), r"expected boxes inside .*, 90x90 pixels, got .*: the boxes are for another image size"),
        ((160, 500), r"resized to a shorter side of 160, .* take the folder of XML files"),
        ((500, 320), r"resized to a shorter side of 320, .* take the folder of XML files"),
    ],
)
def test_the_solution_does_not_fit_resized_pictures(tmp_path: Path, size: tuple[int, int], message: str) -> None:
    lay(tmp_path / "data", size=size)
    path = tmp_path / "LOC_val_solution.csv"
    path.write_text(f"ImageId,PredictionString\n{name(1)},{TENCH} 10 20 {min(size[0] + 5, 100)} 90 \n")
    with pytest.raises(ValueError, match=message):
        imagenette.index(tmp_path / "data", boxes=path)


def test_a_solution_of_other_pictures_is_an_error(tmp_path: Path) -> None:
    lay(tmp_path / "data", size=(500, 375))
    path = tmp_path / "LOC_val_solution.csv"
    path.write_text(f"ImageId,PredictionString\n{name(1)},{NETTE[1]} 1 2 3 4 \n")
    with pytest.raises(ValueError, match=rf"LOC_val_solution.csv: expected .* of {TENCH}, its folder, got {NETTE[1]}"):
        imagenette.index(tmp_path / "data", boxes=path)
    path.write_text(f"ImageId,PredictionString\n{name(9999)},{TENCH} 1 2 3 4 \n")
    with pytest.raises(ValueError, match=r"expected boxes of ILSVRC2012_val_\* images .*, got none of these"):
        imagenette.index(tmp_path / "data", boxes=path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "expected rows with the columns image,x0,y0,x1,y1 or ImageId,PredictionString"),
        ("image,x0,y0\na.JPEG,1,2\n", r"expected rows with the columns .*, got \['image', 'x0', 'y0'\]"),
        ("image,x0,y0,x1,y1\na.JPEG,5,2,3,4\n", "line 2: .*x0 < x1"),
        ("image,x0,y0,x1,y1,width,height\na.JPEG,1,2,3,4,0,9\n", "line 2: .*one size per image"),
        ("image,x0,y0,x1,y1,width,height\na.JPEG,1,2,3,4,9,\n", "line 2: .*one size per image"),
        ("image,x0,y0,x1,y1,width,height\na.JPEG,1,2,3,4,9,9\na.JPEG,1,2,3,4,9,8\n", "line 3: .*one size per image"),
    ],
)
def test_a_broken_table_of_boxes_is_named(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "mine.csv").write_text(rows)
    with pytest.raises(ValueError, match=rf"mine\.csv.*{message}"):
        imagenette.index(lay(tmp_path / "data"), boxes=tmp_path / "mine.csv")


def test_boxes_that_are_not_there_are_named(tmp_path: Path) -> None:
    lay(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("no.csv", "no.csv: expected a CSV file or a folder"),
        ("empty", "empty: expected a folder of"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            imagenette.index(tmp_path / "data", boxes=tmp_path / path)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        (("train/n03888257", "val/n03888257"), r"ten classes of Imagenette, got 9, n03888257 \(parachute\) missing"),
        (("val/n03888257",), r"val: expected 10 classes, got 9, n03888257 \(parachute\) missing: unpack"),
    ],
)
def test_a_missing_class_is_named(tmp_path: Path, lacking: tuple[str, ...], message: str) -> None:
    lay(tmp_path)
    for folder in lacking:
        for path in (tmp_path / folder).iterdir():
            path.unlink()
        (tmp_path / folder).rmdir()
    with pytest.raises(ValueError, match=message):
        imagenette.index(tmp_path)


def test_folders_of_other_names_are_an_error(tmp_path: Path) -> None:
    (lay(tmp_path) / f"val/{TENCH}").rename(tmp_path / "val/tench")
    with pytest.raises(ValueError, match=r"WordNet ids .*, got 'tench': for other classes use data=folder"):
        imagenette.index(tmp_path)


def test_mixed_sizes_are_an_error(tmp_path: Path) -> None:
    picture(lay(tmp_path) / f"train/{TENCH}/{TENCH}_7.JPEG", 400, 320)
    picture(tmp_path / f"train/{TENCH}/{TENCH}_8.JPEG", 90, 150)  # smaller ones were not enlarged
    with pytest.raises(ValueError, match=rf"side of 160 pixels, as most, got train/{TENCH}/{TENCH}_7.JPEG of 400x320"):
        imagenette.index(tmp_path)


def test_strange_and_broken_files_are_set_aside(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / f"train/{TENCH}/{TENCH}_8.JPEG").write_bytes(b"no image")
    for file in (f"train/{TENCH}/n02102040_8.JPEG", f"train/{TENCH}/deep/{TENCH}_9.JPEG", "val/x.JPEG"):
        picture(tmp_path / file)
    index = imagenette.index(tmp_path)
    assert len(index) == 40
    strange = [file for file, reason in index.set_aside if "expected an image of ILSVRC" in reason]
    assert strange == [f"train/{TENCH}/deep/{TENCH}_9.JPEG", f"train/{TENCH}/n02102040_8.JPEG", "val/x.JPEG"]
    assert len(index.set_aside) == 4


@pytest.mark.parametrize(
    "lay_empty", [lambda _root: None, Path.mkdir, lambda root: (root / "train").mkdir(parents=True)]
)
def test_a_missing_or_empty_folder_says_how_to_get_it(tmp_path: Path, lay_empty) -> None:
    lay_empty(tmp_path / "mine")
    with pytest.raises(FileNotFoundError, match=r"mine: expected folders .*\n.*\n.*data\.download=true"):
        imagenette.index(tmp_path / "mine")


def test_fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected Imagenette, got nothing.*\n.*\n.*data\.download=true"):
        imagenette.fetch(tmp_path, download=False)
    asked = []

    def unpack(url: str, root: str, md5: str) -> None:
        asked.append((url.rpartition("/")[2], md5))
        lay(Path(root) / "imagenette2-320")

    monkeypatch.setattr(torchvision.datasets.imagenette, "download_and_extract_archive", unpack)
    for _ in range(2):  # once is enough
        imagenette.fetch(tmp_path, download=True, size="320px")
    assert asked == [("imagenette2-320.tgz", "3df6f0d01a2c9592104656642f5e78a3")]
    assert len(imagenette.index(tmp_path)) == 40


def test_a_failed_download_says_how_to_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.imagenette, "download_and_extract_archive", refuse)
    with pytest.raises(FileNotFoundError, match=r"downloading Imagenette failed \(no route to host\).*\n"):
        imagenette.fetch(tmp_path, download=True)


@needs_shared
def test_the_real_photographs() -> None:
    index = imagenette.index(SHARED / "data/imagenette")
    assert index.ids == tuple(NETTE)
    assert (len(index.split("train")), len(index.split("val"))) == (9103 + 750, 241)
    assert sum(len(entry.boxes) for entry in index.entries) == 375
    assert len(index.split("val").boxed()) == 241
    assert boxes(index, "ILSVRC2012_val_00002138") == [[15.68, 61.013, 154.56, 125.867]]
    assert not index.set_aside
