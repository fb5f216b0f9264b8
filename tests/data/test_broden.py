"""The Broden format: parsed by name, checked row by row, and equal to what the reference code counted."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tests.data.trees import picture
from tests.shared import SHARED, needs_shared

from deepinside.data.broden.labels import primary
from deepinside.data.broden.reader import BadRow, Broden

PROBE = SHARED / "data/broden_coco128"
TALLY = SHARED / "data/reference/netdissect_lite_squeezenet_fire9/tally.csv"
H, W = 6, 9  # of label maps; images have twice that

# 300 needs the second byte. fabric is material in 3 images and object in 2, but covers more as an object.
LABELS = """number,name,category,frequency,coverage,syns
1,black-c,color(4),4,2.5,
2,fabric,material(3);object(2),5,1.5,cloth;textile
3,wheel,part(2),2,0.1,
4,street-s,scene(1),1,1,
5,dotted,texture(1),1,1,
300,zebra,object(1),1,0.2,
"""
COVERAGES = {
    "color": "1,1,black-c,4,2.5",
    "object": "1,2,fabric,2,1.0\n2,300,zebra,1,0.2",
    "part": "1,3,wheel,2,0.1",
    "material": "1,2,fabric,3,0.5",
    "scene": "1,4,street-s,1,1",
    "texture": "1,5,dotted,1,1",
}
# Columns in another order than category.csv, and the rows not sorted.
INDEX = f"""texture,scene,image,split,ih,iw,sh,sw,color,object,part,material
,4,s/c.jpg,train,{2 * H},{2 * W},{H},{W},s/c_color.png,s/c_object.png,s/c_part_1.png;s/c_part_2.png,
5;;1,,s/a.jpg,val,{2 * H},{2 * W},{H},{W},s/a_color.png,,,
,,s/d.jpg,val,{2 * H},{2 * W},{H},{W},,,,
,,s/b.jpg,train,{2 * H},{2 * W},{H},{W},,s/b_object.png;,,
"""


def save_map(path: Path, labels: np.ndarray) -> np.ndarray:
    channels = [labels % 256, labels // 256, np.zeros_like(labels)]
    Image.fromarray(np.stack(channels, -1).astype(np.uint8)).save(path)
    return labels


def full(label: int) -> np.ndarray:
    labels = np.zeros((H, W), np.int64)
    labels[1:, :4] = label
    return labels


MAPS = {"c_color": 1, "c_object": 300, "c_part_1": 3, "c_part_2": 0, "a_color": 1, "b_object": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images/s"
    for name in "abcd":
        picture(folder / f"{name}.jpg", 2 * W, 2 * H)
    for name, label in MAPS.items():
        save_map(folder / f"{name}.png", full(label))
    (tmp_path / "index.csv").write_text(INDEX)
    (tmp_path / "label.csv").write_text(LABELS)
    names = "".join(f"{name},1,1,1,1\n" for name in ("color", "object", "part", "material", "scene", "texture"))
    (tmp_path / "category.csv").write_text("name,first,last,count,frequency\n" + names)
    for name, lines in COVERAGES.items():
        (tmp_path / f"c_{name}.csv").write_text(f"code,number,name,frequency,coverage\n{lines}\n")
    return tmp_path


def test_rows_are_sorted_by_name_and_rows_without_labels_left_out(root: Path) -> None:
    broden = Broden.open(root)
    assert [broden.names(i) for i in range(len(broden))] == ["s/a.jpg", "s/b.jpg", "s/c.jpg"]
    assert broden.unlabelled == ("s/d.jpg",)
    assert broden.set_aside == ()
    assert broden.categories == ("color", "object", "part", "material", "scene", "texture")
    assert [row.split for row in broden.rows] == ["val", "train", "train"]


def test_cells_are_read_by_header_empties_left_out_dominant_first(root: Path) -> None:
    broden = Broden.open(root)
    assert dict(broden.rows[0].cells) == {"color": ("s/a_color.png",), "texture": (5, 1)}
    assert dict(broden.rows[1].cells) == {"object": ("s/b_object.png",)}
    assert list(broden.rows[2].cells) == ["color", "object", "part", "scene"]
    assert broden.rows[2].cells["part"] == ("s/c_part_1.png", "s/c_part_2.png")


def test_maps_and_labels_of_whole_pictures(root: Path) -> None:
    broden = Broden.open(root)
    carried = broden.segmentation(2)
    assert list(carried) == ["color", "object", "part", "scene"]
    (zebra,) = carried["object"]
    assert isinstance(zebra, np.ndarray)
    assert (zebra.dtype, zebra.shape) == (np.int32, (H, W))
    assert (zebra == full(300)).all()
    assert carried["scene"] == (4,)
    assert [int(np.max(part)) for part in carried["part"]] == [3, 0]
    image = broden.image(2)
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 2 * H, 2 * W))


def test_labels_and_their_primary_category(root: Path) -> None:
    labels = {label.number: label for label in Broden.open(root).labels}
    assert list(labels) == [1, 2, 3, 4, 5, 300]
    fabric = labels[2]
    assert (fabric.name, fabric.frequency, fabric.coverage) == ("fabric", 5, 1.5)
    assert dict(fabric.categories) == {"material": 3, "object": 2}
    assert fabric.category == "object"  # coverage 1.0 against 0.5, though less frequent
    assert labels[300].category == "object"
    assert Broden.open(root).size == 301


def test_ties_go_to_the_later_category() -> None:
    order = ("color", "object", "part", "material")
    assert primary({"object": 0.5, "material": 0.5}, order) == "material"
    assert primary({"material": 0.5, "object": 0.5}, order) == "material"
    assert primary({"color": 0.5, "object": 0.5}, order) == "object"
    assert primary({"color": 0.6, "object": 0.5}, order) == "color"


def test_a_part_of_the_categories_changes_pictures_labels_and_primaries(root: Path) -> None:
    broden = Broden.open(root, ["texture", "material"])
    assert broden.categories == ("material", "texture")  # in the order of category.csv
    assert [row.image for row in broden.rows] == ["s/a.jpg"]
    assert broden.unlabelled == ("s/b.jpg", "s/c.jpg", "s/d.jpg")
    assert [(label.number, label.category) for label in broden.labels] == [(2, "material"), (5, "texture")]
    assert list(broden.segmentation(0)) == ["texture"]
    assert broden.size == 301  # label maps may hold any label
    with pytest.raises(KeyError, match=r"no category 'colour'.* did you mean color"):
        Broden.open(root, ["colour"])


def test_limit_takes_the_first_in_sorted_order(root: Path) -> None:
    broden = Broden.open(root)
    assert [row.image for row in broden.limit(2).rows] == ["s/a.jpg", "s/b.jpg"]
    assert len(broden.limit(None)) == 3
    assert broden.limit(1).labels == broden.labels
    with pytest.raises(ValueError, match="at least 1"):
        broden.limit(0)


# Each spoils the row of s/c.jpg before it is opened.
def _no_map(root: Path) -> None:
    (root / "images/s/c_part_2.png").unlink()


def _small_map(root: Path) -> None:
    save_map(root / "images/s/c_object.png", np.zeros((W, H), int))


def _no_image(root: Path) -> None:
    (root / "images/s/c.jpg").unlink()


def _other_image(root: Path) -> None:
    picture(root / "images/s/c.jpg", 2 * H, 2 * W)


def _no_picture(root: Path) -> None:
    (root / "images/s/c.jpg").write_bytes(b"no image")


def _replace(old: str, new: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        text = (root / "index.csv").read_text()
        assert old in text
        (root / "index.csv").write_text(text.replace(old, new))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "file", "reason"),
    [
        (_no_map, "images/s/c_part_2.png", "no such file"),
        (_small_map, "images/s/c_object.png", f"expected {W}x{H} pixels for the row of s/c.jpg, got {H}x{W}"),
        (_no_image, "images/s/c.jpg", "no such file"),
        (_other_image, "images/s/c.jpg", f"expected {2 * W}x{2 * H} pixels"),
        (_no_picture, "images/s/c.jpg", "begin as neither"),
        (_replace(",4,s/c.jpg", ",44,s/c.jpg"), "images/s/c.jpg", "expected labels of label.csv for the row"),
        (_replace(f"s/c.jpg,train,{2 * H}", "s/c.jpg,train,x"), "images/s/c.jpg", "expected sizes ih, iw, sh, sw"),
        (_replace("s/c_object.png", "../../c.png"), "index.csv", "expected a file in images/"),
        (_replace("s/c_object.png", "/etc/passwd"), "index.csv", "expected a file in images/"),
    ],
)
def test_bad_rows_are_set_aside_with_the_reason(
    root: Path, spoil: Callable[[Path], None], file: str, reason: str
) -> None:
    spoil(root)
    broden = Broden.open(root)
    assert [row.image for row in broden.rows] == ["s/a.jpg", "s/b.jpg"]
    ((named, said),) = broden.set_aside
    assert named == file
    assert reason in said
    assert "s/c.jpg" in said
    assert str(root) not in said


def test_a_picture_that_is_there_twice_is_set_aside_twice(root: Path) -> None:
    lines = INDEX.splitlines(keepends=True)
    (root / "index.csv").write_text("".join([*lines, lines[1]]))
    broden = Broden.open(root)
    assert [row.image for row in broden.rows] == ["s/a.jpg", "s/b.jpg"]
    assert [file for file, _ in broden.set_aside] == ["images/s/c.jpg"] * 2


# Each spoils what is seen only when the map of s/c.jpg is read.
def _unknown_label(path: Path) -> None:
    save_map(path, full(299))


def _blue(path: Path) -> None:
    Image.new("RGB", (W, H), (1, 0, 7)).save(path)


def _grey(path: Path) -> None:
    Image.new("L", (W, H), 1).save(path)


def _shrunk(path: Path) -> None:
    save_map(path, np.zeros((2, 2), int))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _jpeg(path: Path) -> None:
    Image.new("RGB", (W, H)).save(path, format="JPEG")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_unknown_label, r"expected labels of label\.csv .* got \[299\]"),
        (_blue, "blue 0"),
        (_grey, f"got {W}x{H} L"),
        (_shrunk, "got 2x2 RGB"),
        (_cut, f"expected an RGB label map of {W}x{H} pixels"),
        (_jpeg, "expected an RGB label map"),
        (Path.unlink, "no such file"),
    ],
)
def test_bad_content_is_named_when_it_is_read(root: Path, spoil: Callable[[Path], None], reason: str) -> None:
    broden = Broden.open(root)
    spoil(root / "images/s/c_object.png")
    with pytest.raises(BadRow, match=rf"c_object\.png: .*{reason}") as caught:
        broden.segmentation(2)
    assert str(root) not in caught.value.reason
    assert broden.segmentation(1)["object"]


def test_a_bad_picture_is_named_when_it_is_read(root: Path) -> None:
    broden = Broden.open(root)
    path = root / "images/s/c.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadRow, match=r"c\.jpg: expected a whole image for the row of s/c\.jpg"):
        broden.image(2)
    picture(path, 3, 4)
    with pytest.raises(BadRow, match="got 3x4"):
        broden.image(2)


def test_a_missing_root_says_what_to_download_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Broden.open(tmp_path / "gone")
    for told in ("broden1_224.zip", "netdissect.csail.mit.edu", f"{tmp_path / 'gone'}/index.csv", "concepts.root="):
        assert told in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("index.csv", "image,split,ih,iw,sh,sw,color\n", "object,part,material,scene,texture missing"),
        ("index.csv", INDEX.splitlines()[0], "expected usable rows, got none"),
        ("label.csv", "number,name\n", "category,frequency,coverage missing"),
        ("label.csv", LABELS.replace("color(4)", "color"), "line 2: .*expected such as object"),
        ("label.csv", LABELS.replace("3,wheel", "2,wheel"), "line 4: .*expected a new number"),
        ("label.csv", LABELS.replace("300,zebra", "65536,zebra"), "line 7: .*1 to 65535, got 65536"),
        ("c_object.csv", "code,number,name,frequency,coverage\n", "no coverage of label 2"),
        ("c_object.csv", "number,coverage\n2,much\n", "expected a number and a coverage"),
    ],
)
def test_broken_tables_are_named(root: Path, file: str, content: str, message: str) -> None:
    (root / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        Broden.open(root)


@pytest.mark.parametrize("file", ["label.csv", "category.csv"])
def test_missing_tables_are_named(root: Path, file: str) -> None:
    (root / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{file}: .*unzip it completely again"):
        Broden.open(root)


def test_without_coverages_a_label_of_one_category_is_clear(root: Path) -> None:
    for path in root.glob("c_*.csv"):
        path.unlink()
    (root / "label.csv").write_text(LABELS.replace("material(3);object(2)", "object(2)"))
    assert [label.category for label in Broden.open(root).labels][1] == "object"


@settings(deadline=None, max_examples=50)
@given(arrays(np.int64, (H, W), elements=st.integers(0, 65535)))
def test_label_is_red_plus_256_green(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray) -> None:
    root = tmp_path_factory.mktemp("broden")
    (root / "images").mkdir()
    picture(root / "images/x.jpg", W, H)
    save_map(root / "images/x.png", labels)
    numbers = sorted({1, *labels.flat} - {0})
    rows = "".join(f"{n},l{n},object(1),1,1\n" for n in numbers)
    (root / "label.csv").write_text("number,name,category,frequency,coverage\n" + rows)
    (root / "category.csv").write_text("name\nobject\n")
    (root / "index.csv").write_text(f"image,split,ih,iw,sh,sw,object\nx.jpg,train,{H},{W},{H},{W},x.png\n")
    broden = Broden.open(root)
    (read,) = broden.segmentation(0)["object"]
    assert (np.asarray(read) == labels).all()
    assert broden.size > labels.max()


@needs_shared
def test_the_real_probe_set() -> None:
    broden = Broden.open(PROBE)
    assert (len(broden), len(broden.labels)) == (128, 82)
    assert Counter(label.category for label in broden.labels) == {"color": 11, "object": 71}
    assert (broden.set_aside, broden.unlabelled, broden.size) == ((), (), 83)
    assert [row.image for row in broden.rows] == sorted(row.image for row in broden.rows)
    objects = Broden.open(PROBE, ["object"])
    assert (len(objects), len(objects.unlabelled)) == (126, 2)


@needs_shared
def test_real_pixels_of_every_label_are_those_that_the_reference_counted() -> None:
    broden = Broden.open(PROBE)
    pixels = np.zeros(broden.size, np.int64)
    for i in range(len(broden)):
        for part in (part for parts in broden.segmentation(i).values() for part in parts):
            pixels += np.bincount(np.asarray(part).ravel(), minlength=broden.size)
    counted = {label.name: int(pixels[label.number]) for label in broden.labels}
    with TALLY.open() as file:
        truth = {
            row[f"{category}-label"]: float(row[f"{category}-truth"])
            for row in csv.DictReader(file)
            for category in ("color", "object")
        }
    assert len(truth) == 72
    assert truth["zebra"] == 7744
    assert {name: counted[name] for name in truth} == truth
    covered = {label.name: label.coverage * 112 * 112 for label in broden.labels}
    assert all(abs(covered[name] - counted[name]) < 0.01 for name in counted)
