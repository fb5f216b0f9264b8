"""The page as a whole: self-contained, escaped, complete, the same every time."""

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from tests.report.artifacts import artifact, settings, world

from deepinside.records import Row
from deepinside.report.compose import compose
from deepinside.report.page import render
from deepinside.report.results import write_results

VOID = {"meta", "link", "img", "br", "input"}


class Document(HTMLParser):
    """Every tag with its attributes, and the text of style, script and the rest."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.inside, self.open = [], {}, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        kind = self.open[-1] if self.open and self.open[-1] in {"style", "script"} else "text"
        self.inside[kind] = self.inside.get(kind, "") + data

    def all(self, tag, **attributes):
        return [a for name, a in self.tags if name == tag and attributes.items() <= a.items()]


def page_of(inputs, **changes):
    page, folders = compose(inputs, settings(**changes), "tried")
    return render(page), page, folders


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    html, page, folders = page_of(world(tmp_path_factory.mktemp("outputs")), command=["train.epochs=3"])
    return html, page, folders, Document(html)


def test_the_policy_allows_this_style_this_script_embedded_pictures_and_nothing_else(made):
    document = made[3]
    (policy,) = document.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", maxsplit=1) for rule in policy["content"].split(";"))
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        digest = hashlib.sha256(document.inside[element].encode()).digest()
        assert rules.pop(rule) == f"'sha256-{base64.b64encode(digest).decode()}'"
        assert len(document.all(element)) == 1
    assert rules == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}
    assert not [a for _, a in document.tags if any(name == "style" or name.startswith("on") for name in a)]


def test_nothing_is_loaded_and_links_lead_to_the_artifacts(made):
    html, _, _, document = made
    assert all(a["src"].startswith("data:image/") for a in document.all("img"))
    assert [a["href"].split(",")[0] for a in document.all("link")] == ["data:image/svg+xml"]
    assert not {tag for tag, _ in document.tags} & {"iframe", "object", "embed", "audio", "video", "form", "base"}
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", document.inside["style"])
    ids = {a["id"] for _, a in document.tags if "id" in a}
    assert len(ids) == len([a for _, a in document.tags if "id" in a])
    papers = set(settings().references.values())
    for anchor in document.all("a"):
        href = anchor["href"]
        good = (
            href[1:] in ids
            if href.startswith("#")
            else href in papers or re.match(r"(\.\./\.\./\w+/\w\d/|report\.md$|data:text/csv;)", href)
        )
        assert good, href
    hosts = set(re.findall(r"https?://[^'\"\s<]+", html))
    assert hosts - papers == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_every_picture_is_embedded_with_a_text_in_its_place(made):
    document = made[3]
    pictures = [a for a in document.all("img") if a.get("id") != "zoom-image"]
    assert len(pictures) == 8 + 2 + 3 + 3 + 2  # the last two are at the top
    assert all(a["alt"] and int(a["width"]) == 60 and int(a["height"]) == 40 for a in pictures)


def test_sections_stand_in_the_order_of_interest(made):
    page = made[1]
    assert [one.title for one in page.sections] == [
        "Real photographs",
        "Saliency",
        "Localisation",
        "Class models",
        "Dissection",
        "The network",
        "The data",
    ]
    shown = {s.title: [(p.artifact.key, [g.title for g in p.galleries]) for p in s.parts] for s in page.sections}
    assert shown["The data"] == [("prepare", []), ("concepts", [])]
    assert shown["Class models"] == [("visualise", ["Class models"])]
    assert shown["Saliency"] == [("visualise", ["Saliency"])]
    assert shown["Dissection"] == [("dissect", ["Units of conv2", "Units of conv1"][::-1])]
    numbers = {s.title: [n.metric for p in s.parts for n in p.numbers] for s in page.sections}
    assert numbers["Class models"] == ["class_model.score"]
    assert numbers["Saliency"] == ["saliency.energy_in_box_over_area_share"]


def test_baselines_stand_beside_the_method(made):
    page = made[1]
    (part,) = next(s for s in page.sections if s.title == "Localisation").parts
    assert [name for name, _ in part.grids[0].columns] == [
        "Top-1 localisation error",
        "Localisation error, class known",
    ]
    rows = [(name, [one.text for one in numbers]) for name, numbers in part.grids[0].rows]
    assert rows == [
        ("from saliency", ["40.0\u00a0%", "30.0\u00a0%"]),
        ("box around the whole image", ["80.0\u00a0%", "70.0\u00a0%"]),
    ]
    assert [one.metric for one in part.numbers] == ["images"]
    found = next(group for group in page.found if group.title == "Localisation")
    assert [(n.of, bar.length, bar.low, bar.high) for n, bar in found.numbers[:2]] == [
        ("", pytest.approx(100 * 40 / 85, abs=0.01), *(pytest.approx(100 * x / 85, abs=0.01) for x in (35, 45))),
        (
            "box around the whole image",
            pytest.approx(100 * 80 / 85, abs=0.01),
            pytest.approx(100 * 75 / 85, abs=0.01),
            100,
        ),
    ]


def test_names_come_from_the_inputs_and_commands_from_the_run(made):
    artifacts = {one.key: one for one in made[1].artifacts}
    assert artifacts["dissect"].detail == "drawn · p · smallnet"
    assert artifacts["localise"].detail == "drawn · smallnet"
    assert artifacts["localise"].command == "deepinside run=localise train.epochs=3"
    assert artifacts["visualise.photos.lite"].command == ""  # not among the further runs of the configuration
    answers = dict(made[1].opening.answers)
    assert answers["Which network"] == ["Smallnet."]
    assert answers["What was looked at"] == ["Drawn."]


def test_further_runs_are_quoted_from_the_configuration(tmp_path):
    inputs = {"load.photos.lite": artifact(tmp_path, "load", "l0", seed=7)}
    also = [["run=visualise", "data=other"], ["run=visualise", "data=photos", "model=lite", "data.limit=3"]]
    page = page_of(inputs, also=also)[1]
    assert page.artifacts[0].command == "deepinside run=load data=photos model=lite data.limit=3 seed=7"


def test_an_artifact_of_several_runs_is_described_once(tmp_path):
    shared = artifact(tmp_path, "prepare", "p0")
    inputs = {"prepare": shared, "prepare.photos.lite": shared, "load.photos.lite": artifact(tmp_path, "load", "p0")}
    assert [one.key for one in page_of(inputs)[1].artifacts] == ["load.photos.lite", "prepare"]


def test_the_picture_of_the_pipeline_has_no_edge_that_longer_ways_imply(made):
    wide = made[1].wide
    names = [(node.name, node.state) for node in wide.nodes]
    assert ("network", "elsewhere") in names
    assert ("report", "page") in names
    # prepare-train, train-visualise, train-localise, train-dissect, concepts-dissect, the network of the photographs,
    # and the four ends to the page; prepare-visualise and prepare-localise go through train.
    assert len(wide.edges) == 5 + 1 + 4
    column = {node.fingerprint: node.x for node in wide.nodes}
    assert column["c0"] < column["e0"] < column["b0"] == column["a0"] == column["d0"]
    assert column["f0"] == column["e0"] == column["gone"]
    corners = {(node.x, node.y) for node in wide.nodes}
    assert len(corners) == len(wide.nodes)
    assert all(0 <= y <= wide.height - wide.box[1] for _, y in corners)


def test_a_circle_of_manifests_is_drawn_without_edges(tmp_path):
    inputs = {
        "train": artifact(tmp_path, "train", "t0", inputs={"prepare": "p0"}),
        "prepare": artifact(tmp_path, "prepare", "p0", inputs={"network": "t0", "self": "p0"}),
    }
    assert page_of(inputs)[1].wide.edges == []


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;"


def test_hostile_names_are_text(tmp_path):
    inputs = {
        HOSTILE: artifact(
            tmp_path,
            "localise",
            "a0",
            rows=[Row(HOSTILE, 1.0, HOSTILE)],
            pictures=[(HOSTILE, HOSTILE, HOSTILE)] * 2,
            config={"data": {"name": HOSTILE, HOSTILE: HOSTILE}},
            inputs={HOSTILE: HOSTILE},
            sheets={
                "per_image.csv": [(HOSTILE,), (HOSTILE,)],
                "set_aside.csv": [("file", "reason"), (HOSTILE, HOSTILE)],
            },
            command=HOSTILE,
        )
    }
    document = Document(page_of(inputs, title=HOSTILE)[0])
    assert len(document.all("script")) == 1
    assert not [a for _, a in document.tags if "onerror" in a or a.get("src") == "x"]
    assert document.inside["text"].count(HOSTILE) >= 10
    assert {a["alt"] for a in document.all("img") if a["alt"]} == {f"{HOSTILE}. {HOSTILE}"}


def test_a_path_out_of_the_artifact_is_not_embedded(tmp_path):
    secret = tmp_path / "secret.png"
    folder = artifact(tmp_path, "localise", "a0", pictures=[("boxes", "one", "")])
    secret.write_bytes((folder / "pictures" / "0.png").read_bytes())
    lines = [("file", "group"), ("../../secret.png", "g"), (str(secret), "g"), ("pictures/0.png", "g"), ("\0", "g")]
    (folder / "pictures.csv").write_text("".join(f"{a},{b}\n" for a, b in lines), encoding="utf-8")
    html, page, _ = page_of({"localise": folder}, showcase=[])
    assert page.artifacts[0].problems[:2] == (
        "../../secret.png is outside its artifact",
        f"{secret} is outside its artifact",
    )
    assert len(page.sections[0].parts[0].galleries[0].pictures) == 1
    assert html.count("data:image/png") == 1


def test_what_is_missing_is_named(tmp_path):
    inputs = world(tmp_path)
    del inputs["dissect"]
    inputs["localise"] = tmp_path / "nowhere"
    (inputs["train"] / "manifest.json").unlink()
    (inputs["concepts"] / "table.csv").unlink()
    (inputs["visualise"] / "pictures" / "0.png").write_bytes(b"no image")
    html, page, _ = page_of(inputs)
    said = "\n".join(page.missing)
    for words in (
        "dissect: no artifact of this stage",
        "localise: its folder does not exist",
        "train: it was not finished: manifest.json is missing",
        "concepts: table.csv is missing",
        "concepts: files of its manifest are missing: table.csv",
        "visualise: pictures/0.png is no readable PNG",
    ):
        assert words in said
        assert words.partition(": ")[2] in Document(html).inside["text"]
    assert {node.name for node in page.wide.nodes if node.state == "broken"} == {
        "localise",
        "train",
        "concepts",
        "visualise",
    }


def test_what_was_skipped_is_named_once(tmp_path):
    inputs = world(tmp_path)
    del inputs["dissect"]
    reason = "dissect: concepts.root=data/broden1_224: no such folder"
    _, page, _ = page_of(inputs, missing=(reason,))
    assert page.missing == [reason]


def test_nothing_at_all_is_still_a_page():
    html, page, _ = page_of({})
    assert len(page.missing) == len(settings().stages)
    assert Document(html).open == []


@budget(max_examples=25, deadline=None)
@given(
    st.sampled_from(["manifest.json", "table.csv", "pictures.csv", "set_aside.csv", "units.csv", "pictures/0.png"]),
    st.binary(max_size=60)
    | st.sampled_from([b"[1]", b'{"made_from": 3, "files": [], "stage": null}', b'{"made_from": {"inputs": {"a": 1}}}'])
    | st.text(st.sampled_from('metric,value,n\n"file\0group.1e9-'), max_size=60).map(str.encode),
)
def test_no_damage_of_a_file_stops_the_page(tmp_path_factory, name, content):
    folder = artifact(tmp_path_factory.mktemp("o"), "dissect", "d0", pictures=[("g", "t", "c")], rows=[Row("a", 1)])
    (folder / name).write_bytes(content)
    assert Document(page_of({"dissect": folder})[0]).open == []


def test_results_hold_every_number_as_the_tables_have_it(tmp_path):
    inputs = world(tmp_path)
    write_results(page_of(inputs)[2], tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    tables = {}
    for key, folder in inputs.items():
        with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
            tables[key] = list(csv.DictReader(file))
    assert len(lines) == sum(map(len, tables.values())) == 14
    for line in lines:
        origin = {name: line.pop(name) for name in ("artifact", "stage", "fingerprint")}
        assert line in tables[origin["artifact"]]
        assert inputs[origin["artifact"]].parts[-2:] == (origin["stage"], origin["fingerprint"])


def test_the_same_artifacts_elsewhere_at_another_time_give_the_same_bytes(tmp_path):
    first, second = world(tmp_path / "one"), world(tmp_path / "two" / "deeper")
    manifest = second["train"] / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    content["record"] |= {"created": "later", "seconds": 1}
    manifest.write_text(json.dumps(content), encoding="utf-8")
    html = page_of(first)[0]
    assert html == page_of(dict(reversed(second.items())))[0]
    for word in (str(tmp_path), "2031", "12345", "later"):
        assert word not in html
    assert "device record-device" in html  # what computed it is told, when is not


def test_a_value_that_is_not_known_is_not_zero(tmp_path):
    page = page_of(
        {"train": artifact(tmp_path, "train", "e0", rows=[Row("top1_error_centre_crop", float("nan"), "%", 0)])}
    )[1]
    ((number, bar),) = page.found[0].numbers
    assert (number.text, number.interval, number.count, bar) == ("not known", "", "", None)


def test_benchmarks_stand_on_the_page_and_a_broken_table_is_named(tmp_path):
    outputs = world(tmp_path / "outputs")
    table = Path(__file__).parents[2] / "benchmarks" / "results.csv"
    html, page, _ = page_of(outputs, benchmarks=str(table))
    assert len(page.benchmarks) == len(table.read_text().splitlines()) - 1
    assert "at least 2.5" in html
    assert '<a href="#benchmarks">' in html
    spoilt = tmp_path / "spoilt.csv"
    spoilt.write_text(table.read_text().replace("channel", "<script>alert(1)</script>"))
    html, *_ = page_of(outputs, benchmarks=str(spoilt))
    assert "<script>alert(1)" not in html
    for text in ("benchmark,case\na,b\n", b"\xff\xfe\x00"):
        spoilt.write_bytes(text if isinstance(text, bytes) else text.encode())
        html, page, _ = page_of(outputs, benchmarks=str(spoilt))
        assert not page.benchmarks
        assert any("spoilt.csv" in one and "make benchmark" in one for one in page.missing)


def test_networks_are_compared_on_the_page_a_table_for_each_data(tmp_path):
    outputs, file = world(tmp_path / "outputs"), tmp_path / "networks.csv"
    head = "on,network,number,value,unit,n,ci_low,ci_high,artifact\n"
    rows = (
        "Drawn,A,error,46.254,%,9,40,50.5,localise/abc",
        "Drawn,B,units,3,,,,,dissect/abc",
        "Photos,<b>Third,error,5,%,,,,x/y",
    )
    file.write_text(head + "\n".join(rows) + "\n")
    html, page, _ = page_of(outputs, networks=str(file))
    drawn, photos = page.comparisons
    assert (drawn.on, drawn.numbers) == ("Drawn", ["error (%)", "units"])
    assert drawn.networks == [("A", ["46.3 [40, 50.5]", ""]), ("B", ["", "3"])]
    assert photos.networks == [("<b>Third", ["5"])]
    assert "<b>Third" not in html
    assert '<a href="#networks">' in html
    file.write_text(head.replace("on,", ""))
    _, page, _ = page_of(outputs, networks=str(file))
    assert not page.comparisons
    assert any("networks.csv has no column on" in one for one in page.missing)


def test_growth_stands_on_the_page_with_its_exponents(tmp_path):
    outputs, file = world(tmp_path / "outputs"), tmp_path / "size.csv"
    head = "method,grows_in,parameters,side,device,seconds,peak_mib,failed\n"
    rows = (
        "saliency,parameters,1000,64,cpu,1,10,",
        "saliency,parameters,100000,64,cpu,10,10,",
        "dissection,parameters,1000,64,cpu,2,5,",
        "dissection,parameters,100000,64,cpu,nan,nan,<b>MemoryError",
        "saliency,side,1000,64,cpu,1,10,",
    )
    file.write_text(head + "\n".join(rows) + "\n")
    html, page, _ = page_of(outputs, growth=str(file))
    parameters, side = page.growth
    assert parameters.on == "Parameters, at 64 pixels"
    assert parameters.numbers == ["saliency, s", "saliency, MiB", "dissection, s", "dissection, MiB"]
    assert parameters.networks == [
        ("1,000 parameters", ["1", "10", "2", "5"]),
        ("100,000 parameters", ["10", "10", "<b>MemoryError", "<b>MemoryError"]),
        ("exponent", ["0.50", "0.00", "", ""]),
    ]
    assert (side.on, side.networks[0][0]) == ("Side, at 1,000 parameters", "64 pixels")
    assert '<a href="#size">' in html
    assert "<b>MemoryError" not in html
    file.write_text("method\na\n")
    assert any(
        "size.csv" in one and "benchmarks/size.py" in one for one in page_of(outputs, growth=str(file))[1].missing
    )
