"""Filters as the pixels see them, and which frequencies they let through."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from deepinside.network import Network

_FINE = 64  # samples of a spectrum per axis; filters are padded with zeros to this


class First(NamedTuple):
    """The first convolution of a network.

    Attributes:
        name: dotted.
        filters: weights in score per unit of pixel intensity, RGB, batch normalisation folded in, (u, 3, y, x).
        stride: pixels from one position to the next, down and across.
    """

    name: str
    filters: Float[Tensor, "u 3 y x"]
    stride: tuple[int, int]


def first_convolution(network: Network, layer: str | None = None) -> First:
    """The convolution that reads the picture.

    Args:
        network: any.
        layer: dotted name; None: the first one the network declares.

    Returns:
        Its filters in RGB and in units of pixels in [0, 1]: divided by the standard deviation of the network's
        normalisation, and multiplied by the scale of a batch normalisation that follows.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if the layer is no convolution of three channels.
    """
    names = [name for name, part in network.module.named_modules() if isinstance(part, nn.Conv2d)]
    name = layer if layer is not None else (names[0] if names else "")
    part = network.layer(name) if name else None
    if not isinstance(part, nn.Conv2d) or part.in_channels != 3 or part.groups != 1:
        raise ValueError(f"expected a convolution that reads RGB, got {name!r} of {network.name}: name another layer")
    weights = part.weight.detach().double() * network.preprocessing.scale / network.std.double()
    weights = weights.flip(1) if network.preprocessing.bgr else weights
    down, across = part.stride
    return First(name, weights * _folded(network, name).view(-1, 1, 1, 1).to(weights), (int(down), int(across)))


def _folded(network: Network, name: str) -> Tensor:
    # What batch normalisation multiplies the answers by, where one follows: small filters may be scaled up by it.
    parts = list(network.module.named_modules())
    place = [known for known, _ in parts].index(name)
    following = next((part for _, part in parts[place + 1 :] if not list(part.children()) and not _plain(part)), None)
    if not isinstance(following, nn.BatchNorm2d) or following.running_var is None:
        return torch.ones(1)
    gain = torch.ones_like(following.running_var) if following.weight is None else following.weight.detach()
    return gain / (following.running_var + following.eps).sqrt()


def _plain(part: nn.Module) -> bool:
    return isinstance(part, nn.Identity | nn.ZeroPad2d)  # such as the padding that a convolution holds


class Spectrum(NamedTuple):
    """Power of filters over frequency, summed over the channels.

    Attributes:
        power: (u, f, f), each filter's sum is one.
        radius: of each frequency, cycles per pixel, (f, f).
        beyond: frequencies that the stride folds back, (f, f).
    """

    power: Float[Tensor, "u f f"]
    radius: Float[Tensor, "f f"]
    beyond: Bool[Tensor, "f f"]


def spectrum(filters: Float[Tensor, "u c y x"], stride: tuple[int, int]) -> Spectrum:
    """|FFT|² of each filter, padded with zeros.

    Args:
        filters: (u, c, y, x).
        stride: down and across.

    Returns:
        Power, where it lies, and what lies beyond the Nyquist frequency of the stride, 1 / (2·stride).
    """
    fine = max(_FINE, *filters.shape[2:])
    power = torch.fft.fft2(filters.double(), s=(fine, fine)).abs().square().sum(dim=1)
    total = power.sum(dim=(1, 2), keepdim=True)
    radius, beyond = frequencies(fine, fine, stride)
    return Spectrum(power / torch.where(total > 0, total, torch.nan), radius.to(power), beyond.to(power.device))


def frequencies(height: int, width: int, stride: tuple[int, int]) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Radius and what the stride folds back, in the order of `torch.fft.fft2`.

    Args:
        height: samples down.
        width: samples across.
        stride: down and across.

    Returns:
        Cycles per pixel, and whether either frequency exceeds 1 / (2·stride), the Nyquist frequency after it.
    """
    y, x = torch.fft.fftfreq(height).abs()[:, None], torch.fft.fftfreq(width).abs()[None]
    return (y.square() + x.square()).sqrt(), (y > 0.5 / stride[0]) | (x > 0.5 / stride[1])


def folded_share(responses: Float[Tensor, "n u h w"], stride: tuple[int, int]) -> Float[Tensor, "n u"]:
    """Share of the power of dense responses, their mean left out, that the stride folds back onto lower frequencies.

    Args:
        responses: of every position, stride 1.
        stride: that the network takes.

    Returns:
        0..1; NaN for responses that are the same everywhere.
    """
    height, width = responses.shape[2:]
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(width, periodic=False)
    window = window.to(responses)  # the borders of a picture do not continue at the other side
    mean = (responses * window).sum(dim=(2, 3), keepdim=True) / window.sum()
    power = torch.fft.fft2((responses - mean) * window).abs().square()
    _, beyond = frequencies(height, width, stride)
    total = power.sum(dim=(2, 3))
    return (power * beyond.to(power)).sum(dim=(2, 3)) / torch.where(total > 0, total, math.nan)
