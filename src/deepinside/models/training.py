"""Training and evaluation of a network on an index."""

import logging
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from deepinside.data.augmentation import Augmentation
from deepinside.data.datamodule import Pictures
from deepinside.data.index import BadImage, Entry, Index
from deepinside.models.classifier import Bar, Classifier, History, Keep, read_history
from deepinside.network import Network
from deepinside.runtime import machine
from deepinside.runtime.progress import track
from deepinside.views import crops_of

VIEWS = {"centre": 1, "ten": 10, "warp": 1}


def probabilities(
    network: Network, images: Iterable[UInt8[Tensor, "3 h w"]], *, crops: str = "centre", batch_size: int = 64
) -> Float[Tensor, "n k"]:
    """Class probabilities: the mean of softmax(S) over the views of an image.

    Args:
        network: on any device.
        images: RGB bytes, each of any size; read on demand.
        crops: `centre`, `ten` or `warp`.
        batch_size: views per forward pass; fixed by position, so that the last bits do not change.

    Returns:
        (n, k) on the CPU, rows sum to 1.

    Source: Krizhevsky et al. 2012, sec. 4.1 (ten crops, softmax averaged).
    """
    stream = iter(images)
    count = max(1, batch_size // VIEWS.get(crops, 1))
    parts: list[Tensor] = [torch.empty(0, len(network.classes))]
    with torch.inference_mode():
        while chunk := [crops_of(image, network.preprocessing, crops).pixels for image in islice(stream, count)]:
            scores = network.scores(torch.cat(chunk)).float().cpu()
            parts.append(scores.softmax(1).view(len(chunk), -1, scores.shape[1]).mean(1))
    return torch.cat(parts)


def wrong(
    values: Float[Tensor, "n k"], labels: Int[ndarray, " n"] | Int[Tensor, " n"], guesses: int
) -> Bool[ndarray, " n"]:
    """Whether the true class is not among the first guesses.

    Args:
        values: scores or probabilities, (n, k).
        labels: true classes, (n,).
        guesses: their number.

    Returns:
        (n,), true where `guesses` or more classes score higher than the true one.
    """
    labels = torch.as_tensor(labels).long()
    above = (values > values.gather(1, labels[:, None])).sum(1)
    return (above >= guesses).numpy()


class Errors(NamedTuple):
    """Per image, in the order of the index: top-1 and top-5 errors; and unreadable images."""

    images: tuple[str, ...]
    top1: Bool[ndarray, " n"]
    top5: Bool[ndarray, " n"]
    set_aside: tuple[tuple[str, str], ...]


def fit(
    network: Network,
    train: Index,
    val: Index,
    *,
    out: Path,
    seed: int,
    epochs: int,
    batch_size: int,
    optimiser: Mapping[str, Any],
    augmentation: Mapping[str, Any],
    trainer: Mapping[str, Any],
    device: str = "auto",
    workers: int = 0,
    cache_gb: float = 2.0,
    channels_last: bool = True,
    keep: Sequence[int] = (),
    callbacks: Sequence[Callback] = (),
    kind: Callable[..., Classifier] = Classifier,
) -> History:
    """Trains a network, which then has the weights of the last epoch and is frozen.

    Writes `history.csv` and `checkpoints/last.ckpt`, from which an interrupted run resumes at the next epoch with the
    same result. No epoch is selected: `val` has no influence on the weights.

    Args:
        network: to train.
        train: training images.
        val: images for the error after every epoch.
        out: folder to write to and to resume from.
        seed: of order, augmentation and dropout; the initial weights are those of the network.
        epochs: their number.
        batch_size: images per step, over all devices.
        optimiser: arguments of `Classifier`.
        augmentation: arguments of `Augmentation`.
        trainer: `devices`, `num_nodes`, `precision`, `strategy` of Lightning's Trainer.
        device: `cpu`, `cuda` or `auto`.
        workers: processes that decode.
        cache_gb: memory for decoded images, in 10^9 bytes.
        channels_last: memory format in training.
        keep: epochs whose weights are stored as `epochs/<number>.safetensors`.
        callbacks: of Lightning; they run before the epoch's checkpoint is written.
        kind: of training: `Classifier`, or one that learns from other images, such as `RobustClassifier`.

    Returns:
        One row per epoch.

    Raises:
        AllTaken: in a process that helps another to train, at the end of the training.
    """
    variation = Augmentation(**augmentation)
    pictures = Pictures(
        train,
        val,
        network.preprocessing,
        variation,
        seed=seed,
        batch_size=batch_size,
        workers=workers,
        cache_gb=cache_gb,
    )
    classifier = kind(network, seed=seed, channels_last=channels_last, **optimiser)
    checkpoint = out / "checkpoints" / "last.ckpt"
    watching = [Bar("train"), *callbacks, Keep(out, keep)]
    with _trainable(network, channels_last):
        run_epochs(classifier, pictures, checkpoint, epochs=epochs, callbacks=watching, device=device, trainer=trainer)
    machine.first_only()
    return read_history(out)


def run_epochs(
    module: LightningModule,
    pictures: Pictures,
    checkpoint: Path,
    *,
    epochs: int,
    callbacks: Sequence[Callback],
    device: str = "auto",
    trainer: Mapping[str, Any] | None = None,
) -> None:
    """Trains up to an epoch, from the checkpoint if there is one; leaves the state of torch's generators as it was.

    Args:
        module: to train.
        pictures: training and validation images.
        checkpoint: to resume from; its folder is created. The callbacks write it.
        epochs: their number, those of the checkpoint included.
        callbacks: of Lightning.
        device: `cpu`, `cuda` or `auto`.
        trainer: as in `placed`.
    """
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with _quiet(), _torch_state():
        runner = Trainer(
            max_epochs=epochs,
            callbacks=list(callbacks),
            default_root_dir=checkpoint.parent,
            deterministic="warn",  # Lightning's word for: as far as the device can
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            **placed(device, trainer),
        )
        runner.fit(module, pictures, ckpt_path=str(checkpoint) if checkpoint.exists() else None, weights_only=True)


def placed(device: str, trainer: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of Lightning's Trainer for a device.

    Args:
        device: `cpu`, `cuda` or `auto`.
        trainer: further arguments; one device by default.

    Returns:
        All arguments.
    """
    settings: dict[str, Any] = {"devices": 1, "num_nodes": 1, "strategy": "auto"} | dict(trainer or {})
    place = machine.device(device)
    if settings["devices"] * settings["num_nodes"] == 1:
        settings["devices"] = 1 if place.index is None else [place.index]
    elif settings["strategy"] in {"auto", "ddp", "ddp_spawn"}:
        # Without `torchrun` Lightning's ddp would start this whole program again, once per device.
        settings["strategy"] = "ddp" if machine.world() > 1 else "ddp_spawn"
    return settings | {"accelerator": "gpu" if place.type == "cuda" else place.type}


@contextmanager
def _trainable(network: Network, channels_last: bool) -> Generator[None, None, None]:
    home = network.device
    try:
        _order(network, torch.channels_last if channels_last else torch.contiguous_format)
        network.requires_grad_(True).train()
        yield
    finally:
        _order(network.to(home), torch.contiguous_format)
        network.requires_grad_(False).eval()


def _order(network: Network, memory: torch.memory_format) -> None:
    for filters in network.parameters():
        if filters.ndim == 4:
            filters.data = filters.data.contiguous(memory_format=memory)


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Silences Lightning's messages on accelerators, workers and folders."""
    logs = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


@contextmanager
def _torch_state() -> Generator[None, None, None]:
    """Lightning and dropout change torch's generator and its flags; they are put back."""
    flags = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])


def weights_of(network: Network) -> dict[str, Float[Tensor, "..."]]:
    """A copy of the weights of every convolution and linear layer.

    Args:
        network: with any layers; normalisations and biases are left out.

    Returns:
        Dotted name of the layer -> its weights, on the CPU.
    """
    kinds = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
    layers = {name: part for name, part in network.module.named_modules() if isinstance(part, kinds)}
    return {name: part.weight.detach().cpu().clone() for name, part in layers.items()}


def cosines_with_start(
    start: Mapping[str, Float[Tensor, "..."]], end: Mapping[str, Float[Tensor, "..."]]
) -> dict[str, float]:
    """How far training has moved each layer: the cosine between its weights before and after.

    Near 1 a layer still is its random start, whatever the network's accuracy; near 0 nothing of it is left.

    Args:
        start: layer -> weights, see `weights_of`.
        end: the same layers later.

    Returns:
        Layer -> cosine, -1 to 1; NaN where all weights are zero.
    """

    def cosine(first: Tensor, second: Tensor) -> float:
        scale = float(first.norm() * second.norm())
        return float((first * second).sum()) / scale if scale > 0 else float("nan")

    return {name: cosine(weights.double(), end[name].double()) for name, weights in start.items()}


def classification_errors(
    network: Network, index: Index, *, crops: str = "centre", batch_size: int = 64, limit: int | None = None
) -> Errors:
    """Classification errors of a network.

    Args:
        network: on the device that computes.
        index: labelled images.
        crops: `centre`, `ten` or `warp`.
        batch_size: views per forward pass.
        limit: number of images, the first ones; None: all.

    Returns:
        Top-1 and top-5 errors per image; unreadable files are skipped.

    Raises:
        ValueError: if an image has no label.
    """
    index = index.limit(limit)
    unknown = sum(entry.label < 0 for entry in index.entries)
    if unknown:
        raise ValueError(f"{index.root}: {unknown} of {len(index)} images have no label")
    whole: list[Entry] = []
    broken: list[tuple[str, str]] = []
    values = probabilities(network, _readable(index, whole, broken), crops=crops, batch_size=batch_size)
    labels = np.array([entry.label for entry in whole], dtype=np.int64)
    names = tuple(entry.image for entry in whole)
    return Errors(names, wrong(values, labels, 1), wrong(values, labels, 5), tuple(broken))


def _readable(index: Index, whole: list[Entry], broken: list[tuple[str, str]]) -> Iterator[UInt8[Tensor, "3 h w"]]:
    for entry in track(index.entries, "classify"):
        try:
            image = index.picture(entry)
        except BadImage as error:
            broken.append(error.row(index.root))
        else:
            whole.append(entry)
            yield image
