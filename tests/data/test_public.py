"""Tiny folders in the real layout of public data sets, read by torchvision's own classes."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image
from scipy.io import savemat
from tests.data.trees import picture, xml

from deepinside.data import public
from deepinside.data.broden.reader import Broden
from deepinside.data.image import BadMask
from deepinside.data.index import Index
from deepinside.data.opening import open_index
from deepinside.pipeline import configuration
from deepinside.records import Table
from deepinside.stages import concepts, prepare


def rows(index: Index) -> list[tuple[str, str, int, list[list[float]]]]:
    return [(e.split, e.file.rpartition("/")[2], e.label, e.boxes.xyxy.tolist()) for e in index.entries]


def pets(root: Path, size: tuple[int, int] = (40, 30)) -> Path:
    """A cat of breed 1 and a dog of breed 3 in trainval; the dog's breed in test. The pet is at x 5 to 14, y 3 to 9."""
    base = root / "oxford-iiit-pet"
    lists = {"trainval": ("Abyssinian_100 1 1 1", "great_pyrenees_7 3 2 2"), "test": ("great_pyrenees_9 3 2 2",)}
    for split, lines in lists.items():
        (base / "annotations/trimaps").mkdir(parents=True, exist_ok=True)
        (base / f"annotations/{split}.txt").write_text("".join(f"{line}\n" for line in lines))
        for line in lines:
            name = line.split()[0]
            picture(base / f"images/{name}.jpg", *size)
            trimap = np.full((30, 40), 2, np.uint8)
            trimap[2:11, 4:16] = 3
            trimap[3:10, 5:15] = 1
            Image.fromarray(trimap).save(base / f"annotations/trimaps/{name}.png")
    return root


def test_pets_have_boxes_around_the_foreground_of_their_trimaps(tmp_path: Path) -> None:
    index = public.index(pets(tmp_path), "OxfordIIITPet")
    box = [[5.0, 3.0, 15.0, 10.0]]
    assert rows(index) == [
        ("train", "Abyssinian_100.jpg", 0, box),
        ("train", "great_pyrenees_7.jpg", 1, box),
        ("val", "great_pyrenees_9.jpg", 1, box),
    ]
    assert (index.ids, index.classes) == (("Abyssinian", "great_pyrenees"), ("Abyssinian", "great pyrenees"))
    assert len(public.index(tmp_path, "OxfordIIITPet", "val")) == 1


def test_pets_have_masks_without_the_border_also_from_the_tables(tmp_path: Path) -> None:
    index = public.index(pets(tmp_path), "OxfordIIITPet")
    index.write(tmp_path)
    for one in (index, Index.read(tmp_path, tmp_path)):
        found = one.mask(one.entries[0])
        assert found is not None
        outlined, counted = found
        assert outlined.shape == (30, 40)
        assert outlined[3:10, 5:15].all()
        assert outlined.sum() == 7 * 10
        assert (~counted).sum() == 9 * 12 - 7 * 10  # the border
    Image.fromarray(np.full((30, 41), 2, np.uint8)).save(tmp_path / str(index.entries[0].mask))
    with pytest.raises(BadMask, match="a PNG mask of 40x30 pixels, got 41x30"):
        index.mask(index.entries[0])


def test_pets_without_a_fitting_trimap_are_set_aside(tmp_path: Path) -> None:
    base = pets(tmp_path) / "oxford-iiit-pet"
    picture(base / "images/Abyssinian_100.jpg", 41, 30)
    (base / "annotations/trimaps/great_pyrenees_7.png").unlink()
    Image.fromarray(np.full((30, 40), 2, np.uint8)).save(base / "annotations/trimaps/great_pyrenees_9.png")
    index = public.index(tmp_path, "OxfordIIITPet")
    assert rows(index) == [("val", "great_pyrenees_9.jpg", 1, [])]  # background alone: no box
    assert [file.rpartition("/")[2] for file, _ in index.set_aside] == ["Abyssinian_100.png", "great_pyrenees_7.png"]
    assert "expected a PNG mask of 41x30 pixels, got 40x30" in index.set_aside[0][1]


def test_pets_are_concepts(tmp_path: Path) -> None:
    cfg = configuration.composed(["concepts=torchvision", f"concepts.root={pets(tmp_path / 'data')}"])
    out = tmp_path / "out"
    out.mkdir()
    concepts.run(cfg, {}, out)
    broden = Broden.open(out)
    assert {(label.name, label.category, label.frequency) for label in broden.labels} == {
        ("cat", "object", 1),
        ("dog", "object", 2),
        ("Abyssinian", "object", 1),
        ("great_pyrenees", "object", 2),
    }
    shares = [label.coverage / label.frequency for label in broden.labels]
    assert shares == pytest.approx([7 * 10 / (30 * 40)] * 4, abs=1e-5)
    with pytest.raises(ValueError, match=r"expected dataset=OxfordIIITPet, .*concepts=voc"):
        public.write_concepts(tmp_path, out, dataset="VOCSegmentation")


def voc(root: Path, year: str = "2012") -> Path:
    base = root / f"VOCdevkit/VOC{year}"
    objects = {"a": [("dog", (1, 2, 3, 4)), ("dog", (5, 6, 7, 8))], "b": [("cat", (0, 0, 9, 9)), ("dog", (1, 2, 3, 4))]}
    for name, boxes in objects.items():
        picture(base / f"JPEGImages/{name}.jpg")
        xml(base / f"Annotations/{name}.xml", boxes, image=f"{name}.jpg")
    for kind in ("Main", "Segmentation"):
        (base / f"ImageSets/{kind}").mkdir(parents=True)
        (base / f"ImageSets/{kind}/train.txt").write_text("a\n")
        (base / f"ImageSets/{kind}/val.txt").write_text("b\n")
    (base / "SegmentationClass").mkdir()
    return root


@pytest.mark.parametrize("dataset", ["VOCDetection", "VOCSegmentation"])
def test_voc_has_a_label_where_all_objects_are_of_one_class(tmp_path: Path, dataset: str) -> None:
    index = public.index(voc(tmp_path), dataset)
    dog = [[1.0, 2.0, 4.0, 5.0], [5.0, 6.0, 8.0, 9.0]]  # files include their last pixel
    assert rows(index) == [("train", "a.jpg", 11, dog), ("val", "b.jpg", -1, [])]
    assert (len(index.classes), index.classes[11]) == (20, "dog")


def test_options_reach_torchvisions_class(tmp_path: Path) -> None:
    voc(tmp_path, "2007")
    assert len(public.index(tmp_path, "VOCDetection", options={"year": "2007"})) == 2
    for options, message in (
        ({}, "Dataset not found"),
        ({"year": "1999"}, "Unknown value '1999'"),
        ({"yaer": "2007"}, "unexpected keyword argument 'yaer'"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            public.index(tmp_path, "VOCDetection", options=options)


def caltech(root: Path) -> Path:
    base = root / "caltech101"
    for category, annotated in (("BACKGROUND_Google", ""), ("Faces", "Faces_2"), ("sea_horse", "sea_horse")):
        for number in (1, 2):
            picture(base / f"101_ObjectCategories/{category}/image_{number:04d}.jpg")
        (base / f"Annotations/{annotated}").mkdir(parents=True, exist_ok=True)
    outline = base / "Annotations/Faces_2/annotation_0001.mat"
    savemat(outline, {"box_coord": np.array([[3, 10, 5, 20]], np.uint16), "obj_contour": np.zeros((2, 5))})
    savemat(base / "Annotations/sea_horse/annotation_0002.mat", {"other": 1})
    return root


def test_caltech_counts_rows_first_and_from_one(tmp_path: Path) -> None:
    index = public.index(caltech(tmp_path), "Caltech101")
    assert rows(index) == [
        ("all", "image_0001.jpg", 0, [[4.0, 2.0, 20.0, 10.0]]),
        ("all", "image_0002.jpg", 0, []),
        ("all", "image_0001.jpg", 1, []),
    ]
    assert index.classes == ("Faces", "sea horse")
    ((file, reason),) = index.set_aside
    assert file.endswith("sea_horse/annotation_0002.mat")
    assert "expected box_coord" in reason


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = root / "cifar-10-batches-py"
    base.mkdir(parents=True)
    kind = torchvision.datasets.CIFAR10

    def write(name: str, content: dict) -> list[str]:
        (base / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((base / name).read_bytes()).hexdigest()]

    def batch(labels: list[int]) -> dict:  # red, then green, then blue, each 32 rows of 32
        data = np.stack([np.arange(3072) % 251 + label for label in labels]).astype(np.uint8)
        return {"data": data, "labels": labels}

    monkeypatch.setattr(kind, "train_list", [write("data_batch_1", batch([1, 0])), write("data_batch_2", batch([1]))])
    monkeypatch.setattr(kind, "test_list", [write("test_batch", batch([0]))])
    name, digest = write("batches.meta", {"label_names": ["airplane", "automobile"]})
    monkeypatch.setattr(kind, "meta", {"filename": name, "key": "label_names", "md5": digest})
    return root


def test_arrays_become_files_of_the_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = cifar(tmp_path / "data", monkeypatch), tmp_path / "out"
    out.mkdir()
    cfg = configuration.composed(["data=torchvision", "data.dataset=CIFAR10", f"data.root={root}"])
    prepare.run(cfg, {}, out)
    assert Table.read(out)["train_images"].value == 3
    index = open_index(cfg, out)
    assert [(e.file, e.label, e.width) for e in index.entries] == [
        ("pictures/train/00000.png", 1, 32),
        ("pictures/train/00001.png", 0, 32),
        ("pictures/train/00002.png", 1, 32),
        ("pictures/val/00000.png", 0, 32),
    ]
    pixels = index.picture(index.entries[0]).numpy()
    assert (pixels.ravel() == np.arange(3072) % 251 + 1).all()
    assert index.classes == ("airplane", "automobile")
    with pytest.raises(ValueError, match="expected a folder to write its images to"):
        public.index(root, "CIFAR10")


def places(root: Path, monkeypatch: pytest.MonkeyPatch, listed: bool) -> Path:
    kind = torchvision.datasets.Places365

    def write(name: str, text: str) -> tuple[str, str]:
        (root / name).write_text(text)
        return name, hashlib.md5(text.encode()).hexdigest()

    root.mkdir(exist_ok=True)
    classes = write("categories_places365.txt", "/a/abbey 0\n/a/apartment_building/outdoor 1\n")
    monkeypatch.setattr(kind, "_CATEGORIES_META", classes)
    lists = {"val": write("places365_val.txt", "Places365_val_00000001.jpg 1\nPlaces365_val_00000002.jpg 0\n")}
    if listed:
        lists["train-standard"] = write("places365_train_standard.txt", "/a/abbey/00000001.jpg 0\n")
    monkeypatch.setattr(kind, "_FILE_LIST_META", kind._FILE_LIST_META | lists)
    picture(root / "val_256/Places365_val_00000001.jpg")
    return root


@pytest.mark.parametrize("listed", [False, True])
def test_places_may_go_without_its_training_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, listed: bool
) -> None:
    index = public.index(places(tmp_path, monkeypatch, listed), "Places365", options={"small": True})
    assert rows(index) == [("val", "Places365_val_00000001.jpg", 1, [])]
    assert index.classes == ("abbey", "apartment building/outdoor")
    ((file, reason),) = index.set_aside
    assert (file, "no such file" in reason) == ("val_256/Places365_val_00000002.jpg", True)
    assert "is used without a split, train" in caplog.text


@pytest.mark.parametrize("dataset", public.DATASETS)
def test_a_missing_data_set_says_how_to_get_it(tmp_path: Path, dataset: str) -> None:
    for work in (
        lambda root: public.fetch(root, download=False, dataset=dataset),
        lambda root: public.index(root, dataset, out=tmp_path),
    ):
        with pytest.raises(FileNotFoundError, match=rf"nowhere: expected {dataset} in (.|\n)*data\.download=true"):
            work(tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()


def test_a_folder_without_the_data_set_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"caltech101, as torchvision\.datasets\.Caltech101 lays it out"):
        public.index(tmp_path, "Caltech101")
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_answered_by_the_closest(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"no data set 'CIFAR11' here; did you mean 'CIFAR10'"):
        public.fetch(tmp_path, download=False, dataset="CIFAR11")
    with pytest.raises(KeyError, match="no data set 'OxfordPets' here"):
        public.index(tmp_path, "OxfordPets")
    with pytest.raises(ValueError, match=r"data\.dataset=NAME, of OxfordIIITPet"):
        public.fetch(tmp_path, download=False, dataset=None)


def test_torchvision_downloads_only_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unpack(url: str, download_root: str, **_options: str) -> None:
        asked.append(url.rpartition("/")[2])
        pets(Path(download_root).parent)

    monkeypatch.setattr(torchvision.datasets.oxford_iiit_pet, "download_and_extract_archive", unpack)
    for _ in range(2):
        public.fetch(tmp_path, download=True, dataset="OxfordIIITPet")
    assert asked == ["images.tar.gz", "annotations.tar.gz"]
    assert len(public.index(tmp_path, "OxfordIIITPet")) == 3


def test_a_failed_download_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.oxford_iiit_pet, "download_and_extract_archive", refuse)
    with pytest.raises(FileNotFoundError, match=r"expected OxfordIIITPet .*no route to host"):
        public.fetch(tmp_path, download=True, dataset="OxfordIIITPet")
