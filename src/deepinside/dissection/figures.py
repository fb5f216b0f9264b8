"""The images of a dissection: bar charts of its counts, and cards of its units."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from omegaconf import DictConfig
from torch import Tensor

from deepinside.dissection.counting import Counter
from deepinside.dissection.layers import Layer
from deepinside.dissection.score import category_names
from deepinside.dissection.thresholds import TopImages
from deepinside.dissection.upsample import dense
from deepinside.plots.dissection import unique_by_threshold, unique_detectors, unit_card, units_per_concept
from deepinside.plots.gallery import Gallery


class Exhibit(NamedTuple):
    """An image, RGB bytes, and where on it the unit exceeds its threshold."""

    image: UInt8[ndarray, "h w 3"]
    mask: Bool[ndarray, "h w"]


Wanted = Mapping[tuple[str, int], Sequence[int]]
Batches = Iterable[Mapping[str, ndarray]]


def exhibits(
    counter: Counter, batches: Batches, read: Callable[[int], UInt8[Tensor, "3 h w"]], wanted: Wanted
) -> Iterator[tuple[tuple[str, int], int, Exhibit]]:
    """The masks of some units on some images, from the maps that counting kept.

    Args:
        counter: layers, thresholds and upsampling.
        batches: as `Counter.count` returned them.
        read: number of an image -> RGB bytes of the network's input.
        wanted: (layer name, unit) -> numbers of images, among those of `counter.shown`.

    Yields:
        (layer name, unit), number of the image, and the exhibit at the image's size.

    Source: Bau et al. 2017, code (report.py, activation_visualization).
    """
    for arrays in batches:
        users: dict[int, list[tuple[Layer, int, Tensor]]] = {}
        for layer, number, unit, map_ in _shown(counter, arrays):
            if number in wanted.get((layer.name, unit), ()):
                users.setdefault(number, []).append((layer, unit, map_))
        for number, units in users.items():
            image = read(number)
            pixels, size = image.permute(1, 2, 0).numpy(), (image.shape[1], image.shape[2])
            for layer, unit, map_ in units:
                yield (layer.name, unit), number, Exhibit(pixels, _mask(counter, layer, map_, unit, size))


def _shown(counter: Counter, arrays: Mapping[str, ndarray]) -> Iterator[tuple[Layer, int, int, Tensor]]:
    for index, layer in enumerate(counter.layers):
        for group in range(len(arrays.get("numbers", ()))):
            prefix = f"{index}.shown.{group}."
            if f"{prefix}map" in arrays:
                numbers, units, maps = (arrays[f"{prefix}{key}"] for key in ("number", "unit", "map"))
                for number, unit, map_ in zip(numbers.tolist(), units.tolist(), torch.from_numpy(maps), strict=True):
                    yield layer, number, unit, map_


def _mask(counter: Counter, layer: Layer, map_: Tensor, unit: int, size: tuple[int, int]) -> Bool[ndarray, "h w"]:
    values = dense(map_, counter.grid(layer, size, size))
    return np.asarray(values > torch.from_numpy(counter.thresholds[layer.name])[unit])


_NAMES = {"per_category": "by category", "top_label": "by top label"}
_RULES = {
    "per_category": "counted in every category in which a unit's best concept passes",
    "top_label": "counted by the one best concept of each unit",
}


def slug(layer: str) -> str:
    """A layer's name as part of the name of a file.

    Args:
        layer: dotted.

    Returns:
        Without dots.
    """
    return layer.replace(".", "_")


def draw_counts(gallery: Gallery, units: pd.DataFrame, counts: pd.DataFrame, chosen: DictConfig) -> None:
    """Bar charts: unique detectors by layer and category, and units by concept.

    Args:
        gallery: to add to.
        units: `units.csv`.
        counts: `counts.csv`.
        chosen: group dissect.
    """
    layers, categories = list(dict.fromkeys(units["layer"])), list(category_names(units))
    for rule, rule_text in _RULES.items():
        members = counts[(counts["rule"] == rule) & (counts["category"] != "all")]
        unique = members.pivot_table(index="layer", columns="category", values="unique_detectors", sort=False)
        figure = unique_detectors(layers, categories, unique.loc[layers, categories].to_numpy(), rule=rule_text)
        caption = (
            f"Different concepts that units detect (IoU > {chosen.iou}), {rule_text} (rule {rule}); {_setting(chosen)}."
        )
        gallery.add(
            figure, f"unique_{rule}", group="detectors", title=f"Unique detectors, {_NAMES[rule]}", caption=caption
        )
    for layer in layers:
        found = units[(units["layer"] == layer) & (units["score"] > chosen.iou)]
        if found.empty:
            continue
        tally = found.groupby(["category", "label"], sort=False).size()
        concepts = [str(label) for _, label in tally.index]
        title = f"{layer}: {len(found)} of {(units['layer'] == layer).sum()} units detect {len(tally)} concepts"
        figure = units_per_concept(concepts, [str(name) for name, _ in tally.index], tally.tolist(), title=title)
        caption = f"Units of {layer} whose best concept has IoU > {chosen.iou}, by concept; {_setting(chosen)}."
        gallery.add(figure, f"concepts_{slug(layer)}", group="detectors", title=title, caption=caption)


def draw_sensitivity(gallery: Gallery, table: pd.DataFrame, chosen: DictConfig) -> None:
    """A chart of unique detectors by threshold, for each counting rule.

    Args:
        gallery: to add to.
        table: `sensitivity.csv`.
        chosen: group dissect.
    """
    thresholds = sorted(set(table["iou"]))
    for rule, rule_text in _RULES.items():
        total = table[(table["rule"] == rule) & (table["category"] == "all")]
        unique = {str(layer): rows["unique_detectors"].tolist() for layer, rows in total.groupby("layer", sort=False)}
        figure = unique_by_threshold(thresholds, unique, chosen=chosen.iou)
        title = f"Unique detectors by threshold, {_NAMES[rule]}"
        caption = (
            f"Different concepts that units detect at other thresholds of IoU than {chosen.iou} (dotted), {rule_text} "
            f"(rule {rule}); {_setting(chosen)}."
        )
        gallery.add(figure, f"sensitivity_{rule}", group="detectors", title=title, caption=caption)


def _setting(chosen: DictConfig) -> str:
    if chosen.from_csv is not None:
        return "counted from a published table"
    where = {"image": "in images that carry the category", "hit": "in images where they overlap the category"}
    changed = f", basis rotated by Q^{chosen.rotation:g}" if chosen.rotation else ""
    changed += ", labels shuffled across images" if chosen.shuffle else ""
    return (
        f"masks at the top {chosen.quantile:.2%} of all activations, upsampled by {chosen.upsample}, "
        f"counted {where[chosen.activation]}{changed}"
    )


def draw_cards(
    gallery: Gallery,
    counter: Counter,
    batches: Batches,
    read: Callable[[int], UInt8[Tensor, "3 h w"]],
    tops: Mapping[str, TopImages],
    units: pd.DataFrame,
    chosen: DictConfig,
) -> None:
    """Cards of the units of highest IoU in each layer; of equal ones the lower number.

    Args:
        gallery: to add to.
        counter: layers, thresholds and upsampling.
        batches: as `Counter.count` returned them.
        read: number of an image -> RGB bytes.
        tops: layer name -> top images of each unit.
        units: `units.csv`.
        chosen: group dissect.
    """
    order = units.sort_values("score", ascending=False, kind="stable")
    best = [row for layer in tops for row in order[order["layer"] == layer].head(chosen.cards).to_dict("records")]
    wanted = {(row["layer"], row["unit"]): tops[row["layer"]].image[row["unit"]].tolist() for row in best}
    shown = {(key, number): exhibit for key, number, exhibit in exhibits(counter, batches, read, wanted)}
    for row in best:
        layer, unit = row["layer"], row["unit"]
        images, masks = zip(*(shown[(layer, unit), number] for number in wanted[layer, unit]), strict=True)
        about = {"label": row["label"], "category": row["category"], "iou": row["score"]}
        name = f"{layer} unit {unit}"
        figure = unit_card(images, masks, unit=name, detector=row["score"] > chosen.iou, **about)
        title = f"{name}: {row['label']}, IoU {row['score']:.3f}"
        caption = _card_caption(row, len(images), chosen)
        name, subject = f"unit_{slug(layer)}_{unit:04d}", (f"unit/{layer}/{unit}",)
        gallery.add(figure, name, group=f"units of {layer}", title=title, caption=caption, about=subject)


def _card_caption(row: Mapping, count: int, chosen: DictConfig) -> str:
    category = row["category"]
    truth, activation, common = (int(row[f"{category}-{key}"]) for key in ("truth", "activation", "intersect"))
    return (
        f"The {count} images with the highest activations of unit {row['unit']} of {row['layer']}; bright where it "
        f"exceeds its threshold {row['threshold']:.4g}. Chosen for its IoU, one of the {chosen.cards} highest of the "
        f"layer: {common} / ({truth} + {activation} − {common}) pixels with {row['label']} ({category}); "
        f"{_setting(chosen)}."
    )
