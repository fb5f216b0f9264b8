"""Training of a classifier."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import cross_entropy

from deepinside.data.datamodule import Pairs
from deepinside.models.checkpoint import save_weights
from deepinside.network import Network
from deepinside.runtime.progress import track

FEW_CLASSES = 10  # with no more than these, five guesses name half of them or all: no top-5 error is reported


class Epoch(NamedTuple):
    """One row of `history.csv`; errors are shares of the validation images, by their centre crop.

    The top-5 error is None, and has no column, for at most `FEW_CLASSES` classes. So are the errors on attacked
    training images, by one step and by PGD, without adversarial training.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_top1_error: float
    learning_rate: float
    val_top5_error: float | None = None
    train_fgsm_error: float | None = None
    train_pgd_error: float | None = None


History = tuple[Epoch, ...]


def tally(scores: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, " 4"]:
    """Sums over a batch: loss, wrong at the first guess, wrong at the first five, images.

    Args:
        scores: before softmax, (n, k).
        labels: (n,); images with -1 do not count.

    Returns:
        (4,), float64. A class is among the first five if fewer than five score higher.
    """
    known = labels >= 0
    scores, labels = scores[known].double(), labels[known]
    loss = cross_entropy(scores, labels, reduction="sum")
    above = (scores > scores.gather(1, labels[:, None])).sum(1)
    return torch.stack([loss, (above >= 1).sum(), (above >= 5).sum(), known.sum()]).double()


class Classifier(LightningModule):
    """Stochastic gradient descent on the cross-entropy of RGB bytes and labels, under a one-cycle schedule.

    Args:
        network: to train; its input is RGB in [0, 1].
        optimiser: `sgd` or `adamw`.
        learning_rate: at the top of the cycle.
        momentum: of SGD, or the first beta of AdamW.
        weight_decay: of weights; not of biases and normalisation.
        warm_up: share of the steps in which the rate increases.
        label_smoothing: probability spread over all classes.
        seed: of dropout, together with the step.
        channels_last: memory format of images and filters; faster on most machines.

    Raises:
        ValueError: if there is no such optimiser.

    Source: Simonyan et al. 2013, sec. 1 (cross-entropy, SGD); Smith & Topin 2018 (one-cycle schedule).
    """

    def __init__(
        self,
        network: Network,
        *,
        optimiser: str = "adamw",
        learning_rate: float,
        momentum: float = 0.9,
        weight_decay: float,
        warm_up: float = 0.25,
        label_smoothing: float = 0.0,
        seed: int = 0,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if optimiser not in {"sgd", "adamw"}:
            raise ValueError(f"expected optimiser sgd or adamw, got {optimiser!r}")
        self.network = network
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.warm_up = warm_up
        self.label_smoothing = label_smoothing
        self.seed = seed
        self.memory = torch.channels_last if channels_last else torch.contiguous_format
        self.sums: dict[str, Float[Tensor, " 4"]] = {}
        self.further: dict[str, float] = {}  # columns of the history that a kind of training adds

    def on_train_epoch_start(self) -> None:
        """Forgets the sums of the last epoch."""
        self.sums = {}

    def training_step(self, batch: Pairs, step: int) -> Float[Tensor, ""]:
        """The loss of a batch; dropout is a function of seed, step and device alone.

        Args:
            batch: RGB bytes and labels.
            step: within the epoch.

        Returns:
            The mean cross-entropy.

        Raises:
            FloatingPointError: if it is not finite.
        """
        torch.manual_seed(
            int(np.random.SeedSequence((self.seed, self.global_step, self.global_rank)).generate_state(1)[0])
        )
        scores, labels = self.training_scores(batch), batch[1]
        loss = cross_entropy(scores, labels, label_smoothing=self.label_smoothing, ignore_index=-1)
        if not bool(loss.isfinite()):
            raise FloatingPointError(
                f"the training loss became {loss.item()} in epoch {self.current_epoch}, step {step}: lower "
                f"train.optimiser.learning_rate={self.learning_rate}, or check images and weights for NaN"
            )
        self._add("train", scores.detach(), labels)
        return loss

    def validation_step(self, batch: Pairs, step: int) -> None:  # ruff: ignore[unused-method-argument]
        """Counts the errors of a batch.

        Args:
            batch: RGB bytes and labels.
            step: within the epoch.
        """
        self._add("val", self.checked(self.network(self.pixels(batch))), batch[1])

    def training_scores(self, batch: Pairs) -> Float[Tensor, "n k"]:
        """Scores of the images to learn from.

        Args:
            batch: RGB bytes and labels.

        Returns:
            Before softmax.
        """
        return self.checked(self.network(self.pixels(batch)))

    def pixels(self, batch: Pairs) -> Float[Tensor, "n 3 h w"]:
        """The images of a batch.

        Args:
            batch: RGB bytes and labels.

        Returns:
            RGB in [0, 1].
        """
        return batch[0].to(memory_format=self.memory).float().div_(255)

    def checked(self, scores: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """The scores, if they are as many as the classes.

        Args:
            scores: before softmax.

        Returns:
            The same.

        Raises:
            ValueError: if they are not.
        """
        if scores.shape[1] != len(self.network.classes):
            raise ValueError(
                f"{self.network.name} gives {scores.shape[1]} scores for {len(self.network.classes)} classes: "
                "its last layer needs one output per class"
            )
        return scores

    def _add(self, split: str, scores: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> None:
        self.sums[split] = self.sums.get(split, 0) + tally(scores, labels)

    def measured(self, split: str) -> tuple[float, float, float]:
        """Means over the epoch and all devices.

        Args:
            split: `train` or `val`.

        Returns:
            Loss, top-1 error, top-5 error.
        """
        none = torch.zeros(4, dtype=torch.float64, device=self.device)  # fewer images than devices
        sums = self.trainer.strategy.reduce(self.sums.get(split, none), reduce_op="sum")
        loss, top1, top5, count = sums.tolist()
        return loss / count, top1 / count, top5 / count

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, with its schedule by step.

        Returns:
            In Lightning's format.
        """
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimiser: torch.optim.Optimizer
        if self.optimiser == "sgd":
            optimiser = torch.optim.SGD(groups, self.learning_rate, momentum=self.momentum, nesterov=True)
        else:
            optimiser = torch.optim.AdamW(groups, self.learning_rate, betas=(self.momentum, 0.99))
        steps = self._steps()
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            self.learning_rate,
            total_steps=steps,
            pct_start=self.warm_up if self.warm_up * steps != 1 else 1.5 / steps,  # torch would divide by zero
            cycle_momentum=False,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _steps(self) -> int:
        # Lightning's own count starts the workers, which read ahead, before it knows at which epoch a training goes on
        pictures = self.trainer.datamodule  # type: ignore[attr-defined]
        return int(self.trainer.max_epochs or 0) * len(pictures.train_dataloader())


class Keep(Callback):
    """Writes history, weights and the state to resume from after every epoch, each atomically.

    Args:
        out: folder of `history.csv` and `checkpoints/`.
        epochs: epochs after which the weights are also stored in `epochs/`.
    """

    def __init__(self, out: Path, epochs: Collection[int] = ()) -> None:
        self.out = out
        self.epochs = epochs
        self.rows: list[Epoch] = []

    def state_dict(self) -> dict[str, Any]:
        """The state for the checkpoint.

        Returns:
            The history.
        """
        return {"rows": [list(row) for row in self.rows]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up the history of a checkpoint.

        Args:
            state_dict: as `state_dict` left it.
        """
        self.rows = [Epoch(*row) for row in state_dict["rows"]]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes everything.

        Args:
            trainer: of the run.
            pl_module: the classifier.
        """
        assert isinstance(pl_module, Classifier)
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        train_loss, (val_loss, top1, top5) = pl_module.measured("train")[0], pl_module.measured("val")
        many = len(pl_module.network.classes) > FEW_CLASSES
        errors = {"val_top5_error": top5 if many else None, **pl_module.further}
        self.rows.append(Epoch(trainer.current_epoch, train_loss, val_loss, top1, rate, **errors))
        folder = self.out / "checkpoints"
        trainer.save_checkpoint(folder / "last.tmp")
        if trainer.is_global_zero:
            self._write(pl_module, folder)
        trainer.strategy.barrier("kept")

    def _write(self, classifier: Classifier, folder: Path) -> None:
        if len(self.rows) in self.epochs:
            (self.out / "epochs").mkdir(exist_ok=True)
            save_weights(classifier.network.module, self.out / "epochs" / f"{len(self.rows):04d}.safetensors")
        write_history(self.out, tuple(self.rows))
        (folder / "last.tmp").replace(folder / "last.ckpt")  # last of all: what is resumed has left all the rest


class Bar(Callback):
    """The progress of a run over all its steps, with the time left.

    Args:
        description: of the run.
    """

    def __init__(self, description: str) -> None:
        self.description = description

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # ruff: ignore[unused-method-argument]
        """Starts the progress at the current epoch.

        Args:
            trainer: of the run.
            pl_module: is trained.
        """
        left = (int(trainer.max_epochs or 0) - trainer.current_epoch) * int(trainer.num_training_batches)
        steps = range(left if trainer.is_global_zero else 0)  # one process tells
        self.steps = track(steps, self.description)

    def on_train_batch_end(self, *_: Any) -> None:
        """Advances the progress.

        Args:
            *_: arguments of Lightning's hook.
        """
        next(self.steps, None)

    def on_train_end(self, *_: Any) -> None:
        """Ends the progress.

        Args:
            *_: arguments of Lightning's hook.
        """
        self.steps.close()


def write_history(out: Path, history: History) -> None:
    """Writes `history.csv`.

    Args:
        out: the folder.
        history: one row per epoch.
    """
    temporary = out / "history.tmp"
    names = [name for name in Epoch._fields if any(getattr(row, name) is not None for row in history)]
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([row.epoch, *(repr(round(getattr(row, name), 10)) for name in names[1:])] for row in history)
    temporary.replace(out / "history.csv")


def read_history(out: Path) -> History:
    """Reads `history.csv`.

    Args:
        out: the folder.

    Returns:
        One row per epoch.
    """
    with (out / "history.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return tuple(Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()}) for row in rows)
