import math

import pytest

from deepinside.artifacts import excerpt
from deepinside.records import Row, Table


def test_files_leave_out_the_manifest(tmp_path):
    for name in ("manifest.json", "b.csv", "a.csv", "pictures/p.png", "data/val/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert excerpt.files(tmp_path) == ["a.csv", "b.csv", "data/val/x.jpg", "pictures/p.png"]
    assert excerpt.files(tmp_path, deep=False) == ["a.csv", "b.csv", "pictures/p.png"]


def test_numbers_agree_with_the_table(tmp_path):
    rows = [Row("a", 1e-7, "px", 3, -0.5, math.inf), Row("b", math.nan), Row("c", -2.0), Row("d", -math.inf)]
    Table(rows).write(tmp_path)
    found = excerpt.numbers(tmp_path)
    assert math.isnan(found.pop("b"))
    assert found == {"a": 1e-7, "a/ci_low": -0.5, "a/ci_high": math.inf, "c": -2.0, "d": -math.inf}


def test_nothing_there_is_nothing_shown(tmp_path):
    assert excerpt.numbers(tmp_path) == excerpt.pictures(tmp_path, 5) == {}
    assert list(excerpt.curves(tmp_path)) == list(excerpt.tables(tmp_path, 5)) == []


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("step,loss\n10,1.5\n20,\n", [(10, {"loss": 1.5}), (20, {})]),
        ("epoch,loss,phase\n0,1.5,warm\n", [(0, {"epoch": 0, "loss": 1.5})]),
        ("loss\n1.5\n0.5\n", [(0, {"loss": 1.5}), (1, {"loss": 0.5})]),
    ],
)
def test_steps_of_curves(tmp_path, text, points):
    (tmp_path / "history.csv").write_text(text)
    assert list(excerpt.curves(tmp_path)) == points


def test_tables_are_cut_and_typed(tmp_path):
    (tmp_path / "pictures.csv").write_text("file,group,title,caption\n")
    (tmp_path / "units.csv").write_text('unit,concept,iou\n0,"cat, grey",0.25\n-1,007,\n2,1_000,1e-3\n3,nan,+1\n')
    ((name, columns, rows),) = excerpt.tables(tmp_path, 3)
    assert (name, columns) == ("units", ["unit", "concept", "iou"])
    assert rows == [[0, "cat, grey", 0.25], [-1, "007", None], [2, "1_000", 0.001]]
    assert [type(cell) for cell in rows[0]] == [int, str, float]


@pytest.mark.parametrize(("most", "counts"), [(100, [3, 1]), (4, [2, 1]), (2, [1, 1]), (1, [1])])
def test_pictures_are_spread_over_their_groups(tmp_path, most, counts):
    lines = "p0,a,1.50,c\np1,a,t,c\np2,b,t,c\np3,a,t,c\n"
    (tmp_path / "pictures.csv").write_text("file,group,title,caption\n" + lines)
    chosen = excerpt.pictures(tmp_path, most)
    assert [len(group) for group in chosen.values()] == counts
    assert chosen["a"][0] == ("p0", "1.50", "c")
