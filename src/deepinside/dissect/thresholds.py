"""First pass: the thresholds of all units, and the pictures that excite them most."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from deepinside.dissect.layers import Layer
from deepinside.dissect.quantile import TopQuantile
from deepinside.dissect.reading import Bad, Group, Picture, Reader, Reading, grouped
from deepinside.dissect.top_images import TopImages
from deepinside.network import Network
from deepinside.probe import activations
from deepinside.progress import track

_EVERY = 30.0  # seconds between two checkpoints: a few megabytes written, half a minute lost at most


@dataclass
class Survey:
    """What the first pass knows after some batches.

    Args:
        quantiles: layer name -> running quantile.
        tops: layer name -> running top pictures.
        used: numbers of the pictures that count.
        bad: pictures that were set aside.
        done: how many batches are finished.
    """

    quantiles: dict[str, TopQuantile]
    tops: dict[str, TopImages]
    used: list[int] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    done: int = 0

    def thresholds(self, layer: str) -> Float[ndarray, " u"]:
        """T of each unit.

        Args:
            layer: its name.

        Returns:
            (u,), float64.
        """
        return self.quantiles[layer].thresholds()

    def add(self, readings: Sequence[Reading], answer: Callable[[Group], None]) -> None:
        """Takes a batch.

        Args:
            readings: what was read.
            answer: what to do with each group of its pictures.
        """
        pictures = [reading for reading in readings if isinstance(reading, Picture)]
        for group in grouped(pictures):
            answer(group)
        self.used += [picture.number for picture in pictures]
        self.bad += [reading for reading in readings if isinstance(reading, Bad)]
        self.done += 1

    def save(self, path: Path) -> None:
        """Writes all of it, at once or not at all.

        Args:
            path: of the file.
        """
        arrays = {
            "used": np.array(self.used, dtype=np.int64),
            "done": np.array(self.done),
            "bad": np.array([(str(number), file, reason) for number, file, reason in self.bad], dtype=np.str_),
        }
        for index, name in enumerate(self.quantiles):
            arrays |= {f"quantile.{index}.{key}": value for key, value in self.quantiles[name].state().items()}
            arrays |= {f"top.{index}.{key}": value for key, value in self.tops[name].state().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        temporary.rename(path)

    @classmethod
    def load(cls, path: Path, layers: Sequence[Layer], top_images: int) -> "Survey":
        """Reads what `save` wrote.

        Args:
            path: of the file.
            layers: as before.
            top_images: pictures per unit.

        Returns:
            The survey, to go on with.
        """
        with np.load(path) as stored:
            arrays = dict(stored)
        quantiles = {x.name: TopQuantile.resumed(_under(arrays, f"quantile.{i}.")) for i, x in enumerate(layers)}
        tops = {x.name: TopImages.resumed(_under(arrays, f"top.{i}."), top_images) for i, x in enumerate(layers)}
        bad = [Bad(int(number), file, reason) for number, file, reason in arrays["bad"].reshape(-1, 3).tolist()]
        return cls(quantiles, tops, arrays["used"].tolist(), bad, int(arrays["done"]))


def _under(arrays: dict[str, ndarray], prefix: str) -> dict[str, ndarray]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def survey(
    network: Network,
    layers: Sequence[Layer],
    read: Callable[[int], Reading],
    sizes: Sequence[tuple[int, int]],
    *,
    quantile: float,
    top_images: int,
    batch: int,
    workers: int,
    checkpoint: Path,
) -> Survey:
    """One forward pass over all pictures: exact thresholds at native resolution, and the top pictures.

    Args:
        network: to look into.
        layers: of it.
        read: number of a picture -> the picture, or why not.
        sizes: (h, w) of each picture as the network will see it.
        quantile: share of positions above the threshold.
        top_images: pictures per unit.
        batch: pictures per batch; fixed by position, so that an interrupted run ends with the same numbers.
        workers: threads that read.
        checkpoint: file to resume from and to save to.

    Returns:
        The survey.

    Source: Bau et al. 2017, sec. 2.2.
    """
    if checkpoint.exists():
        state = Survey.load(checkpoint, layers, top_images)
    else:
        positions = {x.name: sum(x.maps[size][0] * x.maps[size][1] for size in sizes) for x in layers}
        quantiles = {x.name: TopQuantile(x.units, quantile, positions[x.name]) for x in layers}
        state = Survey(quantiles, {x.name: TopImages(x.units, top_images) for x in layers})
    names = tuple(state.quantiles)

    def answer(group: Group) -> None:
        for name, maps in activations(network, group.images.to(network.device), names).items():
            try:
                state.quantiles[name].add(maps)
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from error
            state.tops[name].add(maps.amax(dim=(2, 3)), group.numbers)

    batches = [range(start, min(start + batch, len(sizes))) for start in range(0, len(sizes), batch)]
    saved = time.monotonic()
    with Reader(read, batches, workers) as reader:
        for index in track(range(state.done, len(batches)), "thresholds"):
            state.add(reader.batch(index), answer)
            if time.monotonic() - saved > _EVERY or state.done == len(batches):
                state.save(checkpoint)
                saved = time.monotonic()
    return state
