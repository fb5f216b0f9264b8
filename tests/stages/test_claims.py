"""The register through the real program, and what every row of ours has to say."""

import csv
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from tests.own import lay, program

from deepinside.claims.evidence import Evidence, case, read_yaml, without
from deepinside.claims.register import WORLDS, Claim, Identity, for_network
from deepinside.pipeline import configuration
from deepinside.pipeline.table import STAGES
from deepinside.records import Table

OURS = configuration.folder() / "claims" / "register"
WORLD = "'data=folder data.root=pictures model=custom model.target=mine:net model.input=32 model.resize=36'"
REGISTER = """
evidence:
  localised: {run: [run=localise], needs: [network]}
  seeds: {run: [run=localise, localise=best], seeds: [0, 1, 2]}
  trained: {run: [run=train], needs: {real: [training], ilsvrc: []}}
claims:
  C01: &stated
    {statement: "A box, at least", source: paper, tag: S, predicted: some, otherwise: none, unit: IoU,
     measure: {evidence: localised, file: per_image.csv, column: iou_whole_image, key: image},
     null: {name: no box, value: 0}, rule: {above: 0.001}}
  C02: {<<: *stated, null: {name: a box that is right, value: 1}}
  C02.share:
    <<: *stated
    measure: {evidence: localised, file: per_image.csv, column: pointed_centre, key: image, yes_no: true}
    null: {name: half, value: 0.5}
  C03: {<<: *stated, measure: {evidence: trained, metric: epochs}}
  C04: {<<: *stated, measure: {evidence: localised, metric: no_such_metric}}
  C05: {statement: s, source: p, tag: S, predicted: x, otherwise: y, needs: [the moon]}
  C06: {<<: *stated, not_posed: {real: nobody says so}}
  C07: {<<: *stated, measure: {evidence: seeds, metric: images}}
identities:
  X01:
    {statement: "An overlap is one at most", source: paper, why: by definition,
     measure: {evidence: localised, file: per_image.csv, column: iou_whole_image, key: image}, high: 1, low: 0}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = lay(tmp_path_factory.mktemp("claims"))
    (folder / "register").mkdir()
    (folder / "register" / "mine.yaml").write_text(REGISTER)
    return folder


def claimed(place: Path, *words: str) -> subprocess.CompletedProcess:
    fixed = ["claims.worlds.miniature=null", f"claims.worlds.real={WORLD}", "wandb=disabled", "machine.threads=1"]
    return program("run=claims", "claims.register=register", *words, *fixed, cwd=place)


@pytest.mark.slow
def test_a_register_of_ones_own(place):
    done = claimed(place)
    assert done.returncode == 0, done.stderr
    artifact = place / done.stdout.strip().splitlines()[-1].removeprefix("artifact: ")
    lines = list(csv.DictReader((artifact / "claims.csv").open()))
    assert [row["id"] for row in lines] == ["C01", "C02", "C02.share", "C03", "C04", "C05", "C06", "C07"]
    assert {row["world"] for row in lines} == {"real"}  # of no other data set there is anything to say
    rows = {row["id"]: row for row in lines}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "C01": "supported", "C02": "contradicted", "C02.share": "supported", "C03": "needs_data", "C04": "needs_data",
        "C05": "needs_data",
        "C06": "not_posed", "C07": "needs_data",
    }  # fmt: skip
    assert rows["C03"]["needs"] == "training"
    assert "no metric 'no_such_metric'" in rows["C04"]["needs"]
    assert rows["C05"]["needs"] == "the moon"
    assert rows["C06"]["needs"] == "nobody says so"
    assert rows["C07"]["needs"] == "values that vary: all 3 are equal"
    assert rows["C02"]["null"] == "a box that is right"
    assert (rows["C02"]["null_value"], rows["C02"]["data"], rows["C02"]["network"]) == ("1", "folder", "custom")
    assert float(rows["C01"]["value"]) == pytest.approx(float(rows["C02"]["value"]) + 1, abs=1e-5)
    assert len(rows["C07"]["artifact"].split()) == 3
    stage, fingerprint = rows["C01"]["artifact"].split("/")
    overlaps = pd.read_csv(place / "outputs" / stage / fingerprint / "per_image.csv")["iou_whole_image"]
    assert float(rows["C01"]["value"]) == pytest.approx(overlaps.mean(), rel=1e-5)
    (identity,) = csv.DictReader((artifact / "identities.csv").open())
    assert (identity["id"], identity["holds"], identity["world"]) == ("X01", "yes", "real")
    counts = Table.read(artifact)
    assert [counts[f"real.{word}"].value for word in ("supported", "contradicted", "not_posed")] == [2, 1, 1]
    assert [counts[word].value for word in ("claims", "numbers", "data_sets", "identities")] == [7, 8, 1, 1]
    again = claimed(place)
    assert again.stdout.strip().splitlines()[-1] == f"artifact: {artifact.relative_to(place)}"


def test_a_claim_that_is_not_there_is_refused_before_any_work(place):
    done = claimed(place, "claims.only=[C1]", "outputs=elsewhere")
    assert done.returncode != 0
    assert "no claim 'C1'" in done.stderr
    assert not (place / "elsewhere" / "localise").exists()


def test_a_misspelt_word_of_a_run_is_answered_with_the_closest(place):
    (place / "wrong").mkdir()
    wrong = REGISTER.replace("[run=localise]", '[run=visualise, "method=[saliency,guide]"]')
    (place / "wrong" / "mine.yaml").write_text(wrong)
    done = claimed(place, "claims.register=wrong", "outputs=elsewhere")
    assert done.returncode != 0
    assert "method has no choice 'guide'; did you mean 'guided'" in done.stderr


def test_an_artifact_states_the_claims_that_were_requested_and_no_others():
    cfg = configuration.composed(["run=claims", "claims.only=[C44]", "claims.worlds.real=null"])
    found = case(cfg.claims, OURS, configuration.composed)
    assert list(found.settled["register"]) == ["C44", "C44.random"]
    assert found.settled["identities"] == {}
    assert list(found.runs) == ["miniature.attacks"]


def ours() -> tuple[dict, dict, dict]:
    contents = [read_yaml(path) for path in OURS.glob("*.yaml")]
    return tuple(
        {k: v for one in contents for k, v in (one.get(kind) or {}).items()}
        for kind in ("claims", "evidence", "identities")
    )


LAYERS = configuration.composed([]).claims["layers"]
SQUEEZENET = ["photographs.squeezenet=none", "photographs.ilsvrc=none"]  # files that are not there
WORLDS_OF_OURS = configuration.composed(["experiment=photographs", *SQUEEZENET]).claims.worlds


def composed(world: str, run: list[str]) -> list[str]:
    """The overrides of a run on a data set, as experiment=photographs configures its four."""
    options = WORLDS_OF_OURS[world]
    network = (
        "squeezenet"
        if "model=squeezenet" in (options or "")
        else "efficientnet_lite0"
        if "lite0" in world
        else "convnet"
    )
    return [*shlex.split(options or ""), *for_network(run, LAYERS[network])]


@pytest.mark.parametrize("name", ours()[1])
def test_the_runs_of_ours_compose(name):
    found = Evidence.read(name, ours()[1][name])
    words = composed(*list(found.run.items())[-1])  # of one data set: the others are variants, and this takes a second
    assert configuration.composed(words).run in STAGES
    assert "{" not in str([word for word in words if word.startswith(("dissect.layers", "method."))])
    for world in found.run:
        assert found.minutes.get(world, 0) > 0, "how long it takes is said beforehand"
        assert len(found.seeds.get(world, ())) not in (1, 2), "fewer than three say nothing"


def test_our_register_is_whole():
    claims, evidence, identities = ours()
    assert {f"C{number:02d}" for number in range(1, 46)} <= {name.partition(".")[0] for name in claims | identities}
    assert not claims.keys() & identities.keys()
    known = {name: Evidence.read(name, content) for name, content in evidence.items()}
    read = [Claim.read(name, content) for name, content in claims.items()]
    read += [Identity.read(name, content) for name, content in identities.items()]
    for claim in read:
        assert claim.measure or claim.needs, claim.id
        assert set(claim.measure.evidence if claim.measure else ()) <= set(known), claim.id
    used = {name for claim in read if claim.measure for name in claim.measure.evidence}
    assert used == set(known)


def test_thirty_claims_can_have_a_verdict_on_photographs():
    claims, evidence, _ = ours()
    known = {name: Evidence.read(name, content) for name, content in evidence.items()}
    posed = {
        claim.id.partition(".")[0]
        for claim in (Claim.read(name, content) for name, content in claims.items())
        for world in WORLDS
        if world.startswith("photographs") and world not in claim.not_posed and claim.measure
        and all(world in known[name].run for name in claim.measure.evidence)
    }  # fmt: skip
    assert len([name for name in posed if name.startswith("C")]) >= 30


def test_an_unquoted_null_is_a_key(tmp_path):
    (tmp_path / "a.yaml").write_text("claims:\n  C01:\n    null: {name: x}\n  C02: {null: {name: y}, rule: null}\n")
    assert read_yaml(tmp_path / "a.yaml") == {
        "claims": {"C01": {"null": {"name": "x"}}, "C02": {"null": {"name": "y"}, "rule": None}}
    }


def test_files_that_are_not_there_are_missing_data_and_stop_nothing():
    words = ["run=claims", "experiment=photographs", "data.root=none", "concepts.root=none", *SQUEEZENET]
    found = case(configuration.composed(words).claims, OURS, configuration.composed)
    assert found.runs == {}
    lacking = found.settled["lacking"]
    assert lacking["photographs"]["C20"] == ["the files of data.root (data=imagenette)"]
    assert lacking["photographs"]["C36"] == ["concepts"]
    assert lacking["miniature"] == {}


def test_a_run_whose_files_are_missing_takes_its_rows_with_it():
    words = ["run=claims", "claims.only=[C24.aliasing,C24,C44]", "claims.worlds.real=null"]
    found = case(configuration.composed(words).claims, OURS, configuration.composed)
    assert without(found, []) is found
    left = without(found, ["miniature.first_7x2.3"])
    assert left.settled["lacking"]["miniature"]["C24"] == ["files that first_7x2 reads"]
    assert left.settled["lacking"]["miniature"]["C24.aliasing"] == []
    assert not [key for key in left.runs if key.startswith(("miniature.first_11x4", "miniature.first_7x2"))]
    assert {key.split(".")[1] for key in left.runs} == {"filters_11x4", "filters_7x2", "attacks"}
    assert found.settled["lacking"]["miniature"]["C24"] == []


def test_a_network_without_named_layers_says_so(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "evidence: {e: {run: [run=dissect, 'dissect.layers=[{last}]']}}\n"
        "claims: {C01: {statement: s, source: p, tag: S, predicted: x, otherwise: y, rule: {above: 1}, "
        "measure: {evidence: e, metric: m}, null: {name: none, value: 0}}}\n"
    )
    words = ["run=claims", f"claims.register={tmp_path}", "claims.worlds.real='data=photos model=vgg16'"]
    found = case(configuration.composed([*words, "claims.worlds.miniature=null"]).claims, OURS, configuration.composed)
    assert found.settled["lacking"]["real"] == {"C01": ["claims.layers.vgg16.last"]}
