"""Statistics of the training images that inverters need: of their codes, the mean image, the nearest images."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.data.datamodule import Views
from deepinside.metrics import CodeMoments, mean_and_std, merged, moments
from deepinside.models.inverter import CodeStatistics, legible
from deepinside.network import Network
from deepinside.probe.codes import codes
from deepinside.runtime.progress import track

BATCH = 32  # images per pass


class Survey(NamedTuple):
    """Statistics of the centre crops of the training images.

    Attributes:
        size: number of readable images.
        mean: the mean image, RGB in [0, 1], (3, h, w).
        shapes: code -> shape for one image.
        raw: code -> statistics of its units or channels.
        read: code -> the same of an inverter's input.
        nearest: code -> per held-out image the position of the training image whose raw code is nearest, (n,).
    """

    size: int
    mean: Float[Tensor, "3 h w"]
    shapes: Mapping[str, tuple[int, ...]]
    raw: Mapping[str, CodeStatistics]
    read: Mapping[str, CodeStatistics]
    nearest: Mapping[str, Int[Tensor, " n"]]


def centre_crops(views: Views) -> Iterator[tuple[list[int], Float[Tensor, "n 3 s s"]]]:
    """Positions and centre crops, RGB in [0, 1], batch by batch; unreadable images are missing."""
    plain = Views(views.canvases, None, views.seed)
    for start in track(range(0, len(views.canvases), BATCH), "read images"):
        positions = range(start, min(start + BATCH, len(views.canvases)))
        pixels, labels = plain.__getitems__([(0, position) for position in positions])
        read = (labels >= 0).nonzero().flatten()
        if len(read):
            yield [positions[i] for i in read.tolist()], pixels[read].float() / 255


class _Near:
    """The nearest training images so far, for each held-out code."""

    def __init__(self, held: Float[Tensor, "n u *grid"]) -> None:
        self.held = held.flatten(1)
        self.distance = held.new_full((len(held),), torch.inf)
        self.position = torch.zeros(len(held), dtype=torch.long, device=held.device)

    def update(self, positions: list[int], code: Float[Tensor, "m u *grid"]) -> None:
        distance, which = torch.cdist(self.held, code.flatten(1)).min(dim=1)
        nearer = distance < self.distance
        self.distance = torch.where(nearer, distance, self.distance)
        self.position = torch.where(nearer, torch.tensor(positions, device=which.device)[which], self.position)


def survey(
    views: Views,
    network: Network,
    held: Mapping[str, Float[Tensor, "n u *grid"]],
    floors: Mapping[str, float | None],
) -> Survey:
    """Computes the statistics in one pass over the training images.

    Args:
        views: of the training images.
        network: whose codes.
        held: code -> of the held-out images, raw.
        floors: code -> of `legible`.

    Raises:
        ValueError: if no image can be read.
    """
    raw: dict[str, CodeMoments] = {}
    read: dict[str, CodeMoments] = {}
    near = {name: _Near(code) for name, code in held.items()}
    count, total = 0, torch.zeros((), dtype=torch.float64)
    for positions, images in centre_crops(views):
        count, total = count + len(images), total + images.double().sum(0)
        with torch.no_grad():
            outputs = codes(network, images.to(network.device), list(held))
        for name, code in outputs.items():
            for sums, part in ((raw, moments(code)), (read, moments(legible(code, floors[name])))):
                sums[name] = merged(sums[name], part) if name in sums else part
            near[name].update(positions, code)
    if not count:
        raise ValueError(f"expected training images, got none of {len(views.canvases)} that can be read")
    return Survey(
        count,
        (total / count).float(),
        {name: tuple(code.shape[1:]) for name, code in held.items()},
        {name: _statistics(sums) for name, sums in raw.items()},
        {name: _statistics(sums) for name, sums in read.items()},
        {name: found.position for name, found in near.items()},
    )


def _statistics(sums: CodeMoments) -> CodeStatistics:
    return CodeStatistics(*(part.float() for part in (*mean_and_std(sums), sums.low, sums.high)))
