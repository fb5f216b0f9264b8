"""Operators applied to an image after each step: r in x <- r(x + step), not differentiable.

Every function takes images in grey levels, mean colour subtracted (n, 3, h, w), the gradient of the last step, and
returns images.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from skimage.restoration import denoise_tv_bregman
from torch import Tensor
from torch.nn import functional

from deepinside.methods.synthesis.canvas import Generators

Pictures = Float[Tensor, "n 3 h w"]


def decay(grey: Pictures, _gradient: Pictures, *, amount: float) -> Pictures:
    """(1 - amount) · x.

    Args:
        grey: images.
        amount: share to subtract.

    Returns:
        Images.

    Source: Yosinski et al. 2015, eq. 4.
    """
    return grey * (1 - amount)


def blur(grey: Pictures, _gradient: Pictures, *, sigma: float) -> Pictures:
    """A Gaussian blur of each channel, reflected at the border.

    Args:
        grey: images.
        sigma: in pixels; no effect below 0.3, where the sampled kernel is a point.

    Returns:
        Images.

    Source: Yosinski et al. 2015, sec. 3 (their code warns of sigma below 0.3).
    """
    if sigma < 0.3:
        return grey
    reach = min(math.ceil(4 * sigma), min(grey.shape[2:]) - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=grey.device, dtype=grey.dtype) / sigma).square())
    kernel = (kernel / kernel.sum()).repeat(3, 1)
    padded = functional.pad(grey, (reach, reach, reach, reach), mode="reflect")
    rows = functional.conv2d(padded, kernel[:, None, :, None], groups=3)
    return functional.conv2d(rows, kernel[:, None, None, :], groups=3)


def small_norm(grey: Pictures, _gradient: Pictures, *, percentile: float) -> Pictures:
    """Sets pixels whose norm over the colours is below the percentile to zero.

    Args:
        grey: images.
        percentile: 0..100, of each image's own pixels.

    Returns:
        Images.

    Source: Yosinski et al. 2015, sec. 3.
    """
    return _keep_above(grey, grey.norm(dim=1), percentile)


def small_contribution(grey: Pictures, gradient: Pictures, *, percentile: float) -> Pictures:
    """Sets pixels of small contribution to the activation, to first order |Σ_ch x·g|, to zero.

    Args:
        grey: images.
        gradient: of the activation, at the last step.
        percentile: 0..100, of each image's own pixels.

    Returns:
        Images.

    Source: Yosinski et al. 2015, sec. 3.
    """
    return _keep_above(grey, (grey * gradient).sum(dim=1).abs(), percentile)


def _keep_above(grey: Pictures, size: Float[Tensor, "n h w"], percentile: float) -> Pictures:
    limit = size.flatten(1).quantile(percentile / 100, dim=1)
    return grey * (size >= limit[:, None, None])[:, None]


def norm_box(grey: Pictures, _gradient: Pictures, *, limit: float) -> Pictures:
    """Pixels whose norm over the colours exceeds the limit are scaled back to it.

    Args:
        grey: images.
        limit: in grey levels.

    Returns:
        Images.

    Source: Mahendran & Vedaldi 2016, sec. 3 (x0_max in the code).
    """
    size = grey.norm(dim=1, keepdim=True)
    return grey * (limit / size.clamp(min=limit))


def sphere(grey: Pictures, _gradient: Pictures, *, radius: float) -> Pictures:
    """Scales an image to a given norm.

    Args:
        grey: images.
        radius: root mean square in grey levels.

    Returns:
        Images; one that is all zero is unchanged.

    Source: Erhan et al. 2009, eq. 1: maximise under ||x|| = rho.
    """
    size = grey.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return torch.where(size > 0, grey * radius / size.clamp(min=1e-12), grey)


def bregman(grey: Pictures, _gradient: Pictures, *, weight: float) -> Pictures:
    """Total-variation denoising by split Bregman iteration.

    Args:
        grey: images.
        weight: of the data; the smaller, the smoother.

    Returns:
        Images.

    Source: Nguyen et al. 2016 (MFV), code: scikit-image's denoise_tv_bregman, 100 iterations, eps 1e-3.
    """
    smooth = [
        denoise_tv_bregman(np.ascontiguousarray(x), weight=weight, max_num_iter=100, eps=1e-3, channel_axis=-1)
        for x in grey.permute(0, 2, 3, 1).cpu().double().numpy()
    ]
    return torch.from_numpy(np.stack(smooth)).permute(0, 3, 1, 2).to(grey)


def clip(grey: Pictures, _gradient: Pictures, *, colour: Float[Tensor, "3"]) -> Pictures:
    """Clips an image, with the mean added, to 0..255.

    Args:
        grey: images.
        colour: the mean that was subtracted, RGB in [0, 1].

    Returns:
        Images.

    Source: Yosinski et al. 2015, code; clipping is of the image itself, not of its difference from the mean.
    """
    mean = 255 * colour.view(1, 3, 1, 1)
    return grey.maximum(-mean).minimum(255 - mean)


def patches(
    grey: Pictures, _gradient: Pictures, *, generators: Generators, bank: Float[Tensor, "m p"], mix: float
) -> Pictures:
    """Moves each tile of a random grid towards the nearest patch of real photographs.

    Args:
        grey: images.
        generators: a random generator per image, for the place of the grid.
        bank: patches of real photographs in grey levels, mean colour subtracted, (m, 3·side·side).
        mix: 0..1, share of the real patch.

    Returns:
        Images.

    Source: Wei et al. 2015 (a prior from patches; their weights are not published).
    Deviation: the nearest patch in pixels, mixed in after the step, instead of an energy.
    """
    side = math.isqrt(bank.shape[1] // 3)
    offsets = (generators.uniform(2) * side).long().tolist()
    return torch.stack([_mixed(x, bank, mix, side, y, x0) for x, (y, x0) in zip(grey, offsets, strict=True)])


def _mixed(
    picture: Float[Tensor, "3 h w"], bank: Float[Tensor, "m p"], mix: float, side: int, top: int, left: int
) -> Float[Tensor, "3 h w"]:
    rows, columns = ((length - start) // side for length, start in zip(picture.shape[1:], (top, left), strict=True))
    area = (slice(None), slice(top, top + rows * side), slice(left, left + columns * side))
    tiles = functional.unfold(picture[area][None], side, stride=side)[0].T
    tiles = (1 - mix) * tiles + mix * bank[torch.cdist(tiles, bank).argmin(dim=1)]
    mixed = picture.clone()
    mixed[area] = functional.fold(tiles.T[None], (rows * side, columns * side), side, stride=side)[0]
    return mixed


def box(code: Float[Tensor, "n ..."], _gradient: Tensor, *, bounds: tuple[Tensor, Tensor]) -> Float[Tensor, "n ..."]:
    """Clips the code of a generator to bounds.

    Args:
        code: (n, ...).
        bounds: lowest and highest value of each of its units.

    Returns:
        The code.

    Source: Nguyen et al. 2016 (DGN-AM), code: 0..mean + 3 standard deviations; PPGN, code: 0..30.
    """
    return code.maximum(bounds[0]).minimum(bounds[1])


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "decay": decay,
    "blur": blur,
    "small_norm": small_norm,
    "small_contribution": small_contribution,
    "norm_box": norm_box,
    "sphere": sphere,
    "bregman": bregman,
    "patches": patches,
    "box": box,
    "clip": clip,
}
