"""Files of ILSVRC's localisation task: predictions as they are submitted, and the blacklist.

A prediction file has one line per image in sorted order, up to five groups `label xmin ymin xmax ymax`, best first;
boxes are inclusive there and half-open here.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

_GROUP = 5  # numbers per guess
_LABELS = 2**31  # a number beyond is no label
_MAX_BYTES = 2**25  # of a file; 50,000 lines of five guesses take 7 MB
_MAX_LINES = 2**20
_QUOTED = 200  # characters of a line in a message
_INCLUSIVE = np.array([0, 0, 1, 1])


class Guesses(NamedTuple):
    """Labels (n, g) as in the file, 0 for no guess, and half-open boxes (n, g, 4)."""

    labels: Int[ndarray, "n g"]
    boxes: Float[ndarray, "n g 4"]


def read(path: str | Path, guesses: int = 5) -> Guesses:
    """Reads a prediction file; surplus groups are ignored, missing ones have label 0.

    Args:
        path: the file.
        guesses: number of groups per line.

    Returns:
        The guesses, one row per line.

    Raises:
        ValueError: if a line does not consist of groups of five numbers, or the file is no text or too large.
    """
    path = Path(path)
    lines = _text(path).splitlines()
    if len(lines) > _MAX_LINES:
        raise ValueError(f"{path}: expected one line per image, got {len(lines)} lines, of {_MAX_LINES} allowed")
    rows = np.zeros((len(lines), guesses, _GROUP))
    for number, line in enumerate(lines, 1):
        groups = _numbers(path, number, line)[:guesses]
        rows[number - 1, : len(groups)] = groups
    return Guesses(rows[..., 0].astype(np.int64), rows[..., 1:] + _INCLUSIVE)


def _text(path: Path) -> str:
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise ValueError(f"{path}: expected a file of at most {_MAX_BYTES} bytes, got {size}: split it")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text, got other bytes ({error}): write it again") from error


def _numbers(path: Path, number: int, line: str) -> Float[ndarray, "g 5"]:
    fix = "write groups `label xmin ymin xmax ymax`, one line per image"
    try:
        groups = np.array([float(word) for word in line.replace(",", " ").split()]).reshape(-1, _GROUP)
    except ValueError as error:
        raise ValueError(
            f"{path}, line {number}: expected groups of {_GROUP} numbers, got {line[:_QUOTED]!r}: {fix}"
        ) from error
    labels = groups[:, 0]
    if not (np.isfinite(groups).all() and (labels == np.rint(labels)).all() and (abs(labels) < _LABELS).all()):
        raise ValueError(
            f"{path}, line {number}: expected whole labels and finite boxes, got {line[:_QUOTED]!r}: {fix}"
        )
    return groups


def write(path: str | Path, guesses: Guesses) -> None:
    """Writes a prediction file; integers are written without a decimal point.

    Args:
        path: the file.
        guesses: labels as in the file, boxes half-open.
    """
    path = Path(path)
    groups = np.concatenate([guesses.labels[..., None], guesses.boxes - _INCLUSIVE], axis=-1)
    lines = (" ".join(f"{value:.10g}" for value in row) for row in groups.reshape(len(groups), -1))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_blacklist(path: str | Path, images: int) -> Bool[ndarray, " n"]:
    """The images excluded from localisation, from a file of line numbers that start at 1.

    Args:
        path: the file.
        images: number of all images.

    Returns:
        (n,), true for excluded images; a line that is no number from 1 to n is a ValueError that names it.
    """
    path = Path(path)
    out = np.zeros(images, dtype=bool)
    out[[_position(path, word, images) for word in _text(path).split()]] = True
    return out


def _position(path: Path, word: str, images: int) -> int:
    if not (word.isdecimal() and len(word) <= len(str(_LABELS)) and 1 <= int(word) <= images):
        raise ValueError(
            f"{path}: expected numbers of images from 1 to {images}, got {word[:_QUOTED]!r}: "
            "the blacklist counts the images of the whole split in sorted order"
        )
    return int(word) - 1
