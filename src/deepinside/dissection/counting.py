"""Intersections of the masks of all units with the labels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.activation_cache import ActivationCache
from deepinside.dissection.labels import Carried, Placed, Vocabulary
from deepinside.dissection.layers import Layer, layer_maps
from deepinside.dissection.permutation import partners, several
from deepinside.dissection.probe_set import Group, Reader, mixed
from deepinside.dissection.tally import Spots, Tally, summed, tally
from deepinside.dissection.thresholds import Survey, groups
from deepinside.dissection.totals import Part, Totals, joined, packed, sparse, totalled
from deepinside.dissection.upsample import Grid, grid, hits
from deepinside.network import Network
from deepinside.runtime.engine import Compute
from deepinside.runtime.progress import resumable

Maps = Mapping[str, Tensor]  # by name of the layer


class _Seen(NamedTuple):
    # A group of images: its labels, the masks of each layer, and what is kept of the maps.
    group: Group
    labels: Placed
    masks: Sequence[Spots]
    shown: Sequence[tuple[int, str, ndarray]]  # layer, name and values of the maps to be shown


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
        turns: number of times that masks are also paired with the labels of other images of their batch.
        permuted: number of images that take part, in whole batches.
        sources: of each image, a number; labels move between images of one source. Empty: all are of one.
        shown: layer name -> number of an image -> units whose maps are kept for figures.
    """

    network: Network
    layers: Sequence[Layer]
    thresholds: Mapping[str, Float[ndarray, " u"]]
    vocabulary: Vocabulary
    upsample: str
    rule: str
    turns: int = 0
    permuted: int = 0
    sources: Sequence[int] = ()
    shown: Mapping[str, Mapping[int, Sequence[int]]] = field(default_factory=dict)

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
            Arrays for numpy.savez, as `totals.packed` returns them; per layer i and group g the maps to be shown,
            `i.shown.g.number`, `.unit` and `.map`; if labels were permuted, `i.turned.at`, `i.turned.sum` (I by turn,
            unit and label) and `i.turned.activation` (A).
        """
        seen = [self._seen(group, images, maps(index)) for index, group in enumerate(groups)]
        permute = permute and self.turns > 0
        arrays = packed(joined([self._part(one, permute) for one in seen]))
        for number, one in enumerate(seen):
            arrays |= {f"{index}.shown.{number}.{key}": x for index, key, x in one.shown}
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
        shown = [
            (index, key, values)
            for index, layer in enumerate(self.layers)
            for key, values in _kept(group, found[layer.name], self.shown.get(layer.name, {}))
        ]
        return _Seen(group, labels, masks, shown)

    def _sources(self, group: Group) -> Int[ndarray, " n"]:
        return np.asarray(self.sources)[group.numbers] if len(self.sources) else np.zeros(len(group), dtype=int)

    def _part(self, seen: _Seen, permute: bool) -> Part:
        group, labels, masks, _ = seen
        permuted = several(self._sources(group)) if permute else np.zeros(len(group), dtype=bool)
        count = len(group)
        tallies = [tally(mask, labels).to(torch.device("cpu")) for mask in masks]
        return Part(
            group.numbers,
            labels.carried.to(torch.device("cpu")),
            torch.full((count,), group.shape[0] * group.shape[1]),
            torch.from_numpy(permuted),
            tallies,
        )

    def _permute(self, seen: Sequence[_Seen]) -> dict[str, ndarray]:
        arrays: dict[str, ndarray] = {}
        for index, layer in enumerate(self.layers):
            shape = (self.turns, layer.units, len(self.vocabulary))
            common = np.zeros(shape, dtype=np.int32)
            activation = np.zeros((*shape[:2], len(self.vocabulary.categories)), dtype=np.int64)
            for group, labels, masks, _ in seen:
                sources, device = self._sources(group), labels.whole.device
                taking_part = torch.from_numpy(several(sources)).to(device)
                if not taking_part.any():
                    continue
                for turn in range(self.turns):
                    moved = labels.of_rows(torch.from_numpy(partners(sources, turn)).to(device))
                    counts = Tally(*(values[taking_part] for values in tally(masks[index], moved)))
                    carried = Carried(moved.carried.ids[taking_part], moved.carried.area[taking_part])
                    intersection, area = summed(counts, carried, self.vocabulary, self.rule)
                    common[turn] += intersection
                    activation[turn] += area
            arrays |= {f"{index}.turned.{key}": values for key, values in sparse(common).items()}
            arrays[f"{index}.turned.activation"] = activation
        return arrays


def _kept(
    group: Group, maps: Float[Tensor, "n u h w"], wanted: Mapping[int, Sequence[int]]
) -> Iterator[tuple[str, ndarray]]:
    pairs = [(row, unit) for row, number in enumerate(group.numbers.tolist()) for unit in wanted.get(number, ())]
    if pairs:
        rows, units = np.array(pairs).T
        yield "number", group.numbers[rows]
        yield "unit", units
        yield "map", maps[torch.from_numpy(rows), torch.from_numpy(units)].float().cpu().numpy()


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
) -> tuple[Totals, Totals]:
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
        See `totalled`.

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
        return totalled(found, named, counter.vocabulary, counter.rule)


def stored(folder: Path) -> Iterator[Mapping[str, ndarray]]:
    """Reads the finished batches again.

    Args:
        folder: of the batches.

    Yields:
        Their arrays, in order; each is read when it is asked for, until the next batch.
    """
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            yield arrays
