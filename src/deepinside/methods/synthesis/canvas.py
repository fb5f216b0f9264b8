"""Parameterisations of an image: its pixels, its spectrum, the phase of its spectrum, or the code of a generator.

A canvas maps a variable to images in grey levels of 0..255 from which the mean colour is subtracted.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from deepinside.spelling import closest


class Generators:
    """One random generator per image.

    Args:
        seeds: one per image.
        device: of the results; the numbers are generated on the CPU, so that they are the same everywhere.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._device = device

    def normal(self, *shape: int) -> Float[Tensor, "n ..."]:
        """Standard normal numbers.

        Args:
            shape: per image.

        Returns:
            (n, *shape).
        """
        return torch.stack([torch.randn(shape, generator=one) for one in self._generators]).to(self._device)

    def uniform(self, *shape: int) -> Float[Tensor, "n ..."]:
        """Numbers uniform in [0, 1).

        Args:
            shape: per image.

        Returns:
            (n, *shape).
        """
        return torch.stack([torch.rand(shape, generator=one) for one in self._generators]).to(self._device)


# Square root of the covariance of RGB in ImageNet's pixels, divided by its largest column norm, so that colours of a
# image vary together as in photographs. Olah et al. 2017 (facts from their library's documentation of the figure).
_COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
_COLOURS = _COLOURS / _COLOURS.norm(dim=0).max()
CANVASES = ("pixels", "fourier", "phase", "generator")
STARTS = ("zero", "normal", "uniform", "grey")


class Canvas(NamedTuple):
    """How a variable becomes images.

    Attributes:
        start: the variable, (n, ...).
        paint: variable -> images in grey levels, mean colour subtracted, (n, 3, h, w).
    """

    start: Tensor
    paint: Callable[[Tensor], Float[Tensor, "n 3 h w"]]


def pixels(
    generators: Generators, side: tuple[int, int], colour: Float[Tensor, "3"], *, start: str, sigma: float
) -> Float[Tensor, "n 3 h w"]:
    """Images to start from.

    Args:
        generators: a random generator per image.
        side: (h, w) in pixels.
        colour: the mean colour, RGB in [0, 1].
        start: `zero` (the mean colour), `normal` (white noise about it), `uniform` (white noise whose 95 % quantile of
            magnitudes is `sigma`), or `grey` (noise about a light grey of 175).
        sigma: of the noise, in grey levels.

    Returns:
        Grey levels, mean subtracted, (n, 3, h, w).

    Raises:
        ValueError: for another start.

    Source: Simonyan et al. 2013 (zero), Yosinski et al. 2015 (normal, sigma 10), Mahendran & Vedaldi 2016 (uniform,
        80/√3), Nguyen et al. 2016 (grey, 175 and 8).
    """
    if start not in STARTS:
        raise ValueError(f"no start {start!r}; {closest(start, STARTS)}")
    if start == "uniform":
        return (2 * generators.uniform(3, *side) - 1) * sigma / 0.95
    noise = generators.normal(3, *side) * (0 if start == "zero" else sigma)
    return noise + (175 - 255 * colour.view(1, 3, 1, 1) if start == "grey" else 0)


def fourier(
    generators: Generators,
    side: tuple[int, int],
    colour: Float[Tensor, "3"],
    *,
    decay: float,
    chroma: float,
    sigma: float,
) -> Canvas:
    """Images parameterised by their spectrum: coefficients are divided by frequency^decay to equalise their gradients.

    Colours are decorrelated and pass through a sigmoid, so that images stay within 0..255.

    Args:
        generators: a random generator per image.
        side: (h, w) in pixels.
        colour: the mean colour, RGB in [0, 1].
        decay: 1 is the decrease of amplitude with frequency in photographs; 0 none.
        chroma: scale of colour relative to brightness; 1 as in photographs' covariance.
        sigma: of the coefficients to start from.

    Returns:
        The canvas; its variable is (n, 3, h, w//2 + 1, 2).

    Source: Olah et al. 2017, *Feature Visualization* (preconditioning by spectrum and colour).
    """
    height, width = side
    start = sigma * generators.normal(3, height, width // 2 + 1, 2)
    painted = _coloured(colour, chroma, side)
    y = torch.fft.fftfreq(height, device=start.device)[:, None]
    x = torch.fft.rfftfreq(width, device=start.device)[None]
    frequency = (y.square() + x.square()).sqrt().clamp(min=1 / max(side))
    scale = (height * width) ** 0.5 / 4 / (frequency * max(side)).pow(decay)  # the quarter is their library's

    def paint(variable: Tensor) -> Float[Tensor, "n 3 h w"]:
        return painted(torch.view_as_complex(variable.contiguous()) * scale)

    return Canvas(start, paint)


def phase(
    generators: Generators,
    side: tuple[int, int],
    colour: Float[Tensor, "3"],
    magnitude: Float[Tensor, "3 h w"],
) -> Canvas:
    """Images parameterised by the phase of their spectrum; its magnitude is that of photographs and does not change.

    Args:
        generators: a random generator per image.
        side: (h, w) in pixels.
        colour: the mean colour, RGB in [0, 1].
        magnitude: of the spectrum, (3, h, w//2 + 1); see `mean_magnitude`.

    Returns:
        The canvas; its variable is (n, 3, h, w//2 + 1), in radians.

    Source: Fel et al. 2023, *Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
        Optimization* (MaCo), sec. 3. Deviation: no map of importance for the opacity.
    """
    start = 2 * torch.pi * generators.uniform(*magnitude.shape)
    painted = _coloured(colour, 1.0, side)
    return Canvas(start, lambda variable: painted(torch.polar(magnitude.expand_as(variable), variable)))


def mean_magnitude(images: Float[Tensor, "n 3 h w"], colour: Float[Tensor, "3"]) -> Float[Tensor, "3 h w"]:
    """The mean magnitude of photographs' spectra, in the decorrelated colours of `phase` before the sigmoid.

    Args:
        images: RGB in [0, 1].
        colour: the mean colour, RGB in [0, 1].

    Returns:
        (3, h, w//2 + 1).
    """
    logits = images.clamp(0.02, 0.98).logit() - colour.view(1, 3, 1, 1).clamp(0.02, 0.98).logit()
    apart = torch.einsum("cr,nrhw->nchw", torch.linalg.inv(_COLOURS.to(images)), logits)
    return torch.fft.rfft2(apart, norm="ortho").abs().mean(dim=0)


def _coloured(
    colour: Float[Tensor, "3"], chroma: float, side: tuple[int, int]
) -> Callable[[Tensor], Float[Tensor, "n 3 h w"]]:
    # Spectrum -> grey levels, mean subtracted: colours are mixed and pass through a sigmoid about the mean colour.
    mixing = _COLOURS.to(colour) * colour.new_tensor([1.0, chroma, chroma])
    mean = colour.view(1, 3, 1, 1)
    middle = mean.clamp(0.02, 0.98).logit()

    def painted(spectrum: Tensor) -> Float[Tensor, "n 3 h w"]:
        flat = torch.fft.irfft2(spectrum, s=side, norm="ortho")
        mixed = torch.einsum("rc,nchw->nrhw", mixing, flat)
        return 255 * ((middle + mixed).sigmoid() - mean)

    return painted


def enlarged(grey: Float[Tensor, "n 3 h w"], side: tuple[int, int]) -> Float[Tensor, "n 3 H W"]:
    """Images at another size, for the next octave.

    Args:
        grey: images.
        side: (H, W) of the result.

    Returns:
        Images of that size.
    """
    if tuple(grey.shape[2:]) == side:
        return grey
    return functional.interpolate(grey, side, mode="bicubic", align_corners=False)


def centred(grey: Float[Tensor, "n 3 H W"], side: tuple[int, int]) -> Float[Tensor, "n 3 h w"]:
    """The middle of images.

    Args:
        grey: images, at least that large.
        side: (h, w) of the middle.

    Returns:
        (n, 3, h, w).
    """
    top, left = ((length - wanted) // 2 for length, wanted in zip(grey.shape[2:], side, strict=True))
    return grey[..., top : top + side[0], left : left + side[1]]
