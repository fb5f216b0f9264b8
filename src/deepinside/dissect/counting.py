"""Second pass: where the masks of all units meet the labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from deepinside.dissect.grid import Grid, grid
from deepinside.dissect.layers import Layer
from deepinside.dissect.reading import Group, Picture, Reader, Reading, grouped
from deepinside.dissect.tally import Counts, counts
from deepinside.dissect.upsample import hits
from deepinside.dissect.vocabulary import Vocabulary
from deepinside.network import Network
from deepinside.probe import activations
from deepinside.progress import resumable

_LABELLED = ("truth", "carriers", "room", "pixels")


@dataclass(frozen=True)
class Totals:
    """The sums over the probe set.

    Args:
        layers: layer name -> I and A.
        truth: pixels of each label, (l,).
        carriers: pictures that carry a label of each category, (c,).
        room: pixels of these pictures, (c,).
        pixels: of all pictures.
    """

    layers: Mapping[str, Counts]
    truth: Int[ndarray, " l"]
    carriers: Int[ndarray, " c"]
    room: Int[ndarray, " c"]
    pixels: int


@dataclass(frozen=True)
class Counter:
    """How a batch is counted.

    Args:
        network: to look into.
        layers: of it.
        thresholds: layer name -> T, (u,).
        vocabulary: of the probe set.
        upsample: `receptive_field` or `resize`.
        rule: `image` or `hit`.
    """

    network: Network
    layers: Sequence[Layer]
    thresholds: Mapping[str, Float[ndarray, " u"]]
    vocabulary: Vocabulary
    upsample: str
    rule: str

    def grid(self, layer: Layer, size: tuple[int, int], target: tuple[int, int]) -> Grid:
        """From the maps of a layer to pixels.

        Args:
            layer: whose maps.
            size: (h, w) of the picture.
            target: (h, w) of the label map, or of the picture itself.

        Returns:
            The grid.
        """
        return grid(layer.maps[size], target, size, layer.field, self.upsample)

    def count(self, pictures: Sequence[Picture]) -> dict[str, ndarray]:
        """What a batch adds, as sparse arrays.

        Args:
            pictures: of the batch.

        Returns:
            Arrays for numpy.savez: truth, carriers, room, pixels, and per layer i `i.at`, `i.sum` (I) and
            `i.activation` (A).
        """
        labelled = _unlabelled(self.vocabulary)
        sums = [_nothing(layer, self.vocabulary) for layer in self.layers]
        for group in grouped(pictures):
            labelled = [a + b for a, b in zip(labelled, self._labelled(group), strict=True)]
            sums = [Counts(a.intersection + b.intersection, a.activation + b.activation)
                    for a, b in zip(sums, self._of(group), strict=True)]  # fmt: skip
        answer = dict(zip(_LABELLED, labelled, strict=True))
        for index, (intersection, activation) in enumerate(sums):
            at = np.flatnonzero(intersection)
            answer |= {f"{index}.at": at, f"{index}.sum": intersection.ravel()[at], f"{index}.activation": activation}
        return answer

    def _labelled(self, group: Group) -> list[ndarray]:
        carried = self.vocabulary.carried(group.labels.area).sum(dim=0).numpy()
        area = group.shape[0] * group.shape[1]
        return [group.labels.area.sum(dim=0).numpy(), carried, carried * area, np.array(len(group.labels) * area)]

    def _of(self, group: Group) -> list[Counts]:
        device = self.network.device
        answers = activations(self.network, group.images.to(device), [layer.name for layer in self.layers])
        labels = group.labels.to(device)
        found = []
        for layer in self.layers:
            over = torch.from_numpy(self.thresholds[layer.name]).to(device)
            masks = hits(answers[layer.name], over, self.grid(layer, group.size, group.shape).to(device))
            found.append(counts(masks, labels, self.vocabulary, units=layer.units, rule=self.rule))
        return found


def _unlabelled(vocabulary: Vocabulary) -> list[ndarray]:
    shapes = (len(vocabulary), len(vocabulary.categories), len(vocabulary.categories), ())
    return [np.zeros(shape, dtype=np.int64) for shape in shapes]


def _nothing(layer: Layer, vocabulary: Vocabulary) -> Counts:
    shapes = ((layer.units, len(vocabulary)), (layer.units, len(vocabulary.categories)))
    return Counts(*(np.zeros(shape, dtype=np.int64) for shape in shapes))


def totals(
    counter: Counter,
    read: Callable[[int], Reading],
    used: Sequence[int],
    *,
    images: int,
    batch: int,
    workers: int,
    folder: Path,
) -> Totals:
    """A second forward pass, over the pictures that the first one used, batch by batch as there.

    Args:
        counter: how to count.
        read: number of a picture -> the picture.
        used: numbers of the pictures that count.
        images: number of all pictures, the ones set aside included.
        batch: pictures per batch, as in the first pass.
        workers: threads that read.
        folder: where finished batches lie.

    Returns:
        The sums.

    Raises:
        ValueError: if a picture can no longer be read.

    Source: Bau et al. 2017, sec. 2.2.
    """
    good = set(used)
    batches = [[n for n in range(start, min(start + batch, images)) if n in good] for start in range(0, images, batch)]
    with Reader(read, batches, workers) as reader:

        def compute(positions: range) -> dict[str, ndarray]:
            return counter.count([_readable(one) for one in reader.batch(positions.start // batch)])

        return _summed(counter, resumable(folder, images, batch, compute, "intersections"))


def _readable(reading: Reading) -> Picture:
    if not isinstance(reading, Picture):
        raise ValueError(f"a picture that could be read a moment ago cannot any more: {reading}")
    return reading


def _summed(counter: Counter, parts: Iterable[dict[str, ndarray]]) -> Totals:
    layers = [_nothing(layer, counter.vocabulary) for layer in counter.layers]
    labelled = _unlabelled(counter.vocabulary)
    for part in parts:
        labelled = [total + part[name] for total, name in zip(labelled, _LABELLED, strict=True)]
        for index, (intersection, activation) in enumerate(layers):
            intersection.ravel()[part[f"{index}.at"]] += part[f"{index}.sum"]
            activation += part[f"{index}.activation"]
    named = {layer.name: one for layer, one in zip(counter.layers, layers, strict=True)}
    truth, carriers, room, pixels = labelled
    return Totals(named, truth, carriers, room, int(pixels))
