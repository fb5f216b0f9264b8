"""Files whose names are not UTF-8, which neither tables nor JSON can hold: set aside by name, and the rest is used."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image
from tests.data.trees import kaggle, name, picture, picture_bytes, shard

from deepinside.artifacts.digest import RawDigests
from deepinside.data import folder, ilsvrc, photos, shards
from deepinside.data.broden.coco import write_coco
from deepinside.data.broden.masks import write_masks, write_voc
from deepinside.data.broden.reader import Broden
from deepinside.pipeline import configuration
from deepinside.pipeline.execution import execute
from deepinside.pipeline.plan import Planner
from deepinside.records import Table
from deepinside.spelling import readable

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its file system refuses such names")

CAFE = os.fsdecode(b"caf\xe9")  # é in Latin-1
WRITTEN = r"caf\xe9"
H, W = 4, 6


def reason(kind: str = "file", said: str = f"{WRITTEN}.jpg") -> str:
    return f"expected a {kind} name in UTF-8, got {said}: rename it"


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((H, W, 3), 90, dtype=np.uint8)).save(path, "JPEG")


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tri(H, W, dtype=np.uint8)).save(path, "PNG")


def test_a_name_is_written_so_that_it_can_be_read() -> None:
    assert os.fsencode(CAFE) == b"caf\xe9"
    assert readable(CAFE) == WRITTEN
    assert readable("café/☕\n") == "café/☕\n"
    assert readable("\ud83d") == "\\ud83d"  # half a character, as JSON may hold it


def test_digests_know_such_names(tmp_path: Path) -> None:
    picture(tmp_path / "data" / f"{CAFE}.jpg")
    digests = {how: RawDigests(tmp_path / "memory.json")(tmp_path / "data", how) for how in ("content", "stat")}
    (tmp_path / "data" / f"{CAFE}.jpg").rename(tmp_path / "data" / os.fsdecode(b"caf\xe8.jpg"))
    for how, before in digests.items():
        assert RawDigests(tmp_path / "memory.json")(tmp_path / "data", how) != before


def test_photos(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    picture(tmp_path / f"{CAFE}.jpg")
    found = photos.index(tmp_path)
    assert [entry.image for entry in found.entries] == ["a"]
    assert found.set_aside == ((f"{WRITTEN}.jpg", reason()),)


def test_only_such_names_are_an_error_that_names_one(tmp_path: Path) -> None:
    picture(tmp_path / f"{CAFE}.jpg")
    with pytest.raises(
        ValueError, match=r"expected usable images, got 1 unusable ones, such as caf\\xe9\.jpg"
    ) as caught:
        photos.index(tmp_path)
    str(caught.value).encode()


def test_class_folders(tmp_path: Path) -> None:
    for file in ("cat/a.jpg", f"cat/{CAFE}.jpg", f"{CAFE}/b.jpg"):
        picture(tmp_path / file)
    found = folder.index(tmp_path)
    assert [entry.image for entry in found.entries] == ["cat/a.jpg"]
    assert found.ids == (WRITTEN, "cat")
    assert [found.ids[entry.label] for entry in found.entries] == ["cat"]
    assert found.set_aside == (
        (f"{WRITTEN}/b.jpg", reason(said=f"{WRITTEN}/b.jpg")),
        (f"cat/{WRITTEN}.jpg", reason(said=f"cat/{WRITTEN}.jpg")),
    )


@pytest.mark.parametrize("split", ["val", "train"])
def test_ilsvrc(tmp_path: Path, split: str) -> None:
    place = kaggle(tmp_path) / "ILSVRC" / "Data" / "CLS-LOC" / split
    place = place / "n01440764" if split == "train" else place
    picture(place / f"{name(1)}.JPEG")
    (
        tmp_path / "ILSVRC" / "ImageSets" / "CLS-LOC" / "val.txt"
    ).unlink()  # otherwise only the pictures that it lists are read
    before = len(ilsvrc.index(tmp_path, split).entries)
    shutil.copy(place / f"{name(1)}.JPEG", place / f"{CAFE}.JPEG")
    found = ilsvrc.index(tmp_path, split)
    assert len(found.entries) == before
    file = (place / f"{WRITTEN}.JPEG").relative_to(tmp_path).as_posix()
    assert found.set_aside == ((file, reason(said=file)),)


def test_shards(tmp_path: Path) -> None:
    shard(tmp_path / "s.tar", {"a.jpg": picture_bytes(), f"{CAFE}.jpg": picture_bytes()})
    found = shards.index(tmp_path)
    assert [entry.image for entry in found.entries] == ["s.tar/a.jpg"]
    assert found.set_aside == ((f"s.tar/{WRITTEN}.jpg", reason(said=f"s.tar/{WRITTEN}.jpg")),)


def test_masks(tmp_path: Path) -> None:
    for stem in ("a", CAFE):  # a picture with its mask
        photograph(tmp_path / "images" / f"{stem}.jpg")
        mask(tmp_path / "masks" / "cat" / f"{stem}.png")
    photograph(tmp_path / "images" / "deep" / f"{CAFE}.jpg")  # without a mask
    mask(tmp_path / "masks" / "cat" / f"{CAFE}2.png")  # without a picture
    mask(tmp_path / "masks" / CAFE / "a.png")  # of a concept that has no name
    aside = dict(write_masks(tmp_path, tmp_path / "out"))
    assert aside == {
        f"images/{WRITTEN}.jpg": reason(),
        f"images/deep/{WRITTEN}.jpg": "no mask",
        f"masks/cat/{WRITTEN}2.png": f"expected an image {WRITTEN}2.jpg or .png, got none: add it to images/",
        f"masks/{WRITTEN}/a.png": reason("folder", WRITTEN),
    }
    broden = Broden.open(tmp_path / "out")
    assert [broden.names(i) for i in range(len(broden))] == ["a.jpg"]
    assert [label.name for label in broden.labels] == ["cat"]


def test_coco(tmp_path: Path) -> None:
    for stem in ("a", CAFE):
        photograph(tmp_path / "val2017" / f"{stem}.jpg")
    images = [{"id": 0, "file_name": "a.jpg"}, {"id": 1, "file_name": f"{CAFE}.jpg"}]
    outline = [[0, 0, 3, 0, 3, 3, 0, 3]]
    annotations = [{"id": i, "image_id": i, "category_id": i, "segmentation": outline} for i in range(2)]
    annotations.append(annotations[1] | {"id": 2, "image_id": 0})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 0, "name": "cat"}, {"id": 1, "name": CAFE}]
    (tmp_path / "instances.json").write_text(json.dumps(content))  # as `\udce9`, in which form JSON holds such a name
    aside = write_coco(tmp_path, tmp_path / "out", images="val2017", annotations="instances.json")
    assert aside == [(f"val2017/{WRITTEN}.jpg", reason())]
    assert {label.name for label in Broden.open(tmp_path / "out").labels} == {"cat", WRITTEN}


def test_voc(tmp_path: Path) -> None:
    for stem in ("a", CAFE):
        photograph(tmp_path / "JPEGImages" / f"{stem}.jpg")
        mask(tmp_path / "SegmentationClass" / f"{stem}.png")
    options = {"images": "JPEGImages", "masks": "SegmentationClass", "names": ["cat"]}
    assert write_voc(tmp_path, tmp_path / "out", **options) == [(f"JPEGImages/{WRITTEN}.jpg", reason())]
    assert len(Broden.open(tmp_path / "out")) == 1


@pytest.mark.parametrize("stage", ["prepare", "concepts"])
def test_stages_count_the_file_and_go_on(tmp_path: Path, stage: str) -> None:
    root = tmp_path / CAFE / "data"  # the path of the root itself may be anything
    for stem in ("a", CAFE):
        photograph(root / "images" / f"{stem}.jpg")
        mask(root / "masks" / "cat" / f"{stem}.png")
    shutil.rmtree(root / "masks" if stage == "prepare" else tmp_path / "none", ignore_errors=True)
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        cfg = compose("config", overrides=["data=photos", "concepts=masks", "wandb=disabled", "machine.workers=0"])
    cfg.data.root = cfg.concepts.root = str(root)
    out = execute(Planner(tmp_path / "outputs").plan(cfg, stage))
    assert Table.read(out)["images_set_aside"].value == 1
    with (out / "set_aside.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == f"images/{WRITTEN}.jpg"
    assert row["reason"].startswith("expected a file name in UTF-8")
