"""Boxes and other annotations of data sets, from their files."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from deepinside.data.index import NO_BOXES
from deepinside.data.reading import BadFile
from deepinside.records import Boxes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MAX_BYTES = 2**22  # ten thousand objects; the largest of ILSVRC has a few hundred
_MEND = "fetch the annotations again or take the image out of the data"


class BadAnnotation(BadFile):
    """An annotation that is missing, broken, dangerous, or about something else than its image."""


class Annotation(NamedTuple):
    """Content of an XML file: name and size of the image, and per object its name and inclusive corners."""

    path: Path
    image: str
    width: int
    height: int
    objects: tuple[tuple[str, tuple[float, ...]], ...]

    @classmethod
    def read(cls, path: str | Path) -> "Annotation":
        """Reads an annotation; entities that expand or reach outside are refused.

        Args:
            path: of the XML file.

        Returns:
            The annotation, as in the file.

        Raises:
            BadAnnotation: if the file is missing, no XML, contains entities, or lacks a name, size or box.
        """
        path = Path(path)
        expected = "an annotation in VOC form (filename, size, object/name, object/bndbox)"
        try:
            tree = fromstring(_content(path))
            objects = tuple((_text(item, "name"), _corners(item)) for item in tree.iter("object"))
            size = int(_text(tree, "size/width")), int(_text(tree, "size/height"))
            return cls(path, _text(tree, "filename"), *size, objects)
        except DefusedXmlException as error:
            came = f"XML entities, refused ({type(error).__name__})"
            raise BadAnnotation(path, expected, came, "do not use files from this source") from error
        except (ParseError, ValueError, LookupError) as error:  # LookupError: an encoding nobody knows
            raise BadAnnotation(path, expected, str(error), _MEND) from error

    def of(self, image: str, width: int, height: int) -> "Annotation":
        """The annotation itself, if it is about this image.

        Args:
            image: name of the image, without suffix.
            width: of the image, in pixels.
            height: of the image, in pixels.

        Returns:
            Itself.

        Raises:
            BadAnnotation: if it names another image or another size.
        """
        if image not in {self.image, Path(self.image).stem}:  # VOC names the file, ILSVRC leaves the suffix out
            raise BadAnnotation(self.path, f"an annotation of {image}", f"one of {self.image!r}", _MEND)
        if (self.width, self.height) != (width, height):
            came = f"one of {self.width}x{self.height}"
            raise BadAnnotation(self.path, f"an annotation of an image of {width}x{height} pixels", came, _MEND)
        return self

    def boxes(self, names: Iterable[str]) -> Boxes:
        """The boxes of the objects with one of these names.

        Args:
            names: of the class.

        Returns:
            The boxes, half-open, in the order of the file; possibly none.

        Raises:
            BadAnnotation: if a box has no area or is outside the image.
        """
        corners = [corners for name, corners in self.objects if name in names]
        try:
            boxes = Boxes.from_inclusive(corners) if corners else NO_BOXES
        except ValueError as error:
            raise BadAnnotation(self.path, "boxes with xmin <= xmax, ymin <= ymax", str(corners), _MEND) from error
        if not boxes.inside(self.width, self.height):
            expected = f"boxes inside the image of {self.width}x{self.height} pixels"
            raise BadAnnotation(self.path, expected, str(corners), _MEND)
        return boxes


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError("no regular file" if path.exists() else "no such file")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise ValueError(f"{size} bytes, of {_MAX_BYTES} allowed")
    return path.read_bytes()


def _text(element: Element, path: str) -> str:
    text = element.findtext(path)
    if not text or not text.strip():
        raise ValueError(f"no {path} in <{element.tag}>")
    return text.strip()


def _corners(item: Element) -> tuple[float, ...]:
    return tuple(float(_text(item, f"bndbox/{corner}")) for corner in _CORNERS)
