"""Numbers of claims, with their nulls, from artifacts made by hand: planted effects and planted nulls."""

import numpy as np
import pandas as pd
import pytest

from deepinside.claims import functions
from deepinside.claims.measures import estimate
from deepinside.claims.register import Measure
from deepinside.claims.verdict import CONTRADICTED, NEGLIGIBLE, SUPPORTED, UNDECIDED, Rule, verdict
from deepinside.records import Row, Table

LINES = "method,class,score,share\na,0,1.0,0.5\na,1,2.0,0.7\nb,0,1.5,0.1\nb,1,2.5,0.2\nc,1,9.0,0.2\nc,0,0.0,\n"
ZERO = {"name": "none", "value": 0}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "items.csv").write_text(LINES)
    Table(
        [
            Row("m", 2.0, "", 7, 1.0, 3.0),
            Row("exact", 0.5),
            Row("equal", 0.5, "", 9, 0.5, 0.5),
            Row("k", 1.0, "", 5, 0.6, 1.4),
        ]
    ).write(tmp_path)
    return tmp_path


def column(**changes):
    return {"evidence": "e", "file": "items.csv", "column": "share", "key": "class", "where": {"method": "a"}} | changes


def measured(content, null, folder):
    return estimate(Measure.read(content, null), {"e": [folder]})


def test_a_row_of_the_table_comes_with_its_interval_unless_nothing_varied(folder):
    found = measured({"evidence": "e", "metric": "m"}, {"name": "half", "value": 0.5}, folder)
    assert (found.value, found.low, found.high, found.null, found.n) == (1.5, 0.5, 2.5, 0.5, 7)
    for metric in ("exact", "equal"):
        found = measured({"evidence": "e", "metric": metric}, ZERO, folder)
        assert found.value == pytest.approx(0.5)
        assert verdict(found, Rule(above=0.1)) == UNDECIDED  # it is not known how it varies


def test_two_rows_of_tables_share_no_units(folder):
    with pytest.raises(ValueError, match="share no units"):
        measured({"evidence": "e", "metric": "m"}, {"name": "other", "metric": "k"}, folder)


def test_columns_are_paired_by_key_and_the_null_takes_what_it_does_not_state_from_the_measure(folder):
    found = measured(column(), {"name": "b", "where": {"method": "b"}}, folder)
    assert (found.value, found.null, found.n) == pytest.approx((0.45, 0.15, 2))
    assert found.low < 0.4 < 0.5 < found.high
    assert Measure.read(column(), {"name": "b", "where": {"method": "b"}}).title == "share (mean of method a)"


def test_several_rows_of_one_key_are_joined_and_empty_cells_left_out(folder):
    most = {"name": "the higher of the two", "where": {"method": ["b", "c"]}, "reduce": "max"}
    assert measured(column(), most, folder).value == pytest.approx(((0.5 - 0.1) + (0.7 - 0.2)) / 2)


def test_a_ratio_is_taken_unit_by_unit(folder):
    ratio = column(column="score", where={"method": "b"}, over={"where": {"method": "a"}})
    found = measured(ratio, {"name": "half", "value": 0.5}, folder)
    assert found.value == pytest.approx((1.5 / 1 + 2.5 / 2) / 2 - 0.5)
    seeds = {"evidence": "e", "metric": "m", "over": {"metric": "k"}}
    two = estimate(Measure.read(seeds, ZERO), {"e": [folder, folder]})
    assert two.value == 2
    assert np.isnan(two.low)  # both are equal


def yes_no(tmp_path, ours, theirs):
    rows = [f"fgsm,p{i},{float(one)}" for i, one in enumerate(ours)]
    rows += [f"random,p{i},{'' if one is None else float(one)}" for i, one in enumerate(theirs)]
    (tmp_path / "attacks.csv").write_text("\n".join(["attack,picture,success", *rows]) + "\n")
    return {
        "evidence": "e", "file": "attacks.csv", "column": "success", "key": "picture",
        "where": {"attack": "fgsm"}, "yes_no": True,
    }  # fmt: skip


def test_yes_no_data_have_exact_intervals(tmp_path):
    content = yes_no(tmp_path, [1] * 7, [0] * 7)
    found = measured(content, {"name": "half", "value": 0.5}, tmp_path)
    assert (found.value, found.high) == (0.5, 0.5)
    assert found.low == pytest.approx(0.59 - 0.5, abs=0.001)
    paired = measured(content, {"name": "noise", "where": {"attack": "random"}}, tmp_path)
    assert (paired.value, paired.null) == (1.0, 0.0)
    assert 0.3 < paired.low < 0.9
    with pytest.raises(ValueError, match="expected yes/no data, 0 or 1"):
        measured(yes_no(tmp_path, [0.5, 1], [0, 0]), {"name": "half", "value": 0.5}, tmp_path)


@pytest.mark.parametrize(("effect", "said"), [(0.6, SUPPORTED), (0.0, NEGLIGIBLE), (-0.6, CONTRADICTED)])
def test_planted_effects_of_every_kind_of_row(tmp_path, effect, said):
    """Paired columns, yes/no pairs, seeds, and likeness of maps: an effect, none, and the opposite."""
    random, rule = np.random.default_rng(0), Rule(above=0.25)
    base = random.normal(0, 1, 100)
    lines = [
        f"{name},{i},{value}"
        for name, shift in (("a", effect), ("b", 0))
        for i, value in enumerate(base + shift + random.normal(0, 0.2, 100))
    ]
    (tmp_path / "items.csv").write_text("\n".join(["method,class,share", *lines]) + "\n")
    assert verdict(measured(column(), {"name": "b", "where": {"method": "b"}}, tmp_path), rule) == said
    chance = random.random(200)
    content = yes_no(tmp_path, chance < 0.5 + effect / 2, chance < 0.5 - effect / 2)
    assert verdict(measured(content, {"name": "noise", "where": {"attack": "random"}}, tmp_path), rule) == said
    folders = {"one": [], "two": []}
    for seed in range(5):
        for name, shift in (("one", effect), ("two", 0)):
            folders[name].append(tmp_path / f"{name}{seed}")
            folders[name][-1].mkdir()
            Table([Row("error", float(3 + shift + random.normal(0, 0.05)))]).write(folders[name][-1])
    seeds = Measure.read({"evidence": "one", "metric": "error"}, {"name": "two", "evidence": "two"})
    assert verdict(estimate(seeds, folders), rule) == said


def test_seeds_are_paired_and_have_a_t_interval(tmp_path):
    folders = {"one": [], "two": []}
    for seed, (a, b) in enumerate([(5.0, 3.0), (6.0, 5.0), (9.0, 6.0)]):
        for name, value in (("one", a), ("two", b)):
            folders[name].append(tmp_path / f"{name}{seed}")
            folders[name][-1].mkdir()
            Table([Row("error", value)]).write(folders[name][-1])
    measure = Measure.read({"evidence": "one", "metric": "error"}, {"name": "two", "evidence": "two"})
    found = estimate(measure, folders)
    assert found.value == 2
    assert found.high - 2 == pytest.approx(4.3027 * 1 / np.sqrt(3), rel=1e-4)  # t of 2 degrees of freedom
    assert (found.freedom, found.null) == (2, pytest.approx(14 / 3))
    fewer = {"one": folders["one"], "two": folders["two"][:2]}  # the third seed has no partner
    assert estimate(measure, fewer).value == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"column": "shares"}, "no column 'shares'"), ({"where": {"method": "z"}}, "no row with"), ({"file": "n"}, "n")],
)
def test_what_is_not_there_is_named(folder, changes, said):
    with pytest.raises((KeyError, ValueError, FileNotFoundError), match=said):
        measured(column(**changes), ZERO, folder)


def test_rank_correlation_and_difference_of_rows(folder, tmp_path):
    rows = ["method,score,share", *(f"a,{i},{(i * 7) % 20}" for i in range(20))]
    (tmp_path / "more.csv").write_text("\n".join(rows) + "\n")
    found = functions.rank_correlation({"e": [tmp_path]}, "more.csv", "score", "share", "a")
    expected = np.corrcoef(np.arange(20), (np.arange(20) * 7) % 20)[0, 1]
    assert found.value == pytest.approx(expected)
    assert -1 < found.low < found.value < found.high < 1
    gap = functions.difference_of_rows({"e": [folder]}, "m", "k")
    assert (gap.value, gap.n, gap.null) == (1.0, 5, 1.0)
    assert (gap.low, gap.high) == pytest.approx((1 - np.hypot(1.0, 0.4), 1 + np.hypot(1.0, 0.4)))
    apart = functions.difference_of_rows({"e": [folder], "f": [folder]}, "m", "k")
    assert apart == gap


def test_readings_that_must_agree(tmp_path):
    rows = [Row("a", 1.0, "", 40, 0.5, 1.5), Row("b", 0.6, "", 40, 0.2, 1.0), Row("c", 0.1, "", 40, -0.3, 0.5)]
    Table(rows).write(tmp_path)
    assert verdict(functions.all_rows({"e": [tmp_path]}, ["a", "b"]), Rule(above=0.1)) == SUPPORTED
    assert verdict(functions.all_rows({"e": [tmp_path]}, ["a", "b", "c"]), Rule(above=0.1)) == UNDECIDED


def test_concentration(tmp_path):
    point, flat = np.zeros((4, 4)), np.ones((4, 4))
    point[1, 1] = 3
    assert functions.gini(point) == pytest.approx(15 / 16)
    assert functions.gini(flat) == 0
    half = np.where(np.arange(16).reshape(4, 4) < 8, 1.0, 0.0)
    maps = {"x.jpg.guided": point, "x.jpg.saliency": flat, "y.jpg.guided": half, "y.jpg.saliency": flat}
    np.savez(tmp_path / "maps.npz", **maps)
    found = functions.concentration({"e": [tmp_path]}, "guided", "saliency")
    assert (found.value, found.n, found.null) == (pytest.approx((15 / 16 + 1 / 2) / 2), 2, 0)
    with pytest.raises(ValueError, match="expected maps of 'deconvnet', got none"):
        functions.concentration({"e": [tmp_path]}, "deconvnet", "saliency")


def test_detectors_by_layer(tmp_path):
    rows = ["layer,unit,category,score,p_value", *(f"low,{i},color,0.1,0.01" for i in range(4))]
    rows += [f"high,{i},object,{0.1 if i < 4 else 0.03},{0.01 if i < 3 else 0.3}" for i in range(5)]
    (tmp_path / "units.csv").write_text("\n".join(rows) + "\n")
    found = functions.detectors({"e": [tmp_path]}, ["object", "part"], "high", "low")
    assert (found.value, found.null) == (pytest.approx(3 / 5), 0)
    assert found.low < 0.6 < found.high <= 1
    with pytest.raises(KeyError, match="no layer 'middle'"):
        functions.detectors({"e": [tmp_path]}, ["object"], "middle", "low")


def test_kurtosis_of_pre_images(tmp_path):
    random = np.random.default_rng(0)
    for name, pixels in (
        ("a", random.laplace(0.5, 0.1, (1, 3, 40, 40, 3))),
        ("b", random.normal(0.5, 0.1, (1, 3, 40, 40, 3))),
    ):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "inversion.npz", **{"floats.relu3": pixels})
    found = functions.kurtosis({"x": [tmp_path / "a"], "y": [tmp_path / "b"]}, "x", "y", "relu3")
    assert found.value == pytest.approx(3, abs=0.6)  # that of a Laplace distribution above a normal one
    assert (found.n, found.null) == (3, pytest.approx(0, abs=0.2))


def test_spread_over_starts_by_hand(tmp_path):
    same = np.zeros((2, 4, 3, 3, 3), np.uint8)
    apart = same.copy()
    apart[1] = np.array([51, 102, 51, 102]).reshape(4, 1, 1, 1)
    np.savez(tmp_path / "inversion.npz", **{"optimised.low": same, "optimised.high": apart})
    found = functions.spread({"e": [tmp_path]}, "high", "low")
    assert (found.value, found.null, found.n) == (pytest.approx(0.3), 0, 4)


def test_detectors_go_with_another_number_over_runs(tmp_path):
    folders = {"a": [], "b": [], "c": []}
    counts = [("a", 3, 50.0), ("a", 1, 20.0), ("b", 2, 30.0), ("b", 5, 90.0), ("c", 4, 60.0)]
    for run, (name, count, accuracy) in enumerate(counts):
        folder = tmp_path / str(run)
        folder.mkdir()
        lines = [f"l,per_category,object,9,{count}", "l,per_category,part,9,7", f"l,top_label,object,9,{9 - count}"]
        (folder / "counts.csv").write_text(
            "\n".join(["layer,rule,category,detector_units,unique_detectors", *lines, "k,per_category,object,9,1"])
        )
        Table([Row("l.transfer.scene", accuracy, "%")]).write(folder)
        folders[name].append(folder)
    found = functions.correlation_over_runs(folders, layer="l", category="object", metric="l.transfer.scene")
    assert (found.value, found.n) == (pytest.approx(1), 3)  # three kinds of training


def evolution(folder, way):
    """Two layers of two units: `low` has come the given part of its way after the first epoch, `high` half as much."""
    folder.mkdir()
    rows = ["layer,epoch,unit,correlation"]
    for layer, share in (("low", way), ("high", way / 2)):
        rows += [
            f"{layer},{epoch},{unit},{0.2 + 0.8 * done}"
            for epoch, done in ((0, 0), (1, share), (4, 1))
            for unit in (0, 1)
        ]
    (folder / "feature_evolution.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_convergence_begins_at_the_random_start(tmp_path):
    folders = {"e": [evolution(tmp_path / str(way), way) for way in (0.5, 0.6, 0.7)]}
    found = functions.convergence(folders, "low", "high")
    assert (found.value, found.null, found.n) == (pytest.approx(0.3), pytest.approx(0.3), 3)
    with pytest.raises(ValueError, match="expected high at epochs 0 and 2"):
        functions.convergence(folders, "low", "high", epoch=2)


def sheet(folder, box, energy):
    """Six images of eight positions: the fall is 0.5 in the first two, which are in the box or not."""
    rows, random = ["picture,y,x,probability,activation,in_box,energy"], np.random.default_rng(0)
    for picture in range(6):
        fall = np.array([0.5, 0.4, 0.1, 0.05, 0, 0, 0.02, 0.01]) + 0.01 * random.random(8)
        rows.append(f"p{picture},,,0.9,10,,")
        power = fall if energy else random.random(8)
        inside = np.arange(8) < 2 if box else random.permutation(np.arange(8) < 2)
        rows += [f"p{picture},0,{i},{0.9 - fall[i]},{10 - fall[i]},{float(inside[i])},{power[i]}" for i in range(8)]
    (folder / "occlusion_sheet.csv").write_text("\n".join(rows) + "\n")
    return {"e": [folder]}


def test_occlusion_in_the_box_and_under_the_projection(tmp_path):
    found = functions.occlusion_drop(sheet(tmp_path, box=True, energy=True))
    assert found.value == pytest.approx(0.45 - 0.03, abs=0.02)
    assert found.low > 0.3
    assert functions.occlusion_correlation({"e": [tmp_path]}).value < 0.2  # every image falls at the same places
    assert functions.occlusion_drop(sheet(tmp_path, box=False, energy=False)).low < 0.1


def smooth(random, size=(12, 14)):
    return np.abs(np.cumsum(np.cumsum(random.normal(size=size), axis=0), axis=1))


def trainings(tmp_path, seeds=3, images=6, noise=0.3, shared=0.0):
    """Maps of several seeds: of one image alike, of different images only by what all have in common."""
    random = np.random.default_rng(4)
    common = smooth(random)
    scenes = {f"p{i}": smooth(random) + shared * common for i in range(images)}
    folders = {"understood": [], "memorised": [], "same": []}
    for seed in range(seeds):
        for name in folders:
            folder = tmp_path / name / str(seed)
            folder.mkdir(parents=True)
            maps = {key: value * (1 + noise * random.random(value.shape)) for key, value in scenes.items()}
            if name == "memorised":
                maps = {key: smooth(random) + shared * common for key in scenes}
            np.savez(folder / "maps.npz", **{f"{key}.saliency": value for key, value in maps.items()})
            folders[name].append(folder)
    return folders


@pytest.mark.parametrize("shared", [0.0, 3.0])  # what all maps have in common raises every correlation
def test_likeness_is_placed_between_other_images_and_other_seeds(tmp_path, shared):
    folders = trainings(tmp_path, shared=shared)
    forgot = {"of": "understood", "other": "memorised", "method": "saliency"}
    found = functions.likeness_between(folders, **forgot, versus="another seed")
    assert found.value == pytest.approx(-1, abs=0.35)
    assert (found.n, found.null) == (3, 1)
    still = functions.likeness_between(
        folders, of="understood", other="same", method="saliency", versus="another image"
    )
    assert still.value == pytest.approx(1, abs=0.2)
    assert still.null == 0
    with pytest.raises(ValueError, match="expected maps of 'deconvnet'"):
        functions.likeness_between(folders, of="understood", other="same", method="deconvnet", versus="another image")
    with pytest.raises(ValueError, match="expected versus of"):
        functions.likeness_between(folders, **forgot, versus="another day")


def cascade(folder, last, floor):
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    rows = [f"guided,p{i},{last + 0.02 * random.normal()},{floor + 0.02 * random.normal()}" for i in range(50)]
    head = "rule,picture,correlation_with_last_random,correlation_with_other_picture"
    (folder / "class_specificity.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def test_a_randomised_networks_map_is_placed_too(tmp_path):
    where = {"column": "correlation_with_last_random", "rule": "guided", "method": "saliency"}
    alone = {"e": [cascade(tmp_path / "one", 0.9, 0.5)]}
    stays = functions.cascade_between(alone, **where, versus="another image")
    assert (stays.value, stays.n, stays.null) == (pytest.approx(0.8, abs=0.02), 50, 0)
    assert 0 < stays.high - stays.low < 0.05
    with pytest.raises(ValueError, match="it has no map of another seed"):
        functions.cascade_between(alone, **where, versus="another seed")
    seeds = trainings(tmp_path)["understood"]
    ceiling = functions._ceilings([functions._maps(folder, "saliency") for folder in seeds])
    for folder in seeds:
        cascade(folder, float(ceiling.mean()), 0.1)
    found = functions.cascade_between({"e": seeds}, **where, versus="another seed")
    assert found.value == pytest.approx(0, abs=0.1)


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
        assert found.null > 0
        if shift:
            assert found.low > 0.3  # 0.5 less what halves of a two-peaked set differ by chance, about 0.1
        else:
            assert abs(found.value) < 0.03


def test_units_without_a_number_are_not_counted(tmp_path):
    maps = {
        "x.a": np.arange(6.0).reshape(2, 3),
        "y.a": np.zeros((2, 3)),
        "x.b": np.ones((2, 3)),
        "y.b": np.ones((2, 3)),
    }
    np.savez(tmp_path / "maps.npz", **maps)
    assert functions.concentration({"e": [tmp_path]}, "a", "b").n == 2
    head = "rule,picture,correlation_with_all_random,correlation_with_other_picture"
    (tmp_path / "class_specificity.csv").write_text(f"{head}\ndeconvnet,p0,,\ndeconvnet,p1,,\n")
    where = {
        "column": "correlation_with_all_random",
        "rule": "deconvnet",
        "method": "deconvnet",
        "versus": "another image",
    }
    with pytest.raises(ValueError, match="expected maps of the rule 'deconvnet', got none with ranks"):
        functions.cascade_between({"e": [tmp_path]}, **where)
    sheet = "picture,y,x,probability,activation,in_box,energy\np0,,,0.9,1,,\np0,0,0,0.8,1,0,1\n"
    (tmp_path / "occlusion_sheet.csv").write_text(sheet)
    with pytest.raises(ValueError, match="undefined for all"):
        functions.occlusion_drop({"e": [tmp_path]})
