"""Claims as yaml states them: what is missing or misspelt is named, and nothing loads without a null."""

import json

import pytest

from deepinside.claims.origin import origin, stuck
from deepinside.claims.register import Claim, Identity, Source, chosen, for_network
from deepinside.records import Row, Table

STATED = {"statement": "s", "source": "p", "tag": "S", "predicted": "x", "otherwise": "y"}
MEASURED = {"measure": {"evidence": "e", "metric": "m"}, "null": {"name": "chance", "value": 0.5}}
COLUMN = {"evidence": "e", "file": "f.csv", "column": "c", "key": "k"}


def read(**changes):
    return Claim.read("C99", {**STATED, **MEASURED, "rule": {"above": 0.1}, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"null": None}, "a claim needs what would be seen if it were false"),
        ({"null": {"value": 0.5}}, "expected null: {name: "),
        ({"null": {"name": "chance"}}, "null 'chance': expected its value, or where it is measured, got neither"),
        ({"null": {"name": "x", "value": 1, "metric": "n"}}, "got a value and metric"),
        ({"null": {"name": "x", "metrc": "n"}}, "there is no key 'metrc'; did you mean 'metric'"),
        ({"measure": {"evidence": "e"}}, "got both or none"),
        ({"measure": {"evidence": "e", "file": "f.csv", "column": "c"}}, "expected column and key"),
        ({"measure": {"evidence": "e", "metrc": "m"}}, "there is no key 'metrc'; did you mean 'metric'"),
        ({"predictd": "x"}, "there is no key 'predictd'; did you mean 'predicted'"),
        ({"rule": {"abov": 0}}, "there is no key 'abov'; did you mean 'above'"),
        ({"rule": {"above": -1}}, "rule above -1: expected above from 0 on, or below up to 0"),
        ({"rule": {"within": [0.1, 0.2]}}, "expected 0 between the two"),
        ({"rule": {"above": 0}}, "effect: expected the size that the paper reports, got none"),
        ({"rule": None}, "expected a measure and its rule, got no rule"),
        ({"not_posed": {"mars": "air"}}, "not_posed: no data set 'mars'"),
        ({"tag": "Q"}, "tag: expected V, S or R, got 'Q'"),
    ],
)
def test_what_is_wrong_is_named_with_the_claim(changes, said):
    with pytest.raises(ValueError, match=r"claims\.register\.C99: ") as error:
        read(**changes)
    assert said in str(error.value)


def test_keys_that_are_missing_are_named():
    with pytest.raises(ValueError, match=r"claims.register.C99: expected the keys .*, got no tag, otherwise"):
        Claim.read("C99", {key: STATED[key] for key in ("statement", "source", "predicted")})


def test_only_is_by_id_or_by_the_number_in_front():
    with pytest.raises(KeyError, match="C99"):
        chosen({"C99": STATED}, ["C98"])
    assert [claim.id for claim in chosen({"C1.b": STATED, "C1": STATED, "C2": STATED}, ["C1"])] == ["C1", "C1.b"]
    assert chosen({"C1": STATED}, ["P02"], also=["P02"]) == []


@pytest.mark.parametrize(
    ("function", "settings", "said"),
    [
        ("deepinside.claims.functions.concentratio", {}, "has no 'concentratio'; did you mean 'concentration'"),
        ("deepinside.claims.function.concentration", {}, "No module named 'deepinside.claims.function'"),
        (
            "deepinside.claims.functions.concentration",
            {"of": "a"},
            "concentration: missing a required argument: 'minus'",
        ),
        ("deepinside.claims.functions.concentration", {"of": "a", "mins": "b"}, "concentration: .*'m"),
    ],
)
def test_a_function_that_cannot_be_called_so_is_named_before_any_run(function, settings, said):
    measure = {"function": function, "evidence": ["e"], **settings}
    with pytest.raises(ValueError, match=rf"claims\.register\.C99: .*{said}"):
        read(measure=measure, null={"name": "the other"})


def test_a_function_measures_its_null_itself():
    function = {"function": "deepinside.claims.functions.occlusion_drop", "evidence": ["e"]}
    assert read(measure=function, null={"name": "outside the box"}).measure.null.of is None
    with pytest.raises(ValueError, match="a function measures its null itself, got metric"):
        read(measure=function, null={"name": "outside the box", "metric": "m"})


def test_a_null_and_a_ratio_inherit_what_they_do_not_state():
    measure = {**COLUMN, "where": {"method": "a"}, "over": {"column": "d"}}
    found = read(measure=measure, null={"name": "b", "where": {"method": "b"}}).measure
    assert found.of == Source("e", file="f.csv", column="c", key="k", where={"method": "a"}, over=found.of.over)
    assert found.of.over == Source("e", file="f.csv", column="d", key="k", where={"method": "a"})
    assert (found.null.of.column, found.null.of.where, found.null.of.over.column) == ("c", {"method": "b"}, "d")
    other = read(null={"name": "another run", "evidence": "f"}).measure
    assert (other.null.of.metric, other.evidence) == ("m", ("e", "f"))
    table = read(measure=measure, null={"name": "a number of the table", "metric": "m"}).measure
    assert (table.null.of.metric, table.null.of.file) == ("m", None)


def test_what_is_not_posed_says_so_everywhere_or_on_a_data_set():
    assert set(read(not_posed="no generator").not_posed.values()) == {"no generator"}
    assert read(not_posed={"real": "no labels"}).not_posed == {"real": "no labels"}


def test_layers_are_those_of_the_network():
    content = {
        "measure": {"where": {"layer": ["{first}", "{last}"]}, "n": 3},
        "title": "{last} minus {first} {sigma: 1}",
    }
    found = for_network(content, {"first": "relu1", "last": "relu5"})
    assert found == {
        "measure": {"where": {"layer": ["relu1", "relu5"]}, "n": 3}, "title": "relu5 minus relu1 {sigma: 1}",
    }  # fmt: skip


def test_an_identity_has_limits_and_says_why():
    content = {"statement": "s", "source": "p", "why": "algebra", "measure": MEASURED["measure"], "high": 1e-4}
    assert Identity.read("C06", content).measure.null.value == 0
    with pytest.raises(ValueError, match=r"claims\.identities\.C06: expected the keys .*, got no why"):
        Identity.read("C06", {key: value for key, value in content.items() if key != "why"})


def artifact(place, stage, config, inputs=None, rows=()):
    place.mkdir(parents=True)
    manifest = {"stage": stage, "fingerprint": place.name, "made_from": {"config": config, "inputs": inputs or {}}}
    (place / "manifest.json").write_text(json.dumps(manifest | {"files": {}, "record": {}}))
    Table(rows).write(place)
    return place


@pytest.fixture
def made(tmp_path):
    """Maps by a network that was trained: conv1 has hardly moved, conv5 far."""
    artifact(tmp_path / "prepare" / "p0", "prepare", {"data": {"name": "imagenette"}})
    rows = [Row("conv1.cosine_with_start", 0.9), Row("conv5.cosine_with_start", 0.1), Row("epochs", 2)]
    artifact(tmp_path / "train" / "t0", "train", {"model": {"name": "small"}}, {"prepare": "p0"}, rows)
    return artifact(tmp_path / "visualise" / "v0", "visualise", {}, {"prepare": "p0", "network": "t0"})


def test_the_origin_of_an_artifact_is_in_the_manifests_beside_it(made, tmp_path):
    assert origin(made) == ("imagenette", "small", {"conv1": 0.9, "conv5": 0.1})
    assert origin(tmp_path / "train" / "t0")[:2] == ("imagenette", "small")
    assert origin(tmp_path / "nowhere") == ("", "", {})
    artifact(tmp_path / "load" / "l0", "load", {"model": {"name": "squeezenet"}})
    artifact(tmp_path / "concepts" / "c0", "concepts", {"concepts": {"name": "broden"}})
    dissected = artifact(tmp_path / "dissect" / "d0", "dissect", {}, {"concepts": "c0", "network": "l0"})
    assert origin(dissected) == ("broden", "squeezenet", {})
    assert stuck([dissected], ("conv1",)) == ""  # it came with its weights


def test_a_layer_that_is_still_its_random_start_has_not_learnt(made):
    assert stuck([made], ("conv5",)) == ""
    assert stuck([made], ("conv1",)) == "not learnt: cosine with the random start above 0.5: conv1 0.90"
    assert "conv1 0.90" in stuck([made], ("all",))
    with pytest.raises(KeyError, match="no layer 'conv7'"):
        stuck([made], ("conv7",))
