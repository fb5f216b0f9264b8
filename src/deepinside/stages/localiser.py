"""Pictures -> guesses and boxes: the network computes here, while worker processes cut."""

import multiprocessing
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from jaxtyping import UInt8
from numpy import ndarray
from omegaconf import DictConfig
from torch import Tensor

from deepinside.data.index import BadImage, Entry, Index, read_image
from deepinside.localise import boxes
from deepinside.localise.segment import Located, Segmentation, Settings, locate, segment
from deepinside.methods.saliency import Viewed, viewed
from deepinside.network import Network

NO_GUESS, NO_BOX = -1, (0.0, 0.0, 1.0, 1.0)


@contextmanager
def cutting(workers: int) -> Generator[ProcessPoolExecutor]:
    """Processes that segment, each with one thread, so that their number changes no result.

    Args:
        workers: how many; at least one, for the network computes meanwhile.

    Yields:
        Where to submit.
    """
    # Not forked from this process: torch's threads do not survive that. The server imports once for all.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deepinside.localise.segment"])
    with ProcessPoolExecutor(max(1, workers), context, initializer=_one_thread) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    threadpoolctl.threadpool_limits(1)


@dataclass(frozen=True)
class Localiser:
    """Positions of pictures -> guesses and boxes; the network runs here while the pool cuts.

    Args:
        network: any.
        index: of the pictures.
        options: the group localise.
        pool: see `cutting`.
    """

    network: Network
    index: Index
    options: DictConfig
    pool: ProcessPoolExecutor

    @property
    def settings(self) -> Settings:
        """How maps become boxes."""
        return Settings.of(self.options)

    def __call__(self, positions: range) -> dict[str, ndarray]:
        """Localises a batch.

        Args:
            positions: of pictures in the index.

        Returns:
            `labels` (b, top), `boxes` (b, top, 4), `found` (b, top), `known` (b, 4), and `reason` (b,), which is empty
            where the picture could be read.
        """
        waiting = [self._started(self.index.entries[position]) for position in positions]
        rows = [answer if isinstance(answer, dict) else self._finished(*answer) for answer in waiting]
        return {key: np.array([row[key] for row in rows]) for key in rows[0]}

    def _started(self, entry: Entry) -> dict | tuple[Entry, Viewed, "Future[Located]"]:
        try:
            image = read_image(self.index.root / entry.file)
        except BadImage as error:
            return self._nothing(error.reason)
        view = self.view(entry, image)
        return entry, view, self.pool.submit(locate, *_arrays(view), self.settings)

    def view(self, entry: Entry, image: UInt8[Tensor, "3 h w"]) -> Viewed:
        """What the network sees in a picture.

        Args:
            entry: of the index.
            image: RGB bytes, (3, h, w).

        Returns:
            Its best classes and the true one, with their maps.
        """
        options = self.options
        return viewed(self.network, image, crops=options.crops, top=options.top, also=entry.label, rule=options.rule)

    def _finished(self, entry: Entry, view: Viewed, future: "Future[Located]") -> dict:
        located = future.result()
        size = (entry.height, entry.width)
        height, width = view.canvas.shape[1:]
        placed = boxes.whole_pixels(boxes.rescaled(located.boxes, (height, width), size), size)
        classes = view.classes.cpu().numpy()
        row = self._nothing() | {"known": placed[classes.tolist().index(entry.label)]}
        made = min(self.options.top, len(view.probabilities))
        for key, value in (("labels", classes), ("boxes", placed), ("found", located.found)):
            row[key][:made] = value[:made]
        return row

    def _nothing(self, reason: str = "") -> dict:
        top = self.options.top
        guesses = {"labels": np.full(top, NO_GUESS), "boxes": np.tile(NO_BOX, (top, 1)), "found": np.ones(top, bool)}
        return {**guesses, "known": np.array(NO_BOX), "reason": reason}

    def segmentation(self, entry: Entry, image: UInt8[Tensor, "3 h w"]) -> Segmentation:
        """Everything that led to the box of the true class, once more.

        Args:
            entry: of the index.
            image: RGB bytes, (3, h, w).

        Returns:
            The same segmentation.
        """
        view = self.view(entry, image)
        maps, covered, canvas = _arrays(view)
        position = view.classes.tolist().index(entry.label)
        return self.pool.submit(segment, maps[position, None], covered, canvas, self.settings).result()[0]


def _arrays(view: Viewed) -> tuple[ndarray, ndarray, ndarray]:
    return view.maps.cpu().numpy(), view.covered.cpu().numpy(), view.canvas.cpu().numpy()
