"""The register through the real program, and what every row of ours has to say."""

import csv
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.own import lay, program

from deepinside.claims.evidence import Evidence, case
from deepinside.claims.register import Claim
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
    {statement: "A box, at least", source: paper, tag: S, predicted: some, otherwise: none, unit: "%",
     measure: {evidence: localised, metric: class_known_localisation_error}, rule: {below: 101}}
  C02: {<<: *stated, measure: {evidence: seeds, metric: class_known_localisation_error}, rule: {above: 101}}
  C03: {<<: *stated, measure: {evidence: trained, metric: epochs}, rule: {above: 0}}
  C04: {<<: *stated, measure: {evidence: localised, metric: no_such_metric}}
  C05: {statement: s, source: p, tag: S, predicted: x, otherwise: y, needs: [the moon]}
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
    rows = {(row["id"], row["world"]): row for row in csv.DictReader((artifact / "claims.csv").open())}
    assert len(rows) == 5 * 3
    said = {name: rows[name, "real"]["verdict"] for name in ("C01", "C02", "C03", "C04", "C05")}
    assert said == {
        "C01": "supported", "C02": "contradicted", "C03": "needs_data", "C04": "needs_data", "C05": "needs_data",
    }  # fmt: skip
    assert rows["C03", "real"]["needs"] == "training"
    assert "no metric 'no_such_metric'" in rows["C04", "real"]["needs"]
    assert rows["C05", "real"]["needs"] == "the moon"
    assert rows["C01", "miniature"]["needs"].startswith("this data set: set")
    assert len(rows["C02", "real"]["artifact"].split()) == 3
    stage, fingerprint = rows["C01", "real"]["artifact"].split("/")
    table = Table.read(place / "outputs" / stage / fingerprint)
    assert float(rows["C01", "real"]["value"]) == pytest.approx(table["class_known_localisation_error"].value)
    counts = Table.read(artifact)
    assert [counts[f"real.{word}"].value for word in ("supported", "contradicted", "needs_data")] == [1, 1, 3]
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
    settled = case(cfg.claims, OURS, configuration.composed).settled
    assert list(settled["register"]) == ["C44", "C44.random"]


def ours() -> tuple[dict, dict]:
    claims, evidence = {}, {}
    for path in OURS.glob("*.yaml"):
        content = OmegaConf.to_container(OmegaConf.load(path))
        claims |= content["claims"]
        evidence |= content["evidence"]
    return claims, evidence


@pytest.mark.parametrize("name", ours()[1])
def test_the_runs_of_ours_compose(name):
    for words in set(Evidence.read(name, ours()[1][name]).run.values()):
        assert configuration.composed(words).run in STAGES


@pytest.mark.parametrize("tag", ["Q", "", "verified"])
def test_an_unknown_tag_is_refused(tag):
    stated = {"statement": "s", "source": "p", "predicted": "x", "otherwise": "y", "needs": ["the moon"]}
    assert Claim.read("X01", stated | {"tag": "V as a study"}).tag == "V as a study"
    with pytest.raises(ValueError, match=rf"claims\.register\.X01: tag: expected V, S or R, got '{tag}'"):
        Claim.read("X01", stated | {"tag": tag})


def test_our_register_is_whole():
    claims, evidence = ours()
    assert {f"C{number:02d}" for number in range(1, 46)} <= set(claims)
    known = {name: Evidence.read(name, content) for name, content in evidence.items()}
    read = [Claim.read(name, content) for name, content in claims.items()]
    for claim in read:
        assert (claim.measure is None) == (claim.rule is None), claim.id
        assert claim.measure or claim.needs, claim.id
        assert set(claim.measure.evidence if claim.measure else ()) <= set(known), claim.id
    assert len({claim.id.partition(".")[0] for claim in read if claim.measure}) >= 38
    for one in known.values():
        assert not one.seeds or len(one.seeds) >= 5  # three leave too little power
