"""The canvases of a data set, decoded once and kept in memory where they fit."""

import logging
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import UInt8
from torch import Tensor

from deepinside.data.image import BadImage
from deepinside.data.index import Entry, Index
from deepinside.network import Preprocessing
from deepinside.progress import track
from deepinside.views import canvas

_LOG = logging.getLogger(__name__)


class Canvases:
    """The pictures of an index at the network's resize length, as bytes, by position.

    Args:
        index: the pictures.
        preprocessing: of the network.
        cache_gb: memory that may be spent on keeping them, in 10^9 bytes; where they need more, each is decoded
            whenever it is asked for.

    A picture that cannot be decoded is None, and a warning names its file.
    """

    def __init__(self, index: Index, preprocessing: Preprocessing, cache_gb: float) -> None:
        self.index = index
        self.preprocessing = preprocessing
        self.kept: list[UInt8[Tensor, "3 H W"] | None] | None = None
        sizes = (canvas_size(entry, preprocessing.resize) for entry in index.entries)
        self.fits = sum(3 * height * width for height, width in sizes) <= cache_gb * 1e9

    def __len__(self) -> int:
        return len(self.index)

    def keep(self, threads: int) -> None:
        """Decodes all pictures into memory, if they fit.

        Args:
            threads: how many decode at a time; the result does not depend on it.
        """
        if not self.fits or self.kept is not None:
            return
        with ThreadPoolExecutor(max(1, threads)) as pool:
            made = pool.map(self._made, self.index.entries)
            self.kept = list(track(made, "decode", total=len(self)))

    def __getitem__(self, position: int) -> UInt8[Tensor, "3 H W"] | None:
        return self._made(self.index.entries[position]) if self.kept is None else self.kept[position]

    def _made(self, entry: Entry) -> UInt8[Tensor, "3 H W"] | None:
        try:
            image = self.index.picture(entry)
        except BadImage as error:  # one of a million files may be broken: days of training do not end for it
            _LOG.warning("left out of the training: %s", error)
            return None
        return (canvas(image, self.preprocessing) * 255).round().to(torch.uint8)


def canvas_size(entry: Entry, resize: int) -> tuple[int, int]:
    """Size of a picture's canvas.

    Args:
        entry: the picture.
        resize: length of the shorter side, in pixels.

    Returns:
        Height and width, in pixels.
    """
    factor = resize / min(entry.height, entry.width)
    return max(resize, round(entry.height * factor)), max(resize, round(entry.width * factor))
