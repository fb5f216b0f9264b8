"""The contract that others script against, through the real program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.errors import InstantiationException

from deepinside import configuration
from deepinside.records import Table
from tests.own import HANGS, OWN, TINY, lay, program, searched


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
        (["localise"], "'run=localise'"),
        (["seed=often"], "whole number"),
    ],
)
def test_misspelt_words_fail_with_the_closest_name(arguments: list[str], said: str) -> None:
    with pytest.raises((KeyError, ValueError), match=said.replace("[", r"\[")):
        configuration.check_overrides(arguments)


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


def test_an_experiment_with_other_methods_keeps_no_keys_of_its_own() -> None:
    asked = configuration.composed(["experiment=reproduce", "method=[first_layer,saliency]"])
    assert list(asked.method) == ["first_layer", "saliency"]
    assert "unit_cards" in configuration.composed(["experiment=reproduce"]).method


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


SMALL = [*OWN, "localise.batch=1"]


def test_help_lists_groups_and_choices(place: Path) -> None:
    done = program("--help", cwd=place)
    assert done.returncode == 0, done.stderr
    for word in (
        "data: folder, ilsvrc, miniature, photos, shards",
        "deepinside verify PATH",
        "localise: ",
        "gamma: 50",
    ):
        assert word in done.stdout


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
    assert table["whole_image.class_known_localisation_error"].value == 100  # boxes cover a quarter of the pictures
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


def test_processes_that_share_the_work_make_the_same(localised: Path, place: Path) -> None:
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
    import shutil

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
    again = program(*arguments, cwd=place)
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert "visualise" in again.stderr
    assert "is there" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify"], "expected deepinside verify PATH"),
        (["verify", "pictures"], "no finished artifact"),
        (["run=localise", *TINY, "model.target=mine:net", "data.root=absent"], "absent"),
        (["run=localise", *TINY, "data.root=pictures", "model.target=mine:nett"], "'net'"),
        (["run=localise", *TINY, "data.root=pictures", "model.target=nowhere:net"], "PYTHONPATH"),
        (["run=train", *TINY, "data=photos", "model=convnet_micro"], "labels"),
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
