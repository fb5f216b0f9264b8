"""The gradient of a strided convolution at its input, on a CPU, as one convolution without stride.

PyTorch's own kernel wastes most of its time where a convolution reads the few channels of an image: for the first layer
of AlexNet it takes three times as long as the convolution that is computed here (benchmarks/saliency.py). What
differs is the order of summation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad, pixel_shuffle
from torch.overrides import TorchFunctionMode

_CHANNELS = 4  # of the input, at most: PyTorch's own kernel is as fast where there are many
_KERNEL = 4  # pixels along a side, at least: a kernel of 3 gains nothing


def input_gradient(
    gradient: Float[Tensor, "n o q r"],
    weight: Float[Tensor, "o c k l"],
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> Float[Tensor, "n c h w"]:
    """The gradient at the input of `conv2d(input, weight, stride=stride, padding=padding)`.

    The input's pixels of equal remainder by the stride are the output channels of one convolution without stride, whose
    kernel is the weight, taken apart in the same way and mirrored; a pixel shuffle puts them side by side again.

    Args:
        gradient: at the output, (n, o, q, r).
        weight: of the convolution, (o, c, k, l).
        size: (h, w) of the input.
        stride: along y and x.
        padding: likewise, of zeros.

    Returns:
        (n, c, h, w), that of PyTorch up to the order of summation.

    Source: Shi et al. 2016 (arXiv 1609.07009), a transposed convolution as a convolution and a pixel shuffle.
    """
    (down, across), (outputs, inputs) = stride, weight.shape[:2]
    if down != across:
        raise ValueError(f"expected the same stride along both sides, got {tuple(stride)}: use PyTorch's own gradient")
    tall, wide = (-(-side // down) for side in weight.shape[2:])  # a kernel in strides
    whole = pad(weight, (0, wide * down - weight.shape[3], 0, tall * down - weight.shape[2]))
    parts = whole.view(outputs, inputs, tall, down, wide, down).permute(1, 3, 5, 0, 2, 4)
    kernel = parts.reshape(inputs * down * down, outputs, tall, wide).flip(2, 3)
    found = pixel_shuffle(conv2d(gradient, kernel, padding=(tall - 1, wide - 1)), down)
    short = [max(0, side + 2 * more - have) for side, more, have in zip(size, padding, found.shape[2:], strict=True)]
    found = pad(found, (0, short[1], 0, short[0]))  # pixels after the last one that a kernel reached
    return found[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.stride, ctx.padding = images.shape[2:], stride, padding
        return conv2d(images, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found = input_gradient(gradient, ctx.saved_tensors[0], ctx.size, ctx.stride, ctx.padding)
        return found, None, None, None, None


class FastPixelGradient(TorchFunctionMode):
    """Within it, convolutions of images by frozen weights have the gradient of `input_gradient` where that is faster.

    These are convolutions with a stride, of at most 4 channels, with kernels of at least 4 pixels, on a CPU; all others
    are PyTorch's own.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function, or `_Convolution` instead."""
        if func is torch.conv2d and not kwargs and (settled := _settled(*args)):
            return _Convolution.apply(*args[:3], *settled)
        return func(*args, **(kwargs or {}))


def _settled(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    # stride and padding along both sides, where the gradient is to be ours
    if isinstance(padding, str) or groups != 1 or _both(dilation) != (1, 1) or images.ndim != 4:
        return None
    steps, frozen = _both(stride), not (weight.requires_grad or (bias is not None and bias.requires_grad))
    asked = images.requires_grad and torch.is_grad_enabled() and frozen and images.device.type == "cpu"
    worth = 1 < steps[0] == steps[1] and weight.shape[1] <= _CHANNELS and min(weight.shape[2:]) >= _KERNEL
    return (steps, _both(padding)) if asked and worth else None


def _both(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
