"""Images -> guesses and boxes: the network runs in this process, segmentation in worker processes."""

import multiprocessing
import os
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from deepinside.data.index import BadImage, Entry, Index
from deepinside.localisation import boxes
from deepinside.localisation.crops import Viewed, viewed
from deepinside.localisation.maps import Scene, scene
from deepinside.localisation.measure import THRESHOLDS, Measured, measured
from deepinside.localisation.segment import Segmentation, segment, segmented
from deepinside.localisation.settings import Settings, from_maps
from deepinside.methods.grad_cam import spatial_layer
from deepinside.network import Network
from deepinside.probe.randomise import randomised


class Pixels(NamedTuple):
    """An image and its maps on the canvas, as `segment.scene` takes them."""

    maps: Float[ndarray, "k H W"]
    covered: Bool[ndarray, "H W"]
    canvas: Float[ndarray, "3 H W"]
    activation: Float[ndarray, "k H W"] | None = None


class Located(NamedTuple):
    """Results of one image; boxes are on the canvas.

    Attributes:
        boxes: one per class, (k, 4).
        found: whether an object was found, (k,).
        seeds: the box around the largest component of the true class's foreground seeds.
        measured: of the true class's map.
        others: boxes by other settings, (k, 4) per name.
    """

    boxes: Float[ndarray, "k 4"]
    found: Bool[ndarray, " k"]
    seeds: Float[ndarray, " 4"]
    measured: Measured
    others: dict[str, Float[ndarray, "k 4"]]


def locate(
    pixels: Pixels,
    settings: Settings,
    known: int,
    instances: Float[ndarray, "b 4"],
    others: Mapping[str, Settings] | None = None,
) -> Located:
    """Boxes for every class, and how well the true one's map points; the true boxes change none of ours.

    Args:
        pixels: of the image.
        settings: weights of the maps, quantiles, colour models, cut.
        known: position of the true class among the maps.
        instances: boxes of its object on the canvas.
        others: settings, on the same grid, whose boxes are wanted too.

    Returns:
        What is kept.
    """
    shown = _scene(pixels, settings)
    found = segmented(shown, settings)
    truth = boxes.rescaled(instances, shown.size, shown.covered.shape)
    return Located(
        np.stack([one.box for one in found]),
        np.array([one.found for one in found]),
        _seeds_box(found[known], settings, shown.size),
        measured(found[known].map, shown.covered, truth),
        {name: np.stack([one.box for one in segmented(shown, other)]) for name, other in (others or {}).items()},
    )


def drawn(pixels: Pixels, settings: Settings) -> Float[ndarray, "k 4"]:
    """The boxes alone.

    Args:
        pixels: of the image.
        settings: from maps to boxes.

    Returns:
        One box per class, on the canvas.
    """
    return np.stack([one.box for one in segmented(_scene(pixels, settings), settings)])


def _scene(pixels: Pixels, settings: Settings) -> Scene:
    return scene(pixels.maps, pixels.covered, pixels.canvas, settings.side, pixels.activation)


def _seeds_box(one: Segmentation, settings: Settings, size: tuple[int, int]) -> Float[ndarray, " 4"]:
    part = boxes.largest_component(one.foreground, settings.connectivity)
    return boxes.rescaled(boxes.tight_box(part if part.any() else np.ones_like(part)), part.shape, size)


def borrowed(own: Pixels, other: Pixels, theirs: int) -> Pixels:
    """An image with the map of another's true class for every class of its own, stretched to its size.

    Args:
        own: the image.
        other: whose maps.
        theirs: position of the other's true class among them.

    Returns:
        The image and those maps.
    """
    count, size = len(own.maps), (own.canvas.shape[1], own.canvas.shape[2])

    def stretched(map_: Float[ndarray, "h w"]) -> Float[ndarray, "k H W"]:
        image = Image.fromarray(map_).resize(size[::-1], Image.Resampling.BILINEAR)
        return np.repeat(np.asarray(image)[None], count, axis=0)

    activation = None if other.activation is None else stretched(other.activation[theirs])
    return own._replace(maps=stretched(other.maps[theirs]), activation=activation)


NO_GUESS, NO_BOX = -1, (0.0, 0.0, 1.0, 1.0)
OTHER = "other."  # before the names of boxes by other rules


@dataclass(frozen=True)
class Localiser:
    """Positions of images -> guesses and boxes; the network runs here while the pool cuts.

    Args:
        network: to analyse.
        index: of the images.
        options: the group localise.
        pool: see `cutting`.
    """

    network: Network
    index: Index
    options: DictConfig
    pool: ProcessPoolExecutor

    @cached_property
    def settings(self) -> Settings:
        """How maps become boxes."""
        return Settings.of(self.options)

    @cached_property
    def others(self) -> dict[str, Settings]:
        """Other ways from the same maps to boxes, where they are asked for."""
        return from_maps(self.settings) if self.options.baselines == "all" else {}

    @cached_property
    def layer(self) -> str | None:
        """Whose class activation is wanted, if any is."""
        return None if self.settings.activation == 0 and not self.others else last_positions(self.network)

    @cached_property
    def control(self) -> Network:
        """The same network with random weights."""
        return randomised(self.network, self.settings.seed)

    def __call__(self, positions: range) -> dict[str, ndarray]:
        """Localises a batch.

        Args:
            positions: of images in the index.

        Returns:
            `labels` (b, top), `boxes` (b, top, 4), `found` (b, top), `known` and `seeds` (b, 4), `curve` (b, t),
            `pointed` and `energy` (b,), `other.NAME` (b, top + 1, 4), the true class last, and `reason` (b,), which is
            empty if the image is readable.
        """
        waiting = [self._started(self.index.entries[position]) for position in positions]
        if self.others:
            self._permute([work for work in waiting if isinstance(work, Work)])
        rows = [self._finished(work) if isinstance(work, Work) else work for work in waiting]
        return {key: np.array([row[key] for row in rows]) for key in rows[0]}

    def _started(self, entry: Entry) -> "dict | Work":
        try:
            image = self.index.picture(entry)
        except BadImage as error:
            return self._nothing(error.reason)
        view = self.view(entry, image)
        known = view.classes.tolist().index(entry.label)
        size = (view.canvas.shape[1], view.canvas.shape[2])
        truth = boxes.rescaled(entry.boxes.xyxy, (entry.height, entry.width), size)
        pixels = arrays(view)
        future = self.pool.submit(locate, pixels, self.settings, known, truth, self.others)
        work = Work(entry, view, known, future, pixels if self.others else None, {})
        if self.others:
            blind = viewed(self.control, image, **self._asked, classes=view.classes.tolist())
            work.drawn["random_weights"] = self.pool.submit(drawn, arrays(blind), self.settings)
        return work

    def _permute(self, works: "list[Work]") -> None:
        # Every image with the maps of the next one of its batch: what is left is what all maps have in common.
        for work, other in zip(works, works[1:] + works[:1], strict=True):
            assert work.pixels
            assert other.pixels
            mixed = borrowed(work.pixels, other.pixels, other.known)
            work.drawn["permuted_maps"] = self.pool.submit(drawn, mixed, self.settings)

    @property
    def _asked(self) -> dict:
        return {"crops": self.options.crops, "rule": self.options.rule, "layer": self.layer}

    def view(self, entry: Entry, image: UInt8[Tensor, "3 h w"]) -> Viewed:
        """Predictions and maps of an image.

        Args:
            entry: of the index.
            image: RGB bytes, (3, h, w).

        Returns:
            Its best classes and the true one, with their maps.
        """
        return viewed(self.network, image, **self._asked, top=self.options.top, also=entry.label)

    def _finished(self, work: "Work") -> dict:
        located = work.future.result()
        size = (work.entry.height, work.entry.width)
        height, width = work.view.canvas.shape[1:]

        def placed(found: ndarray) -> ndarray:
            return on_photograph(found, (height, width), size)

        ours = placed(located.boxes)
        row = self._nothing() | {"known": ours[work.known], "seeds": placed(located.seeds)}
        row |= {key: np.asarray(value) for key, value in located.measured._asdict().items()}
        made = min(self.options.top, len(work.view.probabilities))
        for key, value in (("labels", work.view.classes.cpu().numpy()), ("boxes", ours), ("found", located.found)):
            row[key][:made] = value[:made]
        for name, other in (located.others | {name: late.result() for name, late in work.drawn.items()}).items():
            row[f"{OTHER}{name}"][:made] = placed(other)[:made]
            row[f"{OTHER}{name}"][-1] = placed(other)[work.known]
        return row

    def _nothing(self, reason: str = "") -> dict:
        top = self.options.top
        guesses = {"labels": np.full(top, NO_GUESS), "boxes": np.tile(NO_BOX, (top, 1)), "found": np.ones(top, bool)}
        blank = {"known": np.array(NO_BOX), "seeds": np.array(NO_BOX), "curve": np.full(len(THRESHOLDS), np.nan)}
        names = (*self.others, "random_weights", "permuted_maps") if self.others else ()
        others = {f"{OTHER}{name}": np.tile(NO_BOX, (top + 1, 1)) for name in names}
        return {**guesses, **blank, "pointed": np.nan, "energy": np.nan, **others, "reason": reason}

    def segmentation(self, entry: Entry, image: UInt8[Tensor, "3 h w"]) -> Segmentation:
        """Everything that led to the box of the true class, once more.

        Args:
            entry: of the index.
            image: RGB bytes, (3, h, w).

        Returns:
            The same segmentation.
        """
        view = self.view(entry, image)
        maps, covered, canvas, activation = arrays(view)
        one = slice(known := view.classes.tolist().index(entry.label), known + 1)
        speaks = None if activation is None else activation[one]
        return self.pool.submit(segment, maps[one], covered, canvas, self.settings, speaks).result()[0]


class Work(NamedTuple):
    """An image whose boxes are being drawn."""

    entry: Entry
    view: Viewed
    known: int
    future: "Future[Located]"
    pixels: Pixels | None
    drawn: dict[str, "Future[ndarray]"]


def last_positions(network: Network) -> str:
    """The layer of the class activation maps.

    Args:
        network: any with a convolution.

    Returns:
        Dotted name.
    """
    side = network.preprocessing.input
    return spatial_layer(network, torch.zeros(1, 3, side, side))


def on_photograph(
    found: Float[ndarray, "k 4"], canvas: tuple[int, int], size: tuple[int, int]
) -> Float[ndarray, "k 4"]:
    """Boxes on the canvas as boxes on the photograph, in whole pixels.

    Args:
        found: half-open x0 y0 x1 y1 in pixels of the canvas.
        canvas: its (h, w).
        size: (h, w) of the photograph.

    Returns:
        Half-open boxes in pixels of the photograph.
    """
    return boxes.whole_pixels(boxes.rescaled(found, canvas, size), size)


def arrays(view: Viewed) -> Pixels:
    """A view as arrays, for another process.

    Args:
        view: on any device.

    Returns:
        Arrays.
    """
    activation = None if view.activation is None else view.activation.cpu().numpy()
    return Pixels(view.maps.cpu().numpy(), view.covered.cpu().numpy(), view.canvas.cpu().numpy(), activation)


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
    context.set_forkserver_preload(["deepinside.localisation.localiser"])
    with ProcessPoolExecutor(max(1, workers), context, initializer=_settle) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _settle() -> None:
    threadpoolctl.threadpool_limits(1)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()


def _leave_with_the_parent() -> None:
    # whoever is killed cannot end its workers, which would wait for work for ever
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
