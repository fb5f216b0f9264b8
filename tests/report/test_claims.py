"""The register of claims on the page: counts, words, evidence; and what a damaged one does."""

import pytest
from tests.report.artifacts import CLAIMS, artifact, claims, settings, world, write

from deepinside.report.compose import compose
from deepinside.report.page import render, written

TEXT = dict(zip(CLAIMS[0], range(len(CLAIMS[0])), strict=True))


def composed(inputs):
    return compose(inputs, settings(), "tried")[0]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    return composed(world(outputs) | {"claims": claims(outputs)})


def test_verdicts_are_counted_per_world(page):
    counted = {one.title: [count for _, _, count in one.verdicts] for one in page.claims.tallies}
    # supported, negligible, contradicted, undecided, needs data, not posed
    assert counted == {
        "all data sets": [1, 0, 1, 1, 1, 0],
        "synthetic data set": [1, 0, 0, 1, 0, 0],
        "ILSVRC": [0, 0, 1, 0, 1, 0],
    }
    assert [one.total for one in page.claims.tallies] == [4, 2, 2]
    assert page.claims.counted == "4 claims, 4 numbers, 2 data sets: 2 of 4 tests decide"
    columns = [column.title for column in page.claims.catalogue.columns]
    assert (columns[page.claims.verdict], columns[page.claims.world]) == ("Verdict", "Data set")


def test_a_claim_is_worded_with_its_number_and_interval(page):
    cells = page.claims.catalogue.lines[0].cells
    assert (cells[0].text, cells[0].note) == ("Maps lie on it", "C01 · S13, sec. 3. Predicted: above 1")
    assert (cells[1].text, cells[1].tone, cells[2].text) == ("supported", "supported", "synthetic data set")
    assert (cells[3].text, cells[3].between, cells[3].key, cells[4].text) == ("1.75", "1.50 to 2", 1.75, "40")


def test_what_decides_nothing_is_one_collapsed_line_a_verdict(page, tmp_path):
    assert len(page.claims.catalogue.lines) == 2
    assert [(one.title, one.tone) for one in page.claims.rest] == [
        ("undecided", "undecided"),
        ("needs data", "needs-data"),
    ]
    assert page.claims.rest[0].lines == [("C03, synthetic data set", "Units <detect> it", "5")]
    assert '<details class="rest">' in render(page)
    folder = claims(tmp_path)
    rows = [
        [*CLAIMS[0], "needs", "rule"],
        *([*row, "boxes" if row[1] == "needs_data" else "", "above 6"] for row in CLAIMS[1:]),
    ]
    write(folder / "claims.csv", rows)
    undecided, lacking = composed({"claims": folder}).claims.rest
    assert [line[2] for line in (undecided.lines[0], lacking.lines[0])] == ["5 [3, 7], rule above 6", "boxes"]


def test_the_null_is_told_beside_its_difference(tmp_path):
    folder = claims(tmp_path)
    rows = [[*CLAIMS[0], "null", "null_value"], [*CLAIMS[1], "the whole image", "0.25"], [*CLAIMS[2], "chance", ""]]
    write(folder / "claims.csv", rows)
    notes = [line.cells[3].note for line in composed({"claims": folder}).claims.catalogue.lines]
    assert notes[0].endswith("; compared with the whole image, 2 against 0.250")
    assert notes[1].endswith("; compared with chance")


def test_the_evidence_leads_to_the_section_of_its_number(page):
    links = [list(line.cells[5].links) for line in page.claims.catalogue.lines]
    assert links[0] == [("Saliency", "#artifact-visualise")]
    assert links[1] == [("Localisation", "#artifact-localise")]  # by `stage/fingerprint`
    anchors = {part.anchor for section in page.sections for part in section.parts}
    assert {href.removeprefix("#") for ones in links for _, href in ones} <= anchors


def test_evidence_that_is_not_on_the_page_leads_to_its_folder(tmp_path):
    folder = claims(tmp_path)
    rows = [list(row) for row in CLAIMS]
    rows[1][TEXT["artifact"]] = "localise/0123456789abcdef"
    rows[2][TEXT["artifact"]] = "javascript:alert(1)"
    write(folder / "claims.csv", rows)
    links = [list(line.cells[5].links) for line in composed({"claims": folder}).claims.catalogue.lines]
    assert links[:2] == [[("localise", "../../localise/0123456789abcdef/")], [("javascript:alert(1)", "")]]


def test_each_of_several_runs_is_linked(tmp_path):
    folder = claims(tmp_path)
    rows = [list(row) for row in CLAIMS]
    rows[1][TEXT["artifact"]] = " ".join(f"dissect/{seed:016x}" for seed in range(3))
    write(folder / "claims.csv", rows)
    first = composed({"claims": folder}).claims.catalogue.lines[0].cells[5].links
    assert [text for text, _ in first] == ["dissect", "2", "3"]
    assert [href for _, href in first] == [f"../../dissect/{seed:016x}/" for seed in range(3)]


def test_what_many_tests_leave_of_a_verdict_is_told(tmp_path):
    folder = claims(tmp_path)
    rows = [list(row) for row in CLAIMS]
    write(folder / "claims.csv", [[*rows[0], "verdict_holm"], [*rows[1], "undecided"], [*rows[2], "contradicted"]])
    notes = [line.cells[1].note for line in composed({"claims": folder}).claims.catalogue.lines]
    assert notes == ["undecided with all claims counted (Holm)", ""]


def test_without_a_register_the_page_says_how_to_get_one(tmp_path):
    page = composed(world(tmp_path))
    assert page.claims is None
    assert "deepinside run=claims" in render(page)
    assert "deepinside run=claims" in written(page)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("id", "verdict"), ("C01", "supported")], "claims.csv has no column statement, world"),
        ([CLAIMS[0]], None),
        ([CLAIMS[0], ("C09", "perhaps", "Something", "mars", "m", "many", "x", "", "few")], None),
    ],
)
def test_a_damaged_register_is_still_a_page(tmp_path, rows, said):
    folder = artifact(tmp_path, "claims", "e1", sheets={"claims.csv": rows})
    page = composed({"claims": folder})
    render(page)
    assert said is None or f"claims: {said}" in page.missing
    if page.claims:
        cells = page.claims.catalogue.lines[0].cells
        assert [cell.text for cell in cells[1:5]] == ["perhaps", "mars", "–", "–"]


def test_a_register_of_many_artifacts_is_one_box_of_the_pipeline(tmp_path):
    folder = artifact(tmp_path, "claims", "e1", inputs={f"real.maps.{seed}": f"f{seed}" for seed in range(9)})
    nodes = composed({"claims": folder}).wide.nodes
    assert [(one.name, one.state) for one in nodes if one.state == "elsewhere"] == [("9 artifacts", "elsewhere")]


def test_the_markdown_has_every_claim_and_every_number_in_tables_that_hold(page):
    text = written(page)
    assert "| Maps lie on it (C01 · S13, sec. 3. Predicted: above 1) | supported | synthetic data set |" in text
    assert "1 undecided: C03, synthetic data set (5)" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) > 5
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1, table
    assert text.count("Top-1 error, centre crop") == 2  # among what was found, and in its section


def test_an_earlier_register_fills_in_what_this_run_did_not_test(tmp_path):
    head = [*CLAIMS[0], "null", "unit"]
    earlier = [
        head,
        (*CLAIMS[1][:5], 9, 8, 10, *CLAIMS[1][8:], "the centre", ""),  # this run has its own
        (
            "C04",
            "contradicted",
            "GoogLeNet on ILSVRC",
            "ilsvrc",
            "error",
            40,
            35,
            45,
            50,
            "",
            "S13",
            "localise/x",
            "a",
            "%",
        ),
        ("C05", "supported", "More", "photographs", "error", 4, 3, 5, 50, "", "S13", "localise/x", "a", "%"),
        ("C06", "needs_data", "None", "photographs", "", "", "", "", "", "", "S13", "", "", ""),
    ]
    file = tmp_path / "claims.csv"
    write(file, earlier)
    inputs = world(tmp_path / "outputs") | {"claims": claims(tmp_path / "outputs")}
    found = compose(inputs, settings(register=str(file)), "tried")[0]
    lines = {line.cells[0].key: line.cells for line in found.claims.catalogue.lines}
    assert sorted(lines) == ["C01", "C02", "C04", "C05"]
    assert lines["C01"][3].text == "1.75"
    assert (lines["C01"][2].note, lines["C04"][2].note) == ("", "measured before, not by this run")
    assert lines["C05"][5].links == ()
    assert "measured before" in render(found)
    alone = compose(world(tmp_path / "other"), settings(register=str(file)), "tried")[0]
    assert len(alone.claims.catalogue.lines) == 3
    render(alone)
    write(file, [head[1:], *(row[1:] for row in earlier[1:])])
    spoilt = compose(world(tmp_path / "third"), settings(register=str(file)), "tried")[0]
    assert spoilt.claims is None
    assert any("claims.csv has no column id" in one for one in spoilt.missing)
