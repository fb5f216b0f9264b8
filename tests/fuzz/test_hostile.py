"""Files that somebody made on purpose: each is refused in a few words, by name."""

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from tests.data.trees import kaggle, picture, xml
from tests.fuzz.corpus import KINDS, matconvnet
from tests.fuzz.limits import Hang, limited

from deepinside.data import folder, ilsvrc, matlab
from deepinside.data.annotation import Annotation, BadAnnotation
from deepinside.data.broden.labels import read_categories
from deepinside.data.broden.reader import Broden
from deepinside.data.image import MAX_PIXELS, BadImage, read_header, read_image
from deepinside.data.index import Index
from deepinside.data.reading import BadFile
from deepinside.localisation import submission
from deepinside.models.checkpoint import read_weights
from deepinside.models.matconvnet import vgg_f
from deepinside.pipeline import configuration

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")


def spin() -> None:
    while True:
        pass


def test_the_limits_hold() -> None:
    with pytest.raises(MemoryError), limited():
        bytearray(2 * 10**9)
    with pytest.raises(Hang), limited(seconds=0.1):
        spin()
    read, write = os.pipe()
    with pytest.raises(Hang), limited(seconds=0.02):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_what_is_opened_is_seen(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(AssertionError, match="secret"), limited(tmp_path / "secret"):
        (tmp_path / "secret").read_text()


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY % a SYSTEM "http://127.0.0.1:1/a.dtd"> %a;]>',
    ],
)
def test_entities_are_refused(tmp_path: Path, head: str) -> None:
    path = xml(tmp_path / "x.xml", [("cat", (1, 2, 3, 4))], head=head)
    with pytest.raises(BadAnnotation, match=r"x\.xml: .*XML entities, refused"), limited(Path("/etc/passwd")):
        Annotation.read(path)


def test_an_annotation_that_is_no_file_or_too_large_is_set_aside(tmp_path: Path) -> None:
    for name in ("large", "folder", "pipe", "good"):
        picture(tmp_path / f"cat/{name}.jpg")
    with (tmp_path / "cat/large.xml").open("wb") as file:
        file.truncate(2**31)  # a hole, which takes no room
    (tmp_path / "cat/folder.xml").mkdir()
    os.mkfifo(tmp_path / "cat/pipe.xml")
    with limited():
        index = folder.index(tmp_path)
    assert [entry.image for entry in index.entries] == ["cat/good.jpg"]
    reasons = dict(index.set_aside)
    assert "bytes, of" in reasons["cat/large.xml"]
    assert "no regular file" in reasons["cat/folder.xml"]
    assert "no regular file" in reasons["cat/pipe.xml"]


def test_a_long_word_does_not_make_the_list_of_bad_files_unreadable(tmp_path: Path) -> None:
    picture(tmp_path / "data/cat/1.jpg")
    picture(tmp_path / "data/cat/2.jpg")
    xml(tmp_path / "data/cat/1.xml", [("cat", (1, 2, 3, 4))], image="x" * 200_000)
    folder.index(tmp_path / "data").write(tmp_path)
    (row,) = Index.read(tmp_path, tmp_path / "data").set_aside
    assert row[0] == "cat/1.xml"
    assert "(200009 characters)" in row[1]


@pytest.mark.parametrize("name", ["../outside/secret", "/etc/passwd", "ILSVRC2012_val_00000001/../../x"])
def test_a_list_of_pictures_does_not_lead_out(tmp_path: Path, name: str) -> None:
    listed = kaggle(tmp_path / "root") / "ILSVRC/ImageSets/CLS-LOC/val.txt"
    listed.write_text(f"{name} 1\n")
    with pytest.raises(ValueError, match=r"val\.txt: expected names of images without folders"):
        ilsvrc.index(tmp_path / "root")


@pytest.mark.parametrize("digits", ["²", "9" * 5000])
def test_digits_that_are_no_number(tmp_path: Path, digits: str) -> None:
    (tmp_path / "list.txt").write_text(digits)
    with pytest.raises(ValueError, match=r"list\.txt: expected line numbers"):
        ilsvrc.blacklist(kaggle(tmp_path / "root"), tmp_path / "list.txt")
    with pytest.raises(ValueError, match=r"list\.txt: expected numbers"):
        submission.read_blacklist(tmp_path / "list.txt", 3)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("../../outside/secret.png", "a file in images/"),
        ("/etc/passwd", "a file in images/"),
        ("s/" + "x" * 300 + ".jpg", "a name too long"),
        ("s/a.jpg/b.jpg", "a path through a file"),
        ("s/pipe.jpg", "a pipe"),
        ("s/loop.jpg", "a link to itself"),
        ("s/nul\0.jpg", "null byte"),
    ],
)
def test_one_bad_name_in_a_probe_set_is_one_row_set_aside(tmp_path: Path, image: str, reason: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    picture(outside / "secret.png")
    table = KINDS["index"].lay(root)
    os.mkfifo(root / "images/s/pipe.jpg")
    (root / "images/s/loop.jpg").symlink_to("loop.jpg")
    table.write_text(table.read_text() + f"{image},val,30,40,15,20,s/a_color.png,,\n")
    with limited(outside, Path("/etc/passwd")):
        broden = Broden.open(root)
    assert len(broden) == 2
    ((_, said),) = broden.set_aside
    assert reason in said


@pytest.mark.parametrize("name", ["../../outside/secret", "a/b", ".", "color"])
def test_a_category_is_a_word_that_comes_once(tmp_path: Path, name: str) -> None:
    table = KINDS["category"].lay(tmp_path)
    table.write_text(table.read_text() + f"{name},1,1,1,1\n")
    with pytest.raises(ValueError, match=r"category\.csv: expected words"):
        Broden.open(tmp_path)


def test_a_picture_through_a_link_is_read_as_it_is(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere/x.jpg")
    (tmp_path / "root/cat").mkdir(parents=True)
    (tmp_path / "root/cat/x.jpg").symlink_to(tmp_path / "elsewhere/x.jpg")
    assert len(folder.index(tmp_path / "root")) == 1


def packed(path: Path, mode: str, colour: int, depth: int, side: int) -> Path:
    """A PNG of one colour, as small as deflate makes it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = {"L": 1, "RGB": 3, "RGBA": 4}[mode] * depth // 8
    deflate = zlib.compressobj(1)
    rows = b"".join(deflate.compress(bytes(1 + side * width)) for _ in range(side)) + deflate.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("mode", "colour", "depth"), [("L", 0, 8), ("L", 0, 16), ("RGB", 2, 8), ("RGB", 2, 16), ("RGBA", 6, 8)]
)
def test_the_largest_picture_fits_into_a_gigabyte(tmp_path: Path, mode: str, colour: int, depth: int) -> None:
    side = int(MAX_PIXELS**0.5)
    path = packed(tmp_path / "x.png", mode, colour, depth, side)
    assert path.stat().st_size < 10**7
    with limited(seconds=60):
        assert read_image(path).shape == (3, side, side)


@pytest.mark.slow
def test_the_largest_progressive_jpeg_fits_into_a_gigabyte(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5)
    Image.new("CMYK", (side, side)).save(tmp_path / "x.jpg", progressive=True)
    with limited(seconds=60):
        assert read_image(tmp_path / "x.jpg").shape == (3, side, side)


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    for read in (read_header, read_image):
        with limited(), pytest.raises(BadImage, match="a pipe"):
            read(tmp_path / "x.jpg")


def test_one_number_that_is_a_tensor_of_terabytes_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1).expand(10**12)}, tmp_path / "w.pt")
    with limited(), pytest.raises(ValueError, match=r"w\.pt holds tensors that are not complete"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.filterwarnings("ignore:Sparse invariant")
@pytest.mark.parametrize(
    "value",
    [torch.zeros(2).to_sparse(), torch.zeros(2, device="meta"), torch.zeros(2, dtype=torch.complex64)],
    ids=["sparse", "meta", "complex"],
)
def test_odd_tensors_are_refused(tmp_path: Path, value: torch.Tensor) -> None:
    torch.save({"w": value}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt .*(holds|neither)"):
        read_weights(tmp_path / "w.pt")


def test_a_part_that_is_named_a_thousand_times_is_refused(tmp_path: Path) -> None:
    part = torch.zeros(10**6, dtype=torch.float16)
    torch.save({f"w{n}": part for n in range(1000)}, tmp_path / "w.pt")
    with limited(), pytest.raises(ValueError, match=r"w\.pt holds 2000000000 bytes in a small file"):
        read_weights(tmp_path / "w.pt")


def test_a_packed_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2 * 10**5)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED) as packed_,
    ):
        for part in plain.infolist():
            packed_.writestr(part.filename, plain.read(part))
    assert read_weights(tmp_path / "plain.pt")["w"].numel() == 2 * 10**5
    with limited(), pytest.raises(ValueError, match=r"w\.pt .*its parts are packed"):
        read_weights(tmp_path / "w.pt")


def mat(path: Path, change: Callable[[bytearray], None]) -> Path:
    savemat(path, {"x": np.ones((2, 3), dtype=object)})
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def test_a_matrix_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    def claim(content: bytearray) -> None:
        at = content.index(struct.pack("<IIii", 5, 8, 2, 3)) + 8
        content[at : at + 8] = struct.pack("<ii", 60_000, 60_000)

    with limited(), pytest.raises(ValueError, match=r"a matrix of size \(60000, 60000\) in \d+ bytes"):
        matlab.read(mat(tmp_path / "x.mat", claim))


def test_cells_in_cells_are_refused_before_the_stack_ends(tmp_path: Path) -> None:
    inner = b""
    for _ in range(20_000):
        head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<II", 1, 0)
        inner = struct.pack("<II", 14, len(head) + len(inner)) + head + inner
    (tmp_path / "x.mat").write_bytes(b" " * 124 + b"\x00\x01IM" + inner)
    with limited(), pytest.raises(ValueError, match="in one another"):
        matlab.read(tmp_path / "x.mat")


def test_a_matlab_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    deflate = zlib.compressobj(1)
    body = b"".join(deflate.compress(bytes(2**24)) for _ in range(2**29 // 2**24 + 1)) + deflate.flush()
    (tmp_path / "f.mat").write_bytes(b" " * 124 + b"\x00\x01IM" + struct.pack("<II", 15, len(body)) + body)
    with limited(seconds=60), pytest.raises(ValueError, match=r"f\.mat is no MATLAB file .*bytes when unpacked"):
        vgg_f(weights=str(tmp_path / "f.mat"))


@pytest.mark.parametrize("packed_", [False, True])
def test_good_matlab_files_pass(tmp_path: Path, packed_: bool) -> None:
    network = vgg_f(weights=str(matconvnet(tmp_path / "f.mat", do_compression=packed_)))
    assert network.classes == ("a", "b")  # in the order of the WordNet ids
    values = {"s": "text", "e": np.zeros((0, 3)), "c": 1 + 2j, "b": np.array([[True]]), "n": {"inner": [1.0, "two"]}}
    savemat(tmp_path / "x.mat", values, do_compression=packed_)
    assert set(values) <= set(matlab.read(tmp_path / "x.mat"))


def test_absurd_predictions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"\n" * (2**20 + 1))
    with limited(), pytest.raises(ValueError, match=r"p\.txt: expected one line per image"):
        submission.read(path)
    path.write_text("1e300 1 2 3 4\n")
    with pytest.raises(ValueError, match=r"p\.txt, line 1: expected whole labels"):
        submission.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"p\.txt: expected text"):
        submission.read(path)


@pytest.mark.parametrize("group", ["data", "model", "method", "experiment", "localise"])
@pytest.mark.parametrize("choice", ["../../../../etc/passwd", "/etc/passwd", "../data/photos", "[../data/photos]"])
def test_a_choice_of_the_configuration_is_no_path(group: str, choice: str) -> None:
    with pytest.raises((KeyError, ValueError), match=f"{group} .*no choice"):
        configuration.check_overrides([f"{group}={choice}"])


def test_every_bad_file_says_what_to_do() -> None:
    error = BadFile(Path("a/b.csv"), "a table", "x" * 1000, "fetch it again")
    assert str(error).startswith("a/b.csv: expected a table, got xxx")
    assert str(error).endswith("... (1000 characters): fetch it again")


def test_words_of_any_length_make_a_short_message(tmp_path: Path) -> None:
    (tmp_path / "category.csv").write_text(f"name\n{'9' * 1000}\n")
    with pytest.raises(ValueError, match=r"category\.csv: expected words") as caught:
        read_categories(tmp_path, None)
    assert len(str(caught.value)) < 1000
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"\x80\x02ccollections\n" + b"O" * 20_000 + b"\n.")
    with pytest.raises(ValueError, match=r"w\.pth") as caught:
        read_weights(weights)
    assert len(str(caught.value)) < 1000
