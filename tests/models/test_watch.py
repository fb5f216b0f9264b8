"""Looks at a network that learns: what is left of them, and that nobody notices."""

import csv
import logging
import pickle
import random
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.strategies import FSDPStrategy
from tests.models import test_training as test_fitting
from tests.pipeline.test_pipeline import composed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from deepinside.artifacts import digest
from deepinside.methods.saliency import saliency
from deepinside.methods.strongest_unit import strongest_unit
from deepinside.models.classifier import Classifier
from deepinside.models.watch import Watch, looks, when
from deepinside.network import Network, Preprocessing
from deepinside.pipeline import plan as plan_module
from deepinside.pipeline.plan import Planner
from deepinside.plots.watch import grid
from deepinside.records import Batch, Maps
from deepinside.stages import train

HEIGHT, WIDTH = 6, 8
RECIPE = Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), input=6, resize=6)
METHODS = {"gradient": saliency, "guided": partial(saliency, rule="guided")}


def generators() -> list[float]:
    """A number from each of the global generators."""
    return [float(torch.rand(())), random.random(), np.random.random()]  # ruff: ignore[numpy-legacy-random]


class Theirs(LightningModule):
    """Somebody else's: dropout, batch normalisation, an in-place ReLU, a frozen filter, a part that stays in eval."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.model = nn.Sequential(
            *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.3)),
            *(nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 2 * 4, 2)),
        )
        self.model[4].weight.requires_grad_(False)
        self.losses: list[float] = []

    def on_train_epoch_start(self) -> None:
        self.model[3].eval()

    def training_step(self, batch: list, _step: int) -> torch.Tensor:
        images, labels = batch
        noise = torch.rand_like(images) + sum(generators()[1:])  # draws from every generator
        loss = nn.functional.cross_entropy(self.model(images + 0.1 * noise), labels)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], 0.1, momentum=0.9)


def theirs(lit: Theirs) -> Network:
    return Network(lit.model, RECIPE, ("a", "b"), "theirs")


def pictures() -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(3, 3, HEIGHT, WIDTH, generator=generator), ("x", "y", "z"), torch.tensor([0, 1, 1]))


def dot(*_: object) -> SimpleNamespace:
    """The cheapest drawing."""
    return SimpleNamespace(savefig=lambda file, **_: file.write(b"."))


def watching(folder: Path, **changes: object) -> Watch:
    given = {"methods": METHODS, "every": 2, "folder": folder, "draw": dot, "network": theirs} | changes
    return Watch(given.pop("images", pictures()), **given)


def trained(*callbacks: Callback, epochs: int = 5, logger: object = False, **options: object) -> tuple[Theirs, Trainer]:
    lit = Theirs()
    random.seed(3)
    np.random.seed(3)  # ruff: ignore[numpy-legacy-random]
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(12, 3, HEIGHT, WIDTH, generator=generator)
    loader = DataLoader(TensorDataset(images, torch.arange(12) % 2), batch_size=4, shuffle=True)
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[*callbacks], logger=logger, **quiet, **options)
    trainer.fit(lit, loader)
    return lit, trainer


def noisy(network: Network, batch: Batch) -> Maps:
    generators()
    return saliency(network, batch)


class States(Callback):
    """The weights after every epoch."""

    def __init__(self) -> None:
        self.kept: dict[int, dict] = {}

    def on_train_start(self, _trainer: Trainer, lit: LightningModule) -> None:
        self.kept[0] = {key: value.clone() for key, value in lit.model.state_dict().items()}

    def on_train_epoch_end(self, trainer: Trainer, lit: LightningModule) -> None:
        self.kept[trainer.current_epoch + 1] = {key: value.clone() for key, value in lit.model.state_dict().items()}


def test_the_network_learns_as_if_nobody_looked(tmp_path: Path) -> None:
    plain, _ = trained(epochs=3)
    after = generators()
    seen, _ = trained(watching(tmp_path, methods={"noisy": noisy, **METHODS}, every=1, draw=grid), epochs=3)
    assert generators() == after
    assert seen.losses == plain.losses
    for key, value in plain.state_dict().items():
        assert torch.equal(value, seen.state_dict()[key]), key
    assert len(set(plain.losses)) == 9  # or the comparison would be of constants


def test_a_look_every_so_many_epochs_and_one_at_either_end(tmp_path: Path) -> None:
    states = States()
    lit, _ = trained(states, watching(tmp_path, draw=grid))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"epoch_{epoch:04d}.{kind}" for epoch in (0, 2, 4, 5) for kind in ("npz", "png")
    ]
    found = looks(tmp_path)
    assert list(found) == [0, 2, 4, 5]
    for epoch, maps in found.items():
        lit.model.load_state_dict(states.kept[epoch])
        for method, work in METHODS.items():
            assert torch.equal(maps[method].values, work(theirs(lit), pictures()).values), (epoch, method)
    assert not torch.equal(found[2]["gradient"].values, found[4]["gradient"].values)
    for file in tmp_path.glob("*.png"):
        assert Image.open(file).size[1] > 300  # three images below one another


class Modes(Callback):
    """What a look could leave behind, at the start of every epoch and at the end."""

    def __init__(self) -> None:
        self.seen: list[list] = []

    def look(self, lit: LightningModule) -> None:
        parts = [(part.training, getattr(part, "inplace", None)) for part in lit.modules()]
        self.seen.append([parts, [p.requires_grad for p in lit.parameters()], len(lit.model._forward_hooks)])

    def on_train_epoch_end(self, _trainer: Trainer, lit: LightningModule) -> None:
        self.look(lit)


def test_modes_and_frozen_weights_are_put_back(tmp_path: Path) -> None:
    before, after = Modes(), Modes()
    trained(before, watching(tmp_path, every=1), after)
    assert before.seen == after.seen
    parts, learning, _ = after.seen[0]
    assert {flag for flag, _ in parts} == {True, False}
    assert True in {in_place for _, in_place in parts}
    assert set(learning) == {True, False}


def test_and_after_an_error_too(tmp_path: Path) -> None:
    calls = []

    def failing(network: Network, batch: Batch) -> Maps:
        calls.append(network.training or any(p.requires_grad for p in network.parameters()))
        if len(calls) == 3:
            generators()
            raise RuntimeError("no map today")
        return saliency(network, batch)

    lits: list[LightningModule] = []
    states: list[tuple] = []

    def state() -> tuple:
        numbers = np.random.get_state()[1].tolist()  # ruff: ignore[numpy-legacy-random]
        return torch.get_rng_state().tolist(), random.getstate(), numbers

    class Before(Modes):
        def look(self, lit: LightningModule) -> None:
            super().look(lit)
            lits.append(lit)
            states.append(state())

    before = Before()
    with pytest.raises(RuntimeError, match="no map today"):
        trained(before, watching(tmp_path, methods={"failing": failing}, every=1))
    before.look(lits[0])
    assert before.seen[-1] == before.seen[-2]
    assert states[-1] == states[-2]
    assert calls == [False] * 3  # in evaluation mode and frozen while it was looked at
    assert list(looks(tmp_path)) == [0, 1]  # what was seen before is still there


def test_only_the_first_process_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", property(lambda _: False))
    trained(watching(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


class Board(CSVLogger):
    """A logger with `log_image`, of Lightning's signature for W&B."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.images: list[tuple] = []

    def log_image(self, key: str, images: list, step: int | None = None, **kwargs: list) -> None:
        assert all(len(values) == len(images) for values in kwargs.values())
        self.images.append((key, [Path(image).name for image in images], step, kwargs["caption"]))
        assert all(Path(image).exists() for image in images)


def test_a_logger_that_takes_images_gets_them(tmp_path: Path) -> None:
    board = Board(tmp_path)
    trained(watching(tmp_path / "watch", every=3), epochs=4, logger=[board, CSVLogger(tmp_path, name="other")])
    assert board.images == [  # three steps an epoch
        ("watch", ["epoch_0000.png"], 0, ["before training"]),
        ("watch", ["epoch_0003.png"], 9, ["after 3 epochs"]),
        ("watch", ["epoch_0004.png"], 12, ["after 4 epochs"]),
    ]


def test_it_says_what_it_cost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def slow(network: Network, batch: Batch) -> Maps:
        time.sleep(0.2)
        return saliency(network, batch)

    watch = watching(tmp_path, methods={"slow": slow})
    with caplog.at_level(logging.INFO, logger="deepinside"):
        started = time.monotonic()
        trained(watch, epochs=2)
        whole = time.monotonic() - started
    (said,) = [record.getMessage() for record in caplog.records if record.name == "deepinside.models.watch"]
    assert said.startswith("watch: 2 times the maps of 3 images took ")
    share = float(said.split(", ")[1].split(" %")[0])
    assert 0.4 <= watch.seconds <= whole
    assert 100 * 0.4 / whole <= share <= 100


def test_what_cannot_work_is_said_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least 1 epoch .* got 0 and 2"):
        watching(tmp_path, every=0)
    with pytest.raises(ValueError, match="got 2 and 0"):
        watching(tmp_path, methods={})
    lit = Theirs()
    watch = watching(tmp_path, methods={"unit": partial(strongest_unit, layer="5x")})
    with pytest.raises(KeyError, match="'5'"):
        Trainer(accelerator="cpu", callbacks=[watch], logger=False, enable_checkpointing=False).fit(
            lit, DataLoader(TensorDataset(torch.rand(4, 3, HEIGHT, WIDTH), torch.arange(4) % 2))
        )
    assert lit.losses == []
    with pytest.raises(ValueError, match="FSDPStrategy may shard the weights"):
        watch.setup(SimpleNamespace(strategy=FSDPStrategy()), lit, "fit")


def test_a_run_resumed_within_the_first_epoch_is_not_before_training(tmp_path: Path) -> None:
    watch = watching(tmp_path / "none")
    watch.on_train_start(SimpleNamespace(global_step=2, current_epoch=0, is_global_zero=True, loggers=[]), Theirs())
    assert watch.seen == []
    watch.on_train_start(SimpleNamespace(global_step=0, current_epoch=0, is_global_zero=True, loggers=[]), Theirs())
    assert watch.seen == [0]


def test_it_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    watch = Watch(pictures(), METHODS, every=2, folder=tmp_path, draw=grid)  # as the train stage makes it
    again = pickle.loads(pickle.dumps(watch))
    assert again.network(SimpleNamespace(network="found")) == "found"
    assert torch.equal(again.pictures.images, watch.pictures.images)


def test_moments_in_words() -> None:
    assert [when(epoch) for epoch in (0, 1, 12)] == ["before training", "after 1 epoch", "after 12 epochs"]


def test_the_grid_shows_every_picture_and_map(tmp_path: Path) -> None:
    values = torch.zeros(3, 2, HEIGHT, WIDTH)
    values[:, 0, 2:4] = torch.tensor([1.0, 2, 4]).view(3, 1, 1)
    maps = {"flat": Maps(torch.zeros(3, 1, HEIGHT, WIDTH)), "up": Maps(values), "both": Maps(-values, signed=True)}
    figure = grid("after 3 epochs", pictures(), maps)
    assert isinstance(figure, Figure)
    axes = np.array(figure.axes).reshape(3, 4)
    assert [axis.get_title() for axis in axes[0]] == ["", "flat", "up", "both"]
    assert [axis.get_xlabel() for axis in axes[2]] == ["z", "0 to 0", "0 to 4", "-4 to 4"]
    for row, name_ in enumerate("xyz"):
        shown = [axis.images[0] for axis in axes[row]]
        assert axes[row, 0].get_xlabel() == name_
        assert np.allclose(shown[0].get_array(), pictures().images[row].permute(1, 2, 0))
        assert np.array_equal(shown[2].get_array(), values[row, 0])
        assert shown[2].get_clim() == (0, 2.0**row)
        assert shown[3].get_clim() == (-(2.0**row), 2.0**row)
    figure.savefig(tmp_path / "grid.png")


# The train stage


def of_ours(folder: Path) -> Watch:
    side = test_fitting.NET["input"]
    generator = torch.Generator().manual_seed(4)
    batch = Batch(torch.rand(2, 3, side, side, generator=generator), ("p", "q"), torch.tensor([0, 1]))
    return Watch(batch, METHODS, every=1, folder=folder / "watch", draw=grid)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> object:
    return test_fitting.write(tmp_path_factory.mktemp("pictures"))


def test_a_run_that_was_killed_keeps_its_pictures(
    index: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    watched, history = test_fitting.fitted(index, whole, callbacks=[of_ours(whole)])
    unwatched, same_history = test_fitting.fitted(index, tmp_path / "unwatched")
    assert history == same_history
    assert test_fitting.same(watched.module.state_dict(), unwatched.module.state_dict())
    original, calls = Classifier.training_step, []

    def dying(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 8:  # in the third epoch of three steps each
            raise RuntimeError("killed")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            test_fitting.fitted(index, killed, callbacks=[of_ours(killed)])
    kept = {file.name: file.stat().st_mtime_ns for file in (killed / "watch").iterdir()}
    assert set(kept) == {f"epoch_{epoch:04d}.{kind}" for epoch in (0, 1, 2) for kind in ("npz", "png")}
    resumed = of_ours(killed)
    test_fitting.fitted(index, killed, callbacks=[resumed])
    assert resumed.seen == [3, 4]
    assert all((killed / "watch" / name_).stat().st_mtime_ns == time_ for name_, time_ in kept.items())
    for file in (whole / "watch").iterdir():
        assert (killed / "watch" / file.name).read_bytes() == file.read_bytes(), file.name
    finished = of_ours(killed)
    test_fitting.fitted(index, killed, callbacks=[finished])
    assert finished.seen == []


def test_the_train_stage_hangs_what_it_saw(index: object, tmp_path: Path) -> None:
    index.write(tmp_path)
    words = ["watch=saliency", "watch.images=3", "watch.layers=[relu5]", "model=convnet_micro", "train.epochs=2"]
    words += ["model.input=24", "model.resize=26", "model.kernel=3", "model.stride=1", "train.batch_size=8"]
    words += ["model.widths=[4,4,6,6,6]", "model.hidden=[8,8]", "machine.device=cpu", f"data.root={index.root}"]
    out = tmp_path / "artifact"
    out.mkdir()
    planned = plan_module._selected(composed(*words, "data=folder"), ("model", "train", "data.root", "machine", "seed"))
    train.run(OmegaConf.create(planned), {"prepare": tmp_path}, out)
    with (out / "pictures.csv").open(newline="") as file:
        rows = [(row["file"], row["group"], row["title"].split(",")[0]) for row in csv.DictReader(file)]
    assert rows[1:] == [
        ("pictures/filters.png", "training", "The first layer"),
        ("pictures/watch_1.png", "during training", "gradient"),
        ("pictures/watch_2.png", "during training", "guided"),
        ("pictures/watch_3.png", "during training", "strongest unit of relu5"),
        ("pictures/watch_epoch_0000.png", "during training, by epoch", "before training"),
        ("pictures/watch_epoch_0001.png", "during training, by epoch", "after 1 epoch"),
        ("pictures/watch_epoch_0002.png", "during training, by epoch", "after 2 epochs"),
    ]
    assert all(Image.open(out / file).size[0] > 300 for file, *_ in rows)
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == ["epochs", "pictures"]


def test_only_who_watches_depends_on_the_code_of_the_methods(tmp_path: Path) -> None:
    assert "deepinside.methods.saliency" not in digest.closure({"deepinside.stages.train"})
    assert "deepinside.plots.watch" not in digest.closure({"deepinside.stages.train"})
    names = set()
    for words in ([], ["watch=saliency"]):
        plan = Planner(tmp_path).plan(composed(*words), "train")
        targets = plan_module._targets(plan.made_from["config"])
        assert ("deepinside.methods.saliency" in targets) is bool(words)
        assert ("deepinside.plots.watch" in targets) is bool(words)
        names.add(plan.folder.name)
    assert len(names) == 2
