"""Numbers of claims from artifacts made by hand."""

import numpy as np
import pandas as pd
import pytest

from deepinside.claims import functions
from deepinside.claims.measures import estimate
from deepinside.claims.register import Claim, Measure, Source, chosen
from deepinside.records import Row, Table

LINES = "method,class,score,share\na,0,1.0,0.5\na,1,2.0,0.7\nb,0,1.5,0.1\nb,1,2.5,0.3\nc,1,9.0,0.2\nc,0,0.0,\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "items.csv").write_text(LINES)
    Table([Row("m", 2.0, "", 7, 1.0, 3.0), Row("exact", 0.5), Row("k", 1.0, "", 5, 0.6, 1.4)]).write(tmp_path)
    return tmp_path


def column(**changes):
    return {"evidence": "e", "file": "items.csv", "column": "share", "key": "class", "where": {"method": "a"}} | changes


def test_a_row_of_the_table(folder):
    assert estimate(Measure.read({"evidence": "e", "metric": "m"}), {"e": [folder]})[:4] == (2.0, 1.0, 3.0, 7)
    assert estimate(Measure.read({"evidence": "e", "metric": "exact"}), {"e": [folder]})[:3] == (0.5, 0.5, 0.5)


def test_columns_are_paired_by_key(folder):
    measure = Measure.read({**column(), "minus": column(where={"method": "b"})})
    found = estimate(measure, {"e": [folder]})
    assert found[:4] == pytest.approx((0.4, 0.4, 0.4, 2))
    assert measure.title == "share (mean of method a) minus share (mean of method b)"


def test_several_rows_of_one_key_are_joined_and_empty_cells_left_out(folder):
    most = Measure.read({**column(), "minus": column(where={"method": ["b", "c"]}, reduce="max")})
    assert estimate(most, {"e": [folder]}).value == pytest.approx(((0.5 - 0.1) + (0.7 - 0.3)) / 2)


def test_seeds_are_paired_and_have_a_t_interval(tmp_path):
    folders = {"one": [], "two": []}
    for seed, (a, b) in enumerate([(5.0, 3.0), (6.0, 5.0), (9.0, 6.0)]):
        for name, value in (("one", a), ("two", b)):
            folders[name].append(tmp_path / f"{name}{seed}")
            folders[name][-1].mkdir()
            Table([Row("error", value)]).write(folders[name][-1])
    found = estimate(
        Measure.read({"evidence": "one", "metric": "error", "minus": {"evidence": "two", "metric": "error"}}), folders
    )
    assert found.value == 2
    assert found.high - 2 == pytest.approx(4.3027 * 1 / np.sqrt(3), rel=1e-4)  # t of 2 degrees of freedom
    assert found.freedom == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"column": "shares"}, "no column 'shares'"), ({"where": {"method": "z"}}, "no row with"), ({"file": "n"}, "n")],
)
def test_what_is_not_there_is_named(folder, changes, said):
    with pytest.raises((KeyError, ValueError, FileNotFoundError), match=said):
        estimate(Measure.read(column(**changes)), {"e": [folder]})


def test_rank_correlation_and_difference_of_rows(folder):
    measured = functions.rank_correlation({"e": [folder]}, "items.csv", "score", "share", "a")
    assert measured.value == pytest.approx(1)
    gap = functions.difference_of_rows({"e": [folder]}, "m", "k")
    assert (gap.value, gap.n) == (1.0, 5)
    assert gap.low == pytest.approx(1 - np.hypot(1.0, 0.4))


def test_concentration(tmp_path):
    point, flat = np.zeros((4, 4)), np.ones((4, 4))
    point[1, 1] = 3
    assert functions.gini(point) == pytest.approx(15 / 16)
    assert functions.gini(flat) == 0
    np.savez(tmp_path / "maps.npz", **{"x.jpg.guided": point, "x.jpg.saliency": flat})
    found = functions.concentration({"e": [tmp_path]}, "guided", "saliency")
    assert (found.value, found.n) == (pytest.approx(15 / 16), 1)


def test_detectors_by_layer(tmp_path):
    rows = ["layer,unit,category,score", *(f"low,{i},color,0.1" for i in range(4))]
    rows += [f"high,{i},object,{0.1 if i < 3 else 0.03}" for i in range(4)]
    (tmp_path / "units.csv").write_text("\n".join(rows) + "\n")
    found = functions.detectors({"e": [tmp_path]}, ["object", "part"], "high", "low")
    assert found.value == pytest.approx(0.75)
    assert 0 < found.low < 0.75 < found.high <= 1
    with pytest.raises(KeyError, match="no layer 'middle'"):
        functions.detectors({"e": [tmp_path]}, ["object"], "middle", "low")


def test_claims_that_are_not_stated_as_they_should_be_are_named():
    stated = {"statement": "s", "source": "p", "tag": "S", "predicted": "x", "otherwise": "y"}
    with pytest.raises(ValueError, match=r"claims.register.C99: .*got both or none"):
        Claim.read("C99", {**stated, "measure": {"evidence": "e"}, "rule": {"above": 0}})
    with pytest.raises(ValueError, match=r"claims.register.C99: there is no key 'predictd'; did you mean 'predicted'"):
        Claim.read("C99", {**stated, "predictd": "x"})
    with pytest.raises(ValueError, match=r"claims.register.C99: expected the keys .*, got no tag, otherwise"):
        Claim.read("C99", {key: stated[key] for key in ("statement", "source", "predicted")})
    with pytest.raises(ValueError, match=r"claims.register.C99: expected a measure and its rule, got no rule"):
        Claim.read("C99", {**stated, "measure": {"evidence": "e", "metric": "m"}})
    with pytest.raises(ValueError, match=r"claims.register.C99: there is no key 'metrc'; did you mean 'metric'"):
        Claim.read("C99", {**stated, "measure": {"evidence": "e", "metrc": "m"}, "rule": {"above": 0}})
    with pytest.raises(ValueError, match=r"claims.register.C99: there is no key 'abov'; did you mean 'above'"):
        Claim.read("C99", {**stated, "measure": {"evidence": "e", "metric": "m"}, "rule": {"abov": 0}})
    with pytest.raises(KeyError, match="C99"):
        chosen({"C99": stated}, ["C98"])
    assert [claim.id for claim in chosen({"C1.b": stated, "C1": stated, "C2": stated}, ["C1"])] == ["C1", "C1.b"]
    assert Source("e", metric="m").reduce == "mean"


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
    stated = {"statement": "s", "source": "p", "tag": "S", "predicted": "x", "otherwise": "y", "rule": {"above": 0}}
    with pytest.raises(ValueError, match=f"claims.register.C99: .*{said}"):
        Claim.read("C99", {**stated, "measure": {"function": function, "evidence": ["e"], **settings}})


def test_kurtosis_of_pre_images(tmp_path):
    random = np.random.default_rng(0)
    for name, pixels in (
        ("a", random.laplace(128, 20, (1, 3, 40, 40, 3))),
        ("b", random.normal(128, 20, (1, 3, 40, 40, 3))),
    ):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "inversion.npz", **{"optimised.relu3": pixels})
    found = functions.kurtosis({"x": [tmp_path / "a"], "y": [tmp_path / "b"]}, "x", "y", "relu3")
    assert found.value == pytest.approx(3, abs=0.6)  # that of a Laplace distribution above a normal one
    assert found.n == 3


def test_detectors_go_with_another_number_over_runs(tmp_path):
    folders = {"a": [], "b": []}
    for run, (name, count, accuracy) in enumerate([("a", 3, 50.0), ("a", 1, 20.0), ("b", 2, 30.0), ("b", 5, 90.0)]):
        folder = tmp_path / str(run)
        folder.mkdir()
        lines = [f"l,per_category,object,9,{count}", "l,per_category,part,9,7", f"l,top_label,object,9,{9 - count}"]
        (folder / "counts.csv").write_text(
            "\n".join(["layer,rule,category,detector_units,unique_detectors", *lines, "k,per_category,object,9,1"])
        )
        Table([Row("l.transfer.scene", accuracy, "%")]).write(folder)
        folders[name].append(folder)
    found = functions.correlation_over_runs(folders, layer="l", category="object", metric="l.transfer.scene")
    assert (found.value, found.n) == (pytest.approx(1), 4)
    assert -1 <= found.low <= found.high <= 1 + 1e-12


def test_likeness_of_maps_is_a_rank_correlation_over_pixels(tmp_path):
    chance = np.random.default_rng(1)
    maps = {f"{picture}.saliency": chance.random((5, 7)) for picture in "abc"}
    twisted = {
        f"{key}": -(value**3) if key[0] != "c" else value for key, value in maps.items()
    }  # |map| keeps its order
    folders = {"one": [], "two": []}
    for seed in range(3):
        for name, content in (("one", maps), ("two", twisted if seed else {k: 1 / v for k, v in maps.items()})):
            folder = tmp_path / name / str(seed)
            folder.mkdir(parents=True)
            np.savez(folder / "maps.npz", **content, **{"a.guided": np.ones((5, 7))})
            folders[name].append(folder)
    found = functions.likeness_of_maps(folders, of="one", minus="two", method="saliency")
    assert found.n == 3
    assert found.value == pytest.approx((-1 + 1 + 1) / 3)
    with pytest.raises(ValueError, match="deconvnet"):
        functions.likeness_of_maps(folders, of="one", minus="two", method="deconvnet")


def test_columns_that_differ_and_columns_that_do_not(tmp_path):
    chance = np.random.default_rng(2)
    for name, shift in (("apart", 0.5), ("alike", 0.0)):
        folders = []
        for seed in range(4):
            folder = tmp_path / name / str(seed)
            folder.mkdir(parents=True)
            values = 0.3 + 0.05 * chance.standard_normal(20) + shift * (np.arange(20) >= 10)
            pd.DataFrame({"unit": range(20), "colour": values}).to_csv(folder / "first_layer.csv", index=False)
            folders.append(folder)
        found = functions.gap_of_columns({name: folders}, file="first_layer.csv", column="colour", groups=2)
        assert found.low <= found.value <= found.high
        if shift:
            assert found.low > 0.3  # 0.5 less what halves of a two-peaked set differ by chance, about 0.1
        else:
            assert abs(found.value) < 0.03
