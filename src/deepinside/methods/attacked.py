"""What a network makes of a picture and of the same picture changed a little."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor

from deepinside.methods.saliency import saliency
from deepinside.network import Network
from deepinside.probe import capture
from deepinside.records import Batch


class Look(NamedTuple):
    """Pictures, and what the network makes of them.

    Attributes:
        names: one per picture.
        images: RGB in [0, 1], (n, 3, h, w).
        chances: softmax, (n, k).
        features: layer -> answers, (n, f).
        maps: saliency of the class that is seen, (n, h, w).
    """

    names: tuple[str, ...]
    images: Float[Tensor, "n 3 h w"]
    chances: Float[Tensor, "n k"]
    features: dict[str, Float[Tensor, "n f"]]
    maps: Float[Tensor, "n h w"]

    @property
    def seen(self) -> Int[Tensor, " n"]:
        """The most probable class of each."""
        return self.chances.argmax(dim=1)

    def first(self, count: int) -> "Look":
        """The first of them.

        Args:
            count: how many.

        Returns:
            These alone.
        """
        features = {layer: values[:count] for layer, values in self.features.items()}
        return Look(self.names[:count], self.images[:count], self.chances[:count], features, self.maps[:count])


def look(network: Network, images: Float[Tensor, "n 3 h w"], names: tuple[str, ...], layers: Sequence[str]) -> Look:
    """Probabilities, features and saliency of pictures.

    Args:
        network: any.
        images: RGB in [0, 1], (n, 3, h, w).
        names: one per picture.
        layers: dotted names.

    Returns:
        What the network makes of them.

    Raises:
        KeyError: if there is no such layer, with the closest names.
    """
    images = images.to(network.device)
    with torch.no_grad(), capture(network, layers) as kept:
        chances = network(images).softmax(dim=1)
    features = {layer: kept[layer].flatten(1).double() for layer in layers}
    return Look(names, images, chances, features, _maps(network, images, names, chances.argmax(dim=1)))


def _maps(network: Network, images: Tensor, names: tuple[str, ...], classes: Tensor) -> Float[Tensor, "n h w"]:
    return saliency(network, Batch(images, names), classes=classes[:, None]).values[:, 0]


def compared(
    network: Network, clean: Look, now: Look, true: Sequence[int], goals: Sequence[int]
) -> list[dict[str, Any]]:
    """How pictures differ from what they were, and what that changed.

    Args:
        network: any.
        clean: before.
        now: the same pictures after.
        true: class of each, -1 where unknown.
        goals: class that each was to be seen as, -1 for any but the one first seen.

    Returns:
        Per picture: the columns that `adversarial` describes.
    """
    change = (now.images - clean.images).flatten(1).double()
    same = _maps(network, now.images, now.names, clean.seen)
    rows = []
    for i, name in enumerate(now.names):
        before, after, goal = int(clean.seen[i]), int(now.seen[i]), goals[i]
        counted = true[i] in {-1, before} and goal != before
        success = float(after == goal if goal >= 0 else after != before) if counted else math.nan
        rows.append({
            "picture": name, "true": true[i], "target": goal, "seen_before": before, "seen_after": after,
            "counted": counted, "success": success,
            "probability_before": float(clean.chances[i, before]), "probability_after": float(now.chances[i, before]),
            "probability_seen_after": float(now.chances[i, after]),
            "l2": float(change[i].norm()), "linf": float(change[i].abs().max()),
            **{f"distance.{layer}": _distance(now.features[layer][i], old[i]) for layer, old in clean.features.items()},
            "saliency_same": _rank_correlation(clean.maps[i], same[i]),
            "saliency_now": _rank_correlation(clean.maps[i], now.maps[i]),
        })  # fmt: skip
    return rows


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _rank_correlation(one: Tensor, other: Tensor) -> float:
    # A map of one value has no ranks to compare.
    if one.amin() == one.amax() or other.amin() == other.amax():
        return math.nan
    return float(spearmanr(one.flatten().cpu().numpy(), other.flatten().cpu().numpy()).statistic)
