"""Network Dissection: the concept that each unit of the requested layers detects."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from deepinside.data.broden.opening import open_broden
from deepinside.data.broden.reader import Broden
from deepinside.dissection.ablation import ablation, concepts
from deepinside.dissection.activation_cache import ActivationCache
from deepinside.dissection.atlas import draw_atlas
from deepinside.dissection.bootstrap import grouped_sums, intervals, rivals
from deepinside.dissection.counting import Counter, counting, stored, totals
from deepinside.dissection.figures import draw_cards, draw_counts, draw_sensitivity
from deepinside.dissection.labels import Vocabulary
from deepinside.dissection.layers import Layer, survey_layers
from deepinside.dissection.netdissect import read_result
from deepinside.dissection.permutation import permutation_test, turns
from deepinside.dissection.probe_set import (
    Reading,
    image_of,
    mixed,
    pictures,
    reader,
    shuffled,
    sources_of,
    vocabulary_of,
)
from deepinside.dissection.score import iou, runners_up, units_frame
from deepinside.dissection.tables import (
    Uncertainty,
    by_threshold,
    ceiling_rows,
    rotation_rows,
    top_images,
    transfer_rows,
    write_csv,
    write_tables,
)
from deepinside.dissection.tally import RULES
from deepinside.dissection.thresholds import Survey, survey, surveying
from deepinside.dissection.totals import Totals
from deepinside.dissection.upsample import MODES
from deepinside.models.saved import build, open_network
from deepinside.network import Network
from deepinside.plots.gallery import Gallery
from deepinside.probe import convolutional, last_maps
from deepinside.records import Row, write_set_aside
from deepinside.runtime.engine import Compute
from deepinside.spelling import closest

_LEAST = {
    "batch_size": 1,
    "top_images": 1,
    "permutations": 0,
    "permuted_images": 0,
    "cards": 0,
    "atlas": 0,
    "ablate": 0,
    "memory_gb": 0,
}
Shown = Mapping[str, Mapping[int, Sequence[int]]]
ALL = "all"  # of `dissect.layers`: every convolution
PUBLISHED = "published"  # a published table does not name its layer


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        KeyError: if a layer does not exist, with the closest names.
        ValueError: if a choice is unknown, or a number is out of range.
    """
    chosen = cfg.dissect
    for key, known in (("upsample", MODES), ("activation", RULES)):
        if chosen[key] not in known:
            raise ValueError(f"dissect.{key}={chosen[key]} is unknown; {closest(str(chosen[key]), known)}")
    for key in ("quantile", "iou"):
        if not 0 <= chosen[key] < 1:
            raise ValueError(f"expected dissect.{key} in [0, 1), got {chosen[key]}")
    if not 0 <= chosen.rotation <= 1:
        raise ValueError(f"expected dissect.rotation in [0, 1], got {chosen.rotation}: 0 none, 1 all of it")
    if chosen.ablate and chosen.rotation:
        raise ValueError("dissect.ablate silences units, which dissect.rotation mixes: choose one")
    if chosen.epoch is not None:
        epochs = list(cfg.train.keep) if cfg.model.fit and cfg.model.weights is None else []
        if chosen.epoch not in epochs:
            raise ValueError(
                f"expected dissect.epoch among the epochs that training keeps, {epochs}, got {chosen.epoch}"
            )
    for key, least in _LEAST.items():
        if chosen[key] < least:
            raise ValueError(f"expected dissect.{key} of at least {least}, got {chosen[key]}")
    if chosen.from_csv is None and chosen.layers not in (None, ALL):
        with torch.random.fork_rng():  # building draws random weights
            network = build(OmegaConf.merge(cfg.model, {"weights": None}), None)  # type: ignore[arg-type]
        for name in _named(chosen.layers):
            network.layer(name)


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes the tables (see `write_tables`), `top_images.csv`, `set_aside.csv`, images and sheets of all units.

    The inputs are `concepts` and `network`; none where a published table is evaluated.
    """
    if cfg.dissect.from_csv is not None:
        units, gallery = read_result(Path(cfg.dissect.from_csv), PUBLISHED), Gallery(out)
        draw_counts(gallery, units, write_tables(units, cfg.dissect, out), cfg.dissect)
        draw_sensitivity(gallery, by_threshold(units, cfg.dissect), cfg.dissect)
    else:
        gallery = dissected(cfg, *_opened(cfg, inputs), out, inputs)
        shutil.rmtree(out / "parts")
    gallery.write()


def _named(layers: str | Sequence[str]) -> tuple[str, ...]:
    return (layers,) if isinstance(layers, str) else tuple(layers)


def _layers(network: Network, chosen: str | Sequence[str] | None) -> tuple[str, ...]:
    if not chosen:
        return (last_maps(network),)
    return convolutional(network) if chosen == ALL else _named(chosen)


def _opened(cfg: DictConfig, inputs: dict[str, Path]) -> tuple[Broden, Network]:
    broden = open_broden(cfg, inputs["concepts"])
    if cfg.dissect.categories is not None:
        broden = Broden.open(broden.root, tuple(cfg.dissect.categories))
    network = open_network(cfg, inputs["network"], cfg.dissect.epoch)
    return broden.limit(cfg.concepts.limit), network


class _Passes(NamedTuple):
    # What both passes over the images need.
    network: Network
    vocabulary: Vocabulary
    sizes: list[tuple[int, int]]
    layers: tuple[Layer, ...]
    partners: Sequence[int]  # number of the image whose labels each image gets
    image: Callable[[int], Tensor]
    read: Callable[[int], Reading]
    sources: Sequence[int]  # number of the folder of each image

    @classmethod
    def of(cls, cfg: DictConfig, broden: Broden, network: Network) -> "_Passes":
        chosen, vocabulary = cfg.dissect, vocabulary_of(broden)
        sizes = [(chosen.input, chosen.input) if chosen.input else (row.ih, row.iw) for row in broden.rows]
        layers = survey_layers(network, _layers(network, chosen.layers), sizes)
        layers = tuple(layer.rotated(chosen.rotation, chosen.rotation_seed) for layer in layers)
        partners = shuffled(broden, cfg.seed) if chosen.shuffle else range(len(broden))
        image = partial(image_of, broden, chosen.input)
        read = reader(broden, vocabulary, image, partners)
        return cls(network, vocabulary, sizes, layers, partners, image, read, sources_of(broden))

    def counter(self, options: DictConfig, thresholds: Mapping[str, ndarray], shown: Shown) -> Counter:
        return Counter(
            self.network, self.layers, thresholds, self.vocabulary, options.upsample, options.activation,
            turns=turns(options.permutations, min(options.permuted_images, len(self.sizes)), options.batch_size),
            permuted=options.permuted_images, sources=self.sources, shown=shown,
        )  # fmt: skip


def _survey_worker(cfg: DictConfig, inputs: dict[str, Path]) -> Compute:
    passes, size = _Passes.of(cfg, *_opened(cfg, inputs)), cfg.dissect.batch_size
    batches = mixed(len(passes.sizes), size)
    state = Survey.of(passes.layers, passes.sizes, cfg.dissect.quantile)
    work = surveying(passes.network, passes.layers, lambda i: [passes.read(number) for number in batches[i]], state)
    return lambda positions: work(positions.start // size)


def _count_worker(
    cfg: DictConfig, inputs: dict[str, Path], thresholds: Mapping[str, ndarray], shown: Shown, folder: Path
) -> Compute:
    passes = _Passes.of(cfg, *_opened(cfg, inputs))
    return counting(passes.counter(cfg.dissect, thresholds, shown), folder, passes.image)


def dissected(
    cfg: DictConfig, broden: Broden, network: Network, out: Path, inputs: dict[str, Path] | None = None
) -> Gallery:
    """Dissects a network and returns the gallery of images, to be written.

    Args:
        cfg: group dissect, `machine.workers`, `seed`.
        broden: the probe set.
        network: to dissect.
        out: folder for the tables and images; its `parts` holds finished batches.
        inputs: from which workers open the probe set and the network; None: this process computes everything.

    Raises:
        KeyError: if the probe set has no category `transfer`.
    """
    chosen, vocabulary = cfg.dissect, vocabulary_of(broden)
    if chosen.transfer is not None and chosen.transfer not in vocabulary.categories:
        hint = closest(chosen.transfer, vocabulary.categories)
        raise KeyError(f"dissect.transfer: no category {chosen.transfer!r}; {hint}")
    passes = _Passes.of(cfg, broden, network)
    sizes, layers, image = passes.sizes, passes.layers, passes.image
    common = {"batch_size": chosen.batch_size, "workers": cfg.machine.workers}
    cache = ActivationCache(int(chosen.memory_gb * 2**30))
    surveyed, tallies = out / "parts" / "survey", out / "parts" / "tally"
    seen = survey(
        network, layers, passes.read, sizes, quantile=chosen.quantile, top_images=chosen.top_images, folder=surveyed,
        cache=cache, worker=None if inputs is None else partial(_survey_worker, cfg, inputs), **common,
    )  # fmt: skip
    thresholds = {layer.name: seen.thresholds(layer.name) for layer in layers}
    shown = _shown(seen, chosen.top_images if chosen.cards else min(chosen.atlas, chosen.top_images))
    counter = passes.counter(chosen, thresholds, shown)
    found, permuted = totals(
        counter, seen, image, images=len(broden), folder=tallies, cache=cache,
        worker=None if inputs is None else partial(_count_worker, cfg, inputs, thresholds, shown, surveyed), **common,
    )  # fmt: skip
    units, uncertainty = _judged(counter, found, permuted, tallies, len(broden), chosen)
    write_csv(top_images(seen, broden), out / "top_images.csv")
    about = _counted(broden, seen, passes.partners if chosen.shuffle else None, out)
    about += ceiling_rows(found, vocabulary, chosen.quantile)
    if chosen.rotation:
        about += rotation_rows(network, layers, next(pictures(image, seen.used, sizes, chosen.batch_size)))
    if chosen.transfer:
        about += transfer_rows(seen, vocabulary, chosen.transfer)
    gallery = Gallery(out)
    draw_counts(gallery, units, write_tables(units, chosen, out, about, uncertainty), chosen)
    draw_sensitivity(gallery, by_threshold(units, chosen), chosen)
    if chosen.ablate:
        batches = pictures(image, seen.used, sizes, chosen.batch_size)
        table = ablation(network, batches, concepts(units, chosen.iou, chosen.ablate))
        write_csv(table, out / "ablation.csv")
    draw_cards(gallery, counter, stored(tallies), image, seen.tops, units, chosen)
    draw_atlas(out, counter, stored(tallies), image, seen.tops, chosen.atlas)
    return gallery


def _shown(seen: Survey, pictures: int) -> dict[str, dict[int, list[int]]]:
    # The units of each layer that are shown on an image, which is one of their top images.
    found: dict[str, dict[int, list[int]]] = {name: {} for name in seen.tops}
    for name, top in seen.tops.items():
        for unit, numbers in enumerate(top.image.tolist()):
            for number in numbers[:pictures]:
                found[name].setdefault(number, []).append(unit)
    return found


def _counted(broden: Broden, seen: Survey, partners: Sequence[int] | None, out: Path) -> list[Row]:
    # Which images count, and, in a file of its own, which do not and why, beside those that `concepts` set aside.
    write_set_aside(out, [(bad.file, bad.reason) for bad in sorted(seen.bad)])
    counts = {"": len(seen.used), "_set_aside": len(seen.bad), "_without_labels": len(broden.unlabelled)}
    if partners is not None:
        counts["_with_own_labels"] = sum(i == j for i, j in enumerate(partners))
    return [Row(f"images{word}", count, "images") for word, count in counts.items()]


def _judged(
    counter: Counter, found: Totals, permuted: Totals, tallies: Path, images: int, chosen: DictConfig
) -> tuple[pd.DataFrame, dict[str, Uncertainty]]:
    # Best labels, their confidence intervals and permutation tests.
    vocabulary = counter.vocabulary
    scores = {name: iou(*counts, found.truth, vocabulary) for name, counts in found.layers.items()}
    labels = [rivals(one, vocabulary) for one in scores.values()]
    sums = grouped_sums(stored(tallies), labels, vocabulary, counter.rule, images)
    frames, uncertainty = [], {}
    for index, (name, group) in enumerate(zip(scores, sums, strict=True)):
        test = None
        if permuted.images:
            test = permutation_test(
                stored(tallies), index, permuted.layers[name], permuted.truth, vocabulary,
                threshold=chosen.iou, permutations=chosen.permutations, images=permuted.images,
            )  # fmt: skip
        uncertainty[name] = Uncertainty(intervals(group, vocabulary, chosen.iou), test)
        frame = units_frame(name, counter.thresholds[name], *found.layers[name], found.truth, vocabulary)
        frames.append(pd.concat([frame, runners_up(scores[name], vocabulary), uncertainty[name].columns()], axis=1))
    return pd.concat(frames, ignore_index=True), uncertainty
