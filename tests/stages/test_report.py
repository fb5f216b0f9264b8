from omegaconf import OmegaConf
from tests.report.artifacts import config, picture, world

from deepinside.records import Table
from deepinside.stages import report


def run(inputs, out, workers=1):
    out.mkdir()
    cfg = OmegaConf.create({"name": "tried", "seed": 0, "report": config(), "machine": {"workers": workers}})
    report.run(cfg, inputs, out)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_stage_leaves_a_page_its_numbers_and_a_table(tmp_path):
    inputs = world(tmp_path / "outputs")
    files = run(inputs, tmp_path / "one")
    assert sorted(files) == ["found.csv", "index.html", "report.md", "results.csv", "table.csv", "tables.csv"]
    assert files == run(inputs, tmp_path / "two", workers=2)
    table = Table.read(tmp_path / "one")
    assert table["artifacts"].value == 7
    assert table["numbers"].value == files["results.csv"].count(b"\n") - 1
    assert table["pictures"].value == 15 == files["index.html"].count(b'<a class="open"') - 1  # one has two panes
    assert table["page_size"].value == len(files["index.html"]) < config()["megabytes"] * 1e6
    assert table["things_missing"].value == 0
    assert files["found.csv"].startswith(b"group,name,text,interval,n,artifact,metric\n")


def test_the_page_keeps_to_its_weight(tmp_path):
    inputs = world(tmp_path / "outputs")
    for n, file in enumerate(sorted((inputs["dissect"] / "pictures").iterdir())):
        picture(file, height=300, width=400, seed=n)  # noise
    sizes = []
    for megabytes in (15, 1.05):
        out = tmp_path / str(megabytes)
        out.mkdir()
        cfg = OmegaConf.create({"report": config(megabytes=megabytes), "machine": {"workers": 1}})
        report.run(cfg, inputs, out)
        sizes.append((out / "index.html").stat().st_size / 1e6)
    assert sizes[1] < 1.05 < sizes[0]
