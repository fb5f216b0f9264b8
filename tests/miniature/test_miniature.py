"""The synthetic data set: reproducible by seed, in the real formats, with exact boxes and an object of each class."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import RidgeClassifier

from deepinside.data import ilsvrc
from deepinside.data.broden.reader import Broden
from deepinside.miniature import World, read_ceilings, write_broden, write_ilsvrc
from deepinside.miniature.compose import compose
from deepinside.miniature.ilsvrc_tree import size, val_kind
from deepinside.miniature.objects import KINDS


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ilsvrc")
    write_ilsvrc(out, seed=3, train=40, val=20, side=64, workers=1)
    return out


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("broden")
    write_broden(out, seed=3, images=400, side=64, workers=2, least_frequency=4, least_coverage=0.2)
    return out


def test_the_same_seed_draws_the_same_bytes_with_any_number_of_workers(tree: Path, tmp_path: Path) -> None:
    write_ilsvrc(tmp_path, seed=3, train=40, val=20, side=64, workers=2)
    assert files(tmp_path) == files(tree)


def test_another_seed_draws_other_pictures(tree: Path, tmp_path: Path) -> None:
    write_ilsvrc(tmp_path, seed=4, train=20, val=0, side=64, workers=1)
    here, there = files(tmp_path), files(tree)
    pictures = [name for name in here if name.endswith(".JPEG")]
    assert len(pictures) == 20
    assert all(here[name] != there[name] for name in pictures if name in there)


def test_other_labels_of_the_same_pictures(tree: Path, tmp_path: Path) -> None:
    """Scenes, or how the image was turned: nothing else changes."""
    objects = ilsvrc.index(root=tree, split="all").split("val").entries
    for labels, classes in (("scenes", 10), ("turns", 4)):
        out = tmp_path / labels
        out.mkdir()
        write_ilsvrc(out, seed=3, train=100, val=20, side=64, workers=1, labels=labels)
        index = ilsvrc.index(root=out, split="all")
        assert (len(index.split("train")), len(index.classes)) == (100, classes)
        assert len({entry.label for entry in index.split("train").entries}) == classes
        for entry, plain in zip(index.split("val").entries, objects, strict=True):
            assert entry.image == plain.image
            assert entry.boxes.xyxy.tolist() == [[0, 0, entry.width, entry.height]]
            if labels == "scenes":
                assert (out / entry.file).read_bytes() == (tree / plain.file).read_bytes()
    turns = [entry.label for entry in index.split("train").entries]
    assert [turns.count(turn) for turn in range(4)] == [40, 20, 20, 20]
    quarter = next(entry for entry in index.split("train").entries if entry.label == 1)
    number = int(quarter.image.rpartition("_")[2]) - 1
    upright = compose((3, 1, number), number % len(KINDS), size((3, 1, number), 64), World()).pixels
    found = np.asarray(Image.open(tmp_path / "turns" / quarter.file), dtype=float)
    assert np.abs(found - np.rot90(upright)).mean() < 10
    with pytest.raises(KeyError, match="objects, scenes, turns"):
        write_ilsvrc(tmp_path, seed=3, train=1, val=1, side=64, workers=1, labels="colours")


def test_validation_images_have_masks_that_fill_their_boxes(tree: Path) -> None:
    index = ilsvrc.index(root=tree, split="all")
    for entry in index.split("val").entries:
        found = index.mask(entry)
        assert found is not None
        outlined, counted = found
        assert counted.all()
        rows, columns = np.nonzero(outlined)
        box = entry.boxes.xyxy
        assert [columns.min(), rows.min()] == box[:, :2].min(axis=0).tolist()
        assert [columns.max() + 1, rows.max() + 1] == box[:, 2:].max(axis=0).tolist()
    assert index.mask(index.split("train").entries[0]) is None


def test_the_loader_of_the_real_tree_reads_it(tree: Path) -> None:
    index = ilsvrc.index(root=tree, split="all")
    assert not index.set_aside
    assert (len(index.split("train")), len(index.split("val")), len(index.classes)) == (40, 20, len(KINDS))
    assert sorted({entry.label for entry in index.split("val").entries}) == list(range(20))  # each class once
    shapes = {entry.width == entry.height for entry in index.entries}
    assert shapes == {True, False}
    assert all(min(entry.width, entry.height) >= 64 for entry in index.entries)
    for entry in index.entries:
        assert 1 <= len(entry.boxes) <= 2
        assert (entry.boxes.xyxy >= 0).all()
        assert (entry.boxes.xyxy <= np.array([entry.width, entry.height] * 2)).all()


def test_boxes_are_those_of_the_objects_pixels() -> None:
    for number in range(12):
        picture = compose((5, number), number % len(KINDS), (70, 90), World(twins=0.5))
        for code, box in enumerate(picture.boxes.tolist(), start=1):
            rows, columns = np.nonzero(picture.maps["instance"] == picture.names["instance"].index(str(code)))
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        object_ = picture.maps["object"] == picture.names["object"].index(KINDS[picture.kind].name)
        assert object_[picture.maps["instance"] > 0].all()


def test_the_object_is_all_that_tells_a_picture_from_its_bare_version() -> None:
    picture = compose((6, 1), 2, (64, 80), World(), bare=True)
    changed = (picture.pixels.astype(int) - picture.bare.astype(int) != 0).any(-1)
    x0, y0, x1, y1 = picture.boxes[0].tolist()
    outside = changed.copy()
    outside[max(0, y0 - 12) : y1 + 12, max(0, x0 - 12) : x1 + 12] = False  # a shadow falls beside it
    assert changed.any()
    assert outside.mean() < 0.01


def test_the_loader_of_broden_reads_it(probe: Path) -> None:
    broden = Broden.open(probe)
    assert not broden.set_aside
    assert len(broden) + len(broden.unlabelled) == 400
    assert set(broden.categories) == {"color", "object", "part", "scene", "material", "texture"}
    for category in broden.categories:
        carrying = sum(bool(row.cells.get(category)) for row in broden.rows)
        assert 0 < carrying < len(broden), f"{category}: as in Broden, only some images carry it"
    for position in range(0, len(broden), 25):
        assert broden.segmentation(position)


def test_ceilings_leave_room_for_detectors(probe: Path) -> None:
    with (probe / "ceilings.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    rows = read_ceilings(probe)
    assert [int(row["number"]) for row in written] == [number for number, *_ in rows]
    for category in {row[2] for row in rows}:
        assert np.median([most for *_, name, _, most in rows if name == category]) >= 0.15, category


def _pixels(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX)).ravel() / 255


def test_a_network_must_see_the_object_and_a_line_through_pixels_does_not() -> None:
    # Chance is 5 %. Linear on pixels stays under 40 %, and under 1.5x chance where the object is painted out.
    train = [compose((9, 1, k), k % len(KINDS), (64, 64), World(), bare=True) for k in range(800)]
    test = [compose((9, 2, k), val_kind(9, k), (64, 64), World(), bare=True) for k in range(300)]
    right = {}
    for what in ("pixels", "bare"):
        line = RidgeClassifier(alpha=30).fit([_pixels(getattr(p, what)) for p in train], [p.kind for p in train])
        right[what] = line.score([_pixels(getattr(p, what)) for p in test], [p.kind for p in test])
    assert 0.06 < right["pixels"] < 0.40, right
    assert right["bare"] < 0.05 * 1.5 + 0.025, right  # two standard errors of 300 images
