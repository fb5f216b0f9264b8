"""The images of every unit, cut from sheets."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from tests.report.artifacts import artifact, write

from deepinside.report.folder import read
from deepinside.report.strips import strips

HEADER = ["layer", "unit", "file", "left", "top", "width", "height", "images"]
COLOURS = {"0": (250, 0, 0), "1": (0, 250, 0), "2": (0, 0, 250)}


def dissected(tmp_path, rows=None):
    folder = artifact(tmp_path, "dissect", "d0")
    (folder / "atlas").mkdir()
    sheet = np.zeros((60, 90, 3), dtype=np.uint8)
    for row, colour in enumerate(COLOURS.values()):
        sheet[row * 20 : row * 20 + 20] = colour
    Image.fromarray(sheet).save(folder / "atlas" / "c.webp", lossless=True)
    places = [["c", unit, "atlas/c.webp", 0, 20 * int(unit), 90, 20, 4] for unit in COLOURS]
    write(folder / "atlas.csv", [HEADER, *(rows or places)])
    return read("dissect", folder)


def units(*numbers):
    return [{"layer": "c", "unit": number} for number in numbers]


def pixels(strip):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(strip.embedded.uri.partition(",")[2]))).convert("RGB"))


def test_each_unit_gets_its_own_pictures(tmp_path):
    found = strips(dissected(tmp_path), units("2", "0", "7"), 1e6)
    assert list(found) == [("c", "2"), ("c", "0")]  # of unit 7 there are none
    for (_, unit), strip in found.items():
        assert (strip.embedded.width, strip.embedded.height, strip.file) == (90, 20, "atlas/c.webp")
        assert np.abs(pixels(strip).mean(axis=(0, 1)) - COLOURS[unit]).max() < 12


def test_they_shrink_until_they_fit_and_else_the_first_are_kept(tmp_path):
    folder = dissected(tmp_path)
    whole = strips(folder, units("0", "1", "2"), 1e6)
    size = sum(len(one.embedded.uri) for one in whole.values())
    smaller = strips(folder, units("0", "1", "2"), size - 1)
    assert {one.embedded.width for one in smaller.values()} <= {72, 54}
    least = len(next(iter(strips(folder, units("1"), 1).values()), whole["c", "1"]).embedded.uri)
    few = strips(folder, units("1", "2", "0"), least)
    assert list(few)[:1] == [("c", "1")]
    assert sum(len(one.embedded.uri) for one in few.values()) <= least
    assert strips(folder, units("1", "2", "0"), 1) == {}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (["c", "0", "atlas/c.webp", "x", 0, 90, 20, 4], None),
        (["c", "0", "atlas/c.webp", 0, 0, 0, 20, 4], None),
        (["c", "0", "atlas/d.webp", 0, 0, 90, 20, 4], "atlas/d.webp is missing"),
        (["c", "0", "../../../x.webp", 0, 0, 90, 20, 4], "is outside its artifact"),
        (["c", "0", "atlas.csv", 0, 0, 90, 20, 4], "no readable"),
    ],
)
def test_damage_leaves_a_unit_without_pictures(tmp_path, place, said):
    folder = dissected(tmp_path, [place])
    before = len(folder.problems)
    assert strips(folder, units("0"), 1e6) == {}
    new = folder.problems[before:]
    assert len(new) == (said is not None)
    assert said is None or said in new[0]


def test_a_place_beyond_the_sheet_is_no_crash(tmp_path):
    found = strips(dissected(tmp_path, [["c", "0", "atlas/c.webp", 500, 500, 90, 20, 4]]), units("0"), 1e6)
    assert all(one.embedded.width >= 1 for one in found.values())
