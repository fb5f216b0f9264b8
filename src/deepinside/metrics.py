"""Measures of images, reconstructions, maps and masks."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter, label
from scipy.stats import wasserstein_distance
from skimage.color import rgb2lab
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from deepinside.records import Boxes

_CELLS = 8  # side of what low-pass leaves of an image


class CodeMoments(NamedTuple):
    """Sums over codes, per unit or channel, float64, from which their statistics follow; add with `merged`."""

    seen: int
    total: Float[Tensor, " u"]
    squares: Float[Tensor, " u"]
    low: Float[Tensor, " u"]
    high: Float[Tensor, " u"]


def moments(code: Float[Tensor, "n u *grid"]) -> CodeMoments:
    """Sums over images and positions.

    Args:
        code: (n, u) or (n, u, y, x).

    Returns:
        Per unit or channel.
    """
    values = code.detach().double().transpose(0, 1).flatten(1)
    return CodeMoments(
        values.shape[1], values.sum(1), values.square().sum(1), values.min(1).values, values.max(1).values
    )


def merged(one: CodeMoments, other: CodeMoments) -> CodeMoments:
    """Sums over both.

    Args:
        one: sums over some images.
        other: sums over others.

    Returns:
        Sums over all of them.
    """
    low, high = torch.minimum(one.low, other.low), torch.maximum(one.high, other.high)
    return CodeMoments(one.seen + other.seen, one.total + other.total, one.squares + other.squares, low, high)


def mean_and_std(sums: CodeMoments) -> tuple[Float[Tensor, " u"], Float[Tensor, " u"]]:
    """Mean and standard deviation.

    Args:
        sums: over codes.

    Returns:
        Per unit; the deviation of one that never varies is exactly 0.
    """
    mean = sums.total / sums.seen
    variance = (sums.squares / sums.seen - mean**2).clamp(min=0)
    return mean, torch.where(sums.low == sums.high, 0, variance.sqrt())


def pair_distance(images: Float[Tensor, "n 3 h w"]) -> float:
    """N = mean over pairs i != j of |x_i - x_j|^2.

    Args:
        images: two or more.

    Returns:
        The squared distance of a random pair; half of it is the error of their mean image.

    Source: Dosovitskiy & Brox 2016 (the normalisation of its errors).
    """
    if len(images) < 2:
        return math.nan
    return 2 * float(images.double().var(dim=0, correction=1).sum())


def image_error(made: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"], unit: float) -> Float[ndarray, " n"]:
    """|x' - x|^2 / N.

    Args:
        made: reconstructions, RGB in [0, 1].
        images: the originals.
        unit: N, of `pair_distance`.

    Returns:
        Per image; 1 is as bad as a random pair.
    """
    return (made - images).double().square().flatten(1).sum(1).div(unit).cpu().numpy()


def feature_error(made: Float[Tensor, "n u *grid"], codes: Float[Tensor, "n u *grid"]) -> Float[ndarray, " n"]:
    """|Phi(x') - Phi(x)|^2 / |Phi(x)|^2.

    Args:
        made: codes of the reconstructions.
        codes: of the images.

    Returns:
        Per image; NaN where the image's code is all zero.

    Source: Mahendran & Vedaldi 2015, sec. 5.
    """
    wrong, size = ((part.double().square().flatten(1).sum(1)) for part in (made - codes, codes))
    return torch.where(size > 0, wrong / size, torch.nan).cpu().numpy()


def contour_and_colour(
    made: Float[Tensor, "n 3 h w"], images: Float[Tensor, "n 3 h w"], usual: Float[Tensor, "3 h w"]
) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Correlations of two images' rough deviations from the mean image, in brightness and in colour.

    r = <d', d> / |d'| |d|, d the difference of 8x8 block means of an image and of the mean image: of its brightness
    (R + G + B) / 3, or of its colours R - G and (R + G) / 2 - B.

    Args:
        made: reconstructions, RGB in [0, 1].
        images: the originals.
        usual: the mean training image, so that what is common to all images does not count.

    Returns:
        Two correlations per image; 0 is expected by chance, NaN for an image without deviations.
    """
    ours, theirs = (adaptive_avg_pool2d((part - usual).double(), _CELLS) for part in (made, images))
    return _cosine(ours.mean(1), theirs.mean(1)), _cosine(_opponents(ours), _opponents(theirs))


def _opponents(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    return torch.stack([red - green, (red + green) / 2 - blue], dim=1)


def _cosine(one: Tensor, other: Tensor) -> Float[ndarray, " n"]:
    a, b = one.flatten(1), other.flatten(1)
    size = a.norm(dim=1) * b.norm(dim=1)
    return np.asarray(torch.where(size > 0, (a * b).sum(1) / size, torch.nan).cpu())


def high_frequency_share(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Share of the power, without the mean, above a quarter of the Nyquist frequency.

    Args:
        images: on any scale, (n, c, h, w).

    Returns:
        0..1 per image; NaN for an image of one colour. White noise has 1 - pi/64 = 0.95.

    Source: own proxy for the readability of synthesised images.
    """
    spectrum = (
        torch.fft.fft2(images.double() - images.double().mean(dim=(2, 3), keepdim=True)).abs().square().sum(dim=1)
    )
    height, width = images.shape[2:]
    y = torch.fft.fftfreq(height, device=images.device)[:, None]  # cycles per pixel; Nyquist is 0.5
    x = torch.fft.fftfreq(width, device=images.device)[None]
    high = (y.square() + x.square()).sqrt() > 0.125
    return (spectrum * high).sum(dim=(1, 2)) / spectrum.sum(dim=(1, 2))


def size(images: Float[Tensor, "n 3 h w"], colour: Float[Tensor, " 3"]) -> Float[Tensor, " n"]:
    """How far images are from one of the mean colour: the norm that L2 penalises, per pixel and channel.

    Args:
        images: RGB in [0, 1], (n, 3, h, w).
        colour: the network's mean colour.

    Returns:
        Root mean square, in grey levels of 0..255, (n,).

    Source: Simonyan et al. 2013, eq. 1 (||I||_2, of the image without its mean).
    """
    return 255 * (images - colour.view(1, 3, 1, 1)).square().mean(dim=(1, 2, 3)).sqrt()


def detail_kept(images: Float[Tensor, "n c h w"], originals: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Correlation of fine detail with that of the originals.

    Args:
        images: reconstructions of the originals.
        originals: of the same shape.

    Returns:
        Correlation of the parts above an eighth of the sampling rate, -1..1; NaN where one of them is zero.

    Source: own proxy for "almost photographic" (Mahendran & Vedaldi 2015, sec. 5).
    """
    one, other = (torch.fft.rfft2(part.double(), norm="ortho") for part in (images, originals))
    y = torch.fft.fftfreq(images.shape[2], device=images.device)[:, None]
    x = torch.fft.rfftfreq(images.shape[3], device=images.device)[None]
    high = (y.square() + x.square()).sqrt() > 0.125
    fine = [torch.fft.irfft2(part * high, s=images.shape[2:], norm="ortho").flatten(1) for part in (one, other)]
    norms = fine[0].norm(dim=1) * fine[1].norm(dim=1)
    return (fine[0] * fine[1]).sum(dim=1) / torch.where(norms > 0, norms, torch.nan)


def total_variation(images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Mean length of the slope, per pixel and channel.

    Args:
        images: RGB in [0, 1].

    Returns:
        Intensity per pixel, of each image.

    Source: Rudin, Osher & Fatemi 1992, the isotropic form.
    """
    x = images.double().diff(dim=3, append=images[..., -1:].double())
    y = images.double().diff(dim=2, append=images[..., -1:, :].double())
    return (x.square() + y.square()).sqrt().mean(dim=(1, 2, 3))


def blank_share(images: Float[Tensor, "n 3 h w"], colour: Float[Tensor, "3"]) -> Float[Tensor, " n"]:
    """Share of blank pixels: within one grey level of the mean colour in all channels.

    Args:
        images: RGB in [0, 1].
        colour: the mean colour, RGB in [0, 1].

    Returns:
        0..1 per image.

    Source: own measure of the effect of clipping by norm or contribution (Yosinski et al. 2015, sec. 3).
    """
    blank = (images - colour.view(1, 3, 1, 1).to(images)).abs().amax(dim=1) <= 1 / 255
    return blank.double().mean(dim=(1, 2))


def fragments(images: Float[Tensor, "n 3 h w"], colour: Float[Tensor, "3"]) -> Int[Tensor, " n"]:
    """Number of separate objects in an image.

    Local contrast (distance from the mean colour, blurred by 1/24 of the side) above half of its maximum, counted by
    connected components of at least 1/400 of the area.

    Args:
        images: RGB in [0, 1].
        colour: the mean colour, RGB in [0, 1].

    Returns:
        Count per image; 0 for a blank one.

    Source: own proxy for duplicated fragments (Nguyen et al. 2016, sec. 3.3).
    """
    distance = (images - colour.view(1, 3, 1, 1).to(images)).square().sum(dim=1).double().cpu().numpy()
    counts = []
    for energy in distance:
        smooth = gaussian_filter(energy, min(energy.shape) / 24)
        labels, _ = label(smooth > smooth.max() / 2)
        counts.append(int((np.bincount(labels.ravel())[1:] >= energy.size / 400).sum()))
    return torch.tensor(counts, dtype=torch.long)


def colour_distance(image: Float[Tensor, "3 h w"], reference: Float[Tensor, "m 3"]) -> float:
    """Distance of an image's colours from those of photographs.

    Args:
        image: RGB in [0, 1].
        reference: pixels of photographs, RGB in [0, 1].

    Returns:
        Earth mover's distance of the distributions of L, a and b, averaged, in units of CIELAB.

    Source: own proxy for natural colour (Nguyen et al. 2016: the mean start).
    """
    ours = rgb2lab(image.permute(1, 2, 0).double().cpu().numpy().reshape(-1, 1, 3)).reshape(-1, 3)
    theirs = rgb2lab(reference.double().cpu().numpy()[:, None]).reshape(-1, 3)
    return float(np.mean([wasserstein_distance(ours[:, i], theirs[:, i]) for i in range(3)]))


def energy_ratio(map_: Float[Tensor, "h w"], boxes: Boxes) -> float:
    """Energy of a map inside the boxes, relative to their share of the area: 1 is expected by chance.

    Args:
        map_: non-negative, (h, w).
        boxes: in pixels of the map.

    Returns:
        (energy inside / all energy) / (pixels inside / all pixels); NaN for an empty map.

    Source: own proxy for Simonyan et al. 2013, sec. 3: the map finds the object.
    """
    inside = torch.zeros_like(map_, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes.xyxy.round().astype(int).tolist():
        inside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    share = inside.double().mean()
    return float(map_[inside].double().sum() / map_.double().sum() / share)


def iou_ceiling(
    truth: Float[ndarray, "*n"], room: Float[ndarray, "*n"], area: float, quantile: float
) -> Float[ndarray, "*n"]:
    """The highest IoU that a unit can reach with a concept: max over A of min(A, T) / max(A, T).

    A unit's mask covers the share q of the whole area. A of it is in images that carry the concept's category and
    counts: no more than q times the area, and no less than what the other images have no room for. At best one of A
    and T is inside the other.

    Args:
        truth: T, area of each concept.
        room: area of all images that carry its category.
        area: of all images; pixels, or any unit that the three share.
        quantile: q, in (0, 1).

    Returns:
        In [0, 1]; 0 for a concept without area.

    Source: Bau et al. 2017, sec. 2.3 (the sums of IoU run over the images that carry the category).
    """
    mask = quantile * area
    active = np.clip(truth, np.maximum(mask - (area - room), 0), mask)
    high = np.maximum(active, truth)
    return np.minimum(active, truth) / np.where(high > 0, high, 1)
