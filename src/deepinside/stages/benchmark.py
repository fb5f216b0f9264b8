"""Images and a network -> the maps of many attribution methods, measured alike."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from deepinside.attribution import tables
from deepinside.attribution.attributions import Attribution, attributions
from deepinside.attribution.comparison import Comparison, picture
from deepinside.data.imagenet import matched
from deepinside.data.opening import open_index
from deepinside.defaults import defaults
from deepinside.localisation.settings import Settings
from deepinside.models.saved import open_network
from deepinside.plots import attribution as plots
from deepinside.plots.gallery import Gallery
from deepinside.records import Row, Table, write_set_aside
from deepinside.runtime.progress import resumable

_PLOTTED = ("pointing_game", "energy_in_box", "class_known_localisation_error", "max_box_accuracy_v2", "pixel_iou",
            "insertion", "deletion", "randomisation", "class_sensitivity")  # fmt: skip
_LEAST = {"sample": 1, "batch_size": 1, "pictures": 0, "side": 8}


def _methods(cfg: DictConfig) -> tuple[Attribution, ...]:
    options: dict[str, Any] = OmegaConf.to_container(cfg.benchmark, resolve=True)  # type: ignore[assignment]
    return attributions(options["methods"], options["settings"], options["arguments"])


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        KeyError: if a method is unknown, with the closest names.
        ModuleNotFoundError: if the library of a method is not installed, with the command that installs it.
        ValueError: if a method returns no maps, or a number is out of range.
    """
    if not cfg.benchmark.methods:
        raise ValueError("benchmark.methods: expected at least one method, got none")
    _methods(cfg)
    for key, least in _LEAST.items():
        if not (isinstance(cfg.benchmark[key], int) and cfg.benchmark[key] >= least):
            raise ValueError(f"benchmark.{key}: expected a whole number from {least} on, got {cfg.benchmark[key]!r}")


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `table.csv`, `per_image.csv`, `comparisons.csv`, `agreement.csv`, `table.tex`, `set_aside.csv`, images.

    The inputs are `prepare` and `network`; batches that are finished in `out` are not computed again.

    Raises:
        ValueError: if no image has a class of the network and a box, or a method does not apply to the network.
    """
    comparison = opened(cfg, inputs)
    index, methods = comparison.index, comparison.methods
    parts = list(
        resumable(
            out / "parts",
            len(index),
            cfg.benchmark.batch_size,
            comparison,
            "attributions",
            worker=partial(opened, cfg, inputs),
            skipped=comparison.skipped,
        )
    )
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    read = [entry for entry, reason in zip(index.entries, arrays["reason"], strict=True) if not reason]
    if not read:
        raise ValueError(f"no image in {index.root} can be read; the first: {arrays['reason'][0]}")
    found = tables.measures(arrays)
    aside = sorted({*index.set_aside, *(
        (entry.file, str(reason)) for entry, reason in zip(index.entries, arrays["reason"], strict=True) if reason
    )})  # fmt: skip
    numbers = list(tables.rows(found, methods))
    counts = [Row("images", len(read), "images"), Row("images_sampled", len(comparison.sample), "images")]
    Table([*counts, *numbers, Row("images_set_aside", len(aside), "images")]).write(out)
    write_set_aside(out, aside)
    for name, table in (
        ("per_image", tables.per_image(found, methods, [entry.image for entry in read])),
        ("comparisons", tables.comparisons(found, methods)),
        ("agreement", tables.agreement(found, methods).rename_axis("method").reset_index()),
    ):
        table.to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
    title = f"{comparison.network.name}, {len(read)} images"
    (out / "table.tex").write_text(tables.latex(numbers, methods, title), encoding="utf-8")
    _draw(comparison, numbers, found, [entry.image for entry in read], out)
    shutil.rmtree(out / "parts")


def opened(cfg: DictConfig, inputs: dict[str, Path]) -> Comparison:
    """The images, the network and the methods, ready to compare.

    Raises:
        ValueError: if no image has a class of the network and a box.
    """
    network = open_network(cfg, inputs["network"])
    index = matched(open_index(cfg, inputs["prepare"], inputs["network"]), network.classes)
    index = index.split(cfg.data.split).limit(cfg.data.limit)
    if not len(labelled := index.labelled()):
        raise ValueError(
            f"benchmark needs images whose class is known to {network.name}, with boxes around it; none of the "
            f"{len(index)} in {index.root} has one: use data=ilsvrc, data=imagenette, or data=folder with boxes"
        )
    settings = Settings.of(OmegaConf.create(defaults("localise", "simonyan2013", {"side": cfg.benchmark.side})))
    return Comparison(network, labelled.boxed(), _methods(cfg), cfg.benchmark, settings, cfg.seed)


def _draw(comparison: Comparison, numbers: list[Row], found: tables.Measures, images: list[str], out: Path) -> None:
    gallery, methods, network = Gallery(out), comparison.methods, comparison.network
    known = {row.metric: row for row in numbers}
    names = [method.name for method in methods]
    for metric in _PLOTTED:
        rows = {name: known[f"{name}.{metric}"] for name in names if f"{name}.{metric}" in known}
        if not rows:
            continue
        costs = {name: known[f"{name}.ms_per_image"].value for name in rows}
        title, lower = metric.replace("_", " "), metric in tables.LOWER
        gallery.add(
            plots.against_cost(rows, costs, title, lower=lower), f"cost_{metric}", group="attribution",
            title=f"{title} against cost",
            caption=f"Mean over images with its 95 % interval; {'lower' if lower else 'higher'} is better. Time of one "
            f"map on this machine, {network.name}.",
        )  # fmt: skip
    gallery.add(
        plots.agreement(tables.agreement(found, methods)), "agreement", group="attribution",
        title="Agreement of the methods",
        caption="Mean rank correlation of the maps of every two methods, averaged to 56x56 pixels, over images; "
        "ordered by average linkage.",
    )  # fmt: skip
    for image, why in _shown(comparison, found, images).items():
        position = _position(comparison, image)
        entry, row = comparison.index.entries[position], images.index(image)
        maps = {
            name: (timed.map, float(found.values["energy_in_box"][row, names.index(name)]))
            for name, timed in comparison.maps(position).items()
        }
        title = network.classes[entry.label].split(",")[0]
        gallery.add(
            plots.grid(picture(comparison.index, entry, network), maps, title), f"maps_{row:04d}", group="attributions",
            title=title,
            caption=f"{image}: magnitude of the maps for its class in {network.name}, each on its own scale up to its "
            "99.5 % quantile; below each the energy in the box, relative to the box's area: 1 is expected by chance."
            + why,
            about=(f"image/{image}",),
        )  # fmt: skip
    gallery.write()


def _shown(comparison: Comparison, found: tables.Measures, images: list[str]) -> dict[str, str]:
    # Images of the sample, on which all methods ran: half of them those with the least alike maps, half the first ones.
    order = [row for row, image in enumerate(images) if _position(comparison, image) in comparison.sample]
    learnt = [place for place, method in enumerate(comparison.methods) if method.learnt]
    pairs = found.agreement[np.ix_(order, learnt, learnt)]
    off = ~np.eye(len(learnt), dtype=bool)
    alike = pairs[:, off].mean(axis=1) if off.any() else np.zeros(len(order))
    least = [(order[place], alike[place]) for place in np.argsort(alike, kind="stable")]
    count = comparison.options.pictures
    shown = {
        images[row]: f" Among the images on which the methods agree least: mean rank correlation {r:.2f}."
        for row, r in least[: (count + 1) // 2]
        if off.any()
    }
    for row in order:
        if len(shown) < count:
            shown.setdefault(images[row], "")
    return shown


def _position(comparison: Comparison, image: str) -> int:
    return next(i for i, entry in enumerate(comparison.index.entries) if entry.image == image)
