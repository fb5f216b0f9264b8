"""Has a class several facets? Images of it, started from the means of its sorted photographs (Nguyen et al. 2016)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.methods.activation_maximization import activation_maximization
from deepinside.methods.synthesis.photographs import sort_facets
from deepinside.network import Network, chosen_classes
from deepinside.probe import activations, before_scores
from deepinside.records import Batch, Boxes, Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study
from deepinside.views import to_bytes

_NOT_OURS = ("_target_", "layer", "units", "needs", "start")  # keys of an ascent's yaml that are set here
_BATCH = 32
_HALVES = 2


def facets(
    network: Network,
    pictures: Pictures,
    *,
    classes: Sequence[int | str] | int,
    facets: int,
    nearest: int,
    ascent: Mapping[str, Any],
    seed: int = 0,
) -> Study:
    """Compares the results of gradient ascent from different facets of a class with those from the same facet.

    The photographs of a class are clustered into facets. The `nearest` to the centre of each are divided into two
    halves; gradient ascent of the class score starts from the mean of each half. `within` is the Euclidean distance
    between the codes of the two images of a facet, `between` that of images of two facets, as means over all pairs. The
    same for random clusters of the photographs is the control: `random_within`, `random_between`.

    Args:
        network: to visualise.
        pictures: labelled.
        classes: numbers or names; or their number, spread evenly over all.
        facets: clusters of a class.
        nearest: photographs of a facet, over both halves.
        ascent: settings of `activation_maximization` except its start.
        seed: of all random numbers.

    Returns:
        `table`: one row per class: the above, `apart` and `random_apart`, which is `between` over `within`, minus 1.
        Numbers: their means over classes and `apart_above_random`, paired. `shown`: `starts` and `ends`, the mean
        images of the first halves and the results, (classes, facets, h, w, 3), and the same for random facets.

    Raises:
        ValueError: if a class has too few images, or there is only one facet.

    Source: Nguyen et al. 2016 (MFV), sec. 3 and fig. 4.
    Deviation: the paper shows images; the distances and the random facets are ours.
    """
    if facets < 2 or nearest < 2:
        raise ValueError(f"expected at least 2 facets of at least 2 images, got {facets} and {nearest}")
    chosen = chosen_classes(network, classes)
    how = {key: value for key, value in ascent.items() if key not in _NOT_OURS}
    found = [sort_facets(network, pictures, label, facets=facets, seed=seed) for label in chosen]
    groups: dict[str, list[Sequence[tuple[int, ...]]]] = {
        "": [one.facets for one in found],
        "random_": [_dealt(one.facets, seed) for one in found],
    }
    table = pd.DataFrame({"class": chosen, "name": [network.classes[label] for label in chosen]})
    shown: dict[str, ndarray] = {}
    for word, parts in groups.items():
        starts = torch.stack([_starts(one.images, own, nearest) for one, own in zip(found, parts, strict=True)])
        ends = _ends(network, chosen, starts, how, seed)
        apart = [_apart(codes) for codes in _codes(network, ends)]
        for column, values in zip(("within", "between", "apart"), zip(*apart, strict=True), strict=True):
            table[f"{word}{column}"] = values
        shown |= {f"{word}starts": _bytes(starts[:, :, 0]), f"{word}ends": _bytes(ends[:, :, 0])}
    numbers = [mean_row(f"{word}apart", table[f"{word}apart"], "relative distance") for word in groups]
    difference = mean_row("apart_above_random", table["apart"] - table["random_apart"], "relative distance")
    return Study(table, (Row("classes", len(chosen), "classes"), *numbers, difference), shown)


def _dealt(sorted_: Sequence[tuple[int, ...]], seed: int) -> list[tuple[int, ...]]:
    # The same photographs by chance: as many groups of the same sizes.
    ends = np.cumsum([len(own) for own in sorted_])[:-1]
    shuffled = np.random.default_rng(seed).permutation([one for own in sorted_ for one in own])
    return [tuple(part.tolist()) for part in np.split(shuffled, ends)]


def _starts(
    images: Float[Tensor, "n 3 h w"], facets: Sequence[tuple[int, ...]], nearest: int
) -> Float[Tensor, "facets 2 3 h w"]:
    # Means of two halves of each facet; dealt out in turn, so that both are as near to its middle.
    small = min(map(len, facets))
    if small < _HALVES:
        raise ValueError(f"expected at least {_HALVES} images in every facet, got {small}: use fewer facets")
    halves = [[own[:nearest][half::_HALVES] for half in range(_HALVES)] for own in facets]
    return torch.stack([torch.stack([images[list(half)].mean(dim=0) for half in own]) for own in halves])


def _ends(
    network: Network, chosen: Sequence[int], starts: Float[Tensor, "c f 2 3 h w"], how: Mapping[str, Any], seed: int
) -> Float[Tensor, "c f 2 3 h w"]:
    # Each start is shown to the ascent as the only image of its class.
    batch = Batch(torch.zeros(len(chosen), 3, 1, 1), tuple(map(str, chosen)), torch.tensor(chosen))
    nothing = (Boxes(np.empty((0, 4))),) * len(chosen)
    made = []
    for images in starts.flatten(1, 2).unbind(dim=1):
        only = Pictures(batch.names, tuple(chosen), nothing, images.__getitem__)
        drawn = activation_maximization(
            network, batch, layer=None, units=None, start={"kind": "mean"}, pictures=only, seed=seed, **how
        )
        made.append(drawn.values)
    return torch.stack(made, dim=1).unflatten(1, starts.shape[1:3])


def _codes(network: Network, images: Float[Tensor, "c f 2 3 h w"]) -> Float[Tensor, "c f 2 d"]:
    flat = images.flatten(0, 2)
    layer = before_scores(network, flat[:1])
    parts = (activations(network, part.to(network.device), [layer])[layer] for part in flat.split(_BATCH))
    return torch.cat([part.flatten(1).cpu() for part in parts]).unflatten(0, images.shape[:3])


def _apart(codes: Float[Tensor, "f 2 d"]) -> tuple[float, float, float]:
    # Mean distance between the two images of a facet, and between those of two facets, and how much larger that is.
    within = (codes[:, 0] - codes[:, 1]).norm(dim=-1).mean()
    pairs = [torch.cdist(codes[i], codes[j]).mean() for i, j in combinations(range(len(codes)), 2)]
    between = torch.stack(pairs).mean()
    return float(within), float(between), float(between / within - 1)


def _bytes(images: Float[Tensor, "c f 3 h w"]) -> UInt8[ndarray, "c f h w 3"]:
    return to_bytes(images.flatten(0, 1)).reshape(*images.shape[:2], *images.shape[3:], 3)
