"""How DeconvNet relates to the gradient, layer by layer (Simonyan et al. 2013, sec. 4)."""

from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.deconvnet import strongest
from deepinside.network import Network
from deepinside.probe import RULES, back_project, contrast_rule, relu_rule
from deepinside.probe.activations import reached
from deepinside.probe.layers import spread
from deepinside.records import Batch, Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study


def relation(
    network: Network, pictures: Pictures, *, layers: Sequence[str] | int = 8, images: int = 8, batch_size: int = 8
) -> Study:
    """Compares two back-projections of each layer's strongest activation: autograd, and an explicit DeconvNet.

    With equal ReLU rules they should agree to float precision, whatever the rule: convolution and pooling are the same
    in both. Then one rule at a time is changed, and the distance from the gradient is its effect: the ReLU rule,
    unpooling that overwrites instead of adding up, and the identity through contrast normalisation.

    Args:
        network: with nonlinearities that have a DeconvNet rule.
        pictures: of a data set.
        layers: dotted names, or their number, spread evenly over the convolutions, each after its ReLU where one
            follows.
        images: number of images to average over.
        batch_size: images per pass.

    Returns:
        `table`: layer, compared (`equal: <rule>` or `changed: <what>`), image, relative distance |a - b| / |b| and
        cosine; of `changed`, b is the gradient. NaN where the projection is zero.

    Raises:
        KeyError: if there is no such layer.
        UndefinedRule: if a nonlinearity has no DeconvNet rule.

    Source: Simonyan et al. 2013, sec. 4; Zeiler & Fergus 2014, sec. 2.1.
    """
    chosen = spread(network, layers) if isinstance(layers, int) else tuple(layers)
    positions, _ = pictures.first(images)
    rows = [
        row
        for layer in chosen
        for _, part in pictures.batches(batch_size, positions)
        for row in _compared(network, part, layer)
    ]
    table = pd.DataFrame(rows, columns=["layer", "compared", "picture", "relative_distance", "cosine"])
    return Study(table, (Row("images", len(positions), "images"), *_numbers(table, chosen)))


def _compared(network: Network, part: Batch, layer: str) -> list[tuple]:
    images = part.images.to(network.device).detach().clone().requires_grad_()
    seed = _seed(network, images, layer)
    automatic = {rule: _automatic(network, images, layer, seed, rule) for rule in RULES}
    written = {rule: _written(network, images, layer, seed, rule) for rule in RULES}
    pairs = {f"equal: {rule}": (written[rule], automatic[rule]) for rule in RULES}
    gradient = automatic["gradient"]
    pairs |= {f"changed: ReLU {rule}": (automatic[rule], gradient) for rule in RULES if rule != "gradient"}
    overwritten = _written(network, images, layer, seed, "gradient", unpool="overwrite")
    pairs["changed: unpooling overwrites"] = (overwritten, gradient)
    passed = _automatic(network, images, layer, seed, "gradient", contrast="identity")
    if not torch.equal(passed, gradient):
        pairs["changed: contrast identity"] = (passed, gradient)
    return [
        (layer, compared, name, distance, cosine)
        for compared, (one, other) in pairs.items()
        for name, distance, cosine in zip(part.names, _distance(one, other), _cosine(one, other), strict=True)
    ]


def _seed(network: Network, images: Tensor, layer: str) -> Tensor:
    # The strongest activation of the layer in each image, alone.
    with torch.no_grad():
        activation = reached(network, images, (layer,))[layer]
    flat = activation.flatten(1)
    best = strongest(flat[:, None])[:, 1]
    seed = torch.zeros_like(flat)
    rows = torch.arange(len(flat), device=flat.device)
    seed[rows, best] = flat[rows, best]
    return seed.view_as(activation)


def _automatic(
    network: Network, images: Tensor, layer: str, seed: Tensor, rule: str, contrast: str = "gradient"
) -> Float[Tensor, "n 3 h w"]:
    with torch.enable_grad(), relu_rule(rule), contrast_rule(contrast):
        activation = reached(network, images, (layer,))[layer]
        return torch.autograd.grad(activation, images, seed)[0]


def _written(
    network: Network, images: Tensor, layer: str, seed: Tensor, rule: str, unpool: str = "accumulate"
) -> Float[Tensor, "n 3 h w"]:
    with torch.enable_grad():
        activation = reached(network, images, (layer,))[layer]
    with torch.no_grad():
        return back_project(activation, seed, images, rule=rule, unpool=unpool)


def _distance(one: Tensor, other: Tensor) -> list[float]:
    return ((one - other).flatten(1).norm(dim=1) / other.flatten(1).norm(dim=1)).tolist()


def _cosine(one: Tensor, other: Tensor) -> list[float]:
    return torch.cosine_similarity(one.flatten(1).double(), other.flatten(1).double(), dim=1, eps=1e-300).tolist()


def _numbers(table: pd.DataFrame, layers: Sequence[str]) -> list[Row]:
    # Of equal rules the worst of all layers counts; of changed ones each layer's mean.
    rows = []
    for compared, part in table.groupby("compared", sort=False):
        kind, _, what = str(compared).partition(": ")
        word = what.replace(" ", "_")
        known = part.dropna()
        if kind == "equal" and len(known):
            largest = float(known["relative_distance"].max())
            rows.append(Row(f"equal.{word}.largest_relative_distance", largest, "", len(known)))
        for layer in layers if kind == "changed" else ():
            values = known[known["layer"] == layer]["relative_distance"].to_numpy()
            if len(values):
                rows.append(mean_row(f"{layer}.{word}.relative_distance", values))
    return rows
