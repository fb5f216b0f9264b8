"""The long tables: the atlas of units, the localised images, and the small parts that they are made of."""

import math
from types import SimpleNamespace

import pytest
from tests.report.artifacts import LABELS, artifact, settings, world, write

from deepinside.records import Row
from deepinside.report.boxes import class_names
from deepinside.report.catalogue import Catalogue, Cell, Column, Line, measured, slider
from deepinside.report.compose import compose
from deepinside.report.page import render


def tables(inputs, **changes):
    page = compose(inputs, settings(**changes), "tried")[0]
    return {one.title: one for section in page.sections for part in section.parts for one in part.catalogues}, page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tables(world(tmp_path_factory.mktemp("outputs")))


def test_the_atlas_has_all_units_the_surest_first(made):
    atlas = made[0]["Atlas of units"]
    assert [line.cells[0].text for line in atlas.lines[:3]] == ["conv2 29", "conv1 28", "conv2 27"]
    first = atlas.lines[0].cells
    assert [cell.text for cell in first] == ["conv2 29", "conv2", LABELS[29 % 3], "object", "0.725", "leg 0.00500"]
    assert (first[4].key, first[4].bar, atlas.lines[1].cells[4].bar) == (0.725, 100.0, 96.6)
    assert (len(atlas.lines), atlas.total) == (30, 30)
    # IoU above 0.4: units 17 to 29, of which 18, 21, 24, 27 are zebras.
    assert atlas.says.startswith("13 of 30 units detect one of 3 concepts")
    assert dict(atlas.chips) == {"sky": 5, "wheel": 4, "zebra": 4}
    assert (atlas.slider.column, atlas.slider.end, atlas.slider.step) == (4, 0.72, 0.01)
    assert atlas.choices() == [(1, "Layer", [("conv2", 15), ("conv1", 15)])]  # one category is no choice


def test_units_with_a_card_lead_to_it(made):
    atlas, page = made[0]["Atlas of units"], made[1]
    hung = {
        one.anchor: one.title
        for section in page.sections
        for part in section.parts
        for gallery in part.galleries
        for one in gallery.pictures
    }
    cards = {line.cells[0].text: hung[line.picture] for line in atlas.lines if line.picture}
    assert cards == {f"conv{n % 2 + 1} {n}": f"unit {n}" for n in range(8)}


def test_drawn_pictures_come_first_and_have_names(made):
    boxes = made[0]["Every image"]
    texts = [[cell.text for cell in line.cells] for line in boxes.lines]
    assert texts[0] == ["img_00", "mug", "0", "0.250", "0.500", "wrong", "first", "worst"]
    assert texts[1] == ["img_24", "mug", "0.960", "0.250", "0.500", "right", "first", "best"]
    assert texts[2][:2] == ["img_01", "hen"]
    assert texts[2][-2:] == ["no", "no"]
    assert [bool(line.picture) for line in boxes.lines[:3]] == [True, True, False]
    assert texts[4][1] == "3"  # a class without a name keeps its number
    assert sum(row[5] == "right" for row in texts) == 12  # IoU n / 25 from 0.5 on: n = 13 ... 24


def test_no_more_rows_than_the_page_may_hold(tmp_path):
    made = tables(world(tmp_path), rows_per_table=7)[0]
    assert [(len(one.lines), one.total) for one in made.values()] == [(7, 25), (7, 30)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("layer", "unit"), ("conv1", 3)], "units.csv has no column category, label, score"),
        ([("layer", "unit", "category", "label", "score")], None),
        ([("layer", "unit", "category", "label", "score"), ("conv1", "", "", "", "much"), ("c",)], None),
    ],
)
def test_a_damaged_atlas_is_still_a_page(tmp_path, rows, said):
    folder = artifact(tmp_path, "dissect", "d0", sheets={"units.csv": rows})
    made, page = tables({"dissect": folder})
    assert said is None or f"dissect: {said}" in page.missing
    assert len(made) == (len(rows) == 3)


def test_other_stages_may_have_a_file_of_that_name(tmp_path):
    folder = artifact(tmp_path, "visualise", "b0")
    write(folder / "units.csv", [("unit",), (1,)])
    made, page = tables({"visualise": folder}, stages=[])
    assert (made, page.missing) == ({}, [])


def test_numbers_that_are_none_are_not_zero():
    assert measured("0").text == "0"
    for text in ("", "nan", "x"):
        assert (measured(text).text, measured(text).key, measured(text, 1.0).bar) == ("–", -math.inf, None)
    assert [measured(text, 4.0).bar for text in ("-3", "3", "9")] == [0.0, 75.0, 100.0]


def test_a_slider_reaches_the_largest_number():
    lines = [Line((measured(text),)) for text in ("", "12", "873.5")]
    assert (slider(lines, 0, "n").end, slider(lines, 0, "n").step) == (870.0, 10.0)
    assert slider(lines[:1], 0, "n") is None
    assert slider([], 0, "n") is None


def test_values_to_choose_are_counted_in_order():
    lines = [Line((Cell(text), Cell("same"))) for text in "bab"]
    columns = (Column("letter", choice=True), Column("word", choice=True))
    made = Catalogue("a", "", "", "rows", columns, lines, 3, "f", "h")
    assert made.choices() == [(0, "letter", [("b", 2), ("a", 1)])]


def test_things_that_share_no_metric_stand_in_tables_of_their_own(tmp_path):
    rows = [Row(f"{of}.{what}", 1) for of in ("a", "b") for what in ("x", "y")]
    rows += [Row(f"{of}.{what}", 2) for of in ("c", "d") for what in ("v", "w")] + [Row("e.z", 3), Row("alone", 4)]
    page = compose({"other": artifact(tmp_path, "other", "o0", rows=rows)}, settings(stages=[]), "tried")[0]
    (part,) = page.sections[0].parts
    assert [[name for name, _ in grid.rows] for grid in part.grids] == [["a", "b"], ["c", "d"]]
    assert [one.metric for one in part.numbers] == ["e.z", "alone"]


def test_the_figure_at_the_top_is_the_one_asked_for_while_there_is_room(tmp_path):
    wanted = ["nothing:*", "visualise:saliency:*", "visualise.photos*:maps:*"]  # the second has no map
    inputs = world(tmp_path)
    inputs = {key: inputs[key] for key in ("visualise", "visualise.photos.lite")}
    page = compose(inputs, settings(showcase=wanted), "tried")[0]
    top = page.opening.overlay
    assert (top.image.title, top.map.title, top.map.kind) == ("image", "saliency", "map")
    assert top.anchor == "figure/visualise.photos.lite/0"
    room = page.weight - len(top.map.embedded.uri)
    assert compose(inputs, settings(showcase=wanted), "tried", budget=room)[0].opening.overlay is None


@pytest.fixture
def compared(tmp_path):
    rows = [Row("images", 40, "images")]
    for number, method in enumerate(("saliency", "captum.DeepLift", "centre")):
        rows.append(Row(f"{method}.pointing_game", 50 + number, "%", 40, 40, 60))
        rows.append(Row(f"{method}.ms_per_image", 12.5, "ms", 40, 12, 13))
        if method != "centre":
            rows.append(Row(f"{method}.untrained.pointing_game", 30, "%", 40, 20, 40))
            rows.append(Row(f"{method}.pointing_game_above_centre", number - 2, "percentage points", 40, -9, 9))
    rows.append(Row("saliency.deletion", 0.125, "probability", 20, 0.1, 0.15))
    tests = [("metric", "method", "against", "n", "difference", "p", "p_holm"),
             ("pointing_game", "saliency", "centre", 40, -2, 0.01, 0.04)]  # fmt: skip
    config = {"benchmark": {"methods": ["saliency", "captum.DeepLift", "centre"]}}
    inputs = {"benchmark": artifact(tmp_path, "benchmark", "b9", rows=rows, config=config,
                                    pictures=[("attribution", "agreement", "of all")],
                                    sheets={"comparisons.csv": tests})}  # fmt: skip
    return tables(inputs)


def test_attribution_methods_have_a_row_each_that_sorts_by_every_measure(compared):
    found, page = compared
    table = found["Methods"]
    assert [column.title for column in table.columns] == [
        "Method", "Pointing game", "Time, ms", "Deletion (lower is better)",
    ]  # fmt: skip
    assert [line.cells[0].text for line in table.lines] == ["Saliency", "DeepLift, captum", "Centre"]
    first, last = table.lines[0].cells, table.lines[-1].cells
    assert (first[1].text, first[1].between, first[1].order) == ("50.0\u00a0%", "40.0 to 60.0", "50")
    assert (first[2].text, first[3].text, last[3].text, last[3].order) == ("12.5", "0.125", "–", "")
    assert table.first
    assert "browse" in render(page).partition('class="gallery"')[0]  # the table is above the images


def test_differences_from_the_nulls_have_their_corrected_p(compared):
    table = compared[0]["Differences from the nulls"]
    assert [[cell.text for cell in line.cells] for line in table.lines] == [
        ["Saliency", "Pointing game", "Centre", "−2", "0.0400"],
        ["DeepLift, captum", "Pointing game", "Centre", "−1", "–"],
    ]
    assert {title for _, title, _ in table.choices()} == {"Method"}  # one measure and one null need no menu


def test_labels_are_those_of_the_network_that_may_know_more_classes(tmp_path):
    (tmp_path / "network.json").write_text('{"classes": ["tench, fish", "goldfish", "church"]}')
    images = SimpleNamespace(inputs={"network": "a", "prepare": "b"})
    network, prepared = SimpleNamespace(path=tmp_path), SimpleNamespace(path=tmp_path, sheets=[])
    names = class_names(images, {"a": network, "b": prepared})
    assert names == {"0": "tench", "1": "goldfish", "2": "church"}
    (tmp_path / "network.json").write_text("[]")
    assert class_names(images, {"a": network, "b": prepared}) == {}
