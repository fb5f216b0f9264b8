"""The cards of figures say what their artifacts say."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).resolve().parents[1] / "experiments"
sys.path.insert(0, str(HERE))
figures, networks = import_module("figures"), import_module("networks")

CARDS = """
simonyan2013:
  figure_1:
    title: Class models
    shows: Images.
    from: visualise.photos
    pictures: ["class models:am_*"]
    numbers: {error: "46.4 %", other: ""}
    differs: much.
  figure_9:
    title: What nobody made
    shows: Nothing.
    from: visualise
    pictures: []
    numbers: {absent: ""}
    differs: all.
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report that rests on two runs of one stage, the second with what the card asks for."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "figures.yaml").write_text(CARDS)
    for name, value in (("aaa", "1.5"), ("bbb", "46.25")):
        run = tmp_path / "visualise" / name
        (run / "pictures").mkdir(parents=True)
        lines = "metric,value,unit,n,ci_low,ci_high\n", f"error,{value},%,9,40.0,50.0\n", "other,3,units,,,\n"
        (run / "table.csv").write_text("".join(lines))
        (run / "pictures.csv").write_text("file,group,title,caption\npictures/x.png,class models,am_best,Said.\n")
        Image.fromarray(np.zeros((4, 2000, 3), np.uint8)).save(run / "pictures" / "x.png")
        record = {"command": ["run=visualise"], "seconds": 12.5, "commit": "0123456789ab"}
        (run / "manifest.json").write_text(json.dumps({"record": record}))
    made = tmp_path / "report" / "ccc"
    made.mkdir(parents=True)
    inputs = {"visualise": "aaa", "visualise.photos.net": "bbb"}
    (made / "manifest.json").write_text(json.dumps({"made_from": {"inputs": inputs}}))
    return made


def test_a_card_is_written_from_what_a_report_rests_on_and_a_wrong_number_is_caught(report: Path) -> None:
    outputs = report.parents[1]
    folder = outputs / "experiments"
    assert figures.write([report], folder) == 1
    card = folder / "simonyan2013" / "figure_1.md"
    text = card.read_text()
    assert "| error | 46.2 [40, 50] | % | 9 | 46.4 % |" in text
    assert "| other | 3 | units |  |  |" in text
    assert "* am_best: Said." in text
    assert "`visualise/bbb`: `deepinside run=visualise`, commit 0123456789ab" in text
    assert Image.open(folder / "simonyan2013" / "figure_1.webp").width == figures.WIDTH
    assert figures.check(folder, outputs) == []
    card.write_text(text.replace("46.2", "45.2"))
    assert len(figures.check(folder)) == 1
    card.write_text(text)
    table = outputs / "visualise" / "bbb" / "table.csv"
    table.write_text(table.read_text().replace("46.25", "47.25"))
    assert figures.check(folder, outputs) == ["figure_1.md: error is 46.25 there, 47.25 in visualise/bbb"]


def test_a_card_that_nothing_fills_stays(report: Path) -> None:
    folder = report.parents[1] / "experiments"
    figures.write([report], folder)
    before = (folder / figures.TABLE).read_text()
    assert figures.write([report.parents[1] / "visualise" / "aaa"], folder) == 0
    assert (folder / figures.TABLE).read_text() == before


def test_the_cards_at_hand_say_what_their_artifacts_say() -> None:
    assert figures.check(HERE, HERE.parent / "outputs") == []


def test_the_table_of_networks_says_what_its_numbers_say() -> None:
    table = networks.table(HERE / "networks.csv")
    assert (HERE / "networks.md").read_text() == f"# Networks compared\n\n{table}"
    assert "| SqueezeNet | 26.7 [15, 38.3] |" in table
