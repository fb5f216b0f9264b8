"""What stands beside a picture in a shard, `key.cls` or `key.json`: its class and boxes. Nothing in it is trusted."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepinside.data.bad_file import BadFile
from deepinside.data.index import NO_BOXES
from deepinside.records import Boxes

MAX_BYTES = 2**20  # of a file: ten thousand boxes
_MAX_CLASSES = 100_000  # four times ImageNet's 21,841
_MAX_NAME = 300  # characters
_MEND = "mend it or leave the picture out"

Label = int | str  # number of a class, or its name


class Sidecar(NamedTuple):
    """A class and boxes, as far as they are known."""

    label: Label | None
    boxes: Boxes = NO_BOXES


def read_sidecar(kind: str, content: bytes, path: Path) -> Sidecar:
    """Reads what stands beside a picture.

    Args:
        kind: `cls`, the number of its class; or `json`, an object with `label`, a number or a name, and `boxes`
            `[[x0, y0, x1, y1], ...]`, half-open, in pixels; both may be missing.
        content: of the file.
        path: that names it.

    Returns:
        Class and boxes.

    Raises:
        BadFile: if it is no such text.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise BadFile(path, "text in UTF-8", f"{error.reason} at byte {error.start}", _MEND) from error
    if kind == "cls":
        return Sidecar(_number(text.strip(), path))
    known = _object(text, path)
    label = known.get("label")
    return Sidecar(None if label is None else _label(label, path), _boxes(known.get("boxes"), path))


def _number(text: str, path: Path) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) >= _MAX_CLASSES:
        raise BadFile(path, f"the number of a class, 0 to {_MAX_CLASSES - 1}", repr(text), _MEND)
    return int(text)


def _object(text: str, path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFile(path, "JSON", str(error), _MEND) from error
    if not isinstance(content, Mapping):
        raise BadFile(path, "a JSON object", type(content).__name__, _MEND)
    return content


def _label(value: Any, path: Path) -> Label:
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(str(value), path)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _MAX_NAME or not value.isprintable():
        raise BadFile(path, "a label that is a number or a name", repr(value), _MEND)
    return value.strip()


def _boxes(value: Any, path: Path) -> Boxes:
    if value is None or value == []:
        return NO_BOXES
    try:
        return Boxes(np.array([(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in value]))
    except (TypeError, ValueError, OverflowError) as error:
        expected = "boxes [[x0, y0, x1, y1], ...] with x0 < x1, y0 < y1 in pixels"
        raise BadFile(path, expected, repr(value), _MEND) from error
