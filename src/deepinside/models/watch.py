"""Maps of a network during training: a callback for any Lightning trainer."""

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import nn

from deepinside.network import Network
from deepinside.records import Batch, Maps

_SHARDED = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)
_log = logging.getLogger(__name__)


class Watch(Callback):
    """Draws maps of a few fixed images before training, at regular epochs, and at the end.

    For a trainer whose `lit.model` maps normalised images to scores:

        network = lambda lit: Network(lit.model, Preprocessing(input=32, resize=32), classes, "mine")
        maps = {"gradient": saliency, "guided": partial(saliency, rule="guided")}
        batch = Batch(images, names, labels)  # RGB in [0, 1]; maps are of the class scores of these labels
        watch = Watch(batch, maps, every=5, folder=Path("watch"), draw=grid, network=network)
        Trainer(callbacks=[watch]).fit(lit, data)

    writes `watch/epoch_0005.png` with its maps as `epoch_0005.npz`, which `looks` reads; a logger with `log_image`
    (W&B's) gets the image, too. Training is unaffected: the network is frozen and in evaluation mode while maps are
    computed, then modes, in-place layers, `requires_grad` and all global generators are restored, also after an error.
    Only the first process computes maps. The log reports their share of the time at the end.

    Args:
        pictures: few, because every method is applied to each.
        methods: name -> `(network, images) -> Maps`.
        every: epochs between maps.
        folder: to write to; files of an interrupted run are kept.
        draw: title, images and maps -> figure of matplotlib, such as `plots.watch.grid`.
        network: function that returns the network of the module; by default its attribute `network`.

    Raises:
        ValueError: if `every` is less than 1 or there is nothing to compute; before training, if the strategy shards
            the weights. An error of a method ends the training; the first maps are computed before the first step.
    """

    def __init__(
        self,
        pictures: Batch,
        methods: Mapping[str, Callable[[Network, Batch], Maps]],
        *,
        every: int,
        folder: Path,
        draw: Callable[[str, Batch, Mapping[str, Maps]], Any],
        network: Callable[[Any], Network] = attrgetter("network"),
    ) -> None:
        if every < 1 or not methods:
            raise ValueError(
                f"expected `every` of at least 1 epoch and at least one method, got {every} and {len(methods)}"
            )
        self.pictures = pictures
        self.methods = dict(methods)
        self.every = every
        self.folder = folder
        self.draw = draw
        self.network = network
        self.seconds = 0.0  # spent on drawing, by this process
        self.seen: list[int] = []  # epochs, by this process
        self._epoch = 0
        self._started = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # ruff: ignore[unused-method-argument]
        """Checks the strategy of the trainer.

        Args:
            trainer: of the run.
            pl_module: the module in training.
            stage: Lightning's name of the stage.

        Raises:
            ValueError: if no process has the whole network.
        """
        if isinstance(trainer.strategy, _SHARDED):
            raise ValueError(
                f"{type(trainer.strategy).__name__} may shard the weights, so that no process has the whole network: "
                "train with strategy=ddp, or without Watch"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the network before it learns anything.

        Args:
            trainer: of the run.
            pl_module: the module in training.
        """
        self._started = time.monotonic()
        self._epoch = trainer.current_epoch
        if trainer.global_step == 0:
            self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks, if it is time to.

        Args:
            trainer: of the run.
            pl_module: the module in training.
        """
        self._epoch = trainer.current_epoch + 1
        if self._epoch % self.every == 0:
            self._look(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the last maps, unless just done, and logs the time of all.

        Args:
            trainer: of the run.
            pl_module: the module in training.
        """
        if self._epoch not in self.seen:
            self._look(trainer, pl_module)
        if trainer.is_global_zero:
            whole = time.monotonic() - self._started
            _log.info(
                "watch: %d times the maps of %d images took %.1f s of %.1f s, %.1f %% of the training",
                *(len(self.seen), len(self.pictures), self.seconds, whole, 100 * self.seconds / max(whole, 1e-9)),
            )

    def _look(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        started = time.monotonic()
        with _as_it_was(module):
            network = _frozen(self.network(module))
            found = {name: method(network, self.pictures) for name, method in self.methods.items()}
            maps = {name: Maps(one.values.detach().float().cpu(), one.signed) for name, one in found.items()}
            path = self._keep(maps)
            for logger in trainer.loggers:
                if hasattr(logger, "log_image"):
                    logger.log_image("watch", [str(path)], step=trainer.global_step, caption=[when(self._epoch)])
        self.seen.append(self._epoch)
        self.seconds += time.monotonic() - started

    def _keep(self, maps: Mapping[str, Maps]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"epoch_{self._epoch:04d}.png"
        arrays = {f"map.{name}": one.values.numpy() for name, one in maps.items()}
        arrays |= {f"signed.{name}": np.array(one.signed) for name, one in maps.items()}
        with (self.folder / "look.tmp").open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        (self.folder / "look.tmp").replace(path.with_suffix(".npz"))
        figure = self.draw(when(self._epoch), self.pictures, maps)
        # Without the version of the program that drew it the bytes depend on the pixels alone.
        with (self.folder / "look.tmp").open("wb") as file:
            figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
        return (self.folder / "look.tmp").replace(path)


def when(epoch: int) -> str:
    """The epoch in words.

    Args:
        epoch: number of finished epochs.

    Returns:
        For instance `after 3 epochs`.
    """
    return "before training" if epoch == 0 else f"after {epoch} epoch{'s' * (epoch > 1)}"


def looks(folder: Path) -> dict[int, dict[str, Maps]]:
    """What `Watch` saw.

    Args:
        folder: that it wrote to.

    Returns:
        Epochs over -> name of the method -> maps, (n, k, h, w), in order of time.
    """
    found = {}
    for file in sorted(folder.glob("epoch_*.npz")):
        with np.load(file) as stored:
            names = [key.removeprefix("map.") for key in stored if key.startswith("map.")]
            maps = {n: Maps(torch.from_numpy(stored[f"map.{n}"]), bool(stored[f"signed.{n}"])) for n in names}
        found[int(file.stem.removeprefix("epoch_"))] = maps
    return dict(sorted(found.items()))


def _frozen(network: Network) -> Network:
    # A network made around a module just now has its mean and deviation on the CPU.
    place = next(network.module.parameters(), network.mean).device
    network.mean, network.std = network.mean.to(place), network.std.to(place)
    return network.requires_grad_(False).eval()


@contextmanager
def _as_it_was(module: nn.Module) -> Generator[None]:
    modes = [(part, part.training, getattr(part, "inplace", None)) for part in module.modules()]
    learning = [(weights, weights.requires_grad) for weights in module.parameters()]
    python, legacy = random.getstate(), np.random.get_state()  # ruff: ignore[numpy-legacy-random]  put back, not used
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        try:
            yield
        finally:
            for part, training, in_place in modes:  # the whole before its parts, for it sets theirs, too
                if part.training != training:
                    part.train(training)
                if in_place is not None:
                    part.inplace = in_place
            for weights, learns in learning:
                weights.requires_grad_(learns)
            random.setstate(python)
            np.random.set_state(legacy)  # ruff: ignore[numpy-legacy-random]
