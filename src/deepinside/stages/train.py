"""Images and an untrained network -> the trained network, its errors, and what it saw during training.

The network is that of the last epoch. Its errors are measured on images that it was not trained on: the split `val`,
or a tenth of the images, where these have no split (`Index.divided`).
"""

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from torch import Tensor

from deepinside.data.datamodule import Canvases, Views
from deepinside.data.index import Index
from deepinside.data.opening import open_index
from deepinside.methods.first_layer import First, first_convolution, folded_filter_share
from deepinside.models.classifier import FEW_CLASSES
from deepinside.models.saved import build, described, save
from deepinside.models.training import classification_errors, cosines_with_start, fit, weights_of
from deepinside.models.watch import Watch, looks, when
from deepinside.network import Network
from deepinside.plots.gallery import Gallery
from deepinside.plots.training import filters, learning
from deepinside.records import Batch, Row, Table
from deepinside.runtime import machine
from deepinside.spelling import resolved
from deepinside.statistics import mean_row

MOMENTS = 8  # of a training, side by side, at most
TESTS = ("centre", "ten")  # views: the network is judged by both (Krizhevsky et al. 2012, sec. 4.1)


def check(cfg: DictConfig) -> None:
    """Checks the number of training processes before any work.

    Raises:
        ValueError: if it differs from what `torchrun` started, or does not divide the batch.
    """
    devices, nodes = cfg.train.trainer.devices, cfg.train.trainer.num_nodes
    for key, value in (("devices", devices), ("num_nodes", nodes)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"expected train.trainer.{key} to be a whole number from 1 on, got {value!r}")
    requested, started, strategy = devices * nodes, machine.world(), cfg.train.trainer.strategy
    starts_them = nodes == 1 and (strategy in {"auto", "ddp"} or "spawn" in strategy or "fork" in strategy)
    if requested > 1 and requested != started and not (started == 1 and starts_them):
        raise ValueError(
            f"train.trainer.devices={devices}, num_nodes={nodes}, strategy={strategy} need {requested} processes, got "
            f"{started}: torchrun --nnodes={nodes} --nproc-per-node={devices} -m deepinside ..."
        )
    if cfg.train.batch_size % requested:
        raise ValueError(
            f"expected train.batch_size to be a multiple of the {requested} devices, got {cfg.train.batch_size}"
        )


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes the network and its weights, early ones in `epochs/`, `history.csv`, `per_image.csv`, `table.csv`.

    An interrupted training resumes from its last whole epoch.

    Raises:
        ValueError: if the data have no labels, or no images to train on or to test on.
    """
    train, val = _sides(open_index(cfg, inputs["prepare"]))
    with torch.random.fork_rng():
        torch.manual_seed(cfg.seed)
        network = build(cfg.model, list(train.classes))
    start, first = weights_of(network), _first(network)
    settings: dict[str, Any] = OmegaConf.to_container(cfg.train)  # type: ignore[assignment]
    train = train.balanced(settings.pop("limit"))
    if settings.pop("shuffle_labels"):
        train = val = train.shuffled_labels(cfg.seed)
    runs_on = {"device": cfg.machine.device, "workers": cfg.machine.workers}
    watch = _watch(settings.pop("watch"), network, val, out / "watch")
    watchers = [watch] if watch else []
    kind, attacks = settings.pop("classifier", None), settings.pop("attacks", None)
    if kind:
        settings["kind"] = _method(kind)
    history = fit(network, train, val, out=out, seed=cfg.seed, callbacks=watchers, **runs_on, **settings)
    save(network, cfg.model, out)
    moved, last = _moved(start, first, network), _first(network)
    network.to(machine.device(cfg.machine.device))  # training leaves it where it was built
    rows = [Row("epochs", len(history), "epochs"), Row("training_images", len(train), "images"), *described(network)]
    attacked = _attacked(network, val, attacks, cfg.seed) if attacks else []
    Table([*rows, *_tested(network, val, out), *attacked, *moved]).write(out)
    _draw(pd.read_csv(out / "history.csv"), network, (first, last), watch, out)
    shutil.rmtree(out / "checkpoints")
    if watch:
        shutil.rmtree(watch.folder)  # its images are in the gallery


def _watch(options: dict[str, Any], network: Network, val: Index, folder: Path) -> Watch | None:
    if not options["every"]:
        return None
    rule, unit = (_method(options[key]) for key in ("saliency", "unit"))
    methods = {name: partial(rule, rule=name) for name in options["methods"]}
    methods |= {f"strongest unit of {layer}": partial(unit, layer=layer) for layer in options["layers"]}
    pictures = _looked_at(network, val, options["images"])
    return Watch(pictures, methods, every=options["every"], folder=folder, draw=resolved(options["plot"]))


def _method(keys: dict[str, Any]) -> partial:
    # By the name in the configuration: who does not watch does not depend on the methods' code.
    return partial(resolved(keys["_target_"]), **{key: value for key, value in keys.items() if key != "_target_"})


def _looked_at(network: Network, val: Index, images: int) -> Batch:
    chosen = val.balanced(images)
    views = Views(Canvases(chosen, network.preprocessing, cache_gb=0), augmentation=None, seed=0)
    pixels, labels = views.__getitems__([(0, position) for position in range(len(chosen))])
    kept = (labels >= 0).nonzero().flatten()  # a broken image has no label
    entries = [chosen.entries[position] for position in kept.tolist()]
    names = tuple(f"{val.classes[entry.label].split(',')[0]}, {entry.image}" for entry in entries)
    return Batch(pixels[kept].float() / 255, names, labels[kept])


def _sides(index: Index) -> tuple[Index, Index]:
    # Labelled images to train on, and those to test on.
    entries = tuple(entry for entry in index.entries if entry.label >= 0)
    labelled = Index(index.root, index.ids, index.classes, entries).divided()
    train, val = labelled.split("train"), labelled.split("val")
    common = sum(entry.split == "all" for entry in entries)
    if common and not (len(train) and len(val)):
        raise ValueError(
            f"{index.root}: a tenth of the images, chosen by a hash of their content, is held out of training for "
            f"testing; these are {len(val)} of {common} here: add images, or use folders train/ and val/"
        )
    for split, chosen in (("train", train), ("val", val)):
        if not len(chosen):
            raise ValueError(
                f"training needs images with labels in the splits train and val; {index.root} has none in {split!r}: "
                "use a trained network, such as model=efficientnet_lite0, or data with class labels"
            )
    return train, val


def _tested(network: Network, val: Index, out: Path) -> list[Row]:
    rows, columns = [], {}
    for crops in TESTS:
        errors = classification_errors(network, val, crops=crops)
        columns["image"] = np.array(errors.images)
        wrongs = {"top1": errors.top1} | ({"top5": errors.top5} if len(network.classes) > FEW_CLASSES else {})
        for name, wrong in wrongs.items():
            columns[f"{name}_error_{crops}_crop"] = wrong.astype(int)
            rows.append(mean_row(f"{name}_error_{crops}_crop", 100.0 * wrong, "%"))
    pd.DataFrame(columns).to_csv(out / "per_image.csv", index=False, lineterminator="\n")
    return [*rows, Row("images_set_aside", len(val) - len(columns["image"]), "images")]


def _attacked(network: Network, val: Index, attacks: dict[str, Any], seed: int) -> list[Row]:
    # Errors after attacks, over the radius; `_method` names the function in the configuration.
    chosen = val.balanced(attacks["images"])
    views = Views(Canvases(chosen, network.preprocessing, cache_gb=0), augmentation=None, seed=0)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(chosen), attacks["batch_size"]):
            end = min(start + attacks["batch_size"], len(chosen))
            pixels, labels = views.__getitems__([(0, position) for position in range(start, end)])
            kept = labels >= 0  # a broken image has no label
            yield pixels[kept].float() / 255, labels[kept]

    work = {key: value for key, value in attacks.items() if key not in {"images", "batch_size"}}
    errors = _method(work)(network, batches(), seed=seed)
    return [mean_row(f"top1_error_{name}_{radius:g}", 100.0 * wrong, "%") for (name, radius), wrong in errors.items()]


def _first(network: Network) -> First | None:
    try:
        return first_convolution(network)
    except ValueError:  # a network that does not begin with a convolution of RGB
        return None


def _moved(start: Mapping[str, Tensor], first: First | None, network: Network) -> list[Row]:
    # How far each layer is from its random start, and whether the first one's filters still are noise.
    rows = [
        Row(f"{name}.cosine_with_start", value, "cosine")
        for name, value in cosines_with_start(start, weights_of(network)).items()
    ]
    if first is not None and (last := _first(network)):
        shares = {"folded_share": last, "folded_share_at_start": first}
        rows += [mean_row(f"{last.name}.{key}", folded_filter_share(one), "share") for key, one in shares.items()]
    return rows


def _draw(
    history: pd.DataFrame,
    network: Network,
    firsts: tuple[First | None, First | None],
    watch: Watch | None,
    out: Path,
) -> None:
    gallery = Gallery(out)
    gallery.add(
        learning(history),
        "history",
        group="training",
        title="Training",
        caption=f"{network.name}: loss and error on the test images, per epoch (centre crop).",
    )
    start, end = firsts
    if start is not None and end is not None:
        gallery.add(
            filters(start.filters.cpu().numpy(), end.filters.cpu().numpy(), end.name),
            "filters",
            group="training",
            title="The first layer, before and after training",
            caption=f"{network.name}, {end.name}: {len(end.filters)} filters, each on its own scale, grey is zero, at "
            f"the same place in both sheets. Share of their power that the stride of {end.stride[0]} folds back onto "
            f"lower frequencies: {float(folded_filter_share(start).nanmean()):.2f} at the start (white noise), "
            f"{float(folded_filter_share(end).nanmean()):.2f} after training.",
        )
    if watch:
        _draw_looks(gallery, watch, network)
    gallery.write()


def _draw_looks(gallery: Gallery, watch: Watch, network: Network) -> None:
    group, seen = "during training", looks(watch.folder)
    moments = sorted({list(seen)[i] for i in np.linspace(0, len(seen) - 1, MOMENTS).round().astype(int)})
    about = (
        f"{network.name} during training; validation images, centre crop. By ReLU rule: effect of a pixel on the true "
        "class's score, in score per unit of intensity. By layer: effect on the layer's strongest unit of the image, "
        "red for positive and blue for negative. Each map on its own scale up to its 99.5 % quantile."
    )
    for number, name in enumerate(watch.methods, 1):
        maps = {when(epoch): seen[epoch][name] for epoch in moments}
        figure = watch.draw(name, watch.pictures, maps)
        gallery.add(figure, f"watch_{number}", group=group, title=f"{name}, from start to end", caption=about)
    for epoch in seen:
        sheet = np.asarray(Image.open(watch.folder / f"epoch_{epoch:04d}.png").convert("RGB"))
        gallery.add(sheet, f"watch_epoch_{epoch:04d}", group=f"{group}, by epoch", title=when(epoch), caption=about)
