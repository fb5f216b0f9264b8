"""Grids: what their points are, what a sweep makes of them, and one through the real program."""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from scipy import stats
from tests.own import OWN, lay, program

from deepinside.pipeline import configuration, plan
from deepinside.pipeline import sweep as points
from deepinside.pipeline.plan import Plan, Planner
from deepinside.plots.sweep import curves
from deepinside.records import Row, Table
from deepinside.stages import sweep
from deepinside.stages.sweep import Grid, text

LOWER = {"error": "lower"}


def grid(**changes) -> Grid:
    given = {"stage": "localise", "keys": {"a.x": [0.1, 0.2], "a.y": ["one", None]}, "better": LOWER}
    return Grid(**(given | changes))


# The grid


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0.95, "0.95"),
        (1e-5, "1e-05"),
        (None, "null"),
        (True, "true"),
        ("am_none", "am_none"),
        ("features.12", "features.12"),
        ("true", "'true'"),
        ("0.5", "'0.5'"),
        ("it's {here}, ok", r"'it\'s {here}, ok'"),
        ([1, ["a", None]], "[1,[a,null]]"),
        ({"saliency": 0.3, "of": ["x y"]}, "{saliency:0.3,of:['x y']}"),
    ],
)
def test_hydra_reads_a_word_as_the_value_that_it_stands_for(value: object, word: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert text(value) == word
    assert OverridesParser.create().parse_override(f"key={word}").value() == value


def test_points_are_the_product_with_the_last_key_fastest() -> None:
    found = [point.label for point in grid().points()]
    assert found == ["a.x=0.1 a.y=one", "a.x=0.1 a.y=null", "a.x=0.2 a.y=one", "a.x=0.2 a.y=null"]
    assert len(grid()) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"keys": {}}, "sweep.grid is empty"),
        ({"keys": {"a.x": 0.1}}, "sweep.grid.a.x: expected a list"),
        ({"keys": {"a.x": []}}, "sweep.grid.a.x: expected a list"),
        ({"better": {}}, "sweep.metrics is empty"),
        ({"repeats": "a.z"}, "did you mean .*'a.x'"),
    ],
)
def test_a_grid_without_sense_says_how_to_mend_it(changes: dict, said: str) -> None:
    with pytest.raises((ValueError, KeyError), match=said):
        grid(**changes)


def test_metrics_under_an_unknown_word() -> None:
    with pytest.raises(ValueError, match="'lower'"):
        Grid.of({"stage": "localise", "grid": {"a": [1]}, "metrics": {"lwoer": ["error"]}})


def test_metrics_by_name_by_pattern_and_by_the_value_of_a_key() -> None:
    keys = {"method": ["am_none"], "a.x": [1, 2]}
    found = grid(keys=keys, better={"{method}.rank": "higher", "*.count": "shown", "err*": "lower"})
    point = next(found.points())
    named = found.named(point, ["am_none.rank", "error", "conv1.count", "conv2.count", "other.rank"])
    assert named == {
        "am_none.rank": ("rank", "higher"),
        "conv1.count": ("conv1.count", "shown"),
        "conv2.count": ("conv2.count", "shown"),
        "error": ("error", "lower"),
    }
    with pytest.raises(KeyError, match=r"no metric 'am_none\.rank' at method=am_none .*'am_none\.rnk'"):
        found.named(point, ["am_none.rnk", "error", "conv1.count"])


def test_the_command_of_a_point_keeps_the_users_words_and_leaves_out_the_sweeps() -> None:
    command = [
        "run=sweep",
        "sweep=x",
        "+sweep.grid.b=[1]",
        "data.root=/here",
        "name=n",
        "hydra.verbose=1",
    ]
    found = points.overrides(grid(keys={"a.x": [1]}), ["data.limit=9"], command, 3, "n")
    assert found == {"a.x=1": ["run=localise", "name=n", "seed=3", "data.limit=9", "data.root=/here", "a.x=1"]}


# The stage


def artifact(outputs: Path, name: str, rows: list[Row]) -> Path:
    """A finished point of some stage."""
    folder = outputs / "localise" / name
    folder.mkdir(parents=True)
    Table(rows).write(folder)
    config = {"data": {"name": "photos"}, "model": {"name": "micro"}}
    made_from = {"stage": "localise", "config": config, "inputs": {}}
    (folder / "manifest.json").write_text(json.dumps({"made_from": made_from}))
    return folder


def swept(tmp_path: Path, keys: dict, values: dict[str, float], **changes) -> Path:
    """What the stage makes of points with these errors, by label."""
    inputs = {
        label: artifact(tmp_path / "outputs", f"{number:016x}", [Row("error", value, "%", 50, value - 1, value + 2)])
        for number, (label, value) in enumerate(values.items())
    }
    chosen = {"stage": "localise", "metrics": {"lower": ["error"]}, "says": "Why.", "set_aside": [], "repeats": None}
    out = tmp_path / "cafe.part"
    out.mkdir()
    sweep.run(OmegaConf.create({"sweep": {**chosen, "grid": keys, **changes}}), inputs, out)
    return out


def test_one_row_per_point_and_metric_and_the_best_of_them(tmp_path: Path) -> None:
    values = {"a.x=1 a.y=p": 30.0, "a.x=1 a.y=q": 20.0, "a.x=2 a.y=q": 25.0}
    aside = [["a.x=2 a.y=p", "it broke"]]
    out = swept(tmp_path, {"a": {"x": [1, 2], "y": ["p", "q"]}}, values, set_aside=aside)
    lines = (out / "sweep.csv").read_text().splitlines()
    assert lines == [
        "a.x,a.y,metric,better,value,unit,n,ci_low,ci_high,artifact",
        "1,p,error,lower,30.0,%,50,29.0,32.0,0000000000000000",
        "1,q,error,lower,20.0,%,50,19.0,22.0,0000000000000001",
        "2,q,error,lower,25.0,%,50,24.0,27.0,0000000000000002",
    ]
    assert (out / "best.csv").read_text().splitlines() == [lines[0], lines[2]]
    table = Table.read(out)
    assert table["points"][:4] == ("points", 3, "points", 4)
    assert table["points_set_aside"].value == 1
    assert table["best.error"][1:] == (20.0, "%", 50, 19.0, 22.0)
    assert table["best.error.a.x"].value == 1
    assert "best.error.a.y" not in {row.metric for row in table.rows}  # `q` is no number
    assert (out / "set_aside.csv").read_text() == "file,reason\na.x=2 a.y=p,it broke\n"
    with (out / "pictures.csv").open() as file:
        (picture,) = csv.DictReader(file)
    assert (out / picture["file"]).stat().st_size > 1000
    said = "Why. Stage localise, photos, micro; 3 of 4 points; 95 % intervals as the stage reports them. "
    assert picture["caption"] == f"{said}Best: a.x 1, a.y q, selected on the same data. Artifact cafe."


def test_repetitions_are_averaged_before_the_best_is_chosen(tmp_path: Path) -> None:
    # x=1 has the best seed (1), x=2 the better mean (6 against 10).
    errors = {1: (1.0, 19.0, 10.0), 2: (5.0, 6.0, 7.0)}
    values = {f"a.x={x} seed={seed}": value for x, all_ in errors.items() for seed, value in enumerate(all_)}
    out = swept(tmp_path, {"a": {"x": [1, 2]}, "seed": [0, 1, 2]}, values, repeats="seed")
    assert len(pd.read_csv(out / "sweep.csv")) == 6
    mean = pd.read_csv(out / "mean.csv")
    assert mean["value"].tolist() == [10.0, 6.0]
    assert mean["n"].tolist() == [3, 3]
    low, high = stats.ttest_1samp(errors[1], 0).confidence_interval(0.95)
    assert mean.loc[0, ["ci_low", "ci_high"]].tolist() == pytest.approx([low, high])
    assert Table.read(out)["best.error"].value == 6
    assert Table.read(out)["best.error.a.x"].value == 2


def test_one_repetition_has_no_interval_and_an_unknown_value_is_never_best(tmp_path: Path) -> None:
    out = swept(tmp_path, {"a": {"x": [1, 2]}}, {"a.x=1": math.nan, "a.x=2": 9.0})
    assert Table.read(out)["best.error.a.x"].value == 2
    assert pd.read_csv(out / "sweep.csv")["value"].isna().tolist() == [True, False]


# The image


def drawn(keys: dict[str, list[str]], values: list[float], better: str = "lower"):
    places = pd.MultiIndex.from_product(keys.values(), names=list(keys)).to_frame(index=False)
    rows = places.assign(metric="error", better=better, value=values, unit="%", n=9, ci_low=math.nan, ci_high=math.nan)
    rows.loc[0, ["ci_low", "ci_high"]] = [values[0] - 1, values[0] + 3]
    best = sweep.best(rows)
    (axis,) = curves(rows, keys, best).axes
    return axis


def test_a_line_per_value_of_the_second_key_with_bars_and_a_ring_at_the_best() -> None:
    axis = drawn({"a.x": ["1", "2"], "a.y": ["p", "q"]}, [4.0, 3.0, 2.0, 5.0])
    bars = [box for box in axis.containers if box.get_label() in {"p", "q"}]
    assert [box.lines[0].get_ydata().tolist() for box in bars] == [[4.0, 2.0], [3.0, 5.0]]
    assert bars[0].lines[2][0].get_segments()[0][:, 1].tolist() == [3.0, 7.0]
    assert bars[0].lines[0].get_xdata() == pytest.approx([0.97, 1.97])  # beside the other, by 6 % of the distance
    assert bars[1].lines[0].get_xdata() == pytest.approx([1.03, 2.03])
    rings = [line for line in axis.lines if line.get_markersize() == 12 and len(line.get_ydata())]
    assert [(*ring.get_xdata(), *ring.get_ydata()) for ring in rings] == [pytest.approx((1.97, 2.0))]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["1", "2"]
    assert axis.get_ylabel() == "error (%)"


def test_decades_are_spaced_evenly_and_words_are_not_joined() -> None:
    axis = drawn({"a.x": ["0.1", "1.0", "10.0"]}, [1.0, 2.0, 3.0])
    assert np.diff(axis.get_xticks()) == pytest.approx([1, 1])
    assert axis.containers[0].lines[0].get_linestyle() == "-"
    axis = drawn({"a.x": ["null", "0.1"]}, [1.0, 2.0], better="shown")
    assert axis.containers[0].lines[0].get_linestyle() == "None"
    assert axis.get_title(loc="left") == ""


def test_further_keys_are_held_at_the_best_point() -> None:
    axis = drawn({"a.x": ["1", "2"], "a.y": ["p", "q"], "a.z": ["u", "v"]}, [8.0, 7.0, 6.0, 5.0, 4.0, 1.0, 3.0, 2.0])
    shown = [box.lines[0].get_ydata().tolist() for box in axis.containers if box.get_label() in {"p", "q"}]
    assert shown == [[7.0, 1.0], [5.0, 2.0]]  # of z = v
    assert axis.get_title(loc="left").startswith("a.z v; lower is better")


# Planning

SHIPPED = sorted(file.stem for file in (configuration.folder() / "sweep").glob("*.yaml") if file.stem != "custom")
TWO = ["sweep=graphcut_quantiles", "sweep.grid.localise.foreground_quantile=[0.9,0.95]",
       "sweep.grid.localise.background_quantile=[0.3]"]  # fmt: skip


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Planner:
    return Planner(tmp_path_factory.mktemp("outputs"))


def planned(planner: Planner, *words: str) -> Plan:
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        cfg = compose("config", overrides=list(words))
    return plan.planned(planner, cfg, list(words))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_sweep_has_the_words_of_a_stage(name: str) -> None:
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        cfg = compose("config", overrides=[f"sweep={name}"])
    found = Grid.of(OmegaConf.to_container(cfg.sweep))
    commands = list(points.overrides(found, list(cfg.sweep.fixed), [], cfg.seed, cfg.name).values())
    assert (cfg.run, cfg.name, len(commands)) == ("sweep", name, len(found))
    assert cfg.sweep.says.endswith(".")
    words = dict.fromkeys(word for words in commands for word in words)
    made = {word for word in words if re.fullmatch(r"model=(proposal|control)_\d", word)}  # what run=diagnose writes
    configuration.check_overrides([word for word in words if word not in made])


def test_points_are_the_artifacts_that_their_own_commands_would_make(planner: Planner) -> None:
    plan = planned(planner, *TWO, "data.limit=7", "seed=3")
    alone = planned(planner, "run=localise", "data.limit=7", "seed=3", "localise.foreground_quantile=0.9")
    assert [*plan.inputs] == [
        "localise.foreground_quantile=0.9 localise.background_quantile=0.3",
        "localise.foreground_quantile=0.95 localise.background_quantile=0.3",
    ]
    first = next(iter(plan.inputs.values()))
    assert first.folder == alone.folder
    assert first.whole.name == "graphcut_quantiles"  # W&B's group
    assert planned(planner, *TWO, "data.limit=7", "seed=3").folder == plan.folder
    assert planned(planner, *TWO, "data.limit=8", "seed=3").folder != plan.folder


def test_a_swept_seed_is_not_overruled(planner: Planner) -> None:
    plan = planned(planner, *TWO[:1], "~sweep.grid.localise", "+sweep.grid.seed=[0,1]", "seed=5")
    assert [point.made_from["seed"] for point in plan.inputs.values()] == [0, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+sweep.grid.localise.gama=[1,2]"], "'localise.gamma'"),
        (["~sweep.grid.localise", "+sweep.grid.method=[saliensy]"], "'saliency'"),
        (["sweep.stage=localize"], "'localise'"),
        (["sweep.fixed=['data.limt=3']"], "'data.limit'"),
        (["+sweep.grid.visualise.images=[1,2]"], "without effect"),
    ],
)
def test_misspelt_and_idle_keys_fail_before_any_work(planner: Planner, words: list[str], said: str) -> None:
    with pytest.raises((KeyError, ValueError), match=said):
        planned(planner, *TWO, *words)


def test_the_report_takes_a_sweep_under_its_name(planner: Planner) -> None:
    also = ",".join(f"'{word}'" for word in TWO)
    page = planned(planner, "run=report", "report.stages=[localise]", f"report.also=[[{also}]]", "name=page")
    assert page.inputs["sweep.graphcut_quantiles"].folder == planned(planner, *TWO).folder
    assert not [key for key in page.inputs if key.startswith("localise.")]  # points are in the sweep's table


def test_a_sweep_without_a_name_says_which_there_are(planner: Planner) -> None:
    with pytest.raises(ValueError, match="graphcut_quantiles"):
        planned(planner, "run=sweep")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no /home/me/data/x.csv here"), "no x.csv here"),
        (KeyError("no layer 'relu9'"), "no layer 'relu9'"),
        (RuntimeError("out of ${memory}"), "out of $ {memory}"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_reason_of_a_failure_holds_no_folder_of_this_machine(error: Exception, reason: str) -> None:
    def fail(_plan: object) -> None:
        raise error

    assert points._reason(fail, None) == reason
    assert points._reason(lambda _plan: None, None) == ""


def test_what_all_points_take_is_made_first(planner: Planner) -> None:
    plan = planned(planner, *TWO[:1], "~sweep.grid.localise", "+sweep.grid.localise.gamma=[1,2]",
                   "+sweep.grid.model.dropout=[0.1,0.2]")  # fmt: skip
    found = points._common(list(plan.inputs.values()))
    assert [step.stage.name for step in found] == ["prepare"]  # each network serves two of the four points
    assert points._common(list(plan.inputs.values())[:1]) == []
    assert [step.stage.name for step in points._common(list(plan.inputs.values())[::2])] == ["prepare", "train"]


def test_trainings_on_several_devices_are_not_swept_by_processes_of_torchrun(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("~sweep.grid.localise", "+sweep.grid.model.dropout=[0.1,0.2]", "train.trainer.devices=2")
    plans = planned(planner, *TWO[:1], *words).inputs
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="start the sweep without torchrun"):
        points._check_processes(list(plans.values()))


# The program


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay(tmp_path_factory.mktemp("swept"))


@pytest.mark.slow  # the program several times: a minute and a half on a busy machine
def test_a_failing_point_is_set_aside_and_finished_ones_are_free(place: Path) -> None:
    words = ["run=sweep", "sweep=graphcut_quantiles", *OWN, "data.limit=4"]
    words += ["sweep.grid.localise.background_quantile=[0.3]", "sweep.grid.localise.foreground_quantile=[0.95,0.2]"]
    done = program(*words, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "2 points, 0 of them cached" in done.stderr
    out = place / done.stdout.strip().splitlines()[-1].removeprefix("artifact: ")
    assert out.parent == place / "outputs" / "sweep"
    table = Table.read(out)
    assert (table["points"].value, table["points_set_aside"].value) == (1, 1)
    frame = pd.read_csv(out / "sweep.csv")
    assert len(frame) == 3
    for _, line in frame.iterrows():
        point = Table.read(place / "outputs" / "localise" / line["artifact"])[line["metric"]]
        assert (line["value"], line["n"], line["ci_low"]) == (point.value, 4, point.ci_low)
    aside = (out / "set_aside.csv").read_text().splitlines()[1]
    assert aside.startswith("localise.foreground_quantile=0.2 localise.background_quantile=0.3,")
    assert "expected 0 < background_quantile <= foreground_quantile < 1, got 0.3 and 0.2" in aside
    assert str(place) not in (out / "manifest.json").read_text()

    again = program(*words, cwd=place)  # only the failed one is tried again
    assert "2 points, 1 of them cached" in again.stderr
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]

    wrong = program(*words, "sweep.metrics.lower=[class_knwn_localisation_error]", cwd=place)
    assert wrong.returncode != 0
    assert "'class_known_localisation_error'" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_hydras_own_multirun(place: Path) -> None:
    words = ["run=load", "model=convnet_micro", "model.weights=random", "wandb=disabled"]
    done = program("-m", *words, "seed=0,1", "outputs=multirun", cwd=place)
    assert done.returncode == 0, done.stderr
    manifests = (place / "multirun" / "load").glob("*/manifest.json")
    assert {json.loads(file.read_text())["made_from"]["seed"] for file in manifests} == {0, 1}
