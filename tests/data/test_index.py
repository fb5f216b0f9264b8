"""The list of images: its order, its parts, and the files that it is kept in."""

import hashlib
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from deepinside.data.index import AHEAD, NO_BOXES, SPLITS, BadImage, Entry, Index
from deepinside.data.tar import Span
from deepinside.records import Boxes

ROOT = Path("somewhere")


def entry(image: str, label: int = 0, split: str = "val", boxes: Boxes = NO_BOXES) -> Entry:
    return Entry(image, f"pictures/{image}.jpg", split, label, boxes, width=40, height=30)


def index(*entries: Entry, classes: int = 3) -> Index:
    ids = tuple(f"n{k}" for k in range(classes))
    return Index(ROOT, ids, tuple(f"class {k}" for k in range(classes)), entries)


def names(index: Index) -> list[str]:
    return [entry.image for entry in index.entries]


def plain(index: Index) -> tuple:
    """All that an index holds, in types that compare by value."""
    entries = [{**vars(e), "boxes": e.boxes.xyxy.tolist()} for e in index.entries]
    return index.root, index.ids, index.classes, entries, index.set_aside


def test_entries_are_sorted_within_their_split() -> None:
    mixed = index(entry("b"), entry("d", split="train"), entry("a"), entry("c", split="train"))
    assert [(e.split, e.image) for e in mixed.entries] == [("train", "c"), ("train", "d"), ("val", "a"), ("val", "b")]
    assert len(mixed) == 4


def test_split_and_pictures_of_every_split() -> None:
    mixed = index(entry("b"), entry("d", split="train"), entry("a", split="all"))
    assert names(mixed.split("val")) == ["a", "b"]
    assert names(mixed.split("train")) == ["a", "d"]
    assert names(mixed.split("all")) == ["a", "d", "b"]
    assert mixed.split("val").classes == mixed.classes
    with pytest.raises(ValueError, match="expected a split"):
        mixed.split("test")


def pictured(root: Path, *names: str, split: str = "all") -> Index:
    """Files of a few bytes, named after what is in them."""
    for name in names:
        (root / name).write_bytes(name.rpartition("_")[2].encode())
    return Index(root, ("a",), ("a",), tuple(Entry(name, name, split, 0, NO_BOXES, 4, 3) for name in names))


def test_a_tenth_is_held_out_whatever_the_name_and_the_other_pictures(tmp_path: Path) -> None:
    many = pictured(tmp_path, *(f"p_{i}" for i in range(1000))).divided()
    held = names(many.split("val"))
    assert 70 < len(held) < 130  # three standard deviations of 100
    assert not set(held) & set(names(many.split("train")))
    assert len(many) == 1000
    expected = [f"p_{i}" for i in range(1000) if int(hashlib.sha256(str(i).encode()).hexdigest()[:8], 16) < 2**32 / 10]
    assert held == sorted(expected)
    renamed = pictured(tmp_path, *(f"{i}_{name.removeprefix('p_')}" for i, name in enumerate(held[:5])))
    assert len(renamed.divided().split("val")) == 5


def test_a_packed_picture_is_on_the_side_of_the_same_file(tmp_path: Path) -> None:
    single = pictured(tmp_path, *(f"p_{i}" for i in range(30)))
    entries = []
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for name in names(single):
            archive.add(tmp_path / name, f"{name}.png")
    with tarfile.open(tmp_path / "all.tar") as archive:
        for member in archive.getmembers():
            span = Span(member.offset_data, member.size)
            entries.append(Entry(member.name, f"all.tar/{member.name}", "all", 0, NO_BOXES, 4, 3, span))
    packed = Index(tmp_path, ("a",), ("a",), tuple(entries)).divided()
    sides = {entry.image: entry.split for entry in single.divided().entries}
    assert {entry.image.removesuffix(".png"): entry.split for entry in packed.entries} == sides
    assert set(sides.values()) == {"train", "val"}


def test_who_has_a_split_keeps_it_and_is_not_read() -> None:
    mixed = index(entry("a"), entry("b", split="train"))  # there are no such files
    assert plain(mixed.divided()) == plain(mixed)


def test_limit_takes_the_first_in_sorted_order() -> None:
    mixed = index(entry("b"), entry("c"), entry("a"))
    assert names(mixed.limit(2)) == ["a", "b"]
    assert names(mixed.limit(9)) == ["a", "b", "c"]
    assert names(mixed.limit(None)) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="at least 1"):
        mixed.limit(0)


def test_shuffled_labels_are_the_same_ones_elsewhere() -> None:
    mixed = index(*(entry(f"{label}{i}", label) for label in range(3) for i in range(5)))
    dealt = mixed.shuffled_labels(3)
    labels = [e.label for e in dealt.entries]
    assert names(dealt) == names(mixed)
    assert sorted(labels) == sorted(e.label for e in mixed.entries)
    assert labels != [e.label for e in mixed.entries]
    assert labels == [e.label for e in mixed.shuffled_labels(3).entries]
    assert labels != [e.label for e in mixed.shuffled_labels(4).entries]


def test_balanced_takes_turns_among_the_classes() -> None:
    mixed = index(
        *(entry(f"a{i}", 0) for i in range(5)),
        *(entry(f"b{i}", 1) for i in range(2)),
        *(entry(f"c{i}", 2) for i in range(3)),
        entry("unknown", -1),
    )
    assert names(mixed.balanced(6)) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    assert names(mixed.balanced(4)) == ["a0", "a1", "b0", "c0"]
    assert names(mixed.balanced(99)) == ["a0", "a1", "a2", "a3", "a4", "b0", "b1", "c0", "c1", "c2"]
    assert len(mixed.balanced(None)) == 11
    with pytest.raises(ValueError, match="at least 1"):
        mixed.balanced(0)


def test_boxed_sets_the_others_aside_and_needs_at_least_one() -> None:
    box = Boxes(np.array([[1, 2, 3, 4]]))
    kept = index(entry("a", boxes=box), entry("b")).boxed()
    assert names(kept) == ["a"]
    assert [file for file, _ in kept.set_aside] == ["pictures/b.jpg"]
    with pytest.raises(ValueError, match=r"ILSVRC2012_bbox_val_v3\.tgz .* boxes\.csv"):
        index(entry("b")).boxed()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"label": 3}, "label of -1 .* to 2, got 3"),
        ({"label": -2}, "label of -1"),
        ({"split": "test"}, "split"),
        ({"width": 0}, "0x30"),
        ({"file": "/etc/passwd"}, "inside the root"),
        ({"file": "a/../../b.jpg"}, "inside the root"),
        ({"file": "a\0.jpg"}, "inside the root"),
        ({"span": Span(512, 9)}, "a place in a tar"),
        ({"file": "a.tar/b.jpg", "span": Span(-1, 9)}, "a place in a tar"),
    ],
)
def test_bad_entries_are_refused_by_file(bad: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        index(Entry(**{**vars(entry("a")), **bad}))


def test_names_are_unique_even_across_splits_and_classes_named_each() -> None:
    with pytest.raises(ValueError, match="'a' twice"):
        index(entry("a"), entry("a", split="train"))
    with pytest.raises(ValueError, match="one name for each"):
        Index(ROOT, ("n1", "n2"), ("one",), ())


def test_files_are_as_promised(tmp_path: Path) -> None:
    boxes = Boxes(np.array([[1, 2, 30, 20], [0, 0, 4.5, 3]]))
    written = index(entry("b", 2, boxes=boxes), entry("a,c", -1, "train"))
    Index(ROOT, written.ids, written.classes, written.entries, (("x.jpg", 'broken, "badly"'),)).write(tmp_path)
    assert (tmp_path / "images.csv").read_text() == (
        "split,image,file,label,width,height,start,length\n"
        'train,"a,c","pictures/a,c.jpg",-1,40,30,,\nval,b,pictures/b.jpg,2,40,30,,\n'
    )
    assert (tmp_path / "boxes.csv").read_text() == "image,x0,y0,x1,y1\nb,1,2,30,20\nb,0,0,4.5,3\n"
    assert (tmp_path / "classes.csv").read_text() == "label,id,name\n0,n0,class 0\n1,n1,class 1\n2,n2,class 2\n"
    assert (tmp_path / "set_aside.csv").read_text() == 'file,reason\nx.jpg,"broken, ""badly"""\n'


def test_pictures_come_in_order_and_bad_ones_with_their_reason(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(8)]
    for number, name in enumerate(names):
        Image.new("RGB", (4, 3), (number, 0, 0)).save(tmp_path / name)
    (tmp_path / names[2]).write_bytes(b"no image")
    listed = Index(tmp_path, ("a",), ("a",), tuple(Entry(name, name, "all", 0, NO_BOXES, 4, 3) for name in names))
    found = []
    for image in listed.pictures(listed.entries):
        found.append(None if isinstance(image, BadImage) else int(image[0, 0, 0]))
    assert found == [0, 1, None, 3, 4, 5, 6, 7]
    assert not list(listed.pictures([]))


def test_a_file_is_read_before_its_image_is_asked_for(tmp_path: Path) -> None:
    started = [threading.Event() for _ in range(AHEAD + 1)]

    class Watched(Index):
        def picture(self, entry: Entry) -> Tensor:
            started[int(entry.image)].set()
            return torch.zeros(3, 3, 4, dtype=torch.uint8)

    entries = tuple(Entry(str(n), f"{n}.png", "all", 0, NO_BOXES, 4, 3) for n in range(AHEAD + 1))
    images = Watched(tmp_path, ("a",), ("a",), entries).pictures(entries)
    next(images)
    assert all(event.wait(30) for event in started)


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
segment = text.filter(lambda part: part not in {".", ".."} and "/" not in part)
side = st.integers(1, 9999)


@st.composite
def boxed(draw: st.DrawFn) -> tuple[Boxes, int, int]:
    width, height = draw(side), draw(side)
    across, down = (st.tuples(st.floats(-1, end), st.floats(-1, end)).map(sorted) for end in (width, height))
    drawn = draw(st.lists(st.tuples(across, down), max_size=3))
    corners = [(x0, y0, x1, y1) for (x0, x1), (y0, y1) in drawn if x1 > x0 and y1 > y0]
    return Boxes(np.array(corners).reshape(-1, 4)), width, height


@st.composite
def indices(draw: st.DrawFn) -> Index:
    classes = draw(st.lists(st.tuples(text, text), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
    entries = tuple(
        Entry(
            image,
            draw(st.lists(segment, min_size=1, max_size=3).map("/".join)),
            draw(st.sampled_from(SPLITS)),
            draw(st.integers(-1, len(classes) - 1)),
            *draw(boxed()),
        )
        for image in draw(st.lists(text, max_size=5, unique=True))
    )
    ids, readable = zip(*classes, strict=True)
    return Index(ROOT, ids, readable, entries, tuple(draw(st.lists(st.tuples(text, text), max_size=2))))


@settings(deadline=None, max_examples=50)
@given(indices())
def test_reading_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, written: Index) -> None:
    folder = tmp_path_factory.mktemp("index")
    written.write(folder)
    assert plain(Index.read(folder, ROOT)) == plain(written)


def test_places_in_a_tar_survive(tmp_path: Path) -> None:
    packed = Entry("s.tar/a.jpg", "s.tar/a.jpg", "all", 0, NO_BOXES, 40, 30, Span(0, 2**40))
    index(packed, entry("b")).write(tmp_path)
    assert [e.span for e in Index.read(tmp_path, ROOT).entries] == [(0, 2**40), None]


def test_names_that_are_no_utf8_survive(tmp_path: Path) -> None:
    strange = b"caf\xe9".decode("utf-8", "surrogateescape")
    index(entry(strange)).write(tmp_path)
    assert Index.read(tmp_path, ROOT).entries[0].file == f"pictures/{strange}.jpg"


def test_a_carriage_return_in_a_name_cannot_break_a_table(tmp_path: Path) -> None:
    odd = Index(ROOT, ("n\r0",), ("a\rclass",), (entry("a\rb"), entry("c\nd"), entry("e")), (("x\r.jpg", "broken"),))
    odd.tabular().write(tmp_path)
    found = Index.read(tmp_path, ROOT)
    assert names(found) == ["c\nd", "e"]
    assert [file for file, _ in found.set_aside] == ["pictures/a\\rb.jpg", "x\\r.jpg"]
    assert "rename the file" in found.set_aside[0][1]
    assert (found.ids, found.classes) == (("n\\r0",), ("a\\rclass",))


def test_what_a_damaged_table_says_is_not_quoted_whole(tmp_path: Path) -> None:
    index(entry("b")).write(tmp_path)
    (tmp_path / "boxes.csv").write_text(f"image,x0,y0,x1,y1\nb,1,2,3,{'x' * 20_000}\n")
    with pytest.raises(ValueError, match="run=prepare") as caught:
        Index.read(tmp_path, ROOT)
    assert len(str(caught.value)) < 1000
