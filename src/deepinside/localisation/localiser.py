"""Images -> guesses and boxes: the network runs in this process, segmentation in worker processes."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor

from deepinside.data.index import BadImage, Entry, Index
from deepinside.localisation import boxes
from deepinside.localisation.crops import Viewed, viewed
from deepinside.localisation.maps import Scene
from deepinside.localisation.measure import measured
from deepinside.localisation.outcome import Located
from deepinside.localisation.segment import Segmentation, object_box, segment
from deepinside.localisation.settings import GRAD_CAM, Settings, from_maps
from deepinside.methods.grad_cam import spatial_layer
from deepinside.network import Network
from deepinside.probe.randomise import randomised

T = TypeVar("T")


def locate(
    scene: Scene,
    classes: Sequence[int],
    entry: Entry,
    settings: Settings,
    top: int,
    others: Sequence[tuple[Scene, Settings]] = (),
) -> Located:
    """Boxes for every class of an image, and how well the map of the true class points; its true boxes change no box.

    Args:
        scene: the image and a map for every class.
        classes: most probable first; the true one is among them.
        entry: size, class and boxes of the photograph.
        settings: weights of the maps, quantiles, colour models, cut.
        top: number of guesses.
        others: other maps of the same classes, or other settings, with which boxes are drawn too.

    Returns:
        The result of the image.
    """
    known, size = list(classes).index(entry.label), (entry.height, entry.width)
    found = segment(scene, settings)
    drawn = [
        on_photograph(np.stack([part.box for part in parts]), scene.size, size)
        for parts in (found, *(segment(*other) for other in others))
    ]
    seeds = object_box(boxes.largest_component(found[known].foreground, settings.connectivity), scene.size)
    truth = boxes.rescaled(boxes.rescaled(entry.boxes.xyxy, size, scene.size), scene.size, scene.covered.shape)
    row, made = Located.blank(top, len(others)), min(top, len(classes))
    row.labels[:made] = classes[:made]
    row.found[:made] = [part.found for part in found[:made]]
    row.boxes[:made] = drawn[0][:made]
    for number, other in enumerate(drawn[1:]):
        row.others[number, :made], row.others[number, -1] = other[:made], other[known]
    return row._replace(
        known=drawn[0][known],
        seeds=on_photograph(seeds, scene.size, size),
        **measured(found[known].map, scene.covered, truth)._asdict(),
    )


def borrowed(own: Viewed, other: Viewed, theirs: int) -> Viewed:
    """An image with the map of another's true class for every class of its own, stretched to its size.

    Args:
        own: the image.
        other: whose maps.
        theirs: the other's true class.

    Returns:
        The image and those maps.
    """
    place = other.classes.tolist().index(theirs)

    def stretched(maps: Float[Tensor, "t h w"]) -> Float[Tensor, "k H W"]:
        size = own.canvas.shape[2], own.canvas.shape[1]
        image = Image.fromarray(maps[place].cpu().numpy()).resize(size, Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(image).copy()).expand(len(own.classes), -1, -1)

    return own._replace(maps={name: stretched(maps) for name, maps in other.maps.items()})


@dataclass(frozen=True)
class Localiser:
    """Positions of images -> guesses and boxes; the network runs here while the pool segments.

    Args:
        network: to analyse.
        index: of the images.
        options: the group localise.
        pool: see `worker_pool`, or `Inline`.
        methods: whose maps are used beside saliency and Grad-CAM, by name.
    """

    network: Network
    index: Index
    options: DictConfig
    pool: Executor
    methods: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """How maps become boxes."""
        return Settings.of(self.options)

    @cached_property
    def others(self) -> dict[str, Settings]:
        """Other ways from the same maps to boxes, where they are requested."""
        return from_maps(self.settings) if self.options.baselines == "all" else {}

    @property
    def baselines(self) -> tuple[str, ...]:
        """The names of `Located.others`."""
        return (*self.others, "random_weights", "permuted_maps") if self.others else ()

    @cached_property
    def layer(self) -> str | None:
        """The layer of Grad-CAM, if its maps are needed."""
        return last_positions(self.network) if GRAD_CAM in self.settings.map or self.others else None

    @cached_property
    def control(self) -> Network:
        """The same network with random weights."""
        return randomised(self.network, self.settings.seed)

    def __call__(self, positions: range) -> dict[str, ndarray]:
        """Localises a batch.

        Args:
            positions: of images in the index.

        Returns:
            The fields of `Located`, with an axis of images in front.
        """
        entries = [self.index.entries[position] for position in positions]
        located: dict[str, Located | Future[Located]] = {}
        seen: list[tuple[Entry, UInt8[Tensor, "3 h w"], Viewed]] = []
        lag = 1 if self.others else 0  # permuted maps are those of the next image, and at last those of the first
        for entry, image in zip(entries, self.index.pictures(entries), strict=True):
            if isinstance(image, BadImage):
                located[entry.image] = Located.blank(self.options.top, len(self.baselines), image.reason)
                continue
            seen.append((entry, image, self._viewed(entry, image, top=self.options.top, also=entry.label)))
            if len(seen) > lag:
                located[seen[-1 - lag][0].image] = self._submit(*seen[-1 - lag], seen[-1])
        if seen and lag:
            located[seen[-1][0].image] = self._submit(*seen[-1], seen[0])
        rows = [one.result() if isinstance(one, Future) else one for one in (located[one.image] for one in entries)]
        return _stacked(rows)

    def skipped(self, positions: range, reason: str) -> dict[str, ndarray]:
        """What a batch that could not be computed leaves.

        Args:
            positions: of images in the index.
            reason: why.

        Returns:
            The fields of `Located`, without boxes.
        """
        return _stacked([Located.blank(self.options.top, len(self.baselines), reason) for _ in positions])

    def _submit(
        self, entry: Entry, image: UInt8[Tensor, "3 h w"], view: Viewed, following: tuple[Entry, Tensor, Viewed]
    ) -> Future[Located]:
        classes, settings = view.classes.tolist(), self.settings
        scene = view.scene(settings.side)
        others = [(scene, other) for other in self.others.values()]
        if self.others:
            blind = self._viewed(entry, image, self.control, classes=classes)
            mixed = borrowed(view, following[2], following[0].label)  # what is left is what all maps have in common
            others += [(other.scene(settings.side), settings) for other in (blind, mixed)]
        return self.pool.submit(locate, scene, classes, entry, settings, self.options.top, others)

    def _viewed(
        self, entry: Entry, image: UInt8[Tensor, "3 h w"], network: Network | None = None, **choice: Any
    ) -> Viewed:
        options = {"crops": self.options.crops, "rule": self.options.rule, "layer": self.layer}
        return viewed(network or self.network, image, **options, methods=self.methods, name=entry.image, **choice)

    def segmentation(self, entry: Entry, image: UInt8[Tensor, "3 h w"]) -> Segmentation:
        """Everything that led to the box of the true class, once more.

        Args:
            entry: of the index.
            image: RGB bytes, (3, h, w).

        Returns:
            The same segmentation.
        """
        scene = self._viewed(entry, image, classes=[entry.label]).scene(self.settings.side)
        return self.pool.submit(segment, scene, self.settings).result()[0]


def _stacked(rows: Sequence[Located]) -> dict[str, ndarray]:
    return {name: np.array(values) for name, values in zip(Located._fields, zip(*rows, strict=True), strict=True)}


def last_positions(network: Network) -> str:
    """The layer of the maps of Grad-CAM.

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


@contextmanager
def worker_pool(workers: int) -> Generator[ProcessPoolExecutor]:
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


class Inline(Executor):
    """Segments in this process, with one thread, where it is one of many that localise."""

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Calls the function.

        Returns:
            A finished future.
        """
        future: Future[T] = Future()
        with threadpoolctl.threadpool_limits(1):
            future.set_result(work(*args, **kwargs))
        return future


def _settle() -> None:
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()


def _leave_with_the_parent() -> None:
    # whoever is killed cannot end its workers, which would wait for work for ever
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
