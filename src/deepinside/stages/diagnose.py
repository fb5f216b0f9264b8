"""Images and a trained network -> numbers of its layers, changes of its design that they suggest, and controls."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from deepinside.data.imagenet import matched
from deepinside.data.opening import open_index
from deepinside.defaults import choices, unresolved
from deepinside.diagnosis import measures
from deepinside.diagnosis.proposals import Change, Proposal, at_equal_cost, candidates, proposals
from deepinside.models.saved import build, builder_settings, open_network
from deepinside.network import Network
from deepinside.plots.diagnosis import overview
from deepinside.plots.gallery import Gallery
from deepinside.records import Row, Table, write_set_aside
from deepinside.statistics import mean_row
from deepinside.visualisation.studies import pictures

log = logging.getLogger(__name__)

Recipe = dict[str, Any]
_COUNTS = ("images", "dense_images", "batch_size")
COLUMNS = (
    "number", "kind", "change", "layer", "reason", "measure", "value", "bound", "override", "operations",
    "equal_override", "equal_operations", "control", "control_override", "control_operations",
)  # fmt: skip


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        ValueError: if a number is out of range.
    """
    for key in _COUNTS:
        if not (isinstance(cfg.diagnose[key], int) and cfg.diagnose[key] >= 1):
            raise ValueError(f"diagnose.{key}: expected a whole number from 1 on, got {cfg.diagnose[key]!r}")
    edges = list(cfg.diagnose.bands)
    if len(edges) != 2 or not 0 < edges[0] < edges[1]:
        raise ValueError(f"diagnose.bands: expected two frequencies 0 < low < high in cycles per pixel, got {edges}")


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `layers.csv`, `proposals.csv`, `table.csv`, `set_aside.csv`, a figure, and the designs below `conf`.

    The inputs are `prepare` and `network`. `conf/model/proposal_1.yaml` is the network with the first proposal,
    `conf/model/control_1.yaml` with a random change, both at the operations of the network where its widths can be
    scaled: `deepinside --config-dir <artifact>/conf sweep=diagnosed` trains them.

    Raises:
        ValueError: if the network has no convolution.
    """
    options, network = cfg.diagnose, open_network(cfg, inputs["network"])
    if not any(isinstance(part, nn.Conv2d) for part in network.module.modules()):
        raise ValueError(
            f"{network.name} has no convolution: run=diagnose reads filters and maps; use run=visualise for others"
        )
    index = matched(open_index(cfg, inputs["prepare"], inputs["network"]), network.classes)
    broken: list[tuple[str, str]] = []
    seen = pictures(network, index.split(cfg.data.split).limit(cfg.data.limit), "centre", broken)
    passes = {"images": options.images, "batch_size": options.batch_size}
    layers = measures.layers(network, seen, dense_images=options.dense_images, **passes)
    layers.to_csv(out / "layers.csv", index=False, lineterminator="\n")
    hidden, rank = measures.last_hidden(network, seen, **passes)
    numbers = {"object_side": measures.object_side(seen, options.images), "last_hidden_rank": rank}
    recipe = builder_settings(inputs["network"])
    cost = _cost(network.classes)
    own = sum(measures.operations(network).values())
    found = proposals(recipe, layers, numbers, OmegaConf.to_container(options))  # type: ignore[arg-type]
    table = _designs(found, recipe, layers, cost, own, np.random.default_rng(cfg.seed), out)
    table.to_csv(out / "proposals.csv", index=False, lineterminator="\n")
    write_set_aside(out, sorted(set(broken)))
    Table(_rows(network, seen, layers, numbers, options, len(found), own)).write(out)
    gallery = Gallery(out)
    gallery.add(
        overview(layers, numbers["object_side"]), "layers", group="diagnosis", title=f"Layers of {network.name}",
        caption=f"Per convolution of {network.name}: share of dead units, of units with a correlation of 0.9 or more "
        "with another, rank of the units' correlations over their number, share of power that the stride aliases; and "
        f"sides of receptive fields. Before the scores: {hidden}, rank {rank:.2f}. Artifact "
        f"{out.name.removesuffix('.part')}.",
    )  # fmt: skip
    gallery.write()


def _cost(classes: tuple[str, ...]) -> Callable[[Any], int | None]:
    def cost(recipe: Any) -> int | None:
        try:
            with torch.random.fork_rng():  # building draws random weights
                network = build({**recipe, "weights": None}, classes)
            return sum(measures.operations(network).values())
        except (ValueError, RuntimeError):
            return None

    return cost


def _designs(
    found: list[Proposal], recipe: Recipe, layers: pd.DataFrame, cost: Callable, own: int, random: np.random.Generator,
    out: Path,
) -> pd.DataFrame:  # fmt: skip
    rows: list[Recipe] = []
    proposed = {_word(one.change) for one in found}
    others = [one for one in candidates(recipe, layers) if _word(one) not in proposed]
    for number, one in enumerate(found, start=1):
        row = {
            "number": number, "kind": one.change.kind, "change": one.change.what, "layer": one.change.layer,
            "reason": one.reason, "measure": one.measure, "value": one.number, "bound": one.bound,
            "override": _word(one.change),
        }  # fmt: skip
        design = _changed(recipe, one.change)
        price = cost(design) if design else None
        if design is None or price is None:  # no key makes it, or it does not fit
            rows.append(row if design is None else row | {"override": "", "reason": f"{one.reason} (does not fit)"})
            continue
        row["operations"] = price / own
        row |= _write(out, f"proposal_{number}", "equal", recipe, design, own, cost)
        for place in random.permutation(len(others)):
            control = _changed(recipe, others[place])
            if control is not None and cost(control) is not None:
                row |= {"control": others[place].what} | _write(
                    out, f"control_{number}", "control", recipe, control, own, cost
                )
                break
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _word(change: Change) -> str:
    return f"model.{change.key}={str(change.value).replace(' ', '')}" if change.key else ""


def _changed(recipe: Recipe, change: Change) -> Recipe | None:
    return {**recipe, change.key: change.value} if change.key else None


def _write(out: Path, name: str, prefix: str, recipe: Recipe, design: Recipe, own: int, cost: Callable) -> Recipe:
    # The design as a choice of the group model, at the network's own operations where its widths allow that.
    if (scaled := at_equal_cost(design, own, cost)) is None:
        log.warning("%s: no widths give the network's own number of operations; see %s_operations", name, prefix)
    design = dict(scaled or design)
    settings = {**design, "name": name, "weights": None, "fit": True}
    for group, content in (("model", settings), ("recipe", _recipe(str(recipe["name"])))):
        if content:
            (out / "conf" / group).mkdir(parents=True, exist_ok=True)
            OmegaConf.save(OmegaConf.create(content), out / "conf" / group / f"{name}.yaml")
    changed = [key for key, value in design.items() if recipe.get(key) != value]
    words = " ".join(_word(Change("", "", "", key, design[key])) for key in changed)
    return {f"{prefix}_override": words, f"{prefix}_operations": cost(design) / own}


def _recipe(name: str) -> Any:
    return unresolved("recipe", name) if name in choices("recipe") else None


def _rows(
    network: Network, seen: Any, layers: pd.DataFrame, numbers: Recipe, options: DictConfig, count: int, own: int
) -> list[Row]:
    rows = [
        Row("images", min(options.images, len(seen)), "images"),
        Row("proposals", count, "changes"),
        Row("operations", own, "multiply-adds"),
        Row("object_side", numbers["object_side"], "pixels"),
        Row("last_hidden_rank", numbers["last_hidden_rank"], "share of units"),
        Row("effective_field", float(layers["effective_field"].iloc[-1]), "pixels"),
    ]
    rows += [mean_row(f"mean_{word}", layers[word], "share") for word in ("dead", "redundant", "rank", "folded")]
    first = layers.iloc[0]["layer"]
    try:
        found = measures.bands(network, list(options.bands))
    except ValueError:  # the first convolution does not read the image
        return rows
    return [*rows, *(Row(f"{first}.{word}", value, "share of power") for word, value in found.items())]
