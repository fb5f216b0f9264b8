"""Diagnosis of the first layer: dead filters, missing frequencies, aliasing (Zeiler & Fergus 2014, sec. 4.1)."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor, nn

from deepinside.network import Network
from deepinside.probe import convolutional
from deepinside.probe.activations import activations
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

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
    """The convolution whose input is the image.

    Args:
        network: to visualise.
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
    return First(
        name, weights * _scale_of_normalisation(network, name).view(-1, 1, 1, 1).to(weights), (int(down), int(across))
    )


def _scale_of_normalisation(network: Network, name: str) -> Tensor:
    # What batch normalisation multiplies the activations by, where one follows: small filters may be scaled up by it.
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
        Power, its frequencies, and whether these are above the Nyquist frequency of the stride, 1 / (2·stride).
    """
    fine = max(_FINE, *filters.shape[2:])
    power = torch.fft.fft2(filters.double(), s=(fine, fine)).abs().square().sum(dim=1)
    total = power.sum(dim=(1, 2), keepdim=True)
    radius, beyond = frequencies(fine, fine, stride)
    return Spectrum(power / torch.where(total > 0, total, torch.nan), radius.to(power), beyond.to(power.device))


def folded_filter_share(first: First) -> Float[Tensor, " u"]:
    """Share of each filter's power at frequencies that the stride folds back onto lower ones (aliasing).

    For white noise it is the share of such frequencies, 0.75 at stride 2; filters that have become edges and blobs
    have less. At stride 1 it is 0.

    Args:
        first: the first layer.

    Returns:
        0..1 per filter; NaN for filters that are zero.

    Source: Zeiler & Fergus 2014, sec. 4.1 (aliasing, by eye).
    """
    found = spectrum(first.filters, first.stride)
    return (found.power * found.beyond.to(found.power)).sum(dim=(1, 2))


def frequencies(height: int, width: int, stride: tuple[int, int]) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Frequencies and whether the stride aliases them, in the order of `torch.fft.fft2`.

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
    """Share of the power of dense responses, without their mean, that the stride aliases to lower frequencies.

    Args:
        responses: at every position, stride 1.
        stride: of the network.

    Returns:
        0..1; NaN for constant responses.
    """
    height, width = responses.shape[2:]
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(width, periodic=False)
    window = window.to(responses)  # the borders of an image do not continue at the other side
    mean = (responses * window).sum(dim=(2, 3), keepdim=True) / window.sum()
    power = torch.fft.fft2((responses - mean) * window).abs().square()
    _, beyond = frequencies(height, width, stride)
    total = power.sum(dim=(2, 3))
    return (power * beyond.to(power)).sum(dim=(2, 3)) / torch.where(total > 0, total, math.nan)


_BINS = 24  # of the spectrum that is drawn, from zero to the Nyquist frequency of the pixels


def first_layer(
    network: Network,
    pictures: Pictures,
    *,
    layer: str | None = None,
    bands: Sequence[float],
    weak_below: float,
    images: int = 100,
    dense_images: int = 8,
    batch_size: int = 16,
) -> Study:
    """Frequency responses of the filters of the first convolution, and its dead filters.

    The paper reports in the first layer of Krizhevsky et al. extremely high and low frequencies with few in between,
    dead filters and dominating ones, and in the second layer aliasing by the stride of 4. Here each is measured:

    `dead`: a constant response in all images, which is zero after a ReLU (where the ReLU is a layer). `weak`: root mean
    square below `weak_below` times the largest one. `low`, `mid`, `high`: shares of the filter's power below, between
    and above `bands`. `folded`: its share above 1/(2·stride), the Nyquist frequency after the stride, which is what
    white noise would alias; `folded_pictures`: the same share of its responses to the images, before the stride.
    `colour`: share of its power that is not the same in red, green and blue.

    Args:
        network: whose first convolution has the image as input.
        pictures: of a data set.
        layer: dotted name of the convolution; None: the first.
        bands: two frequencies, in cycles per pixel; 0.5 is the finest grating.
        weak_below: share of the largest root mean square.
        images: number of images, the first ones, in which a filter may be active.
        dense_images: of which responses at every position are computed.
        batch_size: images per pass.

    Returns:
        `table`: one row per filter: the above, `rms`, `peak` (frequency of the most power), `most` (largest activation)
        and `active` (share of positions). Numbers: means and shares over the filters, intervals over filters;
        `<share>.of_random_weights` is that of independent random weights. `shown`: filters and spectra.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if it is no convolution of the image, or the bands are not 0 < low < high.

    Source: Zeiler & Fergus 2014, sec. 4.1 and fig. 6; sec. 3 for the root mean square of filters.
    Deviation: the paper judges by eye; these numbers and their bounds are ours.
    """
    if len(bands) != 2 or not 0 < bands[0] < bands[1]:
        raise ValueError(f"expected two frequencies 0 < low < high in cycles per pixel, got {list(bands)}")
    first = first_convolution(network, layer)
    positions, _ = pictures.first(images)
    table = _described(first, bands, weak_below)
    table["most"], table["active"], table["dead"] = _activity(
        network, pictures, positions, _rectified(network, first.name), batch_size
    )
    table["folded_pictures"] = _folded(first, pictures, positions[:dense_images])
    numbers = (Row("images", len(positions), "images"), *_numbers(table, first), *_white(first, bands))
    return Study(table, numbers, _shown(first, bands))


def _rectified(network: Network, name: str) -> str:
    # The layer whose activations show whether a filter is ever active: its ReLU, where one follows.
    names = [part for part, module in network.module.named_modules() if isinstance(module, torch.nn.Conv2d)]
    return convolutional(network)[names.index(name)]


def _described(first: First, bands: Sequence[float], weak_below: float) -> pd.DataFrame:
    filters = first.filters
    found = spectrum(filters, first.stride)
    energy = filters.square().sum(dim=(1, 2, 3))
    rms = filters.square().mean(dim=(1, 2, 3)).sqrt()
    grey = 3 * filters.mean(dim=1).square().sum(dim=(1, 2))
    peaks = found.radius.flatten()[found.power.nan_to_num(0).flatten(1).argmax(dim=1)]
    columns = {"unit": torch.arange(len(filters)), "rms": rms, "peak": peaks}
    columns |= {word: _share(found.power, where) for word, where in _parts(found, bands).items()}
    columns["colour"] = 1 - grey / torch.where(energy > 0, energy, math.nan)
    table = pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})
    table["weak"] = table["rms"] < weak_below * table["rms"].max()
    return table


def _parts(found: Spectrum, bands: Sequence[float]) -> dict[str, Bool[Tensor, "f f"]]:
    low, high = found.radius < bands[0], found.radius >= bands[1]
    return {"low": low, "mid": ~low & ~high, "high": high, "folded": found.beyond}


def _white(first: First, bands: Sequence[float]) -> Iterator[Row]:
    # What filters of independent random weights have: nothing is learnt where a layer has the same.
    for word, where in _parts(spectrum(first.filters, first.stride), bands).items():
        yield Row(f"{word}.of_random_weights", float(where.double().mean()), "share of power")
    yield Row("colour.of_random_weights", 2 / 3, "share of power")  # one of three directions of colour is grey


def _share(power: Float[Tensor, "u f f"], where: Tensor) -> Float[Tensor, " u"]:
    return (power * where).sum(dim=(1, 2))


def _activity(
    network: Network, pictures: Pictures, positions: Sequence[int], name: str, batch_size: int
) -> tuple[Float[ndarray, " u"], Float[ndarray, " u"], Bool[ndarray, " u"]]:
    # Largest activation, share of positions above zero, and whether nothing in any image changes the activation.
    most, least, active = [], [], []
    for _, part in pictures.batches(batch_size, positions):
        activation = activations(network, part.images.to(network.device), (name,))[name]
        most.append(activation.amax(dim=(0, 2, 3)))
        least.append(activation.amin(dim=(0, 2, 3)))
        active.append((activation > 0).double().mean(dim=(2, 3)))
    high, low = torch.stack(most).amax(dim=0), torch.stack(least).amin(dim=0)
    return high.cpu().numpy(), torch.cat(active).mean(dim=0).cpu().numpy(), (high == low).cpu().numpy()


def _folded(first: First, pictures: Pictures, positions: Sequence[int]) -> Float[ndarray, " u"]:
    _, shown = pictures.batch(positions)
    shares = []
    for image in shown.images if shown is not None else ():
        dense = torch.nn.functional.conv2d(image[None].to(first.filters.device), first.filters.float())
        shares.append(folded_share(dense, first.stride)[0])
    return torch.stack(shares).nanmean(dim=0).cpu().numpy()


def _numbers(table: pd.DataFrame, first: First) -> Iterator[Row]:
    yield Row("filters", len(table), "filters")
    yield Row("side", first.filters.shape[-1], "pixels")
    yield Row("stride", first.stride[0], "pixels")
    for word in ("dead", "weak", "low", "mid", "high", "folded", "folded_pictures", "colour"):
        yield mean_row(word, table[word], "share of filters" if word in {"dead", "weak"} else "share of power")


def _shown(first: First, bands: Sequence[float]) -> dict[str, ndarray]:
    found = spectrum(first.filters, first.stride)
    edges = torch.linspace(0, 0.5, _BINS + 1)
    rings = [(found.radius >= low) & (found.radius < high) for low, high in pairwise(edges)]
    return {
        "filters": first.filters.permute(0, 2, 3, 1).cpu().numpy(),
        "spectra": torch.stack([_share(found.power, ring) for ring in rings], dim=1).cpu().numpy(),
        "edges": edges.numpy(),
        "bands": np.array(bands),
        "stride": np.array(first.stride),
        "layer": np.array(first.name),
    }
