"""Adversarial training of a classifier by the fast gradient sign from a random start."""

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.data.datamodule import Pairs
from deepinside.models.attacks import ascent, check_radius, projected, random_start
from deepinside.models.classifier import Classifier, tally
from deepinside.network import Network

log = logging.getLogger(__name__)


class RobustClassifier(Classifier):
    """Trains on images that one step along the gradient's sign has changed, from a random start in the ball.

    After every epoch the network is attacked by PGD on the last training batches. Where the error rises by more than
    `tolerance` above the lowest one so far, it has learnt to defeat the single step alone (catastrophic overfitting):
    training ends with the weights of the epoch with that lowest error, and says so.

    Args:
        network: to train; its input is RGB in [0, 1].
        radius: largest change of a pixel, in units of 1/255.
        step: of the gradient's sign, likewise.
        check_batches: training batches on which PGD is tried after every epoch.
        check_steps: steps of that PGD.
        tolerance: rise of its error, a share of the images, that ends the training.
        **settings: of `Classifier`.

    Raises:
        ValueError: if a radius or step is not positive, or the check would see nothing.

    Source: Wong et al. 2020, algorithm 3 and sec. 5.4 (catastrophic overfitting, seen by PGD on training images).
    Deviation: the training images are augmented as without attacks; where the check fails, training goes back to the
    best epoch instead of stopping where it is.
    """

    def __init__(
        self,
        network: Network,
        *,
        radius: float,
        step: float,
        check_batches: int,
        check_steps: int,
        tolerance: float,
        **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        check_radius(radius, "train.classifier.radius")
        check_radius(step, "train.classifier.step")
        for name, count in (("check_batches", check_batches), ("check_steps", check_steps)):
            if count < 1:
                raise ValueError(f"expected train.classifier.{name} from 1 on, got {count}")
        if not 0 < tolerance < 1:
            raise ValueError(f"expected train.classifier.tolerance between 0 and 1, got {tolerance}")
        self.radius, self.step = radius, step
        self.check_batches, self.check_steps, self.tolerance = check_batches, check_steps, tolerance
        self.last: list[Pairs] = []  # training batches
        self.best: dict[str, Any] = {"epoch": -1, "error": float("inf"), "weights": {}}
        self.collapsed = -1  # epoch after which training ended; -1: none

    def on_train_start(self) -> None:
        """Ends at once where the training that is resumed had ended."""
        if self.collapsed >= 0:
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        """Forgets the sums and the batches of the last epoch."""
        super().on_train_epoch_start()
        self.last = []

    def training_scores(self, batch: Pairs) -> Float[Tensor, "n k"]:
        """Scores of the attacked images.

        Args:
            batch: RGB bytes and labels.

        Returns:
            Before softmax.
        """
        self.last = [*self.last, batch][-self.check_batches :]
        images = self.pixels(batch)
        start = random_start(images, self.radius)
        attacked = ascent(self.network, images, batch[1], radius=self.radius, step=self.step, start=start)
        return self.checked(self.network(attacked.contiguous(memory_format=self.memory)))

    def on_validation_epoch_end(self) -> None:
        """Attacks the last training batches, and ends the training if the error has risen."""
        if self.trainer.state.fn != "fit":
            return
        with torch.inference_mode(mode=False):
            error = self._pgd_error()
        _, fgsm_error, _ = self.measured("train")
        self.further = {"train_fgsm_error": fgsm_error, "train_pgd_error": error}
        if error > self.best["error"] + self.tolerance:
            self._return(error)
        elif error <= self.best["error"]:
            weights = {name: values.detach().clone() for name, values in self.network.state_dict().items()}
            self.best = {"epoch": self.current_epoch, "error": error, "weights": weights}

    def _pgd_error(self) -> float:
        # The starts depend on seed and epoch alone.
        key = np.random.SeedSequence((self.seed, self.current_epoch, self.global_rank)).generate_state(1)
        generator = torch.Generator().manual_seed(int(key[0]))
        sums = torch.zeros(4, dtype=torch.float64, device=self.device)
        for batch in self.last:
            attacked = projected(
                self.network, self.pixels(batch), batch[1], radius=self.radius, steps=self.check_steps,
                generator=generator,
            )  # fmt: skip
            with torch.no_grad():
                sums += tally(self.network(attacked), batch[1])
        _, wrong, _, count = self.trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        return wrong / max(count, 1)

    def _return(self, error: float) -> None:
        epoch, lowest = self.best["epoch"], self.best["error"]
        log.warning(
            "catastrophic overfitting in epoch %d: PGD's error on training images rose from %.0f %% to %.0f %%; "
            "training ends with the weights of epoch %d: lower train.classifier.step or train.classifier.radius",
            self.current_epoch, 100 * lowest, 100 * error, epoch,
        )  # fmt: skip
        self.network.load_state_dict(self.best["weights"])
        self.collapsed = self.current_epoch
        self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what a resumed training needs.

        Args:
            checkpoint: of Lightning.
        """
        checkpoint["robust"] = {"best": self.best, "collapsed": self.collapsed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes it up again.

        Args:
            checkpoint: of Lightning.
        """
        self.best, self.collapsed = checkpoint["robust"]["best"], checkpoint["robust"]["collapsed"]


def robust_errors(
    network: Network,
    batches: Iterable[tuple[Float[Tensor, "n 3 h w"], Int[Tensor, " n"]]],
    *,
    radii: Iterable[float],
    steps: int,
    seed: int = 0,
) -> dict[tuple[str, float], Bool[ndarray, " m"]]:
    """Whether images are misread after attacks.

    Args:
        network: frozen.
        batches: images, RGB in [0, 1], and their labels, all known.
        radii: of the attacks, in units of 1/255.
        steps: of PGD.
        seed: of its starts.

    Returns:
        (`fgsm` or `pgd`, radius) -> one value per image, true where the class of the highest score is another.

    Raises:
        ValueError: if a radius is not positive.
    """
    radii = tuple(radii)
    for radius in radii:
        check_radius(radius)
    generator = torch.Generator().manual_seed(seed)
    found: dict[tuple[str, float], list[Tensor]] = {}
    for images, labels in batches:
        images, labels = images.to(network.device), labels.to(network.device)
        for radius in radii:
            attacked = {
                "fgsm": ascent(network, images, labels, radius=radius, step=radius),
                "pgd": projected(network, images, labels, radius=radius, steps=steps, generator=generator),
            }
            for name, changed in attacked.items():
                wrong = network.scores(changed).argmax(1) != labels
                found.setdefault((name, radius), []).append(wrong.cpu())
    return {key: torch.cat(parts).numpy() for key, parts in found.items()}
