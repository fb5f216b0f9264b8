"""Projection of the strongest unit of a layer in each image."""

import torch
from torch import Tensor

from deepinside.methods.deconvnet import project
from deepinside.network import Network
from deepinside.probe import activations
from deepinside.records import Batch, Maps


def strongest_unit(
    network: Network, batch: Batch, *, layer: str, rule: str = "deconvnet", contrast: str = "identity"
) -> Maps:
    """The strongest activation of a layer in each image, projected back to its pixels.

    Each pixel has the colour channel of largest magnitude, with its sign: M_ij = R_ij,c* with c* = argmax_c |R_ij,c|.

    Args:
        network: to visualise.
        batch: (n, 3, h, w).
        layer: dotted name; its activations are (n, u, y, x) or (n, u).
        rule: of the ReLUs in the backward pass: `deconvnet`, `guided` or `gradient`.
        contrast: of local response normalisation: `identity` or `gradient`.

    Returns:
        (n, 1, h, w), signed, zero outside the unit's receptive field.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if its activations have other axes.

    Source: Zeiler & Fergus 2014, sec. 2.1.
    Deviation: one map instead of three colours, as for saliency; the unit may differ between images.
    """
    activation = activations(network, batch.images.to(network.device), (layer,))[layer]
    if activation.ndim not in {2, 4}:
        raise ValueError(
            f"layer {layer!r} has activations of shape {tuple(activation.shape)}; expected (n, u) or (n, u, h, w)"
        )
    units = activation.reshape(len(batch), activation.shape[1], -1).amax(dim=2).argmax(dim=1)
    back = project(network, batch.images, layer=layer, units=units, rule=rule, contrast=contrast).pixels
    return Maps(_dominant(back), signed=True)


def _dominant(pixels: Tensor) -> Tensor:
    return torch.gather(pixels, 1, pixels.abs().argmax(dim=1, keepdim=True))
