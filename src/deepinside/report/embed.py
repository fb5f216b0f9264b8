"""Images as data URIs, small enough for a page with hundreds of them."""

import base64
import io
import re
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from PIL import Image

DRAWN = 0.3  # bytes per pixel of a PNG: line drawings lie below, photographs above
VECTOR = 300_000  # bytes of the largest drawing that is embedded as SVG
_POINT = 110 / 72  # pixels, as large as the PNG beside it
_KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


class Level(NamedTuple):
    """A level of reduction: longest side in pixels, WebP quality in percent, bytes of files that are left unchanged."""

    side: int
    quality: int
    unchanged: int


LEVELS = (
    Level(1600, 86, 24_000),
    Level(1200, 82, 16_000),
    Level(900, 76, 10_000),
    Level(640, 70, 6_000),
    Level(420, 60, 4_000),
    Level(320, 50, 2_500),
)


class BadPicture(ValueError):
    """A file that is no readable image, or is outside its artifact."""


@dataclass(frozen=True)
class Embedded:
    """An image inside the page.

    Args:
        uri: `data:image/...;base64,...`.
        width: of what is embedded, in pixels.
        height: likewise.
    """

    uri: str
    width: int
    height: int

    @property
    def vector(self) -> bool:
        """Whether it is a drawing of lines and letters on a transparent ground."""
        return self.uri.startswith("data:image/svg+xml;")


def embed(path: Path, within: Path, level: Level = LEVELS[0]) -> Embedded:
    """An image file as a data URI; large ones are re-encoded, drawings losslessly, photographs lossily.

    Raises:
        BadPicture: if it is missing, outside the folder `within`, or no image.
    """
    if path.suffix == ".svg" and (drawing := _drawing(path, within)):
        return drawing
    other = path.with_suffix(".png")
    path = other if path.suffix == ".svg" and other.is_file() else path
    with opened(path, within) as picture:
        if max(picture.size) <= level.side and path.stat().st_size <= level.unchanged:
            return _uri(path.read_bytes(), _KINDS[str(picture.format)], picture.size)
        return _encoded(picture, path.stat().st_size, level)


def _drawing(path: Path, within: Path) -> Embedded | None:
    # A vector drawing, which an <img> shows without running or loading anything; None if it is none, or large.
    try:
        content = path.read_bytes() if path.resolve().is_relative_to(within.resolve()) else b""
        root = ElementTree.fromstring(content) if len(content) <= VECTOR else None
    except (OSError, ValueError, ElementTree.ParseError):
        return None
    sizes = () if root is None else (root.get("width", ""), root.get("height", ""))
    points = [float(size.removesuffix("pt")) for size in sizes if re.fullmatch(r"\d+(\.\d+)?pt", size)]
    if len(points) < len(("width", "height")):
        return None
    return _uri(content, "image/svg+xml", (round(points[0] * _POINT), round(points[1] * _POINT)))


@contextmanager
def opened(path: Path, within: Path) -> Generator[Image.Image]:
    """An image file with all its pixels, open during the block.

    Raises:
        BadPicture: if it is missing, outside the folder `within`, or no image.
    """
    try:
        if not path.resolve().is_relative_to(within.resolve()):
            raise BadPicture("is outside its artifact")
        with Image.open(path, formats=tuple(_KINDS)) as picture:
            picture.load()
            yield picture
    except FileNotFoundError as error:
        raise BadPicture("is missing") from error
    except BadPicture:
        raise
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise BadPicture("is no readable PNG, JPEG or WebP image") from error


def _encoded(picture: Image.Image, size: int, level: Level) -> Embedded:
    drawn = picture.format == "PNG" and size < DRAWN * picture.width * picture.height
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture.convert("RGB"), mask=picture.convert("RGBA").getchannel("A"))
    flat.thumbnail((level.side, level.side), Image.Resampling.LANCZOS)
    if not drawn or max(picture.size) > level.side:  # shrunken lines are no longer few colours
        return encoded(flat, level.quality)
    stream = io.BytesIO()
    flat.save(stream, "WEBP", lossless=True, quality=40, method=2)
    return _uri(stream.getvalue(), "image/webp", flat.size)


def encoded(picture: Image.Image, quality: int) -> Embedded:
    """An RGB image in memory as a data URI, lossily; the quality of WebP is in percent."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=quality, method=4)
    return _uri(stream.getvalue(), "image/webp", picture.size)


def _uri(content: bytes, kind: str, size: tuple[int, int]) -> Embedded:
    return Embedded(f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}", *size)


def embed_all(
    pictures: Iterable[tuple[Path, Path]], budget: float, workers: int = 1
) -> tuple[dict[Path, Embedded], dict[Path, str]]:
    """All images of a page, reduced step by step until they fit into `budget` bytes; reasons for the bad ones.

    The last level is used even if it exceeds the budget. Each file comes with the folder that must contain it.
    """
    wanted = dict(pictures)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for level in LEVELS:
            attempts = dict(zip(wanted, pool.map(_attempt(level), wanted.items()), strict=True))
            good = {path: attempt for path, attempt in attempts.items() if isinstance(attempt, Embedded)}
            if sum(len(attempt.uri) for attempt in good.values()) <= budget:
                break
    return good, {path: attempt for path, attempt in attempts.items() if isinstance(attempt, str)}


def _attempt(level: Level) -> Callable[[tuple[Path, Path]], Embedded | str]:
    def attempt(item: tuple[Path, Path]) -> Embedded | str:
        path, within = item
        stat = path.stat() if path.is_file() else None
        return _attempted(path, within, level, (stat.st_size, stat.st_mtime_ns) if stat else None)

    return attempt


@lru_cache(20_000)
def _attempted(path: Path, within: Path, level: Level, _state: tuple[int, int] | None) -> Embedded | str:
    # A page that turns out too large is laid out again, with the same images.
    try:
        return embed(path, within, level)
    except BadPicture as error:
        return str(error)
