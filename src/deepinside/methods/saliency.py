"""Saliency: effect of each pixel on a class score, or on any unit (Simonyan et al. 2013, sec. 3)."""

import logging
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from deepinside.methods.deconvnet import check_positions, check_units, strongest, unit_maps
from deepinside.network import Network
from deepinside.probe import check_ruled, relu_rule
from deepinside.probe.activations import reached
from deepinside.records import Batch, Maps

_LOG = logging.getLogger(__name__)


def targets(batch: Batch, classes: Int[Tensor, "n t"] | None) -> Int[Tensor, "n t"]:
    """The classes whose scores are differentiated.

    Args:
        batch: its labels are the classes unless `classes` is set.
        classes: (n, t), or None.

    Returns:
        Classes per image, (n, t).

    Raises:
        ValueError: if there are neither labels nor classes.
    """
    if classes is not None:
        return classes
    if batch.labels is None:
        raise ValueError("expected classes, or a batch with labels, got neither: name the class")
    return batch.labels[:, None]


def gradients(
    inputs: Float[Tensor, "n 3 h w"], scores: Float[Tensor, "n k"], classes: Int[Tensor, "n t"]
) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """dS_c/dI for one target per image at a time, from one forward pass.

    Args:
        inputs: leaf that requires grad, (n, 3, h, w).
        scores: computed from `inputs`, (n, k); their graph is freed with the last target.
        classes: targets per image, (n, t).

    Yields:
        t times (n, 3, h, w), signed.

    Raises:
        ValueError: if a class is outside the network's.
    """
    if ((classes < 0) | (classes >= scores.shape[1])).any():
        raise ValueError(f"expected classes in 0..{scores.shape[1] - 1}, got {classes.unique().tolist()}")
    columns = classes.to(scores.device).T
    for number, column in enumerate(columns, start=1):
        chosen = scores.gather(1, column[:, None]).sum()
        yield torch.autograd.grad(chosen, inputs, retain_graph=number < len(columns))[0]


def _magnitudes(
    images: Float[Tensor, "n 3 h w"], scores: Float[Tensor, "n k"], classes: Int[Tensor, "n t"]
) -> Float[Tensor, "n t h w"]:
    return torch.stack([gradient.abs().amax(dim=1) for gradient in gradients(images, scores, classes)], dim=1)


def _leaf(network: Network, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    return images.to(network.device).detach().clone().requires_grad_()


def forward(
    network: Network, images: Float[Tensor, "n 3 h w"], rule: str
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n k"]]:
    """A forward pass whose backward pass follows a rule.

    Args:
        network: to visualise.
        images: RGB, (n, 3, h, w), on any device; they may exceed [0, 1].
        rule: backward rule of the ReLUs (see `probe.relu_rule`).

    Returns:
        The images as a leaf that requires grad, and their scores, graph attached.
    """
    images = _leaf(network, images)
    with torch.enable_grad(), relu_rule(rule):
        return images, network(images)


def saliency(
    network: Network,
    batch: Batch,
    *,
    classes: Int[Tensor, "n t"] | None = None,
    rule: str = "gradient",
    layer: str | None = None,
    unit: int | None = None,
    position: Sequence[int] | None = None,
) -> Maps:
    """M_ij = max over channels of |dS_c/dI|, of the score before softmax, or of a unit's activation instead.

    For a unit the forward pass ends at its layer. A unit that is zero everywhere in an image has a map of zeros,
    whatever the rule. A map of zeros is logged as a warning; rules that rectify the signal may result in one.

    Args:
        network: to visualise.
        batch: (n, 3, h, w); its labels are the classes unless `classes` is set.
        classes: targets per image, (n, t); all t come from one forward pass.
        rule: backward rule of the ReLUs: `gradient`, `deconvnet` or `guided` (see `probe.relu_rule`).
        layer: dotted name, for a unit instead of a class; its activations are (n, u, y, x) or (n, u).
        unit: of that layer.
        position: y and x in the unit's map; None: of its maximum in each image.

    Returns:
        (n, t, h, w), t = 1 for a unit, in score or activation per unit of pixel intensity, non-negative.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if there is no class, or a class, unit or position is outside the network's.
        UndefinedRule: if a nonlinearity has no such rule.

    Source: Simonyan et al. 2013, sec. 3.1; with the other rules sec. 4 and Springenberg et al. 2015.
    """
    if layer is not None:
        network.layer(layer)
        if unit is None or classes is not None:
            raise ValueError(f"expected one unit of layer {layer!r}, got unit={unit}, classes={classes}: name the unit")
        return Maps(_of_unit(network, batch, layer, unit, position, rule))
    if unit is not None or position is not None:
        raise ValueError(f"expected the layer of unit={unit} at position={position}, got none: pass layer=NAME")
    wanted = targets(batch, classes)
    maps = _magnitudes(*forward(network, batch.images, rule), wanted)
    _warn(network, batch, _blank(maps).any(dim=1), f"the gradient at the pixels is zero by rule {rule!r}")
    return Maps(maps)


def _of_unit(
    network: Network, batch: Batch, layer: str, unit: int, position: Sequence[int] | None, rule: str
) -> Float[Tensor, "n 1 h w"]:
    images = _leaf(network, batch.images)
    with torch.enable_grad(), relu_rule(rule):
        activation = reached(network, images, (layer,))[layer]
        own = _own(activation, unit, layer)
    check_ruled(activation, rule)  # the forward pass did not come to its end, where it would have been checked
    places = strongest(own) if position is None else _everywhere(position, own, layer)
    values = own[torch.arange(len(own), device=own.device), places[:, 0], places[:, 1]]
    silent = _blank(own.detach())
    (gradient,) = torch.autograd.grad(values, images, (~silent).to(values.dtype))
    maps = gradient.abs().amax(dim=1, keepdim=True)
    _warn(network, batch, silent, f"unit {unit} of layer {layer!r} is zero everywhere")
    _warn(network, batch, _blank(maps)[:, 0] & ~silent, f"the gradient at the pixels is zero by rule {rule!r}")
    return maps


def _blank(maps: Float[Tensor, "*n h w"]) -> Bool[Tensor, "*n"]:
    return (maps == 0).all(dim=-1).all(dim=-1)


def _warn(network: Network, batch: Batch, which: Bool[Tensor, " n"], message: str) -> None:
    # A blank map is a valid result, but a suspicious one.
    named = [name for name, chosen in zip(batch.names, which.tolist(), strict=True) if chosen]
    if named:
        _LOG.warning("%s: %s in %s: a map of zeros", network.name, message, ", ".join(named))


def _own(activation: Tensor, unit: int, layer: str) -> Float[Tensor, "n y x"]:
    maps = unit_maps(activation)
    check_units([unit], maps.shape[1], layer)
    return maps[:, unit]


def _everywhere(position: Sequence[int], own: Float[Tensor, "n y x"], layer: str) -> Int[Tensor, "n 2"]:
    if len(position) != 2:
        raise ValueError(f"expected a position (y, x) in the maps of layer {layer!r}, got {list(position)}")
    return check_positions(own, torch.tensor([list(position)] * len(own)), layer)
