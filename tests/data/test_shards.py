"""One's own images in tar shards, whole ones and those that somebody spoilt."""

import io
import tarfile
from pathlib import Path

import pytest
import torch
from tests.data.trees import picture_bytes, shard

from deepinside.data import shards
from deepinside.data.image import BadImage, read_image
from deepinside.data.index import Index
from deepinside.data.tar import packed

PICTURE = picture_bytes()


def found(root: Path, **options: str) -> list[tuple[str, str, int]]:
    return [(entry.image, entry.split, entry.label) for entry in shards.index(root, **options).entries]


def aside(root: Path) -> dict[str, str]:
    return dict(shards.index(root).set_aside)


def test_pictures_are_the_bytes_in_the_shard(tmp_path: Path) -> None:
    first, second = picture_bytes(20, 10), picture_bytes(16, 24, 200, "PNG")
    shard(tmp_path / "in/0.tar", {"./b.JPG": first, "b.cls": b"2\n", "a/c.d.txt": b"?", "c/d.png": second})
    shard(tmp_path / "in/1.tar", {"b.json": {"label": 0, "boxes": [[1, 2, 3.5, 4]]}, "b.jpg": first, ".x.jpg": first})
    index = shards.index(tmp_path)
    assert index.ids == index.classes == ("0", "1", "2")
    assert [(e.image, e.file, e.split, e.label, e.boxes.xyxy.tolist(), e.width, e.height) for e in index.entries] == [
        ("in/0.tar/b.JPG", "in/0.tar/b.JPG", "all", 2, [], 20, 10),
        ("in/1.tar/b.jpg", "in/1.tar/b.jpg", "all", 0, [[1, 2, 3.5, 4]], 20, 10),
    ]
    (tmp_path / "out").mkdir()
    index.write(tmp_path / "out")
    read = Index.read(tmp_path / "out", tmp_path)
    (tmp_path / "alone").write_bytes(first)
    for entry in read.entries:
        assert torch.equal(read.picture(entry), read_image(tmp_path / "alone"))
    start, length = read.entries[1].span
    assert (tmp_path / "in/1.tar").read_bytes()[start : start + length] == first
    assert "expected a label of the 3 classes, got None" in dict(index.set_aside)["in/0.tar/c/d.png"]


def test_names_of_classes(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", {"1.jpg": PICTURE, "1.json": {"label": "great_tit"}})
    shard(tmp_path / "b.tar", {"1.jpg": PICTURE, "1.json": {"label": "cat", "boxes": None}})
    index = shards.index(tmp_path)
    assert (index.ids, index.classes) == (("cat", "great_tit"), ("cat", "great tit"))
    assert [entry.label for entry in index.entries] == [1, 0]
    shard(
        tmp_path / "c.tar",
        {"1.jpg": PICTURE, "1.cls": b"1", "1.json": {"label": "cat"}, "2.jpg": PICTURE, "2.cls": b"3"},
    )
    with pytest.raises(
        ValueError, match=r"either numbers or names as labels, got both, such as 1 and 'cat': add classes\.txt"
    ):
        shards.index(tmp_path)
    (tmp_path / "classes.txt").write_text("dog\ngreat_tit\ncat\n\n")
    assert shards.index(tmp_path).ids == ("dog", "great_tit", "cat")
    assert [entry.label for entry in shards.index(tmp_path).entries] == [1, 2, 1]  # key.cls stands above key.json
    assert "of the 3 classes, got 3" in aside(tmp_path)["c.tar/2.jpg"]
    (tmp_path / "classes.txt").write_text("dog\ndog\n")
    with pytest.raises(ValueError, match=r"classes\.txt: expected a line for each class"):
        shards.index(tmp_path)


def test_without_any_label_all_pictures_are_taken(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", {"1.jpg": PICTURE, "1.json": {"caption": "a cat"}})
    index = shards.index(tmp_path)
    assert ([entry.label for entry in index.entries], index.classes) == ([-1], ())


def test_pictures_of_other_formats_are_set_aside_by_name(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", {"1.jpg": PICTURE, "2.gif": b"GIF89a", "2.cls": b"0", "3.txt": b"?"})
    assert aside(tmp_path) == {"a.tar/2.gif": "expected a JPEG or PNG image, got a .gif file: save it as one of these"}


def test_a_truncated_picture_is_set_aside_when_the_shard_is_listed(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", {"1.jpg": PICTURE, "2.jpg": PICTURE[:-9]})
    assert [entry.image for entry in shards.index(tmp_path).entries] == ["a.tar/1.jpg"]
    assert "got image file is truncated" in aside(tmp_path)["a.tar/2.jpg"]


def test_splits_are_words_of_the_path(tmp_path: Path) -> None:
    files = {"1.jpg": PICTURE, "1.cls": b"0"}
    shard(tmp_path / "training-0.tar", files)
    assert found(tmp_path) == [("training-0.tar/1.jpg", "all", 0)]
    for name in ("imagenet-train-0.tar", "validation/0.tar", ".hidden.tar"):
        shard(tmp_path / name, files)
    expected = [("imagenet-train-0.tar/1.jpg", "train", 0), ("validation/0.tar/1.jpg", "val", 0)]
    assert found(tmp_path) == expected
    assert found(tmp_path, split="val") == expected[1:]
    assert found(tmp_path, shards="imagenet-*.tar") == expected[:1]
    shard(tmp_path / "val/train-0.tar", files)
    with pytest.raises(ValueError, match=r"val/train-0\.tar: expected a shard of train or of val"):
        shards.index(tmp_path)


@pytest.mark.parametrize("pattern", ["../*.tar", "/etc/*.tar", ""])
def test_the_pattern_stays_below_the_root(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="expected a pattern of paths below"):
        shards.index(tmp_path, shards=pattern)


def test_a_missing_or_empty_root_says_how_to_pack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected tar shards .*\n.*\n.*train-000000\.tar"):
        shards.index(tmp_path / "nothing")
    shard(tmp_path / "a.tar", {"1.txt": b"?"})
    with pytest.raises(FileNotFoundError, match=r"expected images in 1 shards, got none\.\n"):
        shards.index(tmp_path)
    shard(tmp_path / "a.tar", {"1.jpg": b"?"})
    with pytest.raises(ValueError, match=r"expected usable images, got none; such as a\.tar/1\.jpg: .* as neither"):
        shards.index(tmp_path)
    shard(tmp_path / "deep.tar/a.tar", {"1.jpg": PICTURE})
    with pytest.raises(ValueError, match=r"deep\.tar: expected a folder not named like a shard"):
        shards.index(tmp_path)


@pytest.mark.parametrize(
    ("files", "name", "reason"),
    [
        ({"1.jpg": PICTURE[:20]}, "1.jpg", "expected a whole JPEG or PNG image"),
        ({"1.jpg": PICTURE, "1.cls": b"-1"}, "1.cls", "number of a class, 0 to 99999, got '-1'"),
        ({"1.jpg": PICTURE, "1.cls": b"9" * 5000}, "1.cls", "number of a class"),
        ({"1.jpg": PICTURE, "1.cls": b"100000"}, "1.cls", "number of a class"),
        ({"1.jpg": PICTURE, "1.cls": b"\xff"}, "1.cls", "text in UTF-8"),
        ({"1.jpg": PICTURE, "1.json": b"{"}, "1.json", "expected JSON"),
        ({"1.jpg": PICTURE, "1.json": b"[" * 100_000}, "1.json", "expected JSON"),
        ({"1.jpg": PICTURE, "1.json": b" " * 2**20 + b"{}"}, "1.json", "at most 1048576 bytes"),
        ({"1.jpg": PICTURE, "1.json": b"[]"}, "1.json", "a JSON object, got list"),
        ({"1.jpg": PICTURE, "1.json": {"label": True}}, "1.json", "a number or a name, got True"),
        ({"1.jpg": PICTURE, "1.json": {"label": "a\nb"}}, "1.json", "a number or a name"),
        ({"1.jpg": PICTURE, "1.json": {"label": 0, "boxes": [[1, 2, 3]]}}, "1.json", "boxes .x0, y0"),
        ({"1.jpg": PICTURE, "1.json": {"label": 0, "boxes": [[5, 2, 3, 4]]}}, "1.json", "boxes .x0, y0"),
        ({"1.jpg": PICTURE, "1.json": {"label": 0, "boxes": [[0, 0, float("inf"), 4]]}}, "1.json", "boxes .x0, y0"),
        ({"1.jpg": PICTURE, "1.json": {"label": 0, "boxes": [[1, 2, 900, 4]]}}, "1.jpg", "boxes inside the image of"),
        ({"1.jpg": PICTURE, "1.cls": b"0", "1.png": PICTURE}, "1.png", "one image of each key in a shard"),
        ({"1.jpg": PICTURE, "1.cls": b"0", "./1.cls": b"1"}, "1.cls", "one cls of each key"),
        ({"../1.jpg": PICTURE}, "../1.jpg", "a path inside the archive"),
        ({"/etc/1.jpg": PICTURE}, "etc/1.jpg", "a path inside the archive"),
        ({"a\rb.jpg": PICTURE}, "a?b.jpg", "a path inside the archive"),
    ],
)  # fmt: skip
def test_what_is_bad_is_named_and_the_rest_is_used(tmp_path: Path, files: dict, name: str, reason: str) -> None:
    shard(tmp_path / "s.tar", {"0.jpg": PICTURE, "0.cls": b"0"} | files)
    assert found(tmp_path) == [("s.tar/0.jpg", "all", 0)]
    ((file, said),) = aside(tmp_path).items()
    assert file == f"s.tar/{name}"
    assert reason.replace("boxes .", "boxes [[") in said


def test_links_devices_and_giants_are_set_aside(tmp_path: Path) -> None:
    shard(tmp_path / "s.tar", {"0.jpg": PICTURE, "0.cls": b"0"})
    with tarfile.open(tmp_path / "s.tar", "a") as archive:
        for name, kind in (
            ("link.jpg", tarfile.SYMTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
            ("folder.jpg", tarfile.DIRTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    with (tmp_path / "g.tar").open("wb") as file:
        entry = tarfile.TarInfo("giant.jpg")
        entry.size = 2**28 + 512
        file.write(entry.tobuf())
        file.truncate(512 + entry.size + 1024)
    assert found(tmp_path) == [("s.tar/0.jpg", "all", 0)]
    said = aside(tmp_path)
    assert set(said) == {"g.tar/giant.jpg", "s.tar/link.jpg", "s.tar/pipe.jpg"}
    assert "at most 268435456 bytes" in said["g.tar/giant.jpg"]
    assert "got a link, a device or a sparse file" in said["s.tar/link.jpg"]


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    header = content.index(b"1.jpg")
    if how == "spoilt header":
        content[header + 148 : header + 156] = b"7" * 8
    elif how == "cut":
        del content[header + 512 + 100 :]
    elif how == "no end":
        del content[content.index(b"1.cls") :]
    elif how == "compressed":
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            archive.add(path, "0.jpg")
        content = bytearray(stream.getvalue())
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("how", "used", "names", "reason"),
    [
        ("spoilt header", 1, {"s.tar"}, "got a spoilt header at byte "),
        ("cut", 1, {"s.tar", "s.tar/1.jpg"}, "unexpected end of data"),
        ("no end", 1, {"s.tar", "s.tar/1.jpg"}, "got the end of the file before the end of the archive"),
        ("compressed", 0, {"s.tar"}, "expected a complete, uncompressed tar archive"),
    ],
)
def test_of_a_broken_shard_what_stands_before_is_used(
    tmp_path: Path, how: str, used: int, names: set[str], reason: str
) -> None:
    shard(tmp_path / "a.tar", {"0.jpg": PICTURE, "0.cls": b"0"})
    spoil(shard(tmp_path / "s.tar", {"0.jpg": PICTURE, "0.cls": b"0", "1.jpg": PICTURE, "1.cls": b"0"}), how)
    assert [name for name, *_ in found(tmp_path)] == ["a.tar/0.jpg", "s.tar/0.jpg"][: 1 + used]
    said = aside(tmp_path)
    assert set(said) == names
    assert reason in said["s.tar"]


def test_attributes_that_never_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a"))
        entry = tarfile.TarInfo("b")
        entry.pax_headers = {"comment": "9" * 20_000}
        archive.addfile(entry)
    *files, bad = packed(path)
    assert [file.name for file in files] == ["a"]
    assert "describes another, of 16384 allowed" in bad.reason
    header = tarfile.TarInfo("x")
    header.type = tarfile.XHDTYPE
    path.write_bytes(header.tobuf() * 2000)  # each describes the next
    (bad,) = packed(path)
    assert "recursion" in bad.reason


def test_a_size_that_leads_back_does_not_go_round_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    entry = tarfile.TarInfo("b")
    entry.pax_headers = {"size": "-1536"}  # from its end back to the attributes before it
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a"))
        archive.addfile(entry)
    *_, bad = packed(path)
    assert "points backwards" in bad.reason


def test_a_shard_that_went_is_a_bad_picture(tmp_path: Path) -> None:
    shard(tmp_path / "s.tar", {"0.jpg": PICTURE, "0.cls": b"0"})
    index = shards.index(tmp_path)
    (tmp_path / "s.tar").unlink()
    with pytest.raises(BadImage, match=r"s\.tar/0\.jpg: .* got no such file"):
        index.picture(index.entries[0])


def test_shards_that_webdataset_wrote_hold_what_it_reads(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    pictures = [picture_bytes(20 + i, 30, 40 * i) for i in range(5)]
    with webdataset.ShardWriter(f"{tmp_path}/train-%06d.tar", maxcount=2, verbose=0) as writer:
        for i, content in enumerate(pictures):
            writer.write(
                {"__key__": f"deep/{i:03d}", "jpg": content, "cls": i % 3, "json": {"boxes": [[0, 0, i + 1, 9]]}}
            )
    index = shards.index(tmp_path)
    theirs = webdataset.WebDataset([str(path) for path in sorted(tmp_path.glob("*.tar"))], shardshuffle=False).decode()
    read = list(theirs)
    assert len(index) == len(read) == 5
    for entry, sample in zip(index.entries, read, strict=True):
        assert entry.image.split("/", 1)[1] == f"{sample['__key__']}.jpg"
        assert entry.label == sample["cls"]
        assert entry.boxes.xyxy.tolist() == sample["json"]["boxes"]
        (tmp_path / "x.jpg").write_bytes(pictures[int(entry.image[-7:-4])])
        assert torch.equal(index.picture(entry), read_image(tmp_path / "x.jpg"))
