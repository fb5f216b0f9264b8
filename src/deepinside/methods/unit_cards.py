"""Cards of units: preferred stimulus, pre-image, strongest patches, projections and concept."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from deepinside.methods.activation_maximization import activation_maximization
from deepinside.methods.inversion import Recipe, pre_images
from deepinside.methods.top_activations import top_activations
from deepinside.network import Network
from deepinside.records import Batch, Row
from deepinside.study import Pictures, Study
from deepinside.views import to_bytes

STARTS, LOST = 3, 0.5  # a pre-image whose feature error stays above LOST is descended to from other starts
_UNKNOWN = "not dissected"


def unit_cards(
    network: Network,
    pictures: Pictures,
    *,
    layer: str,
    units: Sequence[int] | int | None,
    top: int,
    rule: str,
    contrast: str,
    batch_size: int,
    stimulus: Mapping[str, Any],
    pre_image: Mapping[str, Any],
    detectors: pd.DataFrame | None = None,
    seed: int = 0,
) -> Study:
    """Combines a unit's preferred stimulus, pre-image, strongest patches, their projections and its concept.

    The pre-image is that of the unit's strongest image, from the unit's map alone: the best of up to three starts.

    Args:
        network: to visualise.
        pictures: of a data set.
        layer: dotted name of a layer with maps.
        units: numbers, or their number, spread evenly; None: all.
        top: patches per unit.
        rule: of the ReLUs in the backward pass.
        contrast: of local response normalisation in the backward pass.
        batch_size: images per pass.
        stimulus: settings of `activation_maximization`; its layer and units are ignored.
        pre_image: fields of `inversion.Recipe`: `start`, `weight`, `per_value`, `octaves`, `margin`,
            `batch_size`.
        detectors: `units.csv` of a dissection; None without one.
        seed: of all random numbers.

    Returns:
        `table`: unit, its strongest activation, score of the stimulus, feature error of the pre-image, concept, its
        category and IoU; `shown`: stimuli, pre-images, patches, projections by unit. Units that are zero in all
        images are listed with an activation of 0, and have no card.

    Raises:
        KeyError: if there is no such layer.
        ValueError: if it has no maps, or a unit is outside it.

    Source: the survey's four families side by side; Olah et al. 2017 for the form.
    """
    found = top_activations(
        network, pictures, layer=layer, units=units, top=top, rule=rule, contrast=contrast, batch_size=batch_size
    )
    alive = found.shown["units"].tolist()
    if not alive:
        raise ValueError(f"all requested units of {layer} are zero in these images: name others")
    blank = Batch(torch.zeros(0, 3, 1, 1), ())
    how = {key: value for key, value in stimulus.items() if key not in {"_target_", "layer", "units", "needs"}}
    liked = activation_maximization(network, blank, layer=layer, units=alive, pictures=pictures, seed=seed, **how)
    best = found.table[found.table["rank"] == 1].set_index("unit")
    positions = {name: position for position, name in enumerate(pictures.names)}
    strongest = [positions[best.loc[unit, "picture"]] for unit in alive]
    inverted = [
        _pre_image(network, pictures, position, layer, unit, pre_image, seed)
        for unit, position in zip(alive, strongest, strict=True)
    ]
    concepts = _concepts(detectors, layer)
    rows = []
    for i, unit in enumerate(alive):
        label, category, score = concepts.get(unit, ("", "", np.nan) if concepts else (_UNKNOWN, "", np.nan))
        numbers = (
            round(float(best.loc[unit, "value"]), 6),
            round(liked.measured["score"][i], 6),
            round(inverted[i][1], 6),
        )
        rows.append((unit, *numbers, liked.measured["state"][i], label, category, score))
    dead = sorted(set(found.table["unit"]) - set(alive))
    rows += [(unit, 0.0, np.nan, np.nan, "dead", concepts.get(unit, ("",))[0], "", np.nan) for unit in dead]
    columns = ["unit", "activation", "stimulus_score", "pre_image_error", "state", "concept", "category", "iou"]
    shown = {
        "layer": np.array(layer),
        "units": np.array(alive),
        "stimuli": to_bytes(liked.values),
        "pre_images": np.stack([to_bytes(picture[None])[0] for picture, _ in inverted]),
        **{name: found.shown[name] for name in ("patches", "projections", "inside")},
    }
    table = pd.DataFrame(rows, columns=columns).sort_values("unit")
    return Study(table, (Row("cards", len(alive), "units"), Row("dead_units", len(dead), "units")), shown)


def _pre_image(
    network: Network, pictures: Pictures, position: int, layer: str, unit: int, settings: Mapping[str, Any], seed: int
) -> tuple[Tensor, float]:
    _, batch = pictures.batch([position])
    assert batch is not None  # its activation has just been found
    found: list[tuple[float, Tensor]] = []
    for start in range(STARTS):  # a unit that is zero at the start may stay zero, which is an error of 1
        recipe = Recipe(**settings, region=None, channels=(unit, unit + 1), seed=seed + start)
        made = pre_images(network, batch.images, layer, recipe)
        found.append((float(made.errors[-1, 0]), made.pictures[0, 0]))
        if found[-1][0] < LOST:
            break
    error, picture = min(found, key=lambda one: one[0])
    return picture, error


def _concepts(detectors: pd.DataFrame | None, layer: str) -> dict[int, tuple[str, str, float]]:
    if detectors is None:
        return {}
    mine = detectors[detectors["layer"].astype(str) == layer]
    return {int(r["unit"]): (str(r["label"]), str(r["category"]), float(r["score"])) for r in mine.to_dict("records")}
