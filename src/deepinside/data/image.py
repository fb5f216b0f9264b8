"""Images from disk: JPEG or PNG, whatever the suffix, as RGB bytes."""

import errno
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Num, UInt8
from numpy import ndarray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from deepinside.data.reading import BadFile

FORMATS = ("JPEG", "PNG")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
# Images that somebody may take for part of the data, and that are not read.
UNREAD = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".pbm", ".pgm", ".ppm", ".svg"),
        *(".arw", ".cr2", ".cr3", ".dng", ".nef", ".psd", ".tga", ".tif", ".tiff", ".webp"),
    }
)
# 67 million pixels, 200 MB as RGB: four times the largest image of ILSVRC and far from exhausting the memory.
MAX_PIXELS = 2**26
_ROUNDING = 1e-6  # beyond [0, 1], as resizing leaves it

ImageLike = str | Path | Image.Image | ndarray | Tensor  # see `rgb`

_EXPECTED = "a whole JPEG or PNG image"
_MEND = "fetch the file again or take it out of the data"
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}  # the end of image, which JPEG's data cannot contain, and the last chunk
_TAIL = 16  # bytes in which it is searched: a checksum or padding may follow
_PNG_HEAD = struct.Struct(">8s4x4sII")  # signature, length of the first chunk, its name, width, height
# Names that no file can have; all else that the machine refuses is not the data's fault.
_NO_NAME = {
    errno.ENAMETOOLONG: "a name too long for a file",
    errno.ENOTDIR: "a path through a file",
    errno.ELOOP: "a link to itself",
}
# What Pillow's decoders raise for bytes they cannot make sense of.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class BadMask(BadFile):
    """A mask that is broken, of another size than its image, or without one."""


class BadImage(BadFile):
    """An image that is missing, truncated, broken, too large or neither JPEG nor PNG."""


def fault(path: Path, error: Exception) -> str:
    """Describes the error of an image file; errors of the machine are raised again.

    Args:
        path: of the file.
        error: one of `BROKEN`, raised by its decoder.

    Returns:
        A few words, without its folder.

    Raises:
        OSError: if a disk is lost, too many files are open and the like.
    """
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    if isinstance(error, UnidentifiedImageError):
        return "bytes that begin as neither"
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno not in _NO_NAME:
            raise error
        return _NO_NAME[error.errno]
    return str(error).replace(str(path), path.name) or type(error).__name__


def _opened(path: Path) -> IO[bytes]:
    if path.is_fifo():  # opening it would wait for ever
        raise ValueError("a pipe")
    return path.open("rb")


def _bounded(width: int, height: int) -> tuple[int, int]:
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels, of {MAX_PIXELS} allowed")
    return width, height


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(
        "I"
    ):  # 16 bits of grey: Pillow would clip at 255, where 16 bits of colour keep the high byte
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")  # a palette may hold transparency, which Pillow warns about otherwise
    return image if image.mode == "RGB" else image.convert("RGB")  # no second copy: the largest take 270 MB


def read_image(path: str | Path, opened: Callable[[Path], IO[bytes]] = _opened) -> UInt8[Tensor, "3 h w"]:
    """A JPEG or PNG file as RGB bytes, whatever its suffix, colours and depth.

    Grey becomes three equal channels, CMYK is converted, transparency is dropped, of 16 bits the upper eight are used,
    and the orientation in EXIF is ignored, as by the ILSVRC boxes.

    Args:
        path: of the file.
        opened: returns its bytes, if it is inside another file.

    Returns:
        RGB bytes, (3, h, w).

    Raises:
        BadImage: if the file is missing, truncated, broken, of another format, or of more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    try:
        with opened(path) as file:
            return _decoded(file)
    except BROKEN as error:
        raise BadImage(path, _EXPECTED, fault(path, error), _MEND) from error


def _decoded(file: IO[bytes]) -> UInt8[Tensor, "3 h w"]:
    file.seek(0)
    with Image.open(file, formats=FORMATS) as image:
        _bounded(*image.size)
        plain = _plain_jpeg(image, file)
        if plain is not None:
            return plain
        return torch.from_numpy(
            np.stack([np.asarray(channel) for channel in _rgb(image).split()])
        )  # cheaper than to move axes


def rgb(image: ImageLike) -> UInt8[Tensor, "3 h w"]:
    """An image of any kind as RGB bytes.

    Args:
        image: path of a JPEG or PNG file; PIL image of any mode; array (h, w, 3) or tensor (3, h, w), of bytes or of
            floating-point numbers in [0, 1].

    Returns:
        RGB bytes, (3, h, w).

    Raises:
        BadImage: if the file is missing or broken.
        TypeError: for another type.
        ValueError: for another shape, dtype or range.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return torch.from_numpy(np.asarray(_rgb(image)).copy()).permute(2, 0, 1)
    if isinstance(image, ndarray):
        return _bytes(torch.from_numpy(np.array(image)), "an array (h, w, 3)", axis=2).permute(2, 0, 1)
    if isinstance(image, Tensor):
        return _bytes(image.detach().cpu(), "a tensor (3, h, w)", axis=0)
    kinds = "a path, a PIL image, an array (h, w, 3) or a tensor (3, h, w)"
    raise TypeError(f"expected an image ({kinds}), got {type(image).__name__}")


def _bytes(values: Tensor, kind: str, axis: int) -> UInt8[Tensor, "_ _ _"]:
    if values.ndim != 3 or values.shape[axis] != 3 or not values.numel():
        raise ValueError(f"expected {kind} of RGB, got the shape {tuple(values.shape)}")
    if values.dtype == torch.uint8:
        return values
    if not values.is_floating_point():
        raise ValueError(f"expected {kind} of bytes (uint8) or of floats in [0, 1], got {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # NaN, too
        raise ValueError(
            f"expected floats in [0, 1], got {low:.4g} to {high:.4g}: divide bytes by 255; do not normalise"
        )
    return (values.clamp(0, 1) * 255).round().byte()


def images(inputs: ImageLike | Sequence[ImageLike]) -> tuple[list[UInt8[Tensor, "3 h w"]], bool]:
    """One image or several, of any kinds.

    Args:
        inputs: an input of `rgb`, a sequence of them, or a batch: tensor (n, 3, h, w) or array (n, h, w, 3).

    Returns:
        RGB bytes of each, and whether it was a sequence or a batch.

    Raises:
        ValueError: if there is no image, or one is invalid for `rgb`.
    """
    several = isinstance(inputs, list | tuple) or (isinstance(inputs, ndarray | Tensor) and inputs.ndim == 4)
    listed: list[ImageLike] = list(inputs) if several else [inputs]  # type: ignore[arg-type,list-item]
    if not listed:
        raise ValueError("expected images, got none")
    return [rgb(image) for image in listed], several


def _plain_jpeg(image: Image.Image, file: IO[bytes]) -> UInt8[Tensor, "3 h w"] | None:
    # The same bytes as Pillow's in two thirds of the time; Pillow has the words for what is broken.
    if (image.format, image.mode) != ("JPEG", "RGB"):
        return None
    file.seek(0)
    try:
        return decode_jpeg(torch.frombuffer(bytearray(file.read()), dtype=torch.uint8), ImageReadMode.RGB)
    except RuntimeError:
        return None


def read_header(path: str | Path, opened: Callable[[Path], IO[bytes]] = _opened) -> tuple[int, int]:
    """The size of a JPEG or PNG file; only a file with an irregular end is decoded.

    Other errors are found when it is decoded, by `read_image`.

    Args:
        path: of the file.
        opened: returns its bytes, if it is inside another file.

    Returns:
        Width and height in pixels.

    Raises:
        BadImage: if the file is missing, truncated, of another format, or of more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    try:
        with opened(path) as file:
            kind, size = _head(file)
            if not _ends(file, kind):
                _decoded(file)
            return size
    except BROKEN as error:
        raise BadImage(path, _EXPECTED, fault(path, error), _MEND) from error


def _head(file: IO[bytes]) -> tuple[str, tuple[int, int]]:
    head = file.read(_PNG_HEAD.size)
    if len(head) == _PNG_HEAD.size:
        signature, name, width, height = _PNG_HEAD.unpack(head)
        if signature == b"\x89PNG\r\n\x1a\n" and name == b"IHDR":  # half the time of Pillow
            return "PNG", _bounded(width, height)
    file.seek(0)
    with Image.open(file, formats=FORMATS) as image:
        return str(image.format), _bounded(*image.size)


def _ends(file: IO[bytes], kind: str) -> bool:
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _TAIL))
    return _ENDS[kind] in file.read(_TAIL)


def read_values(path: Path, height: int, width: int) -> Num[ndarray, "h w"]:
    """The stored values of a PNG file: palette indices, grey values, or the largest of red, green, blue.

    Args:
        path: of the file.
        height: that it must have, in pixels;
        width: likewise.

    Returns:
        (h, w); transparency is ignored.

    Raises:
        BadMask: if it is broken or of another size.
    """
    expected, mend = f"a PNG mask of {width}x{height} pixels", "save it again in the size of its image"
    try:
        with Image.open(path, formats=("PNG",)) as image:
            size, values = image.size, np.asarray(image)
            bands = len(image.getbands()) - ("A" in image.getbands())
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadMask(path, expected, str(error).replace(str(path), path.name), mend) from error
    if size != (width, height):
        raise BadMask(path, expected, f"{size[0]}x{size[1]}", mend)
    return values if values.ndim == 2 else values[..., :bands].max(axis=-1)


def pictures(folder: str | Path) -> list[Path]:
    """The image files in a folder and below, by their suffix.

    Args:
        folder: to search.

    Returns:
        Paths in sorted order, without hidden files and folders.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    return _files(folder, SUFFIXES)


def unread(folder: Path, root: Path) -> tuple[tuple[str, str], ...]:
    """The files in a folder and below that have the suffix of an unsupported image format.

    Args:
        folder: to search.
        root: of the data.

    Returns:
        Rows of `set_aside.csv`: file relative to the root, and reason.
    """
    mend = "save it as one of these"
    bad = (BadFile(path, "a JPEG or PNG image", f"a {path.suffix} file", mend) for path in _files(folder, UNREAD))
    return tuple(one.row(root) for one in bad)


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    shown = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in shown if path.is_file())
