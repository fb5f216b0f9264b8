"""The contract that others script against, through the real program."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from tests.own import HANGS, OWN, TINY, lay, program, searched

from deepinside.artifacts.artifact import flat
from deepinside.defaults import defaults
from deepinside.pipeline import configuration
from deepinside.records import Table
from deepinside.terminal import COMMANDS
from deepinside.visualisation.method import methods


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run=localize"], "'localise'"),
        (["run=visualize"], "'visualise'"),
        (["modle=squeezenet"], "'model'"),
        (["model=squeezenett"], "'squeezenet'"),
        (["data.limt=5"], "'data.limit'"),
        (["localise.gama=5"], "'localise.gamma'"),
        (["experiment=reprodce"], "'reproduce'"),
        (["method=[saliensy]"], "'saliency'"),
        (["localise"], "did you mean 'run=localise'"),
        (["localize"], "did you mean 'run=localise'"),
        (["hlep"], "did you mean 'help'"),
        (["verison"], "did you mean '--version'"),
        (["--verison"], "there is no flag '--verison'; did you mean '--version'"),
        (["--data=photos"], "did you mean 'data=photos', without a dash"),
        (["saliency"], "'method=saliency' or 'watch=saliency'"),
        (["run", "localise"], "write 'run=VALUE', without spaces"),
        (["data.root", "pictures"], "write 'data.root=VALUE', without spaces"),
        (["tests"], "as in 'data=photos data.root=tests'"),
        (["data=some/pictures"], "as in 'data=photos data.root=some/pictures'"),
        (["seed=often"], "whole number"),
    ],
)
def test_misspelt_words_fail_with_the_closest_name(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    with pytest.raises((KeyError, ValueError), match=said.replace("[", r"\[")):
        configuration.check_overrides(arguments, COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["localise=simonyan2013", "localise.gamma=1"],
        ["localise.gamma=1", "localise=simonyan2013"],
        ["model.weights=x", "model=squeezenet"],
        ["dissect.layers=[features.12]", "model=squeezenet"],
        ["+extra.key=1"],
        ["data.root='a=b'"],
        ["hydra.verbose=true"],
        ["--help"],
        ["--cfg", "job", "seed=3"],
    ],
)
def test_right_words_pass_in_any_order(arguments: list[str]) -> None:
    configuration.check_overrides(arguments)


STAGES = {"train", "dissect", "localise", "invert"}  # whose `batch` is still accepted
FORMER = {  # where a batch size was not called `batch`
    "method.smooth_grad": "per_pass",
    "method.occlusion": "passes",
    "method.activation_maximization": "together",
    "method.inversion": "together",
    "method.unit_cards.pre_image": "together",
}


def batch_sizes() -> Iterator[tuple[str, str]]:
    """The choice that states it, and the key before its last part, of every batch size in `conf`."""
    for file in sorted(configuration.folder().glob("*/*.yaml")):
        group, choice = file.parent.name, file.stem
        word = f"method=[{choice}]" if group == "method" else f"{group}={choice}"
        for key in flat(yaml.safe_load(file.read_text(encoding="utf-8"))):
            place, _, last = key.rpartition(".")
            if last == "batch_size":
                yield word, ".".join(filter(None, (group, choice if group == "method" else "", place)))


@pytest.mark.parametrize(("word", "place"), batch_sizes())
def test_a_former_name_of_a_batch_size_is_answered_with_the_new_one(word: str, place: str) -> None:
    former = f"{place}.{FORMER.get(place, 'batch')}"
    if place in STAGES:
        for argument in (f"{former}=3", f"+{former}=3"):
            (today,) = configuration.current([argument])
            assert today == argument.replace("batch", "batch_size")
        assert OmegaConf.select(configuration.composed([word, f"{former}=3"]), f"{place}.batch_size") == 3
        return
    for argument in (f"{former}=3", f"+{former}=3"):
        with pytest.raises(KeyError, match=f"no key '{former}'; it has been renamed to '{place}.batch_size'"):
            configuration.composed([word, argument])


def test_maps_of_localise_are_replaced_as_a_whole_and_go_by_their_former_name() -> None:
    best = ["run=localise", "localise=best"]
    assert configuration.composed([*best, "localise.map={rise: 1}"]).localise.map == {"rise": 1}
    settings = configuration.composed([*best, "localise.map={rise: 1, grad_cam: 2}"]).localise.settings
    assert settings == {"rise": defaults("method", "rise")}
    for name in ("grad_cam", "activation"):
        found = configuration.composed([*best, f"localise.map.{name}=0.5"]).localise.map
        assert found == {"saliency": 0.3, "grad_cam": 0.5}
    arguments = "benchmark.arguments={captum.Occlusion: {sliding_window_shapes: [3, 45, 45]}}"
    assert configuration.composed(["run=benchmark", arguments]).benchmark.arguments == {
        "captum.Occlusion": {"sliding_window_shapes": [3, 45, 45]}
    }


def test_every_batch_size_is_tried() -> None:
    places = {place for _, place in batch_sizes()}
    assert places >= {*FORMER, *STAGES}


def test_a_former_name_in_a_file_of_ones_own_is_not_ignored(own: Path) -> None:
    for name, text in {"train/mine": "defaults: [default]\nbatch: 8\n", "method/mine": SMOOTH}.items():
        (own / name).parent.mkdir(exist_ok=True)
        (own / f"{name}.yaml").write_text(text)
    with pytest.raises(KeyError, match=r"'train.batch'; it has been renamed to 'train.batch_size'"):
        configuration.composed(["--config-dir", str(own), "train=mine"])
    method = configuration.composed(["--config-dir", str(own), "method=[mine]"]).method
    with pytest.raises(ValueError, match=r"no parameter \['per_pass'\]; it has been renamed to 'batch_size'"):
        methods(method)


def test_an_experiment_with_other_methods_keeps_no_keys_of_its_own() -> None:
    asked = configuration.composed(["experiment=reproduce", "method=[first_layer,saliency]"])
    assert list(asked.method) == ["first_layer", "saliency"]
    assert "unit_cards" in configuration.composed(["experiment=reproduce"]).method


@pytest.mark.parametrize("file", sorted((configuration.folder() / "method").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_method_needs_no_header_and_its_keys_are_its_own(file: Path) -> None:
    assert "@package" not in file.read_text(encoding="utf-8")
    method = configuration.composed([f"method=[{file.stem}]"]).method
    assert list(method) == [file.stem]
    assert method[file.stem]._target_.startswith("deepinside.methods.")


SMOOTH = "_target_: deepinside.methods.smooth_grad.smooth_grad\ncopies: 6\nsigma: 0.2\naverage: signed\nper_pass: 4\n"
BASE = "# what it is\n_target_: mine.base\nsize: 3\nsteps: [1, 2]\ninner: {deep: 1, other: 2}\n"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder of configuration files: a method, variants of it, and an experiment."""
    files = {
        "method/base.yaml": BASE,
        "method/variant.yaml": "defaults: [base]\ninner: {deep: 5}\n",
        "method/second.yaml": "defaults: [variant, _self_]\nsize: 7\n",
        "method/inside.yaml": "_target_: mine.inside\ndefaults: [base@part]\n",
        "method/headed.yaml": "# @package method.headed\n" + BASE,
        "experiment/mine.yaml": (
            "# @package _global_\ndefaults:\n  - override /method: [saliency, variant]\n"
            "run: visualise\nmethod: {variant: {size: 9}}\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_methods_of_a_folder_of_ones_own(own: Path) -> None:
    words = [
        "method=[saliency,base,variant,second,inside,headed]",
        "method.variant.inner.other=4",
        "+method.base.new=1",
    ]
    method = OmegaConf.to_container(configuration.composed(["--config-dir", str(own), *words]).method)
    base = yaml.safe_load(BASE)
    assert list(method) == ["saliency", "base", "variant", "second", "inside", "headed"]
    assert method["base"] == base | {"new": 1}
    assert method["variant"] == base | {"inner": {"deep": 5, "other": 4}}
    assert method["second"] == base | {"size": 7, "inner": {"deep": 5, "other": 2}}
    assert method["inside"] == {"_target_": "mine.inside", "part": base}
    assert method["headed"] == base


def test_an_experiment_sets_keys_of_a_method_of_ones_own(own: Path) -> None:
    cfg = configuration.composed([f"--config-dir={own}", "experiment=mine", "method.variant.inner.deep=6"])
    assert list(cfg.method) == ["saliency", "variant"]
    assert (cfg.run, cfg.method.variant.size, cfg.method.variant.inner.deep) == ("visualise", 9, 6)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty", "", "method/empty.yaml: expected `_target_: package.module.function`"),
        ("aimless", "size: 3\n", "method/aimless.yaml: expected `_target_: package.module.function`"),
        ("numbered", "_target_: 3\n", "method/numbered.yaml: expected `_target_: package.module.function`"),
        ("unclosed", "_target_: mine.base\nsteps: [1, 2\n", "(?s)expected YAML, got .*method/unclosed.yaml"),
        ("with-dash", BASE, "with-dash.yaml: expected letters, digits and underscores"),
        ("headed", "# @package method\n" + BASE, "method._target_: expected the settings of a method"),
    ],
)
def test_a_yaml_that_describes_no_method_is_named(own: Path, name: str, text: str, said: str) -> None:
    (own / "method" / f"{name}.yaml").write_text(text)
    with pytest.raises((ValueError, configuration.HydraException), match=said):
        configuration.composed(["-cd", str(own), f"method=[saliency,{name}]", "method.saliency.rule=guided"])


def test_no_words_make_the_defaults() -> None:
    assert configuration.composed([]).run == "report"


@pytest.mark.parametrize(
    ("group", "text", "said"),
    [
        (
            "data",
            "name: mine\nroot: here\n",
            "data=mine: expected the keys .*, got no draw, index._target_, split, limit, digest",
        ),
        ("model", "name: mine\nweights: null\n", r"model=mine: expected the keys .*, got no _target_, fit"),
    ],
)
def test_a_choice_without_the_keys_of_its_group_is_named(tmp_path: Path, group: str, text: str, said: str) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        configuration.composed([f"--config-dir={tmp_path}", f"{group}=mine"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config-dir", "OWN_FOLDER", "method=[bsae]"], "did you mean 'base'"),
        (["--config-dir", "OWN_FOLDER", "method=[base]", "method.base.sise=3"], "'method.base.size'"),
        (["--config-dir", "OWN_FOLDER/nowhere", "method=[base]"], "nowhere/method/NAME.yaml"),
        (["--config-dir", "OWN_FOLDER/method", "method=[base]"], "expected files in a folder per group"),
        (["hydra.searchpath=[OWN_FOLDER]", "method=[base]"], "--config-dir FOLDER"),
    ],
)
def test_what_is_wrong_with_a_folder_of_ones_own_is_said(own: Path, arguments: list[str], said: str) -> None:
    with pytest.raises((KeyError, ValueError, FileNotFoundError), match=said):
        configuration.check_overrides([argument.replace("OWN_FOLDER", str(own)) for argument in arguments])


def test_a_file_of_ones_own_does_not_hide_behind_one_of_the_program(own: Path) -> None:
    (own / "method" / "saliency.yaml").write_text(BASE)
    with pytest.raises(ValueError, match=r"method/saliency\.yaml: method already has a choice of this name"):
        configuration.composed(["--config-dir", str(own), "method=[saliency]"])


def test_errors_come_in_the_words_of_what_failed() -> None:
    inner = FileNotFoundError("a: no such folder;\nexpected b")
    outer = InstantiationException("Error in call to target 'x'")
    outer.__cause__ = inner
    assert configuration.plain(outer) is inner
    outer.__cause__ = AttributeError("mine has no 'nett'")
    assert isinstance(configuration.plain(outer), ValueError)
    assert str(configuration.plain(outer)) == "mine has no 'nett'"
    assert configuration.plain(inner) is inner


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay(tmp_path_factory.mktemp("mine"))


def test_what_is_set_aside_is_named_stage_by_stage(place: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(place / "pictures" / "class_0", pictures)
    whole = (pictures / "0.png").read_bytes()
    middle = len(whole) // 2
    spoilt = {
        "cut.png": whole[:middle],
        "empty.jpg": b"",
        "moving.gif": b"GIF89a",
        "names\x1b[31m.webp": b"RIFF",
        "torn.png": whole[:middle] + bytes(8) + whole[middle + 8 :],  # only decoding tells
    }
    for name, content in spoilt.items():
        (pictures / name).write_bytes(content)
    (tmp_path / "mine.py").write_text((place / "mine.py").read_text())
    words = ["run=visualise", *OWN, "data=photos", "method=[saliency]", "visualise.images=9"]
    done = program(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folders = {stage: (tmp_path / "outputs" / stage / "latest").resolve() for stage in ("prepare", "visualise")}
    said = [line.strip() for line in done.stderr.splitlines()]
    place_of = {stage: f"outputs/{stage}/{folder.name}/set_aside.csv" for stage, folder in folders.items()}
    start = said.index(f"prepare: 4 skipped; all with their reasons in {place_of['prepare']}")
    assert [line.partition(":")[0] for line in said[start + 1 : start + 5]] == [
        "cut.png",
        "empty.jpg",
        "moving.gif",
        "and 1 more",
    ]
    assert "got a .gif file" in said[start + 3]
    start = said.index(f"visualise: 1 skipped, beside 4 by prepare; all with their reasons in {place_of['visualise']}")
    assert said[start + 1].startswith("torn.png: expected a whole JPEG or PNG image, got")
    assert "\x1b" not in done.stderr
    counted = {stage: Table.read(folder)["images_set_aside"].value for stage, folder in folders.items()}
    listed = {stage: len(pd.read_csv(folder / "set_aside.csv")) for stage, folder in folders.items()}
    assert counted == listed == {"prepare": 4, "visualise": 1}
    again = program(*words, "method=[guided]", cwd=tmp_path)
    assert f"prepare {folders['prepare'].name}: cached, 4 skipped" in again.stderr.splitlines()


POWER = (
    "from deepinside.records import Maps\n\n\ndef power(network, batch, *, exponent: float) -> Maps:\n"
    "    return Maps(batch.images.mean(dim=1, keepdim=True) ** exponent)\n"
)
SMALL = [*OWN, "localise.batch_size=1"]


def test_cfg_job_shows_the_resolved_configuration(place: Path) -> None:
    done = program("--cfg", "job", "seed=7", "run=localise", cwd=place)
    assert yaml.safe_load(done.stdout)["seed"] == 7


def test_a_misspelt_layer_fails_before_any_work(place: Path) -> None:
    done = program("run=dissect", *OWN, "dissect.layers=[2x]", cwd=place)
    assert done.returncode != 0
    assert "no layer '2x'" in done.stderr
    assert not (place / "outputs" / "concepts").exists()


@pytest.fixture(scope="module")
def localised(place: Path) -> Path:
    done = program("run=localise", *SMALL, cwd=place)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("artifact: ")
    return place / last.removeprefix("artifact: ")


def test_ones_own_network_and_pictures_through_the_program(localised: Path, place: Path) -> None:
    table = Table.read(localised)
    assert table["top1_localisation_error"].n == 6
    assert table["whole_image.class_known_localisation_error"].value == 100  # boxes cover a quarter of the images
    assert len((localised / "per_image.csv").read_text().splitlines()) == 7
    assert sorted(path.name for path in place.iterdir() if path.name != "__pycache__") == [
        "mine.py",
        "outputs",
        "pictures",
    ]
    assert (localised.parent / "latest").resolve() == localised.resolve()


def test_nothing_machine_specific_in_the_artifact(localised: Path, place: Path) -> None:
    for path in localised.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(place).encode() not in content, path
            assert str(Path.home()).encode() + b"/" not in content, path


def test_the_same_stage_twice_from_scratch_is_identical(localised: Path, place: Path) -> None:
    done = program("run=localise", *SMALL, "outputs=again", "machine.workers=2", cwd=place)
    other = place / done.stdout.strip().splitlines()[-1].removeprefix("artifact: ")
    assert other.name == localised.name
    diff = program("diff", str(localised), str(other), cwd=place)
    assert diff.stdout.strip().splitlines()[-1] == "0 differences"


@pytest.mark.slow
def test_of_two_processes_one_computes_and_the_other_waits(localised: Path, place: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "deepinside"]
    environment = os.environ | {"PYTHONPATH": searched(place), "OMP_NUM_THREADS": "1"}
    command = [*torchrun, "run=localise", *SMALL, "outputs=shared"]
    pipes = {"capture_output": True, "text": True}
    done = subprocess.run(command, cwd=place, env=environment, check=False, timeout=HANGS, **pipes)
    assert done.returncode == 0, done.stderr
    places = {line for line in done.stdout.splitlines() if line.startswith("artifact: ")}
    assert places == {f"artifact: shared/localise/{localised.name}"}
    diff = program("diff", str(localised), str(place / "shared" / "localise" / localised.name), cwd=place)
    assert diff.stdout.strip().splitlines()[-1] == "0 differences"
    assert not list((place / "shared" / "localise").glob("*.part"))


def test_verify_passes_and_then_sees_a_changed_file(localised: Path, place: Path, tmp_path: Path) -> None:
    copy = tmp_path / localised.name
    shutil.copytree(localised, copy)
    assert program("verify", str(copy), cwd=place).returncode == 0
    (copy / "table.csv").write_text("metric\n")
    done = program("verify", str(copy), cwd=place)
    assert done.returncode == 1
    assert "table.csv: sha256" in done.stdout


def test_visualise_and_a_second_call_that_computes_nothing(place: Path) -> None:
    arguments = (
        "run=visualise",
        *OWN,
        "method=[saliency,class_model]",
        "method.class_model.steps=3",
        "visualise.images=3",
    )
    first = program(*arguments, cwd=place)
    assert first.returncode == 0, first.stderr
    said = first.stdout.splitlines()
    artifact = Path(said[-1].removeprefix("artifact: "))
    count = len(list((place / artifact / "pictures").iterdir()))
    assert said[-2] == f"images: {count} in {artifact}/pictures"
    predicted = pd.read_csv(place / artifact / "per_image.csv")
    assert len(predicted) == 6  # three that are drawn, and three that are only measured
    for image, name in zip(predicted["image"], predicted["predicted_name"], strict=True):
        assert any(line.startswith(f"{image} ") and name in line for line in said)
    again = program(*arguments, cwd=place)
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert "visualise" in again.stderr
    assert ": cached" in again.stderr


def test_a_sweep_over_a_method_of_ones_own(place: Path, tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "power.yaml").write_text("_target_: toy.power\nexponent: 1.0\n")
    (tmp_path / "toy.py").write_text(POWER)
    sweep = ["run=sweep", "sweep=custom", "sweep.stage=visualise", "method=[power]", "visualise.images=2"]
    grid = ["+sweep.grid.method.power.exponent=[1.0,2.0]", "sweep.metrics.shown=[images]"]
    root = f"data.root={place / 'pictures'}"
    (tmp_path / "mine.py").write_text((place / "mine.py").read_text())
    done = program("--config-dir", ".", *sweep, *grid, *OWN, root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / done.stdout.strip().splitlines()[-1].removeprefix("artifact: ") / "sweep.csv")
    assert sorted(found["method.power.exponent"].unique()) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify"], "expected deepinside verify PATH"),
        (["verify", "pictures"], "not a finished artifact"),
        (["run=localise", *TINY, "model.target=mine:net", "data.root=absent"], "absent"),
        (["run=localise", *TINY, "data.root=pictures", "model.target=mine:nett"], "'net'"),
        (["run=localise", *TINY, "data.root=pictures", "model.target=nowhere:net"], "PYTHONPATH"),
        (["run=train", *TINY, "data=photos", "model=convnet_micro"], "labels"),
        (
            ["run=visualise", *OWN, "method=[saliency]", "method.saliency.layer=x"],
            "saliency.layer: custom has no layer 'x'",
        ),
        (["run=invert", *OWN, "invert.codes=[x]"], "no code 'x'"),
    ],
)
def test_bad_input_is_one_clear_message(arguments: list[str], said: str, place: Path) -> None:
    done = program(*arguments, cwd=place)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Error executing job" not in done.stderr


def test_no_warning_of_a_library_reaches_the_screen(tmp_path: Path) -> None:
    place = lay(tmp_path)
    (place / "pictures" / "class_0").rename(place / "pictures" / "猫")  # matplotlib's font has no such letter
    boxes = (place / "pictures" / "boxes.csv").read_text().replace("class_0", "猫")
    (place / "pictures" / "boxes.csv").write_text(boxes, encoding="utf-8")
    done = program("run=localise", *OWN, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    folder = place / done.stdout.strip().splitlines()[-1].removeprefix("artifact: ")
    assert "猫" in (folder / "pictures.csv").read_text(encoding="utf-8")
