"""Grad-CAM: the positions of a convolutional layer that speak for a class."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from deepinside.methods.saliency import forward, targets
from deepinside.network import Network
from deepinside.probe.activations import capture
from deepinside.probe.layers import before_scores, convolutional
from deepinside.records import Batch, Maps


def spatial_layer(network: Network, images: Float[Tensor, "n 3 h w"]) -> str:
    """The last layer with positions: the input of the scores' layer, or the last convolution.

    Args:
        network: with a convolution.
        images: one image is enough.

    Returns:
        Dotted name.

    Raises:
        ValueError: if the network has no convolution.
    """
    layer = before_scores(network, images)
    with torch.no_grad(), capture(network, [layer]) as captured:
        network(images[:1].to(network.device))
    activation = captured[layer]
    return layer if activation.ndim == 4 and activation[0, 0].numel() > 1 else convolutional(network)[-1]


def evidence(
    activation: Float[Tensor, "n u y x"], gradient: Float[Tensor, "n u y x"], side: Sequence[int]
) -> Float[Tensor, "n h w"]:
    """L = relu(sum_u mean_yx(dS/dA_u) A_u), bilinear at the size of the input.

    Args:
        activation: A, activations of the layer.
        gradient: of a score with respect to it.
        side: (h, w) of the input, in pixels.

    Returns:
        (n, h, w), non-negative; the part of the score that a position explains, where a mean over positions follows.

    Source: Selvaraju et al. 2017 (Grad-CAM), eq. 1-2; Zhou et al. 2016 (CAM), eq. 2, for such networks.
    """
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    small = (weights * activation).sum(dim=1, keepdim=True).relu()
    return functional.interpolate(small, size=(side[0], side[1]), mode="bilinear", align_corners=False)[:, 0]


def grad_cam(
    network: Network, batch: Batch, *, classes: Int[Tensor, "n t"] | None = None, layer: str | None = None
) -> Maps:
    """Grad-CAM at the last layer with positions; in a network that ends with a mean over them this is CAM.

    Args:
        network: with a convolution.
        batch: (n, 3, h, w); its labels are the classes unless `classes` is set.
        classes: targets per image, (n, t); all t come from one forward pass.
        layer: dotted name of another layer with positions.

    Returns:
        (n, t, h, w), non-negative; zero where there is no evidence for the class.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a class is outside the network's, or the layer has no positions.

    Source: Selvaraju et al. 2017, sec. 3; Zhou et al. 2016, sec. 2.
    """
    layer = layer or spatial_layer(network, batch.images)
    wanted = targets(batch, classes)
    with capture(network, [layer]) as captured:
        _, scores = forward(network, batch.images, "gradient")
    return Maps(torch.stack(list(_each(captured[layer], scores, wanted, layer, batch.images.shape[-2:])), dim=1))


def _each(
    activation: Tensor, scores: Float[Tensor, "n k"], classes: Int[Tensor, "n t"], layer: str, side: Sequence[int]
) -> Iterator[Float[Tensor, "n h w"]]:
    if activation.ndim != 4:
        raise ValueError(f"expected maps (n, u, y, x) of layer {layer!r}, got {tuple(activation.shape)}: name another")
    if ((classes < 0) | (classes >= scores.shape[1])).any():
        raise ValueError(f"expected classes in 0..{scores.shape[1] - 1}, got {classes.unique().tolist()}")
    for column in classes.to(scores.device).T:
        chosen = scores.gather(1, column[:, None]).sum()
        yield evidence(activation.detach(), torch.autograd.grad(chosen, activation, retain_graph=True)[0], side)
