"""The train stage: which images it learns from, which it is tested on, and which epoch it leaves."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tests.own import hold_out

from deepinside.data import folder
from deepinside.data.index import Index
from deepinside.data.opening import open_index
from deepinside.models.checkpoint import read_weights
from deepinside.models.classifier import Classifier, Epoch, read_history, write_history
from deepinside.models.training import Errors
from deepinside.network import Network
from deepinside.pipeline import configuration, plan
from deepinside.pipeline.execution import execute
from deepinside.pipeline.plan import Planner
from deepinside.plots.training import learning
from deepinside.records import Table
from deepinside.runtime import machine
from deepinside.stages import train

SMALL = ["model=convnet_micro", "model.input=24", "model.resize=26", "model.kernel=3", "model.stride=1"]
SMALL += ["model.widths=[4,4,6,6,6]", "model.hidden=[8,8]", "train.batch_size=8", "train.epochs=2", "train.keep=[1,2]"]
SMALL += ["data=folder", "machine.device=cpu", "machine.workers=0"]


def composed(*words: str) -> DictConfig:
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        return compose("config", overrides=[*SMALL, *words])


def laid(root: Path, count: int = 40, classes: int = 2) -> Path:
    """Images of noise in class folders, without the folders `train` and `val`; h=28, w=36."""
    for i in range(count):
        path = root / f"class_{i % classes:02d}" / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (28, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return hold_out(root) if count > 1 else root


def ran(place: Path, root: Path, *words: str) -> Path:
    """Lists the images in `place/prepare` and trains in `place/train`."""
    prepared, out = place / "prepare", place / "train"
    for made in (prepared, out):
        made.mkdir(parents=True)
    folder.index(root).write(prepared)
    cfg = plan._selected(composed(f"data.root={root}", *words), ("model", "train", "data.root", "machine", "seed"))
    train.run(OmegaConf.create(cfg), {"prepare": prepared}, out)
    return out


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """The images that a training step has seen, as their pixels."""
    seen: set[bytes] = set()
    original = Classifier.training_step

    def step(self: Classifier, batch: tuple, number: int) -> object:
        seen.update(image.numpy().tobytes() for image in batch[0])
        return original(self, batch, number)

    monkeypatch.setattr(Classifier, "training_step", step)
    return seen


def test_without_splits_the_error_is_that_of_pictures_it_never_learnt_from(tmp_path: Path, learnt: set[bytes]) -> None:
    plain = [f"train.augmentation.{key}=0" for key in ("flip", "zero")]
    # images as large as the network's input, so that what a step sees are the pixels on the disk
    root = laid(tmp_path / "pictures")
    for path in root.rglob("*.png"):
        Image.open(path).crop((0, 0, 26, 26)).save(path)
    hold_out(root)
    out = ran(tmp_path, root, "model.input=26", "model.normalisation=none", "train.batch_size=1", *plain)
    tested = pd.read_csv(out / "per_image.csv")["image"].tolist()
    table = Table.read(out)
    assert 1 <= len(tested) < 20  # about a tenth of 40
    assert table["training_images"].value == 40 - len(tested) == len(learnt)
    for name in tested:
        pixels = np.asarray(Image.open(root / name)).transpose(2, 0, 1)
        assert np.ascontiguousarray(pixels).tobytes() not in learnt


def test_a_limit_is_counted_and_leaves_what_is_tested_as_it_is(tmp_path: Path) -> None:
    root = laid(tmp_path / "pictures")
    whole, few = (ran(tmp_path / name, root, *words) for name, words in (("a", []), ("b", ["train.limit=8"])))
    assert Table.read(few)["training_images"].value == 8
    tested = [pd.read_csv(out / "per_image.csv")["image"].tolist() for out in (whole, few)]
    assert tested[0] == tested[1]


def test_too_few_pictures_to_hold_any_out_is_told(tmp_path: Path) -> None:
    root = laid(tmp_path / "pictures", count=1)
    with pytest.raises(ValueError, match=r"a tenth of the images.* held out .* 0 of 1 .* train/ and val/"):
        ran(tmp_path, root)


def test_memorised_labels_are_tested_on_the_training_images(tmp_path: Path) -> None:
    out = ran(tmp_path, laid(tmp_path / "pictures"), "train.shuffle_labels=true", "train.limit=12")
    assert len(pd.read_csv(out / "per_image.csv")) == Table.read(out)["training_images"].value == 12


def test_the_network_is_that_of_the_last_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # an error that rises, so that by it the first epoch would be the best
        patch.setattr(Classifier, "measured", lambda self, _split: (1.0, 0.1 * self.current_epoch, 0.0))
        out = ran(tmp_path, laid(tmp_path / "pictures"), "train.epochs=4", "train.keep=[1,2,3,4]")
    assert [row.val_top1_error for row in read_history(out)] == pytest.approx([0, 0.1, 0.2, 0.3])
    last, final = read_weights(out / "epochs/0004.safetensors"), read_weights(out / "model.safetensors")
    assert all((last[name] == weights).all() for name, weights in final.items())
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    weights = [name for name in files if name.endswith((".safetensors", ".ckpt"))]
    assert weights == [*(f"epochs/{epoch:04d}.safetensors" for epoch in (1, 2, 3, 4)), "model.safetensors"]
    assert "checkpoints" not in {path.name for path in out.iterdir()}


@pytest.mark.parametrize(("classes", "there"), [(2, False), (10, False), (11, True)])
def test_the_first_five_guesses_count_where_there_are_more_than_ten_classes(
    tmp_path: Path, classes: int, there: bool
) -> None:
    out = ran(tmp_path, laid(tmp_path / "pictures", count=44, classes=classes), "train.epochs=1")
    assert any(row.metric.startswith("top5") for row in Table.read(out).rows) == there
    for name in ("per_image.csv", "history.csv"):
        assert any("top5" in column for column in pd.read_csv(out / name).columns) == there, name


@pytest.mark.parametrize(
    ("words", "world", "said"),
    [
        (["devices=2"], 1, None),
        (["devices=2", "strategy=ddp"], 1, None),
        (["devices=2", "num_nodes=2"], 4, None),
        (["devices=1"], 4, None),  # one of them trains
        (["devices=4"], 2, r"need 4 processes, got 2: torchrun --nnodes=1 --nproc-per-node=4 -m"),
        (["devices=2", "num_nodes=2"], 1, r"--nnodes=2 --nproc-per-node=2"),
        (["devices=2", "strategy=ddp_find_unused_parameters_true"], 1, "need 2 processes, got 1"),
        (["devices=3"], 1, "train.batch_size to be a multiple of the 3 devices, got 8"),
        (["devices=-1"], 1, "train.trainer.devices to be a whole number from 1 on, got -1"),
        (["num_nodes=many"], 1, "train.trainer.num_nodes to be a whole number from 1 on, got 'many'"),
    ],
)
def test_the_processes_must_be_those_that_were_started(
    monkeypatch: pytest.MonkeyPatch, words: list[str], world: int, said: str | None
) -> None:
    monkeypatch.setattr(machine, "world", lambda: world)
    cfg = composed(*(f"train.trainer.{word}" for word in words))
    with pytest.raises(ValueError, match=said) if said else nullcontext():
        train.check(cfg)


def test_a_history_without_top5_comes_back_and_is_drawn(tmp_path: Path) -> None:
    history = (Epoch(0, 1.5, 1.25, 0.5, 1e-3), Epoch(1, 1.0, 0.5, 0.25, 0.0))
    write_history(tmp_path, history)
    assert read_history(tmp_path) == history
    figure = learning(pd.read_csv(tmp_path / "history.csv"))
    assert [line.get_label() for line in figure.axes[1].lines] == ["top-1"]


def test_later_stages_look_at_what_their_network_was_not_trained_on(tmp_path: Path) -> None:
    root = laid(tmp_path / "pictures")
    out = ran(tmp_path, root)
    cfg = composed(f"data.root={root}")
    tested = pd.read_csv(out / "per_image.csv")["image"].tolist()
    trained = open_index(cfg, tmp_path / "prepare", tmp_path / "train/0123")
    assert [entry.image for entry in trained.split("val").entries] == tested
    assert len(trained.split("train")) == 40 - len(tested)
    assert len(trained.split("all")) == 40
    others = open_index(cfg, tmp_path / "prepare", tmp_path / "load/0123")
    assert len(others.split("val")) == 40  # nobody was trained on any of them


def test_a_stage_takes_the_pictures_that_its_network_was_not_trained_on(tmp_path: Path) -> None:
    root = laid(tmp_path / "pictures")
    corners = ["image,x0,y0,x1,y1", *(f"{path.relative_to(root)},2,2,9,9" for path in root.rglob("*.png"))]
    (root / "boxes.csv").write_text("\n".join(corners) + "\n")
    words = [f"data.root={root}", "wandb=disabled", "localise.crops=centre", "localise.pictures=0"]
    plan = Planner(tmp_path / "outputs").plan(composed(*words), "localise")
    execute(plan)
    tested, localised = (pd.read_csv(one.folder / "per_image.csv") for one in (plan.inputs["network"], plan))
    assert localised["image"].tolist() == tested["image"].tolist()


def test_the_network_is_tested_on_the_device_that_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    original = train.fit

    def fit(*arguments: object, **options: object) -> object:
        history = original(*arguments, **options)
        monkeypatch.setattr(machine, "device", lambda _name: torch.device("meta"))  # a device that is not the CPU
        return history

    def errors(network: Network, val: Index, crops: str) -> Errors:
        places.append((crops, network.device.type))
        return Errors(tuple(entry.image for entry in val.entries), *[np.zeros(len(val), dtype=bool)] * 2, ())

    monkeypatch.setattr(train, "fit", fit)
    monkeypatch.setattr(train, "classification_errors", errors)
    ran(tmp_path, laid(tmp_path / "pictures"))
    assert places == [("centre", "meta"), ("ten", "meta")]


def test_splits_of_their_own_are_left_as_they_are(tmp_path: Path) -> None:
    root = laid(tmp_path / "flat")
    for i, path in enumerate(sorted(root.rglob("*.png"))):
        target = tmp_path / "pictures" / ("val" if i % 4 == 0 else "train") / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    out = ran(tmp_path, tmp_path / "pictures")
    assert len(pd.read_csv(out / "per_image.csv")) == 10
    assert Table.read(out)["training_images"].value == 30
    assert json.loads((out / "network.json").read_text())["classes"] == ["class 00", "class 01"]


def test_adversarial_training_adds_its_keys_to_the_recipe_and_its_errors_to_the_tables(tmp_path: Path) -> None:
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        plain, robust = (
            compose("config", overrides=["model=convnet_imagenette_micro", *words]).train
            for words in ([], ["train=robust"])
        )
    added = {"classifier", "attacks"}
    assert {key: value for key, value in robust.items() if key not in added} == plain  # epochs, noise, and all else
    assert added <= robust.keys()
    words = ["train=robust", "train.attacks.radii=[2,8]", "train.attacks.steps=3", "train.attacks.images=3"]
    out = ran(tmp_path, laid(tmp_path / "pictures"), *words)
    rows = {row.metric: row for row in Table.read(out).rows}
    for name in ("fgsm_2", "pgd_2", "fgsm_8", "pgd_8"):
        row = rows[f"top1_error_{name}"]
        assert (row.unit, 0 <= row.ci_low <= row.value <= row.ci_high <= 100) == ("%", True)
    assert "train_pgd_error" in (out / "history.csv").read_text(encoding="utf-8")


def test_an_impossible_radius_is_named_before_any_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.classifier\.radius above 0 .* got 0"):
        ran(tmp_path, laid(tmp_path / "pictures"), "train=robust", "train.classifier.radius=0")
