"""Experiment cards say what their artifacts say."""

import importlib.util
import json
from pathlib import Path

import pytest

from deepinside.stages.claims import COLUMNS, IDENTITIES

HERE = Path(__file__).resolve().parents[1] / "experiments"
_spec = importlib.util.spec_from_file_location("cards", HERE / "cards.py")
cards = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cards)


def artifact(outputs: Path) -> Path:
    """An artifact of `run=claims` with one claim of two numbers, and the run that it rests on."""
    run = outputs / "localise" / "abc"
    run.mkdir(parents=True)
    (run / "table.csv").write_text("metric,value,unit,n,ci_low,ci_high\nerror,46.25,%,9,40.0,50.0\n")
    (run / "manifest.json").write_text(
        json.dumps({"record": {"command": ["run=localise"], "seconds": 12.5, "commit": "0123456789ab"}})
    )
    row = dict.fromkeys(COLUMNS, "") | {
        "id": "C05", "verdict": "supported", "statement": "It works", "world": "real", "metric": "error",
        "value": "46.25", "ci_low": "40", "ci_high": "50", "n": "9", "source": "Simonyan et al. 2013",
        "artifact": "localise/abc", "unit": "%", "rule": "below 60", "verdict_holm": "supported", "seen": "no",
        "p_value": "0.001", "null": "the whole image", "null_value": "3", "network": "small",
    }  # fmt: skip
    other = row | {"id": "C05.x", "verdict": "needs_data", "value": "", "artifact": "", "needs": "boxes"}
    made = outputs / "claims" / "def"
    made.mkdir(parents=True)
    lines = [",".join(COLUMNS), *(",".join(one[column] for column in COLUMNS) for one in (row, other))]
    (made / "claims.csv").write_text("\n".join(lines) + "\n")
    check = dict.fromkeys(IDENTITIES, "") | {"id": "C06", "holds": "yes", "world": "real"}
    (made / "identities.csv").write_text(",".join(IDENTITIES) + "\n" + ",".join(check.values()) + "\n")
    return made


def test_cards_are_written_and_a_wrong_number_is_caught(tmp_path):
    made, folder = artifact(tmp_path / "outputs"), tmp_path / "experiments"
    folder.mkdir()
    assert cards.write([made], folder) == 1
    path = folder / "simonyan2013" / "C05.md"
    text = path.read_text()
    said = "| C05 | real, small | supported | 46.25 [40, 50], n = 9 | the whole image (3) | % | below 60 | supported |"
    assert said in text
    assert (folder / "identities.csv").read_text().splitlines()[1].startswith("C06,yes,")
    assert "* `localise/abc`: `deepinside run=localise`, commit 0123456789ab, 12.5 s" in text
    assert "C05.x, real: boxes" in text
    assert cards.check(folder, tmp_path / "outputs") == []
    path.write_text(text.replace("46.25", "45.25"))
    assert len(cards.check(folder)) == 1
    path.write_text(text)
    table = tmp_path / "outputs" / "localise" / "abc" / "table.csv"
    table.write_text(table.read_text().replace("46.25", "47.25"))
    assert cards.check(folder, tmp_path / "outputs") == ["C05: 46.25 on the card, 47.25 in localise/abc"]


def changed(made: Path, old: str, new: str) -> Path:
    """An artifact with another word in its register."""
    table = made / "claims.csv"
    table.write_text(table.read_text().replace(old, new))
    return made


def test_of_several_artifacts_the_first_that_measured_a_row_counts(tmp_path):
    first, second = artifact(tmp_path / "one"), changed(artifact(tmp_path / "two"), "46.25", "50")
    lines = (second / "claims.csv").read_text().splitlines()
    measured = lines[1].replace("C05,", "C05.x,")
    (second / "claims.csv").write_text("\n".join([*lines[:2], measured]) + "\n")
    rows = cards.joined([cards.read(one / "claims.csv") for one in (first, second)])
    assert {row["id"]: row["value"] for row in rows} == {"C05": "46.25", "C05.x": "50"}


def test_what_no_artifact_measured_stays_with_its_runs_unless_its_rule_changed(tmp_path):
    made, folder = artifact(tmp_path / "outputs"), tmp_path / "experiments"
    folder.mkdir()
    cards.write([made], folder)
    before = (folder / "simonyan2013" / "C05.md").read_text()
    unmeasured = changed(
        artifact(tmp_path / "other"), "supported,It works,real,error,46.25,40,50", "needs_data,It works,real,error,,,"
    )
    cards.write([unmeasured], folder)
    assert (folder / "simonyan2013" / "C05.md").read_text() == before
    cards.write([changed(unmeasured, "below 60", "below 40")], folder)
    assert "46.25" not in (folder / "simonyan2013" / "C05.md").read_text()


def test_rows_of_a_register_without_nulls_are_dropped(tmp_path):
    made, folder = artifact(tmp_path / "outputs"), tmp_path / "experiments"
    folder.mkdir()
    columns = [column for column in COLUMNS if column not in {"null", "null_value", "data", "network"}]
    row = dict.fromkeys(columns, "") | {"id": "C06", "world": "real", "verdict": "supported", "value": "1"}
    (folder / "claims.csv").write_text(",".join(columns) + "\n" + ",".join(row.values()) + "\n")
    (folder / "qin2018").mkdir()
    (folder / "qin2018" / "C06.md").write_text("# C06")
    cards.write([made], folder)
    assert {row["id"] for row in cards.read(folder / "claims.csv")} == {"C05", "C05.x"}
    assert [path.name for path in folder.glob("*/*.md")] == ["C05.md"]


def test_holm_counts_all_rows_of_a_world():
    row = {"verdict": "supported", "world": "real", "verdict_holm": "supported"}
    rows = [row | {"p_value": "0.02"}, row | {"p_value": "0.001"}, row | {"p_value": "0.02", "world": "ilsvrc"}]
    assert [one["verdict_holm"] for one in cards.adjusted(rows)] == ["supported"] * 3
    assert [one["verdict_holm"] for one in cards.adjusted(rows + rows)] == ["undecided", "supported", "undecided"] * 2


def test_networks_on_the_same_photographs_are_one_family():
    row = {"verdict": "supported", "verdict_holm": "supported", "p_value": "0.02"}
    rows = [row | {"world": world} for world in ("photographs", "photographs_squeezenet")]
    assert [one["verdict_holm"] for one in cards.adjusted(rows)] == ["undecided"] * 2


@pytest.mark.skipif(not (HERE / "claims.csv").exists(), reason="no cards yet: make experiments")
def test_the_cards_at_hand_say_what_their_artifacts_say():
    assert cards.check(HERE, HERE.parent / "outputs") == []


@pytest.mark.skipif(not (HERE / "identities.csv").exists(), reason="no identities yet: make experiments")
def test_the_identities_at_hand_hold():
    assert {row["holds"] for row in cards.read(HERE / "identities.csv")} == {"yes"}
