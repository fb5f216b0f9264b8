"""Maps of single images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy import ndarray
from omegaconf import DictConfig

from deepinside import views
from deepinside.data.index import Entry, Index
from deepinside.data.reading import BadFile
from deepinside.metrics import energy_ratio
from deepinside.network import Network
from deepinside.plots.gallery import Gallery
from deepinside.plots.maps import beside, panes
from deepinside.probe.randomise import randomised
from deepinside.records import Boxes, Row
from deepinside.runtime.progress import resumable
from deepinside.statistics import mean_row

RANDOM = "random_weights"
_RATIO = "energy_in_box_over_area_share"


class Seen(NamedTuple):
    """Results for the images: rows for the table, predicted classes, (file, reason) of skipped ones."""

    rows: list[Row]
    classes: list[int]
    set_aside: list[tuple[str, str]]


@dataclass(frozen=True)
class Mapper:
    """Positions of images -> maps by every method, for the predicted class.

    Args:
        network: to visualise.
        index: of the images.
        methods: that return maps, by name.
        options: the group visualise.
        seed: of the random weights of the control.
    """

    network: Network
    index: Index
    methods: Mapping[str, Any]
    options: DictConfig
    seed: int

    @cached_property
    def shown(self) -> Index:
        """The images that are drawn."""
        return _chosen(self.index, self.options.images)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Those, and then the images that are only measured, which need a box."""
        most = max(self.options.images, self.options.measured)
        measured = _chosen(self.index, most) if self.methods else self.shown
        drawn = {entry.image for entry in self.shown.entries}
        return (*self.shown.entries, *(e for e in measured.entries if e.image not in drawn and len(e.boxes)))

    @cached_property
    def control(self) -> Network | None:
        """The same network with random weights."""
        return randomised(self.network, self.seed) if self.methods else None

    def __call__(self, positions: range) -> dict[str, ndarray]:
        """Computes the maps of one image."""
        entry = self.entries[positions[0]]
        return _seen(self.network, self.control, self.index, entry, self.methods, self.options.crops)

    def skipped(self, _positions: range, reason: str) -> dict[str, ndarray]:
        """What an image that could not be computed leaves."""
        return {"reason": np.array(reason)}


def draw_pictures(mapper: Mapper, gallery: Gallery, out: Path, worker: Callable[[], Mapper] | None = None) -> Seen:
    """Maps of every method for the predicted class, with `per_image.csv`, `maps.npz` and images.

    Where boxes are known, also the share of a map's energy within the object, for the network and for the same network
    with random weights.
    """
    network, methods, entries, shown = mapper.network, mapper.methods, mapper.entries, mapper.shown
    drawn = {entry.image for entry in shown.entries}
    same = len(mapper.index.classes) == len(network.classes)
    rows: list[dict[str, Any]] = []
    arrays: dict[str, ndarray] = {}
    parts = out / "parts" / "pictures"
    results = resumable(parts, len(entries), 1, mapper, "images", worker=worker, skipped=mapper.skipped)
    for entry, result in zip(entries, results, strict=True):
        rows.append(row := _row(entry, result, methods, network, same))
        if entry.image in drawn and not row["reason"]:
            arrays |= {f"{entry.image}.{name}": result[f"map.{name}"].astype(np.float16) for name in methods}
            if methods:
                _draw(gallery, entry, result, row, methods, network)
    if methods:
        np.savez(out / "maps.npz", **arrays)  # type: ignore[arg-type]
    table = pd.DataFrame([row for row in rows if not row["reason"]]).drop(columns="reason", errors="ignore")
    table.to_csv(out / "per_image.csv", index=False, lineterminator="\n")
    aside = [(entry.file, row["reason"]) for entry, row in zip(entries, rows, strict=True) if row["reason"]]
    classes = sorted(dict.fromkeys(row["predicted"] for row in rows[: len(shown)] if not row["reason"]))
    return Seen(_measures(table, methods), classes, aside)


def _chosen(index: Index, images: int) -> Index:
    labelled = any(entry.label >= 0 for entry in index.entries)
    return index.balanced(images) if labelled else index.limit(images)


def _seen(
    network: Network, control: Network | None, index: Index, entry: Entry, methods: Mapping[str, Any], crops: str
) -> dict[str, ndarray]:
    try:
        image = index.picture(entry)
    except BadFile as error:
        return {"reason": np.array(error.reason)}
    view = views.crops_of(image, network.preprocessing, crops)
    probabilities = network.scores(view.pixels).softmax(dim=1).mean(dim=0).cpu()
    predicted = int(probabilities.argmax())
    height, width = view.canvas.shape[1:]
    result: dict[str, ndarray] = {
        "predicted": np.array(predicted),
        "probability": np.array(float(probabilities[predicted])),
        "canvas": view.canvas.permute(1, 2, 0).numpy(),
        "crops": np.array(len(view.pixels)),
    }
    boxes = Boxes(entry.boxes.xyxy * np.array([width / entry.width, height / entry.height] * 2))
    for name, method in methods.items():
        for suffix, seer in (("", network), (f".{RANDOM}", control)):
            if seer is None or (seer is control and not len(boxes)):
                continue
            map_, signed = views.mapped(seer, view, predicted, method, entry.image, name)
            if seer is network:
                result[f"map.{name}"] = map_.numpy()
                result[f"signed.{name}"] = np.array(signed)
            result[f"ratio.{name}{suffix}"] = np.array(energy_ratio(map_.abs(), boxes) if len(boxes) else np.nan)
    return result


def _row(
    entry: Entry, result: dict[str, ndarray], methods: Mapping[str, Any], network: Network, same: bool
) -> dict[str, Any]:
    if "reason" in result:
        return {"image": entry.image, "reason": str(result["reason"])}
    predicted = int(result["predicted"])
    right = same and predicted == entry.label
    name = network.classes[entry.label] if same and entry.label >= 0 else ""
    row: dict[str, Any] = {"image": entry.image, "label": entry.label, "name": name, "predicted": predicted}
    row |= {"predicted_name": network.classes[predicted], "probability": round(float(result["probability"]), 6)}
    for method in methods:
        for suffix in ("", f".{RANDOM}"):
            ratio = float(result.get(f"ratio.{method}{suffix}", np.nan)) if right else np.nan
            row[f"{method}{suffix}.energy_ratio"] = round(ratio, 6)
    return row | {"reason": ""}


def _draw(
    gallery: Gallery,
    entry: Entry,
    result: dict[str, ndarray],
    row: dict[str, Any],
    methods: Mapping[str, Any],
    network: Network,
) -> None:
    predicted = row["predicted_name"].split(",")[0]
    title = f"{predicted} ({row['probability']:.0%})"
    truth = f"; labelled {row['name'].split(',')[0]}" if row["name"] else ""
    titles = {name: _titled(name, method.settings) for name, method in methods.items()}
    maps = {titles[name]: result[f"map.{name}"] for name in methods}
    signed = {titles[name] for name in methods if bool(result[f"signed.{name}"])}
    crops = f"averaged over {result['crops']} crops, " if result["crops"] > 1 else ""
    gallery.add(
        beside(result["canvas"], maps, title, signed),
        f"maps_{len(gallery.rows) + 1:03d}",
        group="maps",
        title=title,
        caption=f"{entry.image}{truth}. Effect of each pixel on the score of {predicted}, or on the unit named, in "
        f"{network.name}: maps {crops}each on its own scale up to its 99.5 % quantile; signed maps have zero in the "
        "middle.",
        panes=panes(result["canvas"], maps, signed),
        about=(f"image/{entry.image}",),
    )


def _titled(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name}, unit {settings['unit']} of {settings['layer']}" if settings.get("layer") else name


def _measures(table: pd.DataFrame, methods: Mapping[str, Any]) -> list[Row]:
    rows = [Row("images", len(table), "images")]
    for name in methods:
        values = table[f"{name}.energy_ratio"].to_numpy(dtype=float) if len(table) else np.array([])
        others = table[f"{name}.{RANDOM}.energy_ratio"].to_numpy(dtype=float) if len(table) else np.array([])
        known = np.isfinite(values) & np.isfinite(others)
        if known.any():
            pairs = {
                f"{name}.{_RATIO}": values[known],
                f"{name}.{RANDOM}.{_RATIO}": others[known],
                f"{name}.{_RATIO}_above_{RANDOM}": values[known] - others[known],
            }
            rows += [mean_row(metric, found, "ratio") for metric, found in pairs.items()]
    return rows
