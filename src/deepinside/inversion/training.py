"""Trains one inverter; an interrupted training resumes from its last whole epoch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.functional import softplus

from deepinside.data.datamodule import Pairs, Pictures
from deepinside.models.classifier import Bar
from deepinside.models.inverter import Discriminator, UpConvNet
from deepinside.models.training import run_epochs
from deepinside.network import Network
from deepinside.probe.codes import codes

TERMS = ("image", "feature", "adversarial")
_IDLE = 0.1  # the discriminator rests while its loss is below this share of the generator's (DeePSiM; [UNVERIFIED])


class Inversion(LightningModule):
    """Adam on a weighted sum of losses, with a learning rate that decays to zero along half a cosine.

    image: mean squared difference of the pixels. feature: |C(x') - C(x)|^2 / |C(x)|^2, C the comparator's activation.
    adversarial: log(1 + exp(-D(x'))), D a discriminator that is trained at the same time.

    Args:
        network: whose code is inverted, and whose layer compares; not changed.
        name: of the code.
        module: is trained.
        loss: weights of the three terms, and `comparator`, a code; None: the one inverted.
        learning_rate: at the start.
        momentum: the first beta of Adam.

    Source: Dosovitskiy & Brox 2016 (image); Dosovitskiy & Brox 2016b (all three).
    Deviation: the feature term is relative, so that its weight does not depend on the layer.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        module: UpConvNet,
        *,
        loss: Mapping[str, Any],
        learning_rate: float,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.frozen = (network,)  # in a tuple: neither trained nor in the checkpoint
        self.name = name
        self.module = module
        self.loss = loss
        self.judge = Discriminator() if loss["adversarial"] else None
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.sums: dict[str, Tensor] = {}

    def on_train_epoch_start(self) -> None:
        """Resets the sums of the last epoch."""
        self.sums = {}

    def training_step(self, batch: Pairs, step: int) -> None:
        """One step of the inverter, and of the discriminator if there is one.

        The batch holds RGB bytes, and -1 for unreadable images.

        Raises:
            FloatingPointError: if the loss is not finite.
        """
        optimisers: Any = self.optimizers()
        ours, judges = optimisers if self.judge else (optimisers, None)
        self._slow(step)
        images = _readable(batch)
        if not len(images):
            return
        made = self._made(images)
        terms = self._terms(made, images)
        loss = sum((self.loss[term] * value for term, value in terms.items()), torch.zeros((), device=self.device))
        if not bool(loss.isfinite()):
            raise FloatingPointError(
                f"inverter training of {self.name}: the loss became {loss.item()} in epoch {self.current_epoch}, "
                f"step {step}: "
                f"lower invert.optimiser.learning_rate={self.learning_rate} or the weights in invert.loss"
            )
        ours.zero_grad()
        self.manual_backward(loss)
        ours.step()
        if judges:
            self._judge(judges, made.detach(), images, terms["adversarial"].detach())
        for term, value in terms.items():
            self._add(f"train_{term}", value, len(images))

    def _made(self, images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 s s"]:
        with torch.no_grad():
            read = codes(self.frozen[0], images, [self.name])[self.name]
        return self.module(read)

    def _terms(self, made: Tensor, images: Tensor) -> dict[str, Float[Tensor, ""]]:
        terms = {"image": (made - images).square().mean()}
        if self.loss["feature"]:
            where = self.loss["comparator"] or self.name
            with torch.no_grad():
                wanted = codes(self.frozen[0], images, [where])[where].flatten(1)
            code = codes(self.frozen[0], made, [where])[where].flatten(1)
            terms["feature"] = ((code - wanted).square().sum(1) / wanted.square().sum(1).clamp(min=1e-6)).mean()
        if self.judge:
            terms["adversarial"] = softplus(-self.judge(made)).mean()
        return terms

    def _judge(self, optimiser: Any, made: Tensor, images: Tensor, fooled: Tensor) -> None:
        assert self.judge is not None
        wrong = softplus(-self.judge(images)).mean() + softplus(self.judge(made)).mean()
        self._add("train_discriminator", wrong.detach(), len(images))
        if wrong < _IDLE * fooled:
            return
        optimiser.zero_grad()
        self.manual_backward(wrong)
        optimiser.step()

    def _slow(self, step: int) -> None:
        whole = max(1, int(self.trainer.num_training_batches)) * int(self.trainer.max_epochs or 1)
        done = (self.current_epoch * int(self.trainer.num_training_batches) + step) / whole
        for optimiser in self.trainer.optimizers:
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def validation_step(self, batch: Pairs, step: int) -> None:  # ruff: ignore[unused-method-argument]
        """Adds the error of a batch."""
        images = _readable(batch)
        if len(images):
            self._add("val_image", (self._made(images).clamp(0, 1) - images).square().mean(), len(images))

    def _add(self, what: str, value: Tensor, count: int) -> None:
        added = torch.stack([value.detach().double() * count, value.new_tensor(count).double()])
        self.sums[what] = self.sums.get(what, torch.zeros_like(added)) + added

    def measured(self) -> dict[str, float]:
        """Means over the images of the epoch, by name of the loss."""
        return {what: float(total / count) for what, (total, count) in self.sums.items()}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One for the inverter, one for the discriminator if there is one."""
        learners = [self.module, *([self.judge] if self.judge else [])]
        return [torch.optim.Adam(part.parameters(), self.learning_rate, (self.momentum, 0.999)) for part in learners]


def _readable(batch: Pairs) -> Float[Tensor, "n 3 s s"]:
    pixels, labels = batch
    return pixels[labels >= 0].float() / 255


class KeepInversion(Callback):
    """Writes `history.csv` and the state to resume from after every epoch, each atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """The history, which is part of the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the history of a checkpoint."""
        self.rows = list(state_dict["rows"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the history and the checkpoint."""
        assert isinstance(pl_module, Inversion)
        self.rows.append({"epoch": trainer.current_epoch + 1, **pl_module.measured()})
        pd.DataFrame(self.rows).to_csv(self.folder / "history.csv", index=False, lineterminator="\n")
        trainer.save_checkpoint(self.folder / "last.tmp")
        (self.folder / "last.tmp").replace(self.folder / "last.ckpt")  # last of all: what is resumed has left the rest


def train_inverter(
    inversion: Inversion, pictures: Pictures, folder: Path, *, epochs: int, device: str = "auto"
) -> pd.DataFrame:
    """Trains an inverter, from its last whole epoch if the folder has one; returns its losses, a row per epoch.

    Args:
        inversion: its module is changed, and frozen at the end.
        pictures: for training, and those held out.
        folder: gets `history.csv` and `last.ckpt`.
        epochs: their number.
        device: `cpu`, `cuda` or `auto`.
    """
    callbacks = [Bar(f"invert {inversion.name}"), KeepInversion(folder)]
    run_epochs(inversion, pictures, folder / "last.ckpt", epochs=epochs, callbacks=callbacks, device=device)
    inversion.module.requires_grad_(False).eval().to(inversion.frozen[0].device)
    return pd.read_csv(folder / "history.csv")
