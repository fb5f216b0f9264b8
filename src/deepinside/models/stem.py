"""A convolutional stem, which makes a grid of features out of pixels for layers that are no convolutions."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def stem_layers(widths: Sequence[int]) -> OrderedDict[str, nn.Module]:
    """Convolutions of 3x3 at a stride of 2, each with batch normalisation and a ReLU.

    Args:
        widths: channels of conv1, conv2, ...

    Returns:
        `conv1 norm1 relu1 conv2 ...`; the grid has 1 / 2^len(widths) of the sides of the input.

    Raises:
        ValueError: if there is no convolution, or one without channels.

    Source: Xiao et al. 2021, sec. 4 (a stem of 3x3 convolutions in place of patches).
    """
    if not widths or min(widths) < 1:
        raise ValueError(f"expected stem to have one width or more, each above 0, got {list(widths)}")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (taken, given) in enumerate(zip((3, *widths), widths, strict=False), start=1):
        parts[f"conv{i}"] = nn.Conv2d(taken, given, 3, 2, 1, bias=False)
        parts[f"norm{i}"] = nn.BatchNorm2d(given)
        parts[f"relu{i}"] = nn.ReLU()
    return parts


def grid_side(input: int, widths: Sequence[int]) -> int:
    """The side of the stem's grid.

    Args:
        input: side of the square input, in pixels.
        widths: of the stem.

    Returns:
        Its positions down and across.

    Raises:
        ValueError: if the input does not divide into them, or leaves fewer than two.
    """
    step = 2 ** len(widths)
    if input % step or input < 2 * step:
        raise ValueError(
            f"expected an input of a multiple of {step} pixels, 2^{len(widths)} for {len(widths)} convolutions at a "
            f"stride of 2, and at least {2 * step}, got {input}: change model.input or model.stem"
        )
    return input // step
