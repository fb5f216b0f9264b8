"""One's own masks and annotations become label maps, pixel for pixel; h is never w."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray
from PIL import Image
from pycocotools import mask as coco_tools

from deepinside.data.broden.coco import outline, write_coco
from deepinside.data.broden.masks import write_masks, write_voc
from deepinside.data.broden.reader import Broden
from deepinside.data.broden.writer import levels

H, W = 4, 6
LEFT, RIGHT, MIDDLE = (np.zeros((H, W), dtype=bool) for _ in range(3))
LEFT[:, :3] = True
RIGHT[1:, 3:] = True
MIDDLE[2, 2:5] = True  # over both


def photograph(path: Path, height: int = H, width: int = W, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, values: ndarray, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8) * 200)
    image.convert(mode).save(path)


def regions(broden: Broden, name: str) -> dict[tuple[str, str], ndarray]:
    """Category and concept -> where it is, from all label maps."""
    position = next(i for i in range(len(broden)) if broden.names(i) == name)
    labels = {label.number: label for label in broden.labels}
    found: dict[tuple[str, str], ndarray] = {}
    for category, parts in broden.segmentation(position).items():
        for part in parts:
            for number in set(np.unique(part)) - {0}:
                key = (category, labels[number].name)
                assert labels[number].category == category
                found[key] = found.get(key, False) | (part == number)
    return found


def same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, where in expected.items():
        np.testing.assert_array_equal(found[key], where, err_msg=str(key))


# -------------------------------------------------------------------------------------------------------------- masks


@pytest.fixture
def own(tmp_path: Path) -> Path:
    photograph(tmp_path / "images" / "a.jpg")
    photograph(tmp_path / "images" / "deep" / "b.png", 5, 3, seed=1)
    photograph(tmp_path / "images" / "c.jpg", seed=2)
    mask(tmp_path / "masks" / "cat" / "a.png", LEFT)
    mask(tmp_path / "masks" / "dog" / "a.png", RIGHT)
    mask(tmp_path / "masks" / "collar" / "a.png", MIDDLE)  # over cat and dog
    mask(tmp_path / "masks" / "cat" / "deep" / "b.png", np.ones((5, 3)))
    mask(tmp_path / "masks" / "part" / "tail" / "a.png", MIDDLE)
    mask(tmp_path / "masks" / "part" / "tail" / "c.png", LEFT & ~LEFT)  # looked for, and not there
    return tmp_path


def test_masks_become_exact_label_maps(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert write_masks(own, out) == []
    broden = Broden.open(out)
    assert broden.categories == ("object", "part")
    assert {broden.names(i) for i in range(len(broden))} == {"a.jpg", "deep/b.png", "c.jpg"}
    same(
        regions(broden, "a.jpg"),
        {("object", "cat"): LEFT, ("object", "dog"): RIGHT, ("object", "collar"): MIDDLE, ("part", "tail"): MIDDLE},
    )
    same(regions(broden, "deep/b.png"), {("object", "cat"): np.ones((5, 3), dtype=bool)})
    same(regions(broden, "c.jpg"), {})
    assert set(broden.rows[1].cells) == {"part"}  # c.jpg: no object was looked for, a tail was
    assert (out / "images" / "a.jpg").read_bytes() == (own / "images" / "a.jpg").read_bytes()


def test_labels_are_numbered_by_frequency_and_then_coverage(own: Path, tmp_path: Path) -> None:
    write_masks(own, tmp_path / "out")
    with (tmp_path / "out" / "label.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["number"], r["name"], r["category"], r["frequency"]) for r in rows] == [
        ("1", "cat", "object(2)", "2"),
        ("2", "dog", "object(1)", "1"),  # 9 of 24 pixels, the collar 3
        ("3", "collar", "object(1)", "1"),
        ("4", "tail", "part(1)", "1"),
    ]
    assert [float(r["coverage"]) for r in rows] == [1.5, 0.375, 0.125, 0.125]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_any_png_that_is_not_zero(tmp_path: Path, mode: str) -> None:
    photograph(tmp_path / "images" / "a.png")
    path = tmp_path / "masks" / "cat" / "a.png"
    if mode == "I;16":
        path.parent.mkdir(parents=True)
        Image.fromarray(MIDDLE.astype(np.uint16) * 256).save(path)  # zero in its lower byte
    else:
        mask(path, MIDDLE, mode)
    write_masks(tmp_path, tmp_path / "out")
    same(regions(Broden.open(tmp_path / "out"), "a.png"), {("object", "cat"): MIDDLE})


def test_broken_files_are_set_aside_and_said(own: Path, tmp_path: Path) -> None:
    (own / "images" / "cut.jpg").write_bytes((own / "images" / "a.jpg").read_bytes()[:300])
    photograph(own / "images" / "torn.jpg")
    photograph(own / "images" / "large.jpg")
    photograph(own / "images" / "bare.jpg")
    mask(own / "masks" / "cat" / "cut.png", LEFT)
    (own / "masks" / "cat" / "torn.png").write_bytes((own / "masks" / "cat" / "a.png").read_bytes()[:40])
    mask(own / "masks" / "cat" / "large.png", np.ones((W, H)))
    mask(own / "masks" / "cat" / "nowhere.png", LEFT)
    (own / "images" / "moving.gif").touch()
    aside = dict(write_masks(own, tmp_path / "out"))
    assert aside.keys() == {
        "images/cut.jpg",
        "masks/cat/torn.png",
        "masks/cat/large.png",
        "images/bare.jpg",
        "images/moving.gif",
        "masks/cat/nowhere.png",
    }
    assert "6x4 pixels, got 4x6" in aside["masks/cat/large.png"]
    assert aside["images/bare.jpg"] == "no mask"
    assert len(Broden.open(tmp_path / "out")) == 3


def test_what_nobody_can_use_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="images: no such folder"):
        write_masks(tmp_path, tmp_path / "out")
    photograph(tmp_path / "images" / "a.jpg")
    (tmp_path / "masks").mkdir()
    with pytest.raises(ValueError, match=r"CATEGORY/CONCEPT/NAME\.png"):
        write_masks(tmp_path, tmp_path / "out")
    mask(tmp_path / "masks" / "cat" / "a.png", LEFT & RIGHT)
    with pytest.raises(ValueError, match="expected outlined concepts, got none on 1 images"):
        write_masks(tmp_path, tmp_path / "out")
    photograph(tmp_path / "images" / "a.png")
    with pytest.raises(ValueError, match="share their masks"):
        write_masks(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("category", ["image", "a;b"])
def test_a_category_that_the_format_cannot_hold(own: Path, tmp_path: Path, category: str) -> None:
    with pytest.raises(ValueError, match="rename it"):
        write_masks(own, tmp_path / "out", category=category)


@given(st.lists(st.integers(0, 2**12 - 1), min_size=1, max_size=6))
def test_levels_keep_every_pixel_of_every_region_once(bits: list[int]) -> None:
    masks = {n: np.array([(b >> k) & 1 for k in range(12)], dtype=bool).reshape(3, 4) for n, b in enumerate(bits, 300)}
    maps = levels(masks, (3, 4))
    for number, where in masks.items():
        np.testing.assert_array_equal(sum((labels == number).astype(int) for labels in maps), where)
    assert len(maps) <= max(1, len(bits))
    assert len(maps) >= sum(masks.values()).max()


def test_labels_above_255_survive(tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png", 1, 300)
    for column in range(300):
        where = np.zeros((1, 300))
        where[0, column] = 1
        mask(tmp_path / "masks" / f"c{column:03d}" / "a.png", where)
    write_masks(tmp_path, tmp_path / "out")
    found = regions(Broden.open(tmp_path / "out"), "a.png")
    assert [int(found["object", f"c{column:03d}"].argmax()) for column in range(300)] == list(range(300))


# --------------------------------------------------------------------------------------------------------------- COCO


def coco(root: Path, annotations: list[dict], **changes: object) -> None:
    for name in ("a.jpg", "b.jpg"):
        photograph(root / "pictures" / name)
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 90, "name": "tooth;brush"}],
        "annotations": [{"id": n, **one} for n, one in enumerate(annotations)],
    }
    (root / "instances.json").write_text(json.dumps(content | changes))


def converted(root: Path) -> tuple[Broden, dict[str, str]]:
    aside = write_coco(root, root / "out", images="pictures", annotations="instances.json")
    return Broden.open(root / "out"), dict(aside)


def runs(where: ndarray) -> list[int]:
    flat = where.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]))) if flat.any() else np.array([], dtype=int)
    return np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()


def test_coco_polygons_and_run_lengths(tmp_path: Path) -> None:
    square = [1, 1, 4, 1, 4, 3, 1, 3]  # x 1 to 4, y 1 to 3
    text = coco_tools.encode(np.asfortranarray(MIDDLE.astype(np.uint8)))["counts"].decode()
    coco(
        tmp_path,
        [
            {"image_id": 7, "category_id": 1, "segmentation": [square]},
            {"image_id": 7, "category_id": 1, "segmentation": {"size": [H, W], "counts": runs(RIGHT)}, "iscrowd": 1},
            {"image_id": 7, "category_id": 90, "segmentation": {"size": [H, W], "counts": text}},
        ],
    )
    broden, aside = converted(tmp_path)
    squared = np.zeros((H, W), dtype=bool)
    squared[1:3, 1:4] = True
    same(regions(broden, "a.jpg"), {("object", "cat"): squared | RIGHT, ("object", "tooth;brush"): MIDDLE})
    same(regions(broden, "b.jpg"), {})
    assert set(broden.rows[1].cells) == {"object"}  # it was looked at: nothing is there
    assert aside == {}


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.5, 0.98]))
def test_run_lengths_are_read_as_by_coco_itself(height: int, width: int, seed: int, share: float) -> None:
    where = np.random.default_rng(seed).random((height, width)) < share
    encoded = coco_tools.encode(np.asfortranarray(where.astype(np.uint8)))
    counts = encoded["counts"].decode()
    np.testing.assert_array_equal(outline({"size": [height, width], "counts": counts}, height, width), where)
    np.testing.assert_array_equal(outline({"size": [height, width], "counts": runs(where)}, height, width), where)


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[1, 1, 2, 2]],
        [[1, 1, 2, 2, 3]],
        [[1, 1, 2, 2, 3, float("nan")]],
        [[1, 1, 2, 2, 3, "x"]],
        {"size": [W, H], "counts": [H * W]},
        {"size": [H, W], "counts": [3, 4]},
        {"size": [H, W], "counts": [3, 100]},
        {"size": [H, W], "counts": [30, -6]},
        {"size": [H, W], "counts": "zz"},
        {"size": [H, W], "counts": "~"},
        {"size": [H, W]},
    ],
)
def test_an_outline_that_cannot_be_drawn_sets_its_picture_aside(tmp_path: Path, segmentation: object) -> None:
    good = {"image_id": 8, "category_id": 1, "segmentation": {"size": [H, W], "counts": runs(LEFT)}}
    coco(tmp_path, [good, {"image_id": 7, "category_id": 1, "segmentation": segmentation}])
    broden, aside = converted(tmp_path)
    assert [broden.names(i) for i in range(len(broden))] == ["b.jpg"]
    assert list(aside) == ["instances.json"]
    assert "for a.jpg, annotation 1" in aside["instances.json"]


def test_annotations_of_unknown_pictures_and_categories(tmp_path: Path) -> None:
    where = {"size": [H, W], "counts": runs(LEFT)}
    places = [(7, 1), (8, 2), (99, 1), (98, 1)]
    coco(tmp_path, [{"image_id": i, "category_id": c, "segmentation": where} for i, c in places])
    aside = write_coco(tmp_path, tmp_path / "out", images="pictures", annotations="instances.json")
    assert "for b.jpg, annotation 1" in aside[0][1]
    assert aside[1] == ("instances.json", "2 annotations belong to images that are not listed")


def test_other_files_are_not_taken_for_coco(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"concepts\.convert\.images"):
        converted(tmp_path)
    coco(tmp_path, [], categories=[{"id": 1}])
    with pytest.raises(ValueError, match="'categories' of entries with id, name"):
        converted(tmp_path)
    coco(tmp_path, [], images=[{"id": 1, "file_name": "../a.jpg"}])
    with pytest.raises(ValueError, match="below the folder"):
        converted(tmp_path)
    (tmp_path / "instances.json").write_text("[")
    with pytest.raises(ValueError, match="no JSON"):
        converted(tmp_path)


# ---------------------------------------------------------------------------------------------------------------- VOC


def test_voc_indices(tmp_path: Path) -> None:
    indices = np.where(LEFT, 2, 0) + np.where(RIGHT, 1, 0)
    indices[0, 0] = 255  # left open
    for name, values in (("a", indices), ("b", np.full((H, W), 3))):
        photograph(tmp_path / "JPEGImages" / f"{name}.jpg")
        image = Image.fromarray(values.astype(np.uint8), mode="P")
        image.putpalette([v for n in range(256) for v in (n, 0, 255 - n)])
        (tmp_path / "Seg").mkdir(exist_ok=True)
        image.save(tmp_path / "Seg" / f"{name}.png")
    photograph(tmp_path / "JPEGImages" / "bare.jpg")
    aside = write_voc(tmp_path, tmp_path / "out", images="JPEGImages", masks="Seg", names=["dog", "cat"])
    assert [file for file, _ in aside] == ["Seg/b.png"]
    assert "indices up to 2, got 3" in aside[0][1]
    cat = LEFT.copy()
    cat[0, 0] = False
    same(regions(Broden.open(tmp_path / "out"), "a.jpg"), {("object", "dog"): RIGHT, ("object", "cat"): cat})
