"""The stage by itself on a small world: it learns, resumes to the same bits, and beats what needs no training."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.inversion.training import Inversion
from deepinside.models.hog import hog
from deepinside.models.inverter import load_inverters
from deepinside.network import Network, Preprocessing
from deepinside.pipeline import configuration
from deepinside.records import Table
from deepinside.stages import invert
from deepinside.visualisation import studies

CODES = ["relu", "probabilities"]


def net() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential()
        for name, part in {
            "conv": nn.Conv2d(3, 8, 3, 2),
            "relu": nn.ReLU(),
            "pool": nn.AdaptiveAvgPool2d(2),
            "flat": nn.Flatten(),
            "fc": nn.Linear(32, 7),
        }.items():
            module.add_module(name, part)
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (0.05, 0.05, 0.05), 24, 24), list("abcdefg"), "net")


def write(root: Path, split: bool = True, count: int = 60) -> Index:
    """Two colours, one above the other, at a random height."""
    entries = []
    for i in range(count):
        random = np.random.default_rng(i)
        pixels = np.empty((24, 30, 3), dtype=np.uint8)
        edge = random.integers(4, 20)
        pixels[:edge], pixels[edge:] = random.integers(0, 256, (2, 3))
        Image.fromarray(pixels).save(root / f"p{i:02d}.png")
        where = ("val" if i >= count - 20 else "train") if split else "all"
        entries.append(Entry(f"p{i:02d}", f"p{i:02d}.png", where, i % 2 if split else -1, NO_BOXES, 30, 24))
    return Index(root, ("u", "l") if split else (), ("upper", "lower") if split else (), tuple(entries))


@cache
def config(*overrides: str) -> OmegaConf:
    small = [
        "invert.architecture={hidden: 12, channels: 12, widths: [12], side: 24}",
        "invert.tested=20",
        "invert.shown=3",
    ]
    small += ["invert.limit=40", "invert.batch_size=8", "invert.optimiser.learning_rate=1e-2"]
    machine = ["machine.device=cpu", "machine.workers=0", "invert.codes=[" + ",".join(CODES) + "]"]
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        return compose("config", overrides=[*small, *machine, *overrides])


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Index:
    return write(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def run(index, tmp_path, monkeypatch):
    def ran(*overrides: str, found: Index = index, out: str = "out", drawn: bool = False, of=net) -> Path:
        if not drawn:
            monkeypatch.setattr(invert, "draw", lambda *_: None)
        monkeypatch.setattr(invert, "open_network", lambda *_: of())
        monkeypatch.setattr(invert, "open_index", lambda *_: found)
        (tmp_path / out).mkdir(exist_ok=True)
        invert.run(config(*overrides), {"prepare": tmp_path, "network": tmp_path}, tmp_path / out)
        return tmp_path / out

    return ran


def test_it_beats_the_mean_and_the_nearest_picture(run, index) -> None:
    out = run("invert.epochs=15", "invert.codes=[relu]", drawn=True)
    table = Table.read(out)
    ours, nearest, mean = (table[f"relu.image_error{of}"] for of in ("", ".nearest_image", ".mean_image"))
    assert ours.n == 20
    assert ours.ci_high < min(nearest.value, mean.value)
    assert mean.value == pytest.approx(0.5, abs=0.1)  # N is a random pair: twice the variance
    better = "nearest_image" if nearest.value < mean.value else "mean_image"
    margin = table[f"relu.image_error_below.{better}"]
    assert margin.ci_low > 0
    assert margin.value == pytest.approx(min(nearest.value, mean.value) - ours.value, abs=1e-5)
    assert table["relu.feature_error"].value < table["relu.feature_error.mean_image"].value
    assert table["relu.colour_correlation"].ci_low > table["relu.colour_correlation.other_picture"].ci_high
    rows = pd.read_csv(out / "per_image.csv")
    assert sorted(rows["image"]) == [entry.image for entry in index.split("val").entries]
    assert rows["relu.image_error"].mean() == pytest.approx(ours.value, abs=1e-5)
    assert pd.read_csv(out / "pictures.csv")["file"].tolist() == [
        "pictures/reconstructions.png",
        "pictures/learning.png",
    ]
    assert not (out / "parts").exists()


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ALL_TERMS = ("invert.loss.feature=0.1", "invert.loss.adversarial=0.01", "invert.loss.comparator=conv")


# In the second epoch of the first code; in the first of the second code.
@pytest.mark.parametrize(("loss", "call"), [((), 7), (ALL_TERMS, 19)])
def test_a_run_that_was_killed_ends_with_the_same_bytes(run, monkeypatch, loss, call) -> None:
    words = (*loss, "invert.epochs=3")
    whole, original, calls = files(run(*words, out="whole")), Inversion.training_step, []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise RuntimeError("killed")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Inversion, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            run(*words, out="again")
    calls.clear()
    monkeypatch.setattr(Inversion, "training_step", lambda *a: calls.append(1) or original(*a))
    again = files(run(*words, out="again"))
    assert len(calls) == 30 - (call - 1) // 5 * 5  # whole epochs of five steps are kept
    assert again == whole
    assert {"relu.safetensors", "probabilities.safetensors", "inverters.json", "history.csv", "table.csv"} <= set(again)
    if loss:
        assert "train_discriminator" in whole["history.csv"].decode()


def test_inverters_come_back_and_reach_the_methods(run, index) -> None:
    out = run("invert.epochs=1")
    network = net()
    inverters = load_inverters(out, network)
    assert list(inverters) == CODES
    images = torch.rand(2, 3, 24, 24)
    assert inverters["probabilities"](images).shape == (2, 3, 24, 24)
    assert inverters["relu"].statistics.mean.shape == (8,)
    assert (inverters["relu"].statistics.low >= 0).all()
    told = json.loads((out / "inverters.json").read_text())["relu"]
    last = pd.read_csv(out / "history.csv").query("code == 'relu'").iloc[-1]
    assert told["final"]["val_image"] == pytest.approx(last["val_image"])
    assert told["loss"]["image"] == 1

    def method(*, inverters):
        return inverters

    material = studies.material(method, network, index, config(), {"invert": out}, [])
    assert torch.equal(material["inverters"]["relu"](images), inverters["relu"](images))


def test_seed_and_limit_matter_and_a_broken_picture_is_set_aside(run, tmp_path) -> None:
    (tmp_path / "own").mkdir()
    own = write(tmp_path / "own", count=30)
    for broken in ("p03", "p15"):
        (tmp_path / "own" / f"{broken}.png").write_bytes(b"no image")
    numbers = {}
    for name, words in {"a": [], "b": [], "c": ["seed=1"], "d": ["invert.limit=8"]}.items():
        out = run("invert.epochs=1", "invert.codes=[fc]", *words, found=own, out=name)
        numbers[name] = (out / "fc.safetensors").read_bytes()
        table = Table.read(out)
        assert table["images_set_aside"].value == 1
        assert table["images"].value == 19
        assert table["training_images"].value == {"d": 7}.get(name, 9)
    assert numbers["a"] == numbers["b"]
    assert len(set(numbers.values())) == 3


def test_where_there_are_no_splits_what_is_tested_is_held_out(run, tmp_path) -> None:
    (tmp_path / "own").mkdir()
    own = write(tmp_path / "own", split=False, count=14)
    out = run("invert.epochs=1", "invert.codes=[fc]", "invert.tested=4", found=own)
    assert pd.read_csv(out / "per_image.csv")["image"].tolist() == ["p00", "p01", "p02", "p03"]
    assert Table.read(out)["training_images"].value == 10
    with pytest.raises(ValueError, match="got 0 and 14 in"):
        run("invert.tested=14", found=own, out="none")


def test_mistakes_are_told_before_any_work() -> None:
    cfg = config("model=convnet_micro", "invert.codes=[relu5,fc8.binarised]")
    invert.check(cfg)
    invert.check(config("invert.codes=[hog]", "model=hog"))
    for key, value, error, words in (
        ("codes", ["rellu5"], KeyError, "no code 'rellu5'; did you mean 'relu5'"),
        ("loss.comparator", "con5", KeyError, "did you mean 'conv5'"),
        ("codes", ["relu5", "relu5"], ValueError, "each once"),
        ("codes", [], ValueError, "expected invert.codes"),
        ("loss.image", 0, ValueError, "not all of them 0"),
        ("epochs", 0, ValueError, "invert.epochs of at least 1"),
    ):
        wrong = cfg.copy()
        OmegaConf.update(wrong, f"invert.{key}", value)
        with pytest.raises(error, match=words):
            invert.check(wrong)


def test_hand_made_features_are_inverted_too(run) -> None:
    def edges() -> Network:
        return hog(block=2, input=24, resize=24, mean=(0.5, 0.5, 0.5), std=(1, 1, 1))

    out = run("invert.epochs=1", "invert.codes=[hog]", of=edges)
    assert load_inverters(out, edges())["hog"](torch.rand(1, 3, 24, 24)).shape == (1, 3, 24, 24)
    assert json.loads((out / "inverters.json").read_text())["hog"]["architecture"]["shape"] == [36, 2, 2]


def test_a_loss_that_explodes_is_told(run) -> None:
    with pytest.raises(FloatingPointError, match=r"invert\.optimiser\.learning_rate"):
        run("invert.optimiser.learning_rate=1e30")


def test_it_is_quiet_and_leaves_the_generator_alone(run, capfd) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    run("invert.epochs=1", "invert.codes=[fc]")
    assert torch.equal(torch.rand(3), expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", sorted(path.stem for path in (configuration.folder() / "invert").glob("*.yaml")))
def test_every_preset_composes(name) -> None:
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        invert.check(compose("config", overrides=[f"invert={name}"]))
