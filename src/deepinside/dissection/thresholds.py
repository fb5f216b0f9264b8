"""First pass: the thresholds of all units, and the images that excite them most."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.activation_cache import ActivationCache
from deepinside.dissection.layers import Layer, layer_maps
from deepinside.dissection.probe_set import Bad, Group, Picture, Reader, Reading, grouped, mixed
from deepinside.dissection.quantile import Largest, TopQuantile
from deepinside.network import Network
from deepinside.runtime.engine import Compute
from deepinside.runtime.progress import finished, resumable


class TopImages:
    """Per unit the images with the highest peaks; of equal peaks the image with the lower number.

    Args:
        units: number of units.
        count: images per unit.
    """

    def __init__(self, units: int, count: int) -> None:
        self.count = count
        self.peak = torch.empty(units, 0)
        self.image = torch.empty(units, 0, dtype=torch.int64)

    def add(self, peaks: Float[Tensor, "n u"], images: Int[Tensor, " n"]) -> None:
        """Adds the peaks of images.

        Args:
            peaks: highest activation of each unit in each image, (n, u).
            images: numbers of the images, each once.
        """
        peak = torch.cat([self.peak, peaks.T.cpu()], dim=1)
        image = torch.cat([self.image, images.expand(len(peak), -1)], dim=1)
        rising = image.argsort(dim=1)
        peak, image = peak.gather(1, rising), image.gather(1, rising)
        order = peak.argsort(dim=1, descending=True, stable=True)[:, : self.count]
        self.peak, self.image = peak.gather(1, order), image.gather(1, order)


@dataclass
class Survey:
    """Result of the first pass.

    Args:
        quantiles: layer name -> running quantile.
        tops: layer name -> top images.
        used: numbers of the images that count.
        bad: skipped images.
        folder: of the finished batches.
    """

    quantiles: dict[str, TopQuantile]
    tops: dict[str, TopImages]
    used: list[int] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    folder: Path = Path()

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
        sizes: Sequence[tuple[int, int]],
        quantile: float,
        top_images: int = 1,
        folder: Path = Path(),
    ) -> "Survey":
        """An empty survey.

        Args:
            layers: of the network.
            sizes: (h, w) of each network input.
            quantile: share of positions above the threshold.
            top_images: images per unit.
            folder: of the finished batches.

        Returns:
            The survey, before the first image.
        """
        positions = {layer.name: sum(math.prod(layer.maps[size]) for size in sizes) for layer in layers}
        quantiles = {layer.name: TopQuantile(layer.units, quantile, positions[layer.name]) for layer in layers}
        return cls(quantiles, {layer.name: TopImages(layer.units, top_images) for layer in layers}, folder=folder)

    def groups(self, first: int) -> list[Group]:
        """Reads a finished batch with its labels.

        Args:
            first: position that the batch begins at.

        Returns:
            Its groups, without skipped images.
        """
        return groups(self.folder, first)

    def thresholds(self, layer: str) -> Float[ndarray, " u"]:
        """T of each unit.

        Args:
            layer: its name.

        Returns:
            (u,), float64.
        """
        return self.quantiles[layer].thresholds()

    def pictures(self) -> Iterator[tuple[Group, dict[str, Float[ndarray, "n u"]]]]:
        """All images once more, without their pixels.

        Yields:
            A group, and of each layer by name the highest activation of each unit in each of its images.
        """
        for path in sorted(self.folder.glob("*.npz")):
            with np.load(path) as arrays:
                for group in range(_groups(arrays)):
                    peaks = {name: arrays[f"{group}.{index}.peaks"] for index, name in enumerate(self.quantiles)}
                    yield Group.unpacked(arrays, f"{group}."), peaks

    def see(self, found: Mapping[str, Tensor]) -> dict[str, ndarray]:
        """Adds the maps of a group of images.

        Args:
            found: layer name -> maps, (n, u, h, w).

        Returns:
            The contribution as arrays, for other processes: per layer i `i.counts`, `i.values` and `i.seen` (see
            `Largest`), and `i.peaks` of each image.

        Raises:
            ValueError: if an activation is not finite, with the layer.
        """
        arrays = {}
        for index, (name, maps) in enumerate(found.items()):
            try:
                largest = self.quantiles[name].largest(maps)
                self.quantiles[name].add(maps)
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from error
            for key, value in largest._asdict().items():
                arrays[f"{index}.{key}"] = np.asarray(value)
            arrays[f"{index}.peaks"] = maps.amax(dim=(2, 3)).cpu().numpy()
        return arrays

    def take(self, arrays: Mapping[str, ndarray], *, seen: bool) -> None:
        """Adds a finished batch.

        Args:
            arrays: of `see` for each of its groups g, `g.` before their names, and its numbers and bad images.
            seen: whether this process computed the batch.
        """
        self.bad += [Bad(int(number), file, reason) for number, file, reason in arrays["bad"].reshape(-1, 3).tolist()]
        group = 0
        while f"{group}.numbers" in arrays:
            numbers = torch.from_numpy(arrays[f"{group}.numbers"])
            self.used += numbers.tolist()
            for index, name in enumerate(self.quantiles):
                own = {key: arrays[f"{group}.{index}.{key}"] for key in (*Largest._fields, "peaks")}
                self.tops[name].add(torch.from_numpy(own["peaks"]), numbers)
                if not seen:
                    values = (torch.from_numpy(own["counts"]), torch.from_numpy(own["values"]), int(own["seen"]))
                    self.quantiles[name].take(Largest(*values))
            group += 1


def groups(folder: Path, first: int) -> list[Group]:
    """The groups of a finished batch of the first pass, see `Survey.groups`."""
    with np.load(finished(folder, first)) as arrays:
        return [Group.unpacked(arrays, f"{group}.") for group in range(_groups(arrays))]


def _groups(arrays: Mapping[str, ndarray]) -> int:
    return sum(name.endswith(".numbers") for name in arrays)


def surveying(
    network: Network,
    layers: Sequence[Layer],
    read: Callable[[int], Sequence[Reading]],
    state: Survey,
    cache: ActivationCache | None = None,
) -> Callable[[int], dict[str, ndarray]]:
    """The function that computes a batch of the first pass.

    Args:
        network: to analyse.
        layers: of the network.
        read: index of a batch -> its images, or the reasons why they are unreadable.
        state: of this process; see `Survey.of`.
        cache: cache for the maps of the batches that this process computes.

    Returns:
        Index of a batch -> its arrays.
    """

    def see(index: int, number: int, group: Group, images: UInt8[Tensor, "n 3 h w"]) -> dict[str, ndarray]:
        found = layer_maps(network, images.float() / 255, layers)
        arrays = {f"{number}.{key}": value for key, value in state.see(found).items()}
        if cache is not None:
            cache.add(index, number, found, {name: state.quantiles[name].floor for name in found})
        return arrays | {f"{number}.{key}": values for key, values in group.packed().items()}

    def compute(index: int) -> dict[str, ndarray]:
        readings = read(index)
        bad = [(str(one.number), one.file, one.reason) for one in readings if isinstance(one, Bad)]
        arrays = {"bad": np.array(bad, dtype=np.str_)}
        for number, group in enumerate(grouped([one for one in readings if isinstance(one, Picture)])):
            arrays |= see(index, number, *group)
        return arrays

    return compute


def survey(
    network: Network,
    layers: Sequence[Layer],
    read: Callable[[int], Reading],
    sizes: Sequence[tuple[int, int]],
    *,
    quantile: float,
    top_images: int,
    batch_size: int,
    workers: int,
    folder: Path,
    cache: ActivationCache | None = None,
    worker: Callable[[], Compute] | None = None,
) -> Survey:
    """One forward pass over all images: exact thresholds at native resolution, and the top images.

    Args:
        network: to analyse.
        layers: of the network.
        read: number of an image -> the image, or the reason why it is unreadable.
        sizes: (h, w) of each network input.
        quantile: share of positions above the threshold.
        top_images: images per unit.
        batch_size: images per batch; fixed by position, so that interrupted or shared runs end with equal numbers.
        workers: threads that read.
        folder: of finished batches.
        cache: cache for the maps of the batches that this process computes.
        worker: see `resumable`.

    Returns:
        The survey.

    Source: Bau et al. 2017, sec. 2.2.
    """
    state = Survey.of(layers, sizes, quantile, top_images, folder)
    batches, own = mixed(len(sizes), batch_size), set[int]()

    def skipped(positions: range, reason: str) -> dict[str, ndarray]:
        numbers = batches[positions.start // batch_size]
        return {"bad": np.array([(str(number), f"image {number}", reason) for number in numbers], dtype=np.str_)}

    with Reader(read, batches, workers) as reader:
        work = surveying(network, layers, reader.batch, state, cache)

        def compute(positions: range) -> dict[str, ndarray]:
            own.add(index := positions.start // batch_size)
            return work(index)

        found = resumable(folder, len(sizes), batch_size, compute, "thresholds", worker=worker, skipped=skipped)
        for index, arrays in enumerate(found):
            state.take(arrays, seen=index in own)
    return state
