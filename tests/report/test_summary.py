from tests.report.artifacts import artifact, settings, world

from deepinside.records import Row
from deepinside.report import summary
from deepinside.report.compose import compose
from deepinside.report.results import write_found, write_results


def written(folder, inputs, **changes):
    page, folders = compose(inputs, settings(**changes), "tried")
    write_results(folders, folder / "results.csv")
    write_found(page.found, folder / "found.csv")
    return folder


def test_the_summary_is_short_and_aligned(tmp_path):
    lines = summary.lines(written(tmp_path, world(tmp_path / "outputs")))
    assert lines[0].split("  ")[0] == "Top-1 error, centre crop"
    assert lines[0].endswith("12.5\u00a0%  [10.0 to 15.0]")
    assert {line.index(word) for line in lines for word in ("train", "localise", "dissect") if f" {word} " in line} == {
        lines[0].index("train")
    }
    assert len({line.index("[") for line in lines if "[" in line}) == 1
    assert lines[-1].split() == ["Unique", "detectors", "per", "category,", "conv2", "dissect", "5", "concepts"]


def test_a_long_summary_keeps_something_of_every_group(tmp_path):
    many = [Row(f"{kind}_{n}", n, "%") for kind in ("first", "second") for n in range(12)] + [Row("third", 1)]
    inputs = {"train": artifact(tmp_path / "outputs", "train", "e0", rows=many)}
    groups = [
        {"title": kind, "numbers": [f"train:{kind}*"], "most": 20} for kind in ("first", "second", "third", "none")
    ]
    lines = summary.lines(written(tmp_path, inputs, findings=groups))
    assert len(lines) == summary.MOST
    assert [line.split()[0] for line in lines] == ["First"] * 7 + ["Second"] * 7 + ["Third", "..."]
    assert lines[-1] == "... and 10 more in results.csv"


def test_other_artifacts_show_their_table(tmp_path):
    folder = artifact(tmp_path, "train", "e0", rows=[Row("loss", 0.25, "nat", 3, 0.2, 0.3), Row("dead", float("nan"))])
    assert summary.lines(folder) == ["loss  0.250\u00a0nat  [0.200 to 0.300]", "dead  not known"]
    (folder / "table.csv").unlink()
    assert summary.lines(folder) == []


def test_the_verdicts_of_a_few_claims_follow(tmp_path):
    folder = artifact(tmp_path, "claims", "e0", rows=[Row("claims", 2, "claims")])
    header = "id,verdict,world,value,ci_low,ci_high,unit,needs"
    rows = [
        "X01,needs_data,miniature,,,,nat,this data set",
        "X01,supported,real,0.25,0.2,0.3,nat,",
        "X02,needs_data,real,,,,nat,training",
    ]
    (folder / "claims.csv").write_text("\n".join([header, *rows]) + "\n")
    assert summary.lines(folder) == [
        "claims  2\u00a0claims",
        "X01 on real  supported   0.250\u00a0nat  [0.200 to 0.300]",
        "X02 on real  needs data             training",
    ]
    more = [f"X{number:02d},supported,real,1,1,1,nat," for number in range(3, 8)]
    (folder / "claims.csv").write_text("\n".join([header, *rows, *more]) + "\n")
    assert summary.lines(folder) == ["claims  2\u00a0claims"]


def test_the_predictions_for_the_images_and_where_they_are_follow(tmp_path):
    folder = artifact(tmp_path, "visualise", "e0", rows=[Row("images", 2, "images")])
    rows = [
        "image,label,name,predicted,predicted_name,probability",
        'cat,-1,,285,"Egyptian cat, mau",0.512871',
        "cup,504,coffee mug,967,espresso,0.25",
        "mug,504,coffee mug,504,coffee mug,0.75",
    ]
    (folder / "per_image.csv").write_text("\n".join(rows) + "\n")
    assert summary.lines(folder)[1:] == [
        "cat  Egyptian cat  51.3\u00a0%",
        "cup  espresso      25.0\u00a0%  labelled coffee mug",
        "mug  coffee mug    75.0\u00a0%",
    ]
    assert summary.places(folder) == []
    (folder / "pictures").mkdir()
    (folder / "pictures" / "maps_001.png").touch()
    (folder / "index.html").touch()
    assert summary.places(folder) == [
        f"page: {folder}/index.html (deepinside open)",
        f"images: 1 in {folder}/pictures",
    ]
    (folder / "per_image.csv").write_text("\n".join([*rows[:1], *rows[1:2] * 14]) + "\n")
    assert summary.lines(folder)[-1] == "... and 2 more in per_image.csv"
