"""Numbers of the layers of a network: dead units, redundancy, aliasing, use of filters, effective receptive fields."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepinside.methods.first_layer import First, first_convolution, folded_share, frequencies, spectrum
from deepinside.network import Network
from deepinside.probe import activations, before_scores, convolutional, receptive_fields
from deepinside.probe.activations import entering, reached
from deepinside.study import Pictures

_REDUNDANT = 0.9  # correlation with another unit of the layer from which a unit is called redundant


def operations(network: Network) -> dict[str, int]:
    """Multiply-adds of each layer with weights for one image of the network's input size.

    Args:
        network: is run once on a blank image.

    Returns:
        Layer name -> its number, of convolutions, linear and recurrent layers. The products of attention, and what has
        no weights, do not count.
    """
    counted: dict[str, int] = {}

    def hook(name: str) -> Any:
        def count(part: nn.Module, args: tuple, output: Any) -> None:
            counted[name] = counted.get(name, 0) + _operations(part, args[0], output)

        return count

    parts = [(n, p) for n, p in network.module.named_modules() if isinstance(p, nn.Conv2d | nn.Linear | nn.RNNBase)]
    handles = [part.register_forward_hook(hook(name)) for name, part in parts]
    side = network.preprocessing.input
    try:
        network.scores(torch.zeros(1, 3, side, side))
    finally:
        for handle in handles:
            handle.remove()
    return counted


def _operations(part: nn.Module, taken: Tensor, given: Any) -> int:
    if isinstance(part, nn.Conv2d):
        return given.numel() * part.weight[0].numel()
    if isinstance(part, nn.Linear):
        return given.numel() * part.in_features
    matrices = sum(weights.numel() for weights in part.parameters() if weights.ndim == 2)
    return matrices * taken.shape[1] * taken.shape[0]


def layers(network: Network, pictures: Pictures, *, images: int, dense_images: int, batch_size: int) -> pd.DataFrame:
    """The numbers of every convolution.

    Args:
        network: to diagnose.
        pictures: of a data set.
        images: number of images, the first ones.
        dense_images: those of them on which aliasing and effective receptive fields are measured.
        batch_size: images per pass.

    Returns:
        A row per convolution, in the order of the network: `layer`; `activation`, the layer after its rectifier;
        `units`, `kernel`, `stride`, `groups`, `parameters`, `operations`;
        `dead`: share of units with a constant activation;
        `redundant`: share of the others whose correlation with another unit is 0.9 or more in magnitude;
        `rank`: u^2 / sum of squared correlations, over the number of units: 1 for uncorrelated ones, 1 / u for equal
        ones;
        `folded`: of a stride above 1, the share of the power of its dense responses that the stride aliases;
        `filter_side`: side of a square of uniform weights whose squares spread as those of the filters do, over the
        kernel;
        `field`: side of the receptive field, `effective_field`: that of a square as wide as the gradient of the units
        in the middle, both in pixels.

    Raises:
        ValueError: if there is no convolution.

    Source: Zeiler & Fergus 2014, sec. 4.1 (dead filters, aliasing); Luo et al. 2016 (effective receptive fields).
    Deviation: a square with the gradient's second moment, in place of the pixels above a share of its maximum.
    """
    convolutions = [(name, part) for name, part in network.module.named_modules() if isinstance(part, nn.Conv2d)]
    after = dict(zip((name for name, _ in convolutions), convolutional(network), strict=True))
    positions, probe = pictures.first(images)
    seen = units(network, pictures, tuple(after.values()), positions, batch_size)
    _, dense = pictures.batch(positions[:dense_images])
    size = (probe.images.shape[2], probe.images.shape[3])
    fields = receptive_fields(network, tuple(after.values()), size)
    cost = operations(network)
    rows = []
    for name, part in convolutions:
        shown = dense.images.to(network.device)  # type: ignore[union-attr]  # the first of those that could be read
        rows.append(
            {
                "layer": name,
                "activation": after[name],
                "units": part.out_channels,
                "kernel": part.kernel_size[0],
                "stride": part.stride[0],
                "groups": part.groups,
                "parameters": part.weight.numel(),
                "operations": cost.get(name, 0),
                **seen[after[name]],
                "folded": folded(network, name, part, shown) if max(part.stride) > 1 else math.nan,
                "filter_side": filter_side(part.weight),
                "field": min(fields[after[name]].size[0], size[0]),
                "effective_field": effective_field(network, after[name], shown),
            }
        )
    return pd.DataFrame(rows)


def units(
    network: Network, pictures: Pictures, names: Sequence[str], positions: Sequence[int], batch_size: int
) -> dict[str, dict[str, float]]:
    """Dead, redundant and effectively different units of layers (see `layers`).

    Args:
        network: to diagnose.
        pictures: of a data set.
        names: dotted names of layers with activations (n, u, ...).
        positions: of the images.
        batch_size: images per pass.

    Returns:
        Layer name -> `dead`, `redundant`, `rank`, each a share of the units.
    """
    sums: dict[str, list[Tensor]] = {}
    for _, part in pictures.batches(batch_size, positions):
        for name, found in activations(network, part.images.to(network.device), tuple(dict.fromkeys(names))).items():
            flat = found.reshape(*found.shape[:2], -1).transpose(0, 1).flatten(1).double().cpu()
            own = [
                torch.tensor(float(flat.shape[1])),
                flat.sum(dim=1),
                flat @ flat.T,
                flat.amax(dim=1),
                flat.amin(dim=1),
            ]
            if name not in sums:
                sums[name] = own
            else:
                known = sums[name]
                both = [a + b for a, b in zip(known[:3], own[:3], strict=True)]
                sums[name] = [*both, torch.maximum(known[3], own[3]), torch.minimum(known[4], own[4])]
    return {name: _shares(*found) for name, found in sums.items()}


def _shares(count: Tensor, total: Tensor, products: Tensor, high: Tensor, low: Tensor) -> dict[str, float]:
    alive = high > low
    number = int(alive.sum())
    found = {"dead": 1 - number / len(alive), "redundant": math.nan, "rank": math.nan}
    if number < 2:
        return found
    mean = total[alive] / count
    covariance = products[alive][:, alive] / count - mean[:, None] * mean
    deviation = covariance.diagonal().clamp(min=1e-300).sqrt()
    correlation = (covariance / (deviation[:, None] * deviation)).clamp(-1, 1)
    others = correlation.abs().fill_diagonal_(0).amax(dim=1)
    correlation.fill_diagonal_(1)
    rank = number**2 / float(correlation.square().sum()) / number
    return found | {"redundant": float((others >= _REDUNDANT).double().mean()), "rank": rank}


def folded(network: Network, name: str, part: nn.Conv2d, images: Float[Tensor, "n 3 h w"]) -> float:
    """Share of the power of a convolution's dense responses that its stride aliases, mean over images and units.

    Args:
        network: with the layer.
        name: of the convolution.
        part: the convolution.
        images: RGB in [0, 1].

    Returns:
        0..1; NaN if all responses are constant.
    """
    with torch.no_grad():
        taken = entering(network, images, name)
        dense = nn.functional.conv2d(taken, part.weight, None, 1, part.padding, part.dilation, part.groups)
        shares = folded_share(dense, (int(part.stride[0]), int(part.stride[1])))
    return float(shares.nanmean())


def filter_side(weights: Float[Tensor, "u c y x"]) -> float:
    """How much of their kernel filters use: the side of a uniform square with the same spread, over the kernel's side.

    Args:
        weights: of a convolution.

    Returns:
        1 for filters whose power is uniform, less if it is concentrated, wherever that is; above 1 at two edges. Mean
        over the filters, each of which has power 1.
    """
    power = weights.detach().double().square().sum(dim=1)
    power = power / power.sum(dim=(1, 2), keepdim=True).clamp(min=1e-300)
    sides = [_side(one) / weights.shape[-1] for one in power.cpu() if float(one.sum()) > 0]
    return float(np.mean(sides)) if sides else math.nan


def _side(weights: Float[Tensor, "h w"]) -> float:
    # A uniform square of side s has the variance (s^2 - 1) / 12 on each axis, in whole pixels.
    total, variances = float(weights.sum()), []
    for axis in (0, 1):
        profile = weights.sum(dim=1 - axis) / total
        place = torch.arange(len(profile)).to(profile)
        middle = (profile * place).sum()
        variances.append(float((profile * (place - middle).square()).sum()))
    return math.sqrt(12 * float(np.mean(variances)) + 1)


def effective_field(network: Network, layer: str, images: Float[Tensor, "n 3 h w"]) -> float:
    """The side of the square that the units in the middle of a layer effectively see (see `layers`).

    Args:
        network: with the layer.
        layer: dotted name, with maps.
        images: RGB in [0, 1].

    Returns:
        Pixels; NaN if no unit depends on the images there.
    """
    pixels = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        maps = reached(network, pixels, (layer,))[layer]
        middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
        (gradient,) = torch.autograd.grad(middle.sum(), pixels)
    spread = gradient.double().square().sum(dim=(0, 1)).cpu()
    return _side(spread) if float(spread.sum()) > 0 else math.nan


def bands(network: Network, edges: Sequence[float]) -> Mapping[str, float]:
    """Shares of the power of the first layer's filters at low, middle and high frequencies, and those of white noise.

    Args:
        network: whose first convolution reads the image.
        edges: two frequencies, in cycles per pixel.

    Returns:
        `low`, `mid`, `high`, and each with `.of_random_weights`.
    """
    first: First = first_convolution(network)
    found = spectrum(first.filters, first.stride)
    side = found.radius.shape[0]
    radius, _ = frequencies(side, side, first.stride)
    where = {"low": radius < edges[0], "high": radius >= edges[1]}
    where["mid"] = ~where["low"] & ~where["high"]
    shares = {word: float((found.power.cpu() * mask).sum(dim=(1, 2)).nanmean()) for word, mask in where.items()}
    return shares | {f"{word}.of_random_weights": float(mask.double().mean()) for word, mask in where.items()}


def object_side(pictures: Pictures, images: int) -> float:
    """The side of a square as large as the objects' boxes, the median over the boxes.

    Args:
        pictures: with boxes.
        images: number of images, the first ones.

    Returns:
        Pixels of the network's input; NaN without boxes.
    """
    corners = [boxes.xyxy for boxes in pictures.boxes[:images] if len(boxes)]
    if not corners:
        return math.nan
    xyxy = np.concatenate(corners)
    return float(np.median(np.sqrt((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))))


def last_hidden(network: Network, pictures: Pictures, *, images: int, batch_size: int) -> tuple[str, float]:
    """The layer before the class scores, and the rank of its units (see `layers`).

    Args:
        network: to diagnose.
        pictures: of a data set.
        images: number of images, the first ones.
        batch_size: images per pass.

    Returns:
        Its name and rank.
    """
    positions, probe = pictures.first(images)
    name = before_scores(network, probe.images[:1])
    return name, units(network, pictures, (name,), positions, batch_size)[name]["rank"]
