"""Histograms of oriented gradients as a differentiable network, so that hand-crafted features can be inverted like
others.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, unfold

from deepinside.models.checkpoint import class_names
from deepinside.network import Network, Preprocessing

BINNINGS = ("hard", "linear")
_EPS = 1e-5  # of the norm of a block (scikit-image)
_CLIP = 0.2  # of L2-Hys (Dalal & Triggs 2005, sec. 6.4)


class Hog(nn.Module):
    """Mean gradient per cell and orientation, each block of cells normalised by L2-Hys.

    The gradient is that of the colour channel where it is largest, by central differences, zero at the border.
    `hard` assigns it to the bin of its orientation, `linear` divides it between the two nearest bins,
    which makes the histogram a continuous function of the image.

    Args:
        cell: side in pixels.
        block: side in cells; blocks overlap, one cell apart.
        orientations: bins over 180 degrees, unsigned.
        binning: `hard` or `linear`.

    Raises:
        ValueError: if the binning is unknown.

    Source: Dalal & Triggs 2005, sec. 6; Mahendran & Vedaldi 2015, sec. 4 (HOG as a network).
    Deviation: no smoothing within a block and no bilinear sharing between cells, as in scikit-image's `hog`.
    """

    def __init__(self, cell: int = 8, block: int = 3, orientations: int = 9, binning: str = "linear") -> None:
        super().__init__()
        if binning not in BINNINGS:
            raise ValueError(f"expected binning hard or linear, got {binning!r}")
        self.cell, self.block, self.orientations, self.binning = cell, block, orientations, binning

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n u y x"]:
        """Histograms of the blocks.

        Args:
            images: in any unit common to all channels, (n, 3, h, w).

        Returns:
            (n, orientations * block * block, y, x), a channel per (orientation, row, column in the block).

        Raises:
            ValueError: if a block does not fit the image.
        """
        cells = self.histograms(images)
        if min(cells.shape[2:]) < self.block:
            side = self.block * self.cell
            raise ValueError(f"expected images of {side}x{side} pixels or more, got {tuple(images.shape[2:])}")
        blocks = unfold(cells, self.block)
        rows, columns = (length - self.block + 1 for length in cells.shape[2:])
        return _normalised(blocks).unflatten(2, (rows, columns))

    def histograms(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n o y x"]:
        """The histograms before normalisation.

        Args:
            images: (n, c, h, w).

        Returns:
            Mean gradient per orientation and cell, (n, orientations, y, x).
        """
        rise, run = _gradient(images)
        size = torch.hypot(*_safe(rise, run))
        size = torch.where((rise == 0) & (run == 0), 0, size)
        return avg_pool2d(size[:, None] * self._shares(rise, run), self.cell)

    def _shares(self, rise: Float[Tensor, "n h w"], run: Float[Tensor, "n h w"]) -> Float[Tensor, "n o h w"]:
        angle = torch.atan2(*_safe(rise, run)).remainder(math.pi) * (self.orientations / math.pi)  # in bins
        bins = torch.arange(self.orientations, device=angle.device).view(1, -1, 1, 1)
        if self.binning == "hard":
            # What rounding lifts to a full half turn belongs to the first bin.
            return (angle.detach().floor().remainder(self.orientations)[:, None] == bins).to(angle.dtype)
        apart = (angle[:, None] - (bins + 0.5)).abs()
        return (1 - torch.minimum(apart, self.orientations - apart)).clamp(min=0)


def _gradient(images: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
    rise = pad(images[..., 2:, :] - images[..., :-2, :], (0, 0, 1, 1))
    run = pad(images[..., 2:] - images[..., :-2], (1, 1))
    largest = (rise.detach() ** 2 + run.detach() ** 2).argmax(dim=1, keepdim=True)
    return rise.gather(1, largest)[:, 0], run.gather(1, largest)[:, 0]


def _safe(rise: Tensor, run: Tensor) -> tuple[Tensor, Tensor]:
    # The angle and the length of no gradient have no derivative.
    return rise, torch.where((rise == 0) & (run == 0), torch.ones_like(run), run)


def _normalised(blocks: Float[Tensor, "n v b"]) -> Float[Tensor, "n v b"]:
    for clip in (_CLIP, math.inf):
        norm = ((blocks**2).sum(dim=1, keepdim=True) + _EPS**2).sqrt()
        blocks = (blocks / norm).clamp(max=clip)
    return blocks


def hog(
    *,
    weights: str | None = None,  # ruff: ignore[unused-function-argument]  it has none
    classes: Sequence[str] | None = None,
    name: str = "hog",
    fit: bool = False,  # ruff: ignore[unused-function-argument]  nothing to train
    cell: int = 8,
    block: int = 3,
    orientations: int = 9,
    binning: str = "linear",
    **preprocessing: Any,
) -> Network:
    """HOG as a network whose layer `hog` has maps, and whose scores are all their entries.

    Args:
        weights: ignored; there are none.
        classes: names of the entries; None: numbers.
        name: for titles.
        fit: ignored; nothing is trained.
        cell: side in pixels.
        block: side in cells.
        orientations: bins over 180 degrees.
        binning: `hard` or `linear`.
        **preprocessing: as in `Preprocessing`; missing or None: as in `conf/model/hog.yaml`.

    Returns:
        The network.
    """
    module = nn.Sequential(OrderedDict(hog=Hog(cell, block, orientations, binning), flatten=nn.Flatten()))
    settings = Preprocessing.of("hog", **preprocessing)
    count = orientations * block**2 * (settings.input // cell - block + 1) ** 2
    return Network(module, settings, class_names(classes, count), name)
