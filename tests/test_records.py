"""Records check at the door and survive the way to disk and back."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepinside.records import Batch, Boxes, Images, Maps, Row, Table, write_set_aside


@pytest.mark.parametrize(
    ("images", "names", "said"),
    [
        (torch.zeros(1, 1, 4, 5), ("a",), r"\(n, 3, h, w\)"),
        (torch.zeros(1, 3, 4, 5, dtype=torch.uint8), ("a",), "divide bytes by 255"),
        (torch.full((1, 3, 4, 5), 2.0), ("a",), r"\[0, 1\]"),
        (torch.zeros(2, 3, 4, 5), ("a",), "2 names"),
    ],
)
def test_batch_refuses(images: torch.Tensor, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Batch(images, names)


def test_maps_refuse_what_would_be_drawn_wrongly() -> None:
    with pytest.raises(ValueError, match="finite"):
        Maps(torch.full((1, 1, 2, 3), torch.nan))
    with pytest.raises(ValueError, match="signed=True"):
        Maps(torch.full((1, 1, 2, 3), -1.0))
    assert Maps(torch.full((1, 1, 2, 3), -1.0), signed=True).signed


def test_images_refuse_nan() -> None:
    with pytest.raises(ValueError, match="step size"):
        Images(torch.full((1, 3, 2, 3), torch.nan), ("a",), {})


def test_boxes_by_hand() -> None:
    boxes = Boxes.from_inclusive([[0, 0, 9, 4]])  # xmin ymin xmax ymax, both ends inside: 10 wide, 5 high
    assert boxes.xyxy.tolist() == [[0, 0, 10, 5]]
    assert boxes.to_inclusive().tolist() == [[0, 0, 9, 4]]
    with pytest.raises(ValueError, match="x0 < x1"):
        Boxes(np.array([[3, 0, 3, 5]]))


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(numbers, st.integers(0, 10**6), numbers), max_size=5))
def test_table_round_trip(rows: list[tuple[float, int, float]]) -> None:
    import tempfile

    table = Table(Row(f'm{i},"x"', value, "%", n, low) for i, (value, n, low) in enumerate(rows))
    with tempfile.TemporaryDirectory() as folder:
        table.write(Path(folder))
        again = Table.read(Path(folder))
    for one, other in zip(table.rows, again.rows, strict=True):
        assert (one.metric, one.unit, one.n) == (other.metric, other.unit, other.n)
        assert other.value == pytest.approx(one.value, abs=1e-9)
        assert math.isnan(other.ci_high)


def test_table_names_what_is_there() -> None:
    table = Table([Row("a", 1.0)])
    assert table["a"].value == 1
    with pytest.raises(KeyError, match="'a'"):
        table["b"]
    with pytest.raises(ValueError, match="once"):
        Table([Row("a", 1.0), Row("a", 2.0)])


def test_files_set_aside_are_listed_by_a_name_that_can_be_read(tmp_path: Path) -> None:
    strange = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")  # é in Latin-1
    write_set_aside(tmp_path, [(strange, f"expected a picture, got {strange}"), ("café\n.jpg", 'not "whole"')])
    assert (tmp_path / "set_aside.csv").read_text(encoding="utf-8") == (
        'file,reason\ncaf\\xe9.jpg,"expected a picture, got caf\\xe9.jpg"\n"café\n.jpg","not ""whole"""\n'
    )
