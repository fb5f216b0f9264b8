"""Images -> measures of the maps of every attribution method, of the untrained network, and of another image's."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from omegaconf import DictConfig
from PIL import Image
from scipy import stats
from torch import Tensor

from deepinside import views
from deepinside.attribution.attributions import Attribution
from deepinside.attribution.perturbation import Perturbed, perturbed
from deepinside.data.index import Entry, Index
from deepinside.data.reading import BadFile
from deepinside.localisation import boxes
from deepinside.localisation.maps import scene
from deepinside.localisation.measure import THRESHOLDS, measured, pixel_curve, pointing
from deepinside.localisation.segment import segment
from deepinside.localisation.settings import SALIENCY, Settings
from deepinside.network import Network
from deepinside.probe.randomise import randomised, with_weights

OWN, UNTRAINED, OTHER = "", "untrained", "other_image"  # whose map is measured
SOURCES = (OWN, UNTRAINED, OTHER)
LOCATED = ("pointing_game", "energy_in_box", "class_known_localisation_error", "iou")
SAMPLED = (*Perturbed._fields, "randomisation", "randomisation_last", "class_sensitivity")
COST = ("ms_per_image", "passes", "peak_memory")
_ALIKE = 0.8  # rank correlation of two images' maps, above which nothing is placed between it and 1
SIDE = 56  # of the maps whose ranks are compared, in pixels


def compared(one: Float[ndarray, "h w"]) -> Float[ndarray, " k"]:
    """The ranks of a map reduced to 56x56 by area means, centred and scaled: their inner product is Spearman's r.

    Args:
        one: map, (h, w).

    Returns:
        (3136,); zeros for a constant map.
    """
    small = np.asarray(Image.fromarray(one.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX))
    ranks = stats.rankdata(small.ravel())
    ranks -= ranks.mean()
    size = float(np.linalg.norm(ranks))
    return ranks / size if size > 0 else np.zeros_like(ranks)


def placed(likeness: float, floor: float) -> float:
    """Where a rank correlation lies between that of another image's map, 0, and that of the map itself, 1.

    Args:
        likeness: rank correlation with the map of the randomised network.
        floor: rank correlation with the map of another image.

    Returns:
        (r - floor) / (1 - floor); NaN where the floor is above 0.8: maps of two images are then so alike that the
        position between them is mostly noise.

    Source: Adebayo et al. 2018, sec. 3 (the correlation); the position is ours.
    """
    return (likeness - floor) / (1 - floor) if floor <= _ALIKE else float("nan")


class Timed(NamedTuple):
    """A map with what it cost.

    Attributes:
        map: without sign, (h, w).
        ms: wall time.
        passes: images that went through the network.
        memory: the most that was allocated at once beyond what was before, in MB; NaN on a CPU, where torch does not
            count it.
    """

    map: Float[ndarray, "h w"]
    ms: float
    passes: int
    memory: float


class Seen(NamedTuple):
    """An image as the network sees it.

    Attributes:
        position: in the index.
        entry: of the index.
        image: RGB in [0, 1], (3, h, w).
        outline: the pixels of its object and those that count, (h, w) each; None where it has no trimap.
    """

    position: int
    entry: Entry
    image: Float[Tensor, "3 h w"]
    outline: tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]] | None


@dataclass(frozen=True)
class Comparison:
    """Positions of images -> measures of all methods.

    Args:
        network: to analyse.
        index: of the images, all with a class and boxes.
        methods: to compare.
        options: the group benchmark.
        settings: of the cut.
        seed: of the random weights, the sample, and methods that draw.
    """

    network: Network
    index: Index
    methods: Sequence[Attribution]
    options: DictConfig
    settings: Settings
    seed: int

    @cached_property
    def sample(self) -> frozenset[int]:
        """Positions of the images on which the expensive measures and methods run."""
        order = np.random.default_rng(self.seed).permutation(len(self.index))
        return frozenset(order[: self.options.sample].tolist())

    @cached_property
    def untrained(self) -> Network:
        """The network with random weights."""
        return randomised(self.network, self.seed)

    @cached_property
    def without_last(self) -> Network:
        """The network with random weights in its last layer."""
        return randomised(self.network, self.seed, with_weights(self.network)[-1:])

    def asked(self, position: int) -> list[Attribution]:
        """The methods that run on an image.

        Args:
            position: of the image.

        Returns:
            All, or all but those of `benchmark.sampled`.
        """
        return [one for one in self.methods if position in self.sample or one.name not in self.options.sampled]

    def __call__(self, positions: range) -> dict[str, ndarray]:
        """Measures a batch.

        Args:
            positions: of images in the index.

        Returns:
            Arrays with an axis of images in front, and of methods where a measure is of one.
        """
        seen: list[Seen] = []
        reasons = dict.fromkeys(positions, "")
        for position in positions:
            try:
                seen.append(self._seen(position))
            except BadFile as error:
                reasons[position] = error.reason
        maps = [self._maps(self.network, one) for one in seen]
        found = {one.position: self._measures(one, maps, row) for row, one in enumerate(seen)}
        blank = self._blank()
        rows = [found.get(position, blank) for position in positions]
        arrays = {key: np.stack([row[key] for row in rows]) for key in blank}
        return arrays | {"reason": np.array(list(reasons.values()), dtype=np.str_)}

    def maps(self, position: int) -> dict[str, Timed]:
        """The maps of one image by all methods that run on it.

        Args:
            position: of the image, which can be read.

        Returns:
            Method -> its map without sign, and what it cost.
        """
        return self._maps(self.network, self._seen(position))

    def skipped(self, positions: range, reason: str) -> dict[str, ndarray]:
        """What a batch that could not be computed leaves.

        Args:
            positions: of images in the index.
            reason: why.

        Returns:
            The same arrays, without numbers.
        """
        arrays = {key: np.stack([values] * len(positions)) for key, values in self._blank().items()}
        return arrays | {"reason": np.array([reason] * len(positions), dtype=np.str_)}

    def _seen(self, position: int) -> Seen:
        entry = self.index.entries[position]
        image = views.warped(self.index.picture(entry), self.network.preprocessing)
        outline = self.index.mask(entry)
        return Seen(position, entry, image, outline and _reduced(outline, image.shape[1], image.shape[2]))

    def _blank(self) -> dict[str, ndarray]:
        count, nan = len(self.methods), np.nan
        found = {f"{source}.{metric}": np.full(count, nan) for source in SOURCES for metric in LOCATED}
        found |= {metric: np.full(count, nan) for metric in (*SAMPLED, *COST)}
        found |= {curve: np.full((count, len(THRESHOLDS)), nan) for curve in ("curve", "pixel_curve")}
        found |= {"rank": np.array(-1)}
        return found | {"agreement": np.full((count, count), nan)}

    def _maps(self, network: Network, seen: Seen) -> dict[str, Timed]:
        chosen = self.asked(seen.position)
        own = chosen if network is self.network else [one for one in chosen if one.learnt]
        return {one.name: _timed(one, network, seen.image, seen.entry.label, seen.position + self.seed) for one in own}

    def _measures(self, one: Seen, maps: Sequence[Mapping[str, Timed]], row: int) -> dict[str, ndarray]:
        position, entry, image, outline = one
        found, names = self._blank(), [method.name for method in self.methods]
        scores = self.network.scores(image[None])[0]
        found["rank"] = np.array(int((scores > scores[entry.label]).sum()))
        blind = self._maps(self.untrained, one) if self.options.nulls else {}
        following = maps[(row + 1) % len(maps)] if len(maps) > 1 and self.options.nulls else {}
        every = {(OWN, name): timed.map for name, timed in maps[row].items()}
        every |= {(UNTRAINED, name): timed.map for name, timed in blind.items()}
        every |= {(OTHER, name): timed.map for name, timed in following.items() if name in maps[row]}
        truth = boxes.rescaled(entry.boxes.xyxy, (entry.height, entry.width), tuple(image.shape[1:]))  # type: ignore[arg-type]
        located = self._located(image, list(every.values()), truth)
        for (source, name), numbers in zip(every, located, strict=True):
            for metric, value in zip(LOCATED, numbers, strict=True):
                found[f"{source}.{metric}"][names.index(name)] = value
        covered = np.ones(image.shape[1:], dtype=bool)
        for name, timed in maps[row].items():
            found["curve"][names.index(name)] = measured(timed.map, covered, truth).curve
            for metric, value in zip(COST, timed[1:], strict=True):
                found[metric][names.index(name)] = value
            if outline and (outline[0] & outline[1]).any():
                found["pixel_curve"][names.index(name)] = pixel_curve(timed.map, *outline)
        ranks = {name: compared(timed.map) for name, timed in maps[row].items()}
        for name, own in ranks.items():
            for other, theirs in ranks.items():
                found["agreement"][names.index(name), names.index(other)] = float(own @ theirs)
        if position in self.sample:
            floors = {name: float(ranks[name] @ compared(timed.map)) for name, timed in following.items()}
            for method in self.methods:
                values = self._sampled(method, one, maps[row][method.name].map, ranks[method.name], floors, blind)
                for metric, value in values.items():
                    found[metric][names.index(method.name)] = value
        return found

    def _located(
        self, image: Tensor, maps: Sequence[Float[ndarray, "h w"]], truth: Float[ndarray, "b 4"]
    ) -> list[tuple[float, ...]]:
        canvas = image.numpy()
        covered = np.ones(canvas.shape[1:], dtype=bool)
        cut = segment(scene({SALIENCY: np.stack(maps)}, covered, canvas, self.settings.side), self.settings)
        room = pointing(covered.astype(float), covered, truth).energy  # the boxes' share of the area
        found: list[tuple[float, ...]] = []
        for map_, part in zip(maps, cut, strict=True):
            pointed, energy = pointing(map_, covered, truth)
            iou = float(boxes.overlap(part.box[None], truth).max())
            found.append((float(pointed), energy / room if room else float("nan"), float(iou <= 0.5), iou))
        return found

    def _sampled(
        self,
        method: Attribution,
        one: Seen,
        map_: Float[ndarray, "h w"],
        ranks: Float[ndarray, " k"],
        floors: Mapping[str, float],
        blind: Mapping[str, Timed],
    ) -> dict[str, float]:
        position, entry, image, _ = one
        values: dict[str, float] = perturbed(self.network, image[None], entry.label, map_)._asdict()
        if not method.learnt:
            return values
        floor = floors.get(method.name, float("nan"))
        last = _timed(method, self.without_last, image, entry.label, position + self.seed).map
        values["randomisation_last"] = placed(float(ranks @ compared(last)), floor)
        if method.name in blind:
            values["randomisation"] = placed(float(ranks @ compared(blind[method.name].map)), floor)
        least = int(self.network.scores(image[None])[0].argmin())
        other = _timed(method, self.network, image, least, position + self.seed).map
        return values | {"class_sensitivity": 1 - float(ranks @ compared(other))}


def _timed(method: Attribution, network: Network, image: Tensor, target: int, seed: int) -> Timed:
    passes = 0

    def counted(_part: object, inputs: tuple, *_: object) -> None:
        nonlocal passes
        passes += len(inputs[0])

    handle = network.module.register_forward_hook(counted)
    cuda = network.device.type == "cuda"
    before = torch.cuda.memory_allocated(network.device) if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats(network.device)
    started = time.perf_counter()
    try:
        found = method.work(network, image[None], target, seed)
    finally:
        handle.remove()
    elapsed = 1000 * (time.perf_counter() - started)
    memory = (torch.cuda.max_memory_allocated(network.device) - before) / 1e6 if cuda else float("nan")
    return Timed(np.abs(found).astype(np.float64), elapsed, passes, memory)


def _reduced(
    outline: tuple[Bool[ndarray, "H W"], Bool[ndarray, "H W"]], height: int, width: int
) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]:
    outlined, counted = (
        np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.NEAREST)) for part in outline
    )
    return outlined, counted


def picture(index: Index, entry: Entry, network: Network) -> UInt8[ndarray, "h w 3"]:
    """The image as the network sees it.

    Args:
        index: of the images.
        entry: one of them.
        network: whose input it is.

    Returns:
        RGB bytes.
    """
    return views.to_bytes(views.warped(index.picture(entry), network.preprocessing)[None])[0]
