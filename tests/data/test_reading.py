"""Many files, of which some are bad."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepinside.data.reading import BadFile, BadSource, survey


def corners(task: tuple[str, Path]) -> Iterator[float]:
    """The sum of four numbers in a file."""
    _, path = task
    numbers = np.array(path.read_text().split(), dtype=float)
    if not len(numbers):
        raise BadFile(path, "four numbers", "none", "write them")
    yield float(numbers.reshape(4).sum())


def test_any_error_in_the_content_of_one_file_skips_that_file(tmp_path: Path) -> None:
    tasks = []
    for name, text in {"a": "1 2 3 4", "b": "1 2 3", "c": "", "d": "1 two 3 4", "e": "5 6 7 8"}.items():
        (tmp_path / name).write_text(text)
        tasks.append((name, tmp_path / name))
    listed = survey(tmp_path, tasks, corners, "numbers")
    assert listed.found == (10, 26)
    assert listed.set_aside == (
        ("b", "cannot reshape array of size 3 into shape (4,)"),
        ("c", "expected four numbers, got none: write them"),
        ("d", "could not convert string to float: 'two'"),
    )


def test_what_is_no_fault_of_one_file_stops(tmp_path: Path) -> None:
    def read(path: Path) -> Iterator[float]:
        raise BadSource(f"{path.parent}: boxes of other images")
        yield

    with pytest.raises(BadSource, match="boxes of other images"):
        survey(tmp_path, [tmp_path / "a"], read, "boxes")
    with pytest.raises(ValueError, match="could not convert"):  # no file to name
        survey(tmp_path, ["one"], lambda text: [float(text)], "numbers")
