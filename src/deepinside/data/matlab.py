"""MATLAB files of version 5 to 7, checked before SciPy reads them, which trusts all sizes in them."""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scipy.io import loadmat

MAX_BYTES = 2**28  # unpacked; CNN-F, the largest network in this form, takes 243 million
_DEPTH = 16  # of cells and structs in one another; CNN-F has 4
_SMALL = 2**16  # entries that may be claimed without bytes for them, as in a struct without fields
_HEAD = 128
_MATRIX, _COMPRESSED, _INT32, _UINT32 = 14, 15, 5, 6  # types of elements
_CELL, _STRUCT, _OBJECT, _SPARSE, _DOUBLE, _LAST = 1, 2, 3, 5, 6, 15  # classes of matrices
_NESTED = (_CELL, _STRUCT, _OBJECT)

Element = tuple[int, memoryview]


def read(path: Path, **options: Any) -> dict[str, Any]:
    """Reads a MATLAB file.

    Args:
        path: of the file.
        **options: of `scipy.io.loadmat`.

    Returns:
        Variables by name.

    Raises:
        ValueError: if it is no complete file of version 5 to 7, states wrong sizes, or unpacks to more than
            `MAX_BYTES`; the caller adds the name of the file.

    Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format".
    """
    _look_through(path)
    try:
        return loadmat(path, **options)
    except Exception as error:  # SciPy was not written for hostile files and raises whatever comes first
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _look_through(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"a file of more than {MAX_BYTES} bytes")
    content = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[_HEAD - 2 : _HEAD]))
    if order is None or content[125 if order == "<" else 124] != 1:
        raise ValueError("a header of another version than 5 to 7")
    left = MAX_BYTES
    for kind, data in _elements(content[_HEAD:], order, padded=False):
        if kind == _COMPRESSED:
            unpacked = _unpacked(data, left)
            left -= len(unpacked)
            for inner, part in _elements(memoryview(unpacked), order, padded=False):
                _check(inner, part, order, _DEPTH)
        else:
            _check(kind, data, order, _DEPTH)


def _unpacked(data: memoryview, most: int) -> bytes:
    try:
        unpacked = zlib.decompressobj().decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"a part that cannot be unpacked ({error})") from error
    if len(unpacked) > most:
        raise ValueError(f"more than {MAX_BYTES} bytes when unpacked")
    return unpacked


def _elements(content: memoryview, order: str, padded: bool = True) -> Iterator[Element]:
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        if kind >> 16:  # up to four bytes, inside the tag
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start, end = place + 8, place + 8 + size
            end += -size % 8 if padded or kind == _MATRIX else 0
        if start + size > len(content) or size > end - start:
            raise ValueError(f"a part of {size} bytes with {len(content) - start} remaining")
        yield kind, content[start : start + size]
        place = end


def _check(kind: int, data: memoryview, order: str, depth: int) -> None:
    if kind != _MATRIX or not len(data):
        return
    parts = list(_elements(data, order))
    if len(parts) < 3 or len(parts[0][1]) < 4 or parts[1][0] not in {_INT32, _UINT32} or len(parts[1][1]) % 4:
        raise ValueError("a matrix without kind, size and name")
    class_ = struct.unpack_from(f"{order}I", parts[0][1])[0] & 0xFF
    sides = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    if not _CELL <= class_ <= _LAST or min(sides, default=0) < 0:
        raise ValueError(f"a matrix of kind {class_} and size {sides[:8]}")
    if class_ != _SPARSE and math.prod(sides) > max(len(data), _SMALL):
        raise ValueError(f"a matrix of size {sides[:8]} in {len(data)} bytes")
    if class_ in _NESTED and not depth:
        raise ValueError(f"more than {_DEPTH} cells and structs in one another")
    for inner, part in parts if class_ in _NESTED else ():
        _check(inner, part, order, depth - 1)
