"""Batches for training: the same images, varied in the same way, whatever the number of workers and devices."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int, UInt8
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from deepinside.data.augmentation import Augmentation, Look, look, seen
from deepinside.data.image import BadImage
from deepinside.data.index import Entry, Index
from deepinside.network import Preprocessing
from deepinside.runtime.progress import track
from deepinside.views import canvas, canvas_size, placements

_LOG = logging.getLogger(__name__)


class Canvases:
    """The images of an index at the network's resize length, as bytes, by position.

    Args:
        index: the images.
        preprocessing: of the network.
        cache_gb: memory for the cache, in 10^9 bytes; if they need more, each is decoded on demand.

    An unreadable image is None, and a warning names its file.
    """

    def __init__(self, index: Index, preprocessing: Preprocessing, cache_gb: float) -> None:
        self.index = index
        self.preprocessing = preprocessing
        self.cached: list[UInt8[Tensor, "3 H W"] | None] | None = None
        sizes = (canvas_size(entry.height, entry.width, preprocessing.resize) for entry in index.entries)
        self.fits = sum(3 * height * width for height, width in sizes) <= cache_gb * 1e9

    def __len__(self) -> int:
        return len(self.index)

    def keep(self, threads: int) -> None:
        """Decodes all images into memory, if they fit.

        Args:
            threads: number of decoding threads; the result does not depend on it.
        """
        if not self.fits or self.cached is not None:
            return
        with ThreadPoolExecutor(max(1, threads)) as pool:
            made = pool.map(self._made, self.index.entries)
            self.cached = list(track(made, "decode", total=len(self)))

    def __getitem__(self, position: int) -> UInt8[Tensor, "3 H W"] | None:
        return self._made(self.index.entries[position]) if self.cached is None else self.cached[position]

    def _made(self, entry: Entry) -> UInt8[Tensor, "3 H W"] | None:
        try:
            image = self.index.picture(entry)
        except BadImage as error:  # one of a million files may be broken: days of training do not end for it
            _LOG.warning("skipped in training: %s", error)
            return None
        return (canvas(image, self.preprocessing) * 255).round().to(torch.uint8)


Key = tuple[int, int]  # epoch, position
Pairs = tuple[UInt8[Tensor, "n 3 s s"], Int[Tensor, " n"]]


class Views(Dataset):
    """One square view per key (epoch, position), and its label; -1 for an image that cannot be decoded.

    Args:
        canvases: the images.
        augmentation: None: the centre crop, whatever the epoch.
        seed: of the variations.
    """

    def __init__(self, canvases: Canvases, augmentation: Augmentation | None, seed: int) -> None:
        self.canvases = canvases
        self.augmentation = augmentation
        self.seed = seed
        self.side = canvases.preprocessing.input
        self.mean = mean_colour(canvases.preprocessing)

    def __getitems__(self, keys: Sequence[Key]) -> Pairs:
        """The views of a batch.

        Args:
            keys: epoch and position of each.

        Returns:
            RGB bytes (n, 3, side, side) and labels (n,).
        """
        views = [self._view(epoch, position) for epoch, position in keys]
        entries = self.canvases.index.entries
        labels = [-1 if view is None else entries[i].label for view, (_, i) in zip(views, keys, strict=True)]
        blank = self.mean.expand(3, self.side, self.side)
        return torch.stack([blank if view is None else view for view in views]), torch.tensor(labels)

    def _view(self, epoch: int, position: int) -> UInt8[Tensor, "3 s s"] | None:
        canvas = self.canvases[position]
        if canvas is None:
            return None
        height, width = canvas.shape[1:]
        if self.augmentation is None:
            (centre,) = placements(height, width, self.side, "centre")
            way = Look(centre.top, centre.left, self.side, mirrored=False, hole=(0, 0, 0, 0), light=1, contrast=1)
        else:
            way = look(self.augmentation, (self.seed, epoch, position), (height, width), self.side)
        return seen(canvas, way, self.side, self.mean)


def mean_colour(preprocessing: Preprocessing) -> UInt8[Tensor, "3 1 1"]:
    """The colour that hides a part of an image, in bytes.

    Args:
        preprocessing: of the network.

    Returns:
        RGB, (3, 1, 1).
    """
    return (preprocessing.colour * 255).round().to(torch.uint8).view(3, 1, 1)


class Order(Sampler[Key]):
    """The keys of an epoch, shuffled by (seed, epoch) or in order, dealt out to the devices in turn.

    Shuffled, each device has as many, or one would wait for another's step for ever: the last few are then left out.

    Args:
        count: number of images.
        seed: of the shuffling; None: in order.
        rank: of this device.
        world: number of devices.
    """

    def __init__(self, count: int, seed: int | None, rank: int = 0, world: int = 1) -> None:
        self.count = count
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before every epoch.

        Args:
            epoch: counted from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self._dealt(), self.world))

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self.count)
        if self.seed is not None:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        return ((self.epoch, int(position)) for position in order[: self._dealt()][self.rank :: self.world])

    def _dealt(self) -> int:
        return self.count if self.seed is None else self.count - self.count % self.world


class Pictures(LightningDataModule):
    """Training and validation images of one network.

    Args:
        train: images with labels; the others are skipped.
        val: likewise, by their centre crop.
        preprocessing: of the network.
        augmentation: of training images.
        seed: of shuffling and augmentation.
        batch_size: images per step, over all devices together.
        workers: processes that decode; unused if the decoded images fit into `cache_gb`.
        cache_gb: memory for decoded images, in 10^9 bytes, training and validation each.

    Raises:
        ValueError: if there are no training or validation images.
    """

    def __init__(
        self,
        train: Index,
        val: Index,
        preprocessing: Preprocessing,
        augmentation: Augmentation,
        *,
        seed: int,
        batch_size: int,
        workers: int,
        cache_gb: float,
    ) -> None:
        super().__init__()
        train, val = _labelled(train, "train"), _labelled(val, "val")
        self.seed = seed
        self.batch_size = batch_size
        self.workers = workers
        self.train_views = Views(Canvases(train, preprocessing, cache_gb), augmentation, seed)
        self.val_views = Views(Canvases(val, preprocessing, cache_gb), None, seed)

    def setup(self, stage: str) -> None:  # ruff: ignore[unused-method-argument]  Lightning's signature
        """Decodes what fits into memory.

        Args:
            stage: Lightning's name of the stage.
        """
        for views in (self.train_views, self.val_views):
            views.canvases.keep(max(self.workers, torch.get_num_threads()))

    def train_dataloader(self) -> DataLoader:
        """Whole batches of varied images, in the order of the epoch.

        Returns:
            RGB bytes (n, 3, side, side) and labels (n,); a short last batch is dropped.
        """
        return self._loader(self.train_views, self.seed)

    def val_dataloader(self) -> DataLoader:
        """All validation images.

        Returns:
            RGB bytes (n, 3, side, side) and labels (n,).
        """
        return self._loader(self.val_views, None)

    def _loader(self, views: Views, seed: int | None) -> DataLoader:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        order = Order(len(views.canvases), seed, rank, world)
        if self.trainer:  # workers read ahead before Lightning says at which epoch a training goes on
            order.set_epoch(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        batch_size = max(1, self.batch_size // world)
        workers = 0 if views.canvases.fits else self.workers
        return DataLoader(
            views,
            batch_size=batch_size,
            sampler=order,
            drop_last=seed is not None and len(views.canvases) // world >= batch_size,
            collate_fn=_collated,  # type: ignore[arg-type]  # `__getitems__` returns whole batches
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _collated(pairs: Pairs) -> Pairs:
    return pairs


def _labelled(index: Index, split: str) -> Index:
    entries = tuple(entry for entry in index.entries if entry.label >= 0)
    if not entries:
        raise ValueError(
            f"no labelled {split} images in {index.root}: training needs a train and a val split with classes"
        )
    return replace(index, entries=entries)
