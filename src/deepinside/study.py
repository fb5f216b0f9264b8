"""Inputs and results of methods for many images, for parts, or for a network during training."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from deepinside.network import Network
from deepinside.records import Batch, Boxes, Row


@dataclass(frozen=True)
class Pictures:
    """Images of a data set as network inputs, read on demand.

    Args:
        names: one unique name per image.
        labels: class index per image, -1 where unknown or not one of the network's.
        boxes: of the objects, in pixels of these inputs; none where unknown.
        read: position -> RGB in [0, 1], (3, h, w), all of one size; None for an unreadable file, which is skipped.

    Raises:
        ValueError: if lengths disagree.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]
    boxes: tuple[Boxes, ...]
    read: Callable[[int], Float[Tensor, "3 h w"] | None]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.labels) == len(self.boxes):
            counts = (len(self.names), len(self.labels), len(self.boxes))
            raise ValueError(f"expected as many names as labels and boxes, got {counts}")

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, positions: Sequence[int]) -> tuple[tuple[int, ...], Batch | None]:
        """Reads some images.

        Args:
            positions: of the images.

        Returns:
            Positions of the readable ones, and these images; None if there are none.
        """
        read = {position: self.read(position) for position in positions}
        images = {position: image for position, image in read.items() if image is not None}
        if not images:
            return (), None
        names = tuple(self.names[position] for position in images)
        labels = torch.tensor([self.labels[position] for position in images])
        return tuple(images), Batch(torch.stack(list(images.values())), names, labels)

    def batches(self, size: int, positions: Sequence[int] | None = None) -> Iterator[tuple[tuple[int, ...], Batch]]:
        """All images, or some, in batches.

        Args:
            size: images per batch; batches are fixed by position.
            positions: of the images; None: all.

        Yields:
            Positions and images, without unreadable ones.
        """
        wanted = range(len(self)) if positions is None else positions
        for start in range(0, len(wanted), size):
            read, batch = self.batch(wanted[start : start + size])
            if batch is not None:
                yield read, batch

    def first(self, count: int) -> tuple[tuple[int, ...], Batch]:
        """The first images that can be read.

        Args:
            count: highest number of images.

        Returns:
            Their positions, and the images.

        Raises:
            ValueError: if none can be read.
        """
        found: list[int] = []
        for position in range(len(self)):
            if len(found) == count:
                break
            if self.read(position) is not None:
                found.append(position)
        read, batch = self.batch(found)
        if batch is None:
            raise ValueError(f"expected images, got none of {len(self)} that can be read")
        return read, batch


@dataclass(frozen=True)
class Segments:
    """Images with outlined concepts.

    Args:
        pictures: with outlines.
        masks: position -> concept -> mask, (h, w) of the network input.
        whole: likewise, of the concepts that label a whole image, such as textures and scenes.
    """

    pictures: Pictures
    masks: Callable[[int], Mapping[str, Bool[Tensor, "h w"]]]
    whole: Callable[[int], Mapping[str, Bool[Tensor, "h w"]]] = lambda _position: {}


class Checkpoint(NamedTuple):
    """A network during training: number of epochs, and a function that loads it."""

    epoch: int
    network: Callable[[], Network]


@dataclass(frozen=True)
class Study:
    """Result of a method.

    Args:
        table: one row per measurement, stored as `<method>.csv`.
        numbers: summary for `table.csv`; metrics without the method's name.
        shown: arrays of its figures, stored as `<method>.npz`; numbers or strings.
    """

    table: pd.DataFrame
    numbers: tuple[Row, ...] = ()
    shown: Mapping[str, ndarray] = field(default_factory=dict)

    def write(self, folder: str | Path, name: str) -> None:
        """Keeps it, `<name>.json` last.

        Args:
            folder: where to.
            name: of the method.
        """
        folder = Path(folder)
        self.table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        np.savez(folder / f"{name}.npz", **self.shown)  # type: ignore[arg-type]
        text = [column for column in self.table if not pd.api.types.is_numeric_dtype(self.table[column])]
        content = json.dumps({"numbers": [list(row) for row in self.numbers], "text": text})
        (folder / f"{name}.json").write_text(content, encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path, name: str) -> Self:
        """Reads a study that `write` wrote.

        Args:
            folder: of the study.
            name: of the method.

        Returns:
            The same study.
        """
        folder = Path(folder)
        content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        # A layer named 0.10 is no number.
        table = pd.read_csv(folder / f"{name}.csv", dtype=dict.fromkeys(content["text"], str))
        with np.load(folder / f"{name}.npz") as stored:
            return cls(table, tuple(Row(*row) for row in content["numbers"]), dict(stored))
