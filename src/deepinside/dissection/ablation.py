"""What a network's scores lose without the units of a concept."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.network import Network

_Z = 1.959964  # 97.5 % of a standard normal
COLUMNS = (
    "layer",
    "category",
    "label",
    "units",
    "class",
    "change",
    "change_low",
    "change_high",
    "named",
    "named_without",
)
Concept = tuple[str, str, str]  # layer, category, label


@contextmanager
def without(network: Network, layer: str, units: Sequence[int]) -> Generator[None]:
    """Sets the activations of some units of a layer to zero in the block.

    Args:
        network: with the layer.
        layer: dotted name.
        units: their numbers.

    Yields:
        Nothing.
    """

    def silence(_part: Any, _args: Any, activation: Tensor) -> Tensor:
        silent = activation.clone()
        silent[:, list(units)] = 0
        return silent

    handle = network.layer(layer).register_forward_hook(silence)
    try:
        yield
    finally:
        handle.remove()


def concepts(units: pd.DataFrame, threshold: float, most: int) -> dict[Concept, list[int]]:
    """The concepts that most units of a layer detect as their best.

    Args:
        units: as `score.units_frame` returns them, one layer or several.
        threshold: of IoU, passed only by more.
        most: concepts per layer.

    Returns:
        Concept -> its units; of as many units the concept of the better unit first.
    """
    chosen: dict[Concept, list[int]] = {}
    passed = units[units["score"] > threshold].sort_values("score", ascending=False, kind="stable")
    for layer, members in passed.groupby("layer", sort=False):
        found = [
            (str(name), str(label), rows) for (name, label), rows in members.groupby(["category", "label"], sort=False)
        ]
        for category, label, rows in sorted(found, key=lambda one: -len(one[2]))[:most]:
            chosen[str(layer), category, label] = sorted(rows["unit"].tolist())
    return chosen


def ablation(
    network: Network, batches: Iterable[Float[Tensor, "n 3 h w"]], chosen: Mapping[Concept, Sequence[int]]
) -> pd.DataFrame:
    """The change of every class score when the units of a concept are silenced, over images.

    Args:
        network: that classifies.
        batches: RGB in [0, 1].
        chosen: concept -> units to silence together.

    Returns:
        A row per concept and class: layer, category, label, units (their number), class, change (mean of the score
        before softmax with the units silenced minus without), change_low, change_high (normal 95 % interval of the
        mean), named, named_without (images for which the class is predicted).

    Source: Zhou et al. 2018 (Revisiting the importance of individual units in CNNs), sec. 3; here by concept.
    """
    count = 0
    shape = (len(chosen), len(network.classes))
    total, square = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    before, after = torch.zeros(shape[1], dtype=torch.int64), torch.zeros(shape, dtype=torch.int64)
    for images in batches:
        whole = network.scores(images).double().cpu()
        count += len(whole)
        before += torch.bincount(whole.argmax(dim=1), minlength=shape[1])
        for row, ((layer, _, _), units) in enumerate(chosen.items()):
            with without(network, layer, units):
                scores = network.scores(images).double().cpu()
            total[row] += (scores - whole).sum(dim=0)
            square[row] += (scores - whole).square().sum(dim=0)
            after[row] += torch.bincount(scores.argmax(dim=1), minlength=shape[1])
    mean = total / count
    spread = ((square - count * mean.square()).clamp(min=0) / max(count - 1, 1) / count).sqrt() * _Z
    rows = [
        (*concept, len(units), name, *(float(x[row, k]) for x in (mean, mean - spread, mean + spread)),
         int(before[k]), int(after[row, k]))
        for row, (concept, units) in enumerate(chosen.items())
        for k, name in enumerate(network.classes)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))
