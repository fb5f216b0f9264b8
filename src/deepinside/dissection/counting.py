"""Intersections of the masks of all units with the labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.activation_cache import ActivationCache
from deepinside.dissection.labels import Placed, Vocabulary
from deepinside.dissection.layers import Layer, layer_maps
from deepinside.dissection.probe_set import Group, Reader, mixed
from deepinside.dissection.tally import Spots, summed, tally
from deepinside.dissection.thresholds import Survey, groups
from deepinside.dissection.totals import Part, Totals, joined, packed, sparse, totalled
from deepinside.dissection.upsample import Grid, grid, hits
from deepinside.network import Network
from deepinside.runtime.engine import Compute
from deepinside.runtime.progress import resumable

Maps = Mapping[str, Tensor]  # by name of the layer


class _Seen(NamedTuple):
    # A group of images: its labels, and the masks of each layer.
    group: Group
    labels: Placed
    masks: Sequence[Spots]


@dataclass(frozen=True)
class Counter:
    """Counts intersections of masks and labels batch by batch.

    Args:
        network: to analyse.
        layers: of the network.
        thresholds: layer name -> T, (u,).
        vocabulary: of the probe set.
        upsample: `receptive_field` or `resize`.
        rule: `image` or `hit`.
        permutations: number of times that masks are also paired with labels of other images of their batch.
        permuted: number of images that take part, in whole batches.
    """

    network: Network
    layers: Sequence[Layer]
    thresholds: Mapping[str, Float[ndarray, " u"]]
    vocabulary: Vocabulary
    upsample: str
    rule: str
    permutations: int = 0
    permuted: int = 0

    def grid(self, layer: Layer, size: tuple[int, int], target: tuple[int, int]) -> Grid:
        """The grid from the maps of a layer to pixels.

        Args:
            layer: whose maps.
            size: (h, w) of the image.
            target: (h, w) of the label map, or of the image itself.

        Returns:
            The grid.
        """
        return grid(layer.maps[size], target, size, layer.field, self.upsample)

    def count(
        self,
        groups: Sequence[Group],
        images: Callable[[Group], Float[Tensor, "n 3 h w"]],
        maps: Callable[[int], Maps] = lambda _group: {},
        *,
        permute: bool = False,
    ) -> dict[str, ndarray]:
        """The counts of a batch, as sparse arrays.

        Args:
            groups: of the batch; at least one.
            images: group -> its images, RGB in [0, 1], if maps must be computed.
            maps: number of a group -> cached maps by layer; the others are computed.
            permute: whether masks are also paired with labels of other images.

        Returns:
            Arrays for numpy.savez, as `totals.packed` returns them; with permutations also, per layer i,
            `i.permuted.at`, `i.permuted.sum` (I by permutation, unit and label) and `i.permuted.activation` (A).
        """
        seen = [self._seen(group, images, maps(index)) for index, group in enumerate(groups)]
        permute = permute and self.permutations > 0
        arrays = packed(joined([self._part(one, permute and len(one.group) > 1) for one in seen]))
        return arrays | self._permute(seen) if permute else arrays

    def _seen(self, group: Group, images: Callable[[Group], Float[Tensor, "n 3 h w"]], maps: Maps) -> _Seen:
        device = self.network.device
        missing = [layer for layer in self.layers if layer.name not in maps]
        found = dict(maps) | (layer_maps(self.network, images(group), missing) if missing else {})
        labels = group.labels.to(device).placed()
        masks = []
        for layer in self.layers:
            over = torch.from_numpy(self.thresholds[layer.name]).to(device)
            there = hits(found[layer.name].to(device), over, self.grid(layer, group.size, group.shape).to(device))
            masks.append(Spots.of(there, labels, layer.units))
        return _Seen(group, labels, masks)

    def _part(self, seen: _Seen, permuted: bool) -> Part:
        group, labels, masks = seen
        count = len(group)
        tallies = [tally(mask, labels).to(torch.device("cpu")) for mask in masks]
        return Part(
            group.numbers,
            labels.carried.to(torch.device("cpu")),
            torch.full((count,), group.shape[0] * group.shape[1]),
            torch.full((count,), permuted),
            tallies,
        )

    def _permute(self, seen: Sequence[_Seen]) -> dict[str, ndarray]:
        # Permutation r rolls labels by r images, so that none keeps its own. A group of one image cannot be permuted.
        several = [one for one in seen if len(one.group) > 1]
        arrays: dict[str, ndarray] = {}
        for index, layer in enumerate(self.layers):
            shape = (self.permutations, layer.units, len(self.vocabulary))
            common = np.zeros(shape, dtype=np.int32)
            activation = np.zeros((*shape[:2], len(self.vocabulary.categories)), dtype=np.int64)
            for group, labels, masks in several:
                for turn in range(self.permutations):
                    moved = labels.rolled(1 + turn % (len(group) - 1))
                    counts = tally(masks[index], moved)
                    intersection, area = summed(counts, moved.carried, self.vocabulary, self.rule)
                    common[turn] += intersection
                    activation[turn] += area
            arrays |= {f"{index}.permuted.{key}": values for key, values in sparse(common).items()}
            arrays[f"{index}.permuted.activation"] = activation
        return arrays


def counting(
    counter: Counter,
    folder: Path,
    image: Callable[[int], UInt8[Tensor, "3 h w"]],
    maps: Callable[[int], Maps] = lambda _group: {},
) -> Compute:
    """The function that computes a batch of the second pass.

    Args:
        counter: how to count.
        folder: of the finished batches of the first pass.
        image: number of an image -> the image.
        maps: number of a group -> cached maps by layer.

    Returns:
        Positions -> arrays.
    """

    def pictures(group: Group) -> Float[Tensor, "n 3 h w"]:
        return torch.stack([image(number) for number in group.numbers.tolist()]).float() / 255

    def compute(positions: range) -> dict[str, ndarray]:
        found, permute = groups(folder, positions.start), positions.start < counter.permuted
        return counter.count(found, pictures, maps, permute=permute) if found else {}

    return compute


def totals(
    counter: Counter,
    seen: Survey,
    image: Callable[[int], UInt8[Tensor, "3 h w"]],
    *,
    images: int,
    batch_size: int,
    workers: int,
    folder: Path,
    cache: ActivationCache | None = None,
    worker: Callable[[], Compute] | None = None,
) -> Totals:
    """Counts over the images and labels of the first pass, in the same batches.

    Maps cached by the first pass are not computed again; the others need a second forward pass, which ends at the
    deepest missing layer. The sums are the same.

    Args:
        counter: how to count.
        seen: the first pass.
        image: number of an image -> the image.
        images: number of all images, including skipped ones.
        batch_size: images per batch, as in the first pass.
        workers: threads that read.
        folder: of the finished batches.
        cache: cached maps of the first pass.
        worker: see `resumable`.

    Returns:
        The sums.

    Raises:
        ValueError: if an image can no longer be read.

    Source: Bau et al. 2017, sec. 2.2.
    """
    cache = ActivationCache(0) if cache is None else cache
    good, layers = set(seen.used), len(counter.layers)
    batches = [
        [] if cache.holds(index, layers) else [number for number in numbers if number in good]
        for index, numbers in enumerate(mixed(images, batch_size))
    ]
    with Reader(image, batches, workers) as reader:

        def compute(positions: range) -> dict[str, ndarray]:
            index = positions.start // batch_size
            read = dict(zip(batches[index], reader.batch(index) if batches[index] else [], strict=True))
            return counting(counter, seen.folder, read.__getitem__, partial(cache.pop, index))(positions)

        found = resumable(folder, images, batch_size, compute, "intersections", worker=worker)
        named = [(layer.name, layer.units) for layer in counter.layers]
        return totalled(found, named, counter.vocabulary, counter.rule, counter.permutations)


def stored(folder: Path) -> Iterator[dict[str, ndarray]]:
    """Reads the finished batches again.

    Args:
        folder: of the batches.

    Yields:
        Their arrays, in order.
    """
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            yield dict(arrays)
