"""Network Dissection: which concept each unit of the layers asked for detects."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from deepinside.data.bad_file import BadFile
from deepinside.data.broden import Broden
from deepinside.dissect.counting import Counter, Totals, totals
from deepinside.dissect.grid import MODES
from deepinside.dissect.labels import Labels
from deepinside.dissect.layers import survey_layers
from deepinside.dissect.published import read_result
from deepinside.dissect.reading import Bad, Picture, Reading
from deepinside.dissect.score import ceilings, detector_counts, units_frame
from deepinside.dissect.tally import RULES
from deepinside.dissect.thresholds import Survey, survey
from deepinside.dissect.vocabulary import Vocabulary
from deepinside.network import Network, closest
from deepinside.plots.gallery import Gallery
from deepinside.probe import convolutional
from deepinside.records import Row, Table
from deepinside.stages.dissect_pictures import draw_cards, draw_counts
from deepinside.stages.inputs import built, open_broden, open_network
from deepinside.views import resized

PUBLISHED = "published"  # a published table does not name its layer


def check(cfg: DictConfig) -> None:
    """Looks for what is misspelt or impossible, before any work.

    Args:
        cfg: the whole configuration.

    Raises:
        KeyError: if a layer does not exist, with the closest names.
        ValueError: if a way to upsample or to count is unknown, or a number is out of range.
    """
    chosen = cfg.dissect
    for key, known in (("upsample", MODES), ("activation", RULES)):
        if chosen[key] not in known:
            raise ValueError(f"dissect.{key}={chosen[key]} is unknown; {closest(str(chosen[key]), known)}")
    for key in ("quantile", "iou"):
        if not 0 <= chosen[key] < 1:
            raise ValueError(f"expected dissect.{key} in [0, 1), got {chosen[key]}")
    for key in ("batch", "top_images"):
        if chosen[key] < 1:
            raise ValueError(f"expected dissect.{key} of at least 1, got {chosen[key]}")
    if chosen.from_csv is None and chosen.layers is not None:
        with torch.random.fork_rng():  # building draws random weights
            network = built(OmegaConf.merge(cfg.model, {"weights": None}), None)  # type: ignore[arg-type]
        for name in _named(chosen.layers):
            network.layer(name)


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `units.csv`, `counts.csv`, `top_images.csv`, `set_aside.csv`, `table.csv` and pictures.

    Args:
        cfg: groups dissect, concepts and machine.
        inputs: `concepts` and `network`; none where a published table is counted.
        out: the work folder.
    """
    gallery = Gallery(out)
    if cfg.dissect.from_csv is not None:
        _count(read_result(Path(cfg.dissect.from_csv), PUBLISHED), cfg, out, gallery, [])
    else:
        broden = open_broden(cfg, inputs["concepts"])
        if cfg.dissect.categories is not None:
            broden = Broden.open(broden.root, tuple(cfg.dissect.categories))
        _dissect(cfg, broden.limit(cfg.concepts.limit), open_network(cfg, inputs["network"]), out, gallery)
        shutil.rmtree(out / "parts")
    gallery.write()


def _named(layers: str | Sequence[str] | None) -> tuple[str, ...]:
    return (layers,) if isinstance(layers, str) else tuple(layers or ())


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n")


def _dissect(cfg: DictConfig, broden: Broden, network: Network, out: Path, gallery: Gallery) -> None:
    chosen, vocabulary = cfg.dissect, _vocabulary(broden)
    sizes = [(chosen.input, chosen.input) if chosen.input else (row.ih, row.iw) for row in broden.rows]
    layers = survey_layers(network, _named(chosen.layers) or convolutional(network), sizes)
    common = {"batch": chosen.batch, "workers": cfg.machine.workers}
    read = _reader(broden, vocabulary, chosen.input)
    kept = {"quantile": chosen.quantile, "top_images": chosen.top_images}
    seen = survey(network, layers, read, sizes, checkpoint=out / "parts" / "thresholds.npz", **kept, **common)
    thresholds = {layer.name: seen.thresholds(layer.name) for layer in layers}
    counter = Counter(network, layers, thresholds, vocabulary, chosen.upsample, chosen.activation)
    found = totals(counter, read, seen.used, images=len(broden), folder=out / "parts" / "tally", **common)
    frames = [units_frame(name, thresholds[name], *found.layers[name], found.truth, vocabulary) for name in thresholds]
    units = pd.concat(frames, ignore_index=True)
    _write(_top_images(seen, broden), out / "top_images.csv")
    aside = [*broden.set_aside, *((bad.file, bad.reason) for bad in seen.bad)]
    _write(pd.DataFrame(aside, columns=["file", "reason"]), out / "set_aside.csv")
    about = [
        Row("images", len(seen.used), "images"),
        Row("images_set_aside", len(aside), "images"),
        Row("images_without_labels", len(broden.unlabelled), "images"),
        *_ceilings(found, vocabulary, chosen.quantile),
    ]
    _count(units, cfg, out, gallery, about)
    draw_cards(gallery, counter, lambda number: _image(broden, number, chosen.input), seen.tops, units, chosen)


def _vocabulary(broden: Broden) -> Vocabulary:
    names = [""] * broden.size
    primary = np.full(broden.size, -1, dtype=np.int64)
    for number in broden.numbers:
        names[number] = f"label {number}"  # of a category that is left out
    for label in broden.labels:
        names[label.number] = label.name
        primary[label.number] = broden.categories.index(label.category)
    return Vocabulary(broden.categories, tuple(names), primary)


def _image(broden: Broden, number: int, side: int | None) -> UInt8[Tensor, "3 h w"]:
    image = broden.image(number)
    return image if side is None else (resized(image, side, side) * 255).round().to(torch.uint8)


def _reader(broden: Broden, vocabulary: Vocabulary, side: int | None) -> Callable[[int], Reading]:
    def read(number: int) -> Reading:
        shape = broden.rows[number].sh, broden.rows[number].sw
        try:
            labels = Labels.of(broden.segmentation(number), shape, vocabulary)
            return Picture(number, _image(broden, number, side), labels, shape)
        except BadFile as error:
            return Bad(number, *error.row(broden.root))

    return read


def _top_images(seen: Survey, broden: Broden) -> pd.DataFrame:
    rows = [
        (layer, unit, rank, broden.names(image), peak)
        for layer, top in seen.tops.items()
        for unit, (images, peaks) in enumerate(zip(top.image.tolist(), top.peak.tolist(), strict=True))
        for rank, (image, peak) in enumerate(zip(images, peaks, strict=True), start=1)
    ]
    return pd.DataFrame(rows, columns=["layer", "unit", "rank", "image", "peak"])


def _ceilings(found: Totals, vocabulary: Vocabulary, quantile: float) -> list[Row]:
    ceiling = ceilings(found.truth, found.room, found.pixels, quantile, vocabulary)
    rows = []
    for index, category in enumerate(vocabulary.categories):
        values = ceiling[vocabulary.members(index)]
        values = values[~np.isnan(values)]
        rows.append(Row(f"images_with_{category}", int(found.carriers[index]), "images"))
        if len(values):
            rows.append(Row(f"median_ceiling_{category}", float(np.median(values)), "IoU", len(values)))
    return rows


def _count(units: pd.DataFrame, cfg: DictConfig, out: Path, gallery: Gallery, about: list[Row]) -> None:
    counts = detector_counts(units, cfg.dissect.iou)
    _write(units, out / "units.csv")
    _write(counts, out / "counts.csv")
    layers = dict.fromkeys(units["layer"])
    Table([*about, *(row for layer in layers for row in _layer_rows(layer, units, counts))]).write(out)
    draw_counts(gallery, units, counts, cfg.dissect)


def _layer_rows(layer: str, units: pd.DataFrame, counts: pd.DataFrame) -> list[Row]:
    members = units[units["layer"] == layer]
    everything = counts[(counts["layer"] == layer) & (counts["category"] == "all")].set_index("rule")
    detectors, unique = everything["detector_units"].to_dict(), everything["unique_detectors"].to_dict()
    rows = [
        Row(f"{layer}.units", len(members), "units"),
        Row(f"{layer}.detectors", detectors["per_category"], "units", len(members)),
        Row(f"{layer}.unique_detectors_per_category", unique["per_category"], "concepts", len(members)),
        Row(f"{layer}.unique_detectors_top_label", unique["top_label"], "concepts", len(members)),
        Row(f"{layer}.best_iou", float(members["score"].max()), "IoU", len(members)),
    ]
    if members["threshold"].notna().any():
        # A threshold of zero or less: the unit is positive on no more than the top share, a rectified one is dead.
        rows.append(Row(f"{layer}.dead_units", int((members["threshold"] <= 0).sum()), "units", len(members)))
    return rows
