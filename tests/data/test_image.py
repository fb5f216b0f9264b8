"""Images of every kind that the real data has, and the broken ones."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.trees import picture
from tests.shared import SHARED, needs_shared

from deepinside.data import image as module
from deepinside.data.image import BadImage, pictures, read_header, read_image, unread


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    made = Image.fromarray(pixels)
    (made if mode is None else made.convert(mode)).save(path, **options)
    return path


def test_a_png_is_read_exactly_whatever_it_is_named(tmp_path: Path) -> None:
    pixels = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(5, 7, 3)  # h=5, w=7, c=3
    path = save(tmp_path / "n02105855_2933.JPEG", pixels, format="PNG")
    read = read_image(path)
    assert read.dtype == torch.uint8
    assert read.shape == (3, 5, 7)
    assert read.is_contiguous()
    assert (read.permute(1, 2, 0).numpy() == pixels).all()
    assert read_header(path) == (7, 5)


def test_a_jpeg_named_png_is_read(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 40, 30)
    assert read_image(path).shape == (3, 30, 40)
    assert read_header(path) == (40, 30)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    read = read_image(save(tmp_path / "grey.png", pixels))
    assert (read.numpy() == pixels[None].repeat(3, 0)).all()
    grey = read_image(save(tmp_path / "grey.jpg", pixels, quality=95))
    assert (grey[0] == grey[1]).all()
    assert (grey[0] == grey[2]).all()


@pytest.mark.parametrize(
    ("inks", "colour"),
    [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 0, 0), (255, 255, 255))],
)
def test_cmyk_is_converted(tmp_path: Path, inks: tuple[int, ...], colour: tuple[int, ...]) -> None:
    path = tmp_path / "cmyk.JPEG"
    Image.new("CMYK", (9, 6), inks).save(path, format="JPEG", quality=95)
    with Image.open(path) as stored:
        assert stored.mode == "CMYK"
    read = read_image(path).float()
    assert read.shape == (3, 6, 9)
    assert (read - torch.tensor(colour).view(3, 1, 1)).abs().max() <= 4  # JPEG is lossy


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1"])
def test_alpha_palette_and_bits(tmp_path: Path, mode: str) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, 3:] = 255
    read = read_image(save(tmp_path / "x.png", pixels, mode))
    assert (read.permute(1, 2, 0).numpy() == pixels).all()


def test_transparency_is_dropped_not_blended(tmp_path: Path) -> None:
    pixels = np.full((2, 3, 4), 200, np.uint8)
    pixels[..., 3] = 0
    assert (read_image(save(tmp_path / "x.png", pixels)) == 200).all()


def test_a_palette_with_transparent_entries_warns_of_nothing(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    made = Image.new("P", (3, 1))
    made.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    made.putdata([0, 1, 2])
    made.save(tmp_path / "p.png", transparency=b"\x00\x80\xff")
    assert read_image(tmp_path / "p.png")[:, 0].T.tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert not recwarn.list


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    pixels = np.array([[0x0000, 0x00FF, 0x0100, 0x8001, 0xFFFF]], np.uint16)
    read = read_image(save(tmp_path / "deep.png", pixels))
    assert read[:, 0].tolist() == [[0x00, 0x00, 0x01, 0x80, 0xFF]] * 3


@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_one_pixel(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / "x", np.full((1, 1, 3), 77, np.uint8), format=suffix)
    assert read_image(path).flatten().tolist() == [77, 77, 77]
    assert read_header(path) == (1, 1)


def test_orientation_is_ignored_as_boxes_ignore_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    path = picture(tmp_path / "turned.jpg", 40, 30, exif=exif)
    assert read_image(path).shape == (3, 30, 40)
    assert read_header(path) == (40, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_file_is_named(tmp_path: Path, kind: str) -> None:
    path = picture(tmp_path / "cut.JPEG", 200, 100, format=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for read in (read_image, read_header):
        with pytest.raises(BadImage, match=r"cut\.JPEG: expected a whole JPEG or PNG image, got .+: fetch the file"):
            read(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("padding", [b"\0" * 9, b"\n", b"a camera's own words " * 40])
def test_what_follows_the_end_of_a_picture_does_not_matter(tmp_path: Path, kind: str, padding: bytes) -> None:
    path = picture(tmp_path / "long", 40, 30, format=kind)
    path.write_bytes(path.read_bytes() + padding)
    assert read_header(path) == (40, 30)
    assert read_image(path).shape == (3, 30, 40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_whole_file_is_not_decoded_for_its_size(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_decoded", lambda _file: pytest.fail("decoded"))
    assert read_header(picture(tmp_path / "whole", 40, 30, format=kind)) == (40, 30)


def test_a_fault_inside_shows_when_the_picture_is_decoded(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    path = save(tmp_path / "torn.png", noise)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = bytes(8)
    path.write_bytes(content)
    assert read_header(path) == (200, 100)
    with pytest.raises(BadImage, match=r"torn\.png: expected a whole"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", b"\x00" * 400, b"\xff\xd8\xff"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    for read in (read_image, read_header):
        with pytest.raises(BadImage, match=r"x\.jpg: expected a whole JPEG or PNG"):
            read(path)


def test_a_missing_file_and_a_folder_are_bad_images(tmp_path: Path) -> None:
    for read in (read_image, read_header):
        with pytest.raises(BadImage, match="no such file"):
            read(tmp_path / "nothing.jpg")
        with pytest.raises(BadImage, match="a folder"):
            read(tmp_path)


def test_the_reason_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.jpg"
    path.parent.mkdir()
    path.write_bytes(b"nothing")
    with pytest.raises(BadImage) as caught:
        read_image(path)
    file, reason = caught.value.row(tmp_path)
    assert file == "a/x.jpg"
    assert str(tmp_path) not in reason
    assert str(path) in str(caught.value)


def test_faults_of_the_machine_are_not_blamed_on_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path / "x.jpg")

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module.Image, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        read_image(path)


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG of 100 bytes that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b""))
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8193, 12_000, 60_000])  # above ours, above Pillow's warning, above its error
def test_decompression_bombs_are_refused_before_decoding(tmp_path: Path, side: int) -> None:
    path = bomb(tmp_path / "bomb.png", side, side)
    for read in (read_image, read_header):
        with pytest.raises(BadImage, match=r"bomb\.png"):
            read(path)


def test_no_pixels_are_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="0x5"):
        read_header(bomb(tmp_path / "empty.png", 0, 5))


def test_pictures_are_found_by_suffix_and_sorted(tmp_path: Path) -> None:
    for name in ("b.JPEG", "a/c.png", "a/.hidden.png", ".git/x.jpg", "note.txt", "B.Jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in pictures(tmp_path)] == ["B.Jpg", "a/c.png", "b.JPEG"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        pictures(tmp_path / "nowhere")


def test_pictures_of_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    for name in ("a.gif", "b/c.WebP", "b/d.jpg", ".git/x.gif", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert unread(tmp_path, tmp_path) == (
        ("a.gif", "expected a JPEG or PNG image, got a .gif file: save it as one of these"),
        ("b/c.WebP", "expected a JPEG or PNG image, got a .WebP file: save it as one of these"),
    )
    assert [file for file, _ in unread(tmp_path / "b", tmp_path)] == ["b/c.WebP"]


@needs_shared
def test_real_photographs_have_the_size_their_header_says() -> None:
    paths = pictures(SHARED / "data/ilsvrc_val_sample/ILSVRC/Data/CLS-LOC/val")
    for path in (*paths[:5], *paths[-5:]):
        width, height = read_header(path)
        assert read_image(path).shape == (3, height, width)
