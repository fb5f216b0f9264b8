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
_INCLUSIVE = np.array([0, 0, 1, 1])


class Guesses(NamedTuple):
    """Labels (n, g) as the file has them, 0 for a guess not made, and half-open boxes (n, g, 4)."""

    labels: Int[ndarray, "n g"]
    boxes: Float[ndarray, "n g 4"]


def read(path: Path, guesses: int = 5) -> Guesses:
    """Reads a prediction file; groups beyond the last that counts are ignored, missing ones are label 0.

    Args:
        path: the file.
        guesses: how many groups of a line count.

    Returns:
        The guesses, one row per line; a line that is not made of groups of five numbers is a ValueError that names it.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = np.zeros((len(lines), guesses, _GROUP))
    for number, line in enumerate(lines, 1):
        groups = _numbers(path, number, line)[:guesses]
        rows[number - 1, : len(groups)] = groups
    return Guesses(rows[..., 0].astype(np.int64), rows[..., 1:] + _INCLUSIVE)


def _numbers(path: Path, number: int, line: str) -> Float[ndarray, "g 5"]:
    fix = "write groups `label xmin ymin xmax ymax`, one line per image"
    try:
        groups = np.array([float(word) for word in line.replace(",", " ").split()]).reshape(-1, _GROUP)
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: expected groups of {_GROUP} numbers, got {line!r}: {fix}") from error
    if not (np.isfinite(groups).all() and (groups[:, 0] == np.rint(groups[:, 0])).all()):
        raise ValueError(f"{path}, line {number}: expected whole labels and finite boxes, got {line!r}: {fix}")
    return groups


def write(path: Path, guesses: Guesses) -> None:
    """Writes a prediction file; numbers that are whole are written without a point.

    Args:
        path: the file.
        guesses: labels as the file shall have them, boxes half-open.
    """
    groups = np.concatenate([guesses.labels[..., None], guesses.boxes - _INCLUSIVE], axis=-1)
    lines = (" ".join(f"{value:.10g}" for value in row) for row in groups.reshape(len(groups), -1))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_blacklist(path: Path, images: int) -> Bool[ndarray, " n"]:
    """Which images localisation does not count, from a file of line numbers that start at 1.

    Args:
        path: the file.
        images: how many there are in all.

    Returns:
        (n,), true where an image is left out; a line that is no number from 1 to n is a ValueError that names it.
    """
    out = np.zeros(images, dtype=bool)
    out[[_position(path, word, images) for word in path.read_text(encoding="utf-8").split()]] = True
    return out


def _position(path: Path, word: str, images: int) -> int:
    if not (word.isdecimal() and 1 <= int(word) <= images):
        raise ValueError(
            f"{path}: expected numbers of images from 1 to {images}, got {word!r}: "
            "the blacklist counts the images of the whole split in sorted order"
        )
    return int(word) - 1
