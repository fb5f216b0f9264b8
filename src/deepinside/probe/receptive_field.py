"""Receptive fields."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepinside.network import Network
from deepinside.probe.activations import reached


class ReceptiveField(NamedTuple):
    """Of a layer's units, in input pixels, (y, x): unit i covers offset + i*stride and size - 1 pixels more."""

    size: tuple[int, int]
    stride: tuple[int, int]
    offset: tuple[int, int]

    def after(self, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> "ReceptiveField":
        """The field of the layer that follows, with this window.

        Args:
            kernel: (y, x), dilation included.
            stride: (y, x).
            padding: (y, x), before the first row and column.

        Returns:
            Its field.

        Source: NetDissect, compose_fieldmap.
        """
        axes = [
            (
                (kernel[i] - 1) * self.stride[i] + self.size[i],
                stride[i] * self.stride[i],
                self.offset[i] - padding[i] * self.stride[i],
            )
            for i in (0, 1)
        ]
        return ReceptiveField(*zip(*axes, strict=True))

    def around(self, image: tuple[int, int]) -> "ReceptiveField":
        """The field enlarged so that it covers the image at every position.

        Args:
            image: (h, w).

        Returns:
            The field, with the same centre.
        """
        size = (self.size[0] + 2 * image[0], self.size[1] + 2 * image[1])
        return ReceptiveField(size, self.stride, (self.offset[0] - image[0], self.offset[1] - image[1]))


# Backward nodes whose output depends on all positions: products of attention, recurrent layers, a stack of their steps.
_MIXING = ("Bmm", "ScaledDotProduct", "MkldnnRnn", "CudnnRnn", "Stack")


def _pair(saved: Sequence[int]) -> tuple[int, int]:
    return (saved[0], saved[-1])


def _window(node: Any) -> tuple[Sequence[int], Sequence[int], Sequence[int]] | None:
    # Kernel, stride and padding of a backward node, read off what autograd saved; None for pointwise nodes.
    name = node.name()
    if name.startswith("ConvolutionBackward"):
        sides = zip(node._saved_weight.shape[-2:], _pair(node._saved_dilation), strict=True)
        return [(k - 1) * d + 1 for k, d in sides], _pair(node._saved_stride), _pair(node._saved_padding)
    if name == "_ConvolutionBackward":  # of runtime.pixel_gradient
        return node.saved_tensors[0].shape[-2:], node.stride, node.padding
    if name.startswith(("MaxPool2D", "AvgPool2D")):
        kernel = _pair(node._saved_kernel_size)
        return kernel, _pair(node._saved_stride) if node._saved_stride else kernel, _pair(node._saved_padding)
    if name.startswith("ConstantPadNd"):
        left, _, top, _ = (*node._saved_pad, 0, 0)[:4]
        return (1, 1), (1, 1), (top, left)
    return None


def receptive_fields(network: Network, layers: Sequence[str], size: tuple[int, int]) -> dict[str, ReceptiveField]:
    """Receptive fields of layers, composed along the graph of one forward pass.

    Where paths join (residual, inception) the larger field is used, as in NetDissect. Attention and recurrent layers
    mix positions: from there on a field covers the whole image, wherever the unit is, around the same centre.

    Args:
        network: with the layers.
        layers: dotted names of layers with spatial activations.
        size: (h, w) of the input in pixels; does not change the fields of convolutional layers.

    Returns:
        Layer name -> field.

    Raises:
        ValueError: for a layer without spatial extent.

    Source: Bau et al. 2017, code (upsample.py).
    """
    images = torch.full((1, 3, *size), 0.5, device=network.device, requires_grad=True)
    with torch.enable_grad():
        outputs = reached(network, images, layers)
    for name, activation in outputs.items():
        if activation.ndim != 4:
            shape = tuple(activation.shape)
            raise ValueError(f"layer {name!r} has activations of shape {shape}; a receptive field needs (n, u, h, w)")
    return {name: _field(outputs[name], size) for name in layers}


def _field(activation: Tensor, image: tuple[int, int]) -> ReceptiveField:
    fields: dict[Any, ReceptiveField] = {}
    pending = [activation.grad_fn]
    while pending:  # depth first, without recursion: networks are deeper than Python's stack
        node: Any = pending[-1]
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        if node.name().startswith("ConvolutionBackward"):
            parents = parents[:1]  # the image, not the weights
        waiting = [parent for parent in parents if parent not in fields]
        if waiting:
            pending += waiting
            continue
        pending.pop()
        below = max((fields[p] for p in parents), key=lambda f: f.size, default=ReceptiveField((1, 1), (1, 1), (0, 0)))
        window = _window(node)
        fields[node] = below.after(*window) if window else below
        if node.name().startswith(_MIXING) and min(below.size[i] - 2 * image[i] for i in (0, 1)) < 0:
            fields[node] = below.around(image)
    return fields[activation.grad_fn]
