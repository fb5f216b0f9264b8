"""Augmentation of training images: a pure function of (seed, epoch, index), independent of process and order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Augmentation:
    """Ranges and probabilities of augmentation.

    Args:
        zoom: share of the canvas's shorter side that a window covers, lowest and highest; None: the network's input
            size, without resizing.
        flip: probability of a mirror image.
        zero: probability that a rectangle is set to the mean colour, which is zero for the network.
        zero_side: sides of that rectangle as shares of the window's side, lowest and highest.
        light: brightness is multiplied by up to 1 +- this.
        contrast: distances from the image's mean are multiplied by up to 1 +- this.
        noise: highest standard deviation of Gaussian noise, for pixels in [0, 1]; each image draws its own. Gradients
            of networks that are trained with noise follow the objects more closely (Kaur et al. 2019).

    Raises:
        ValueError: if a range or a probability is impossible.

    Source: Simonyan et al. 2013 (additional jitter that sets random image parts to zero; extent not stated).
    """

    zoom: tuple[float, float] | None = None
    flip: float = 0.5
    zero: float = 0.0
    zero_side: tuple[float, float] = (0.15, 0.4)
    light: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("zoom", "zero_side"):
            span: Sequence[float] | None = getattr(self, name)
            if span is None:
                continue
            if len(span) != 2 or not 0 < span[0] <= span[1] <= 1:
                raise ValueError(f"expected {name} as two rising shares in (0, 1], got {list(span)}")
            object.__setattr__(self, name, tuple(span))
        for name in ("flip", "zero", "light", "contrast", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} in [0, 1], got {getattr(self, name)}")


class Look(NamedTuple):
    """One augmentation of a canvas: a square window, mirroring, an erased rectangle, brightness, contrast and noise."""

    top: int
    left: int
    side: int
    mirrored: bool
    hole: tuple[float, float, float, float]  # y0 x0 y1 x1 as shares of the window, after mirroring
    light: float
    contrast: float
    noise: float = 0.0
    key: tuple[int, ...] = ()  # seeds the noise


def look(augmentation: Augmentation, key: tuple[int, int, int], size: tuple[int, int], side: int) -> Look:
    """Draws the augmentation of an image.

    Args:
        augmentation: ranges and probabilities.
        key: seed, epoch and index of the image.
        size: height and width of the canvas, in pixels.
        side: of the network's input, in pixels.

    Returns:
        The augmentation, the same for the same arguments on every machine and in every process.
    """
    draws = np.random.default_rng(key).random(12)
    if augmentation.zoom is not None:
        low, high = augmentation.zoom
        side = max(1, round(min(size) * (low + (high - low) * draws[0])))
    low, high = augmentation.zero_side
    tall, wide = low + (high - low) * draws[1:3] if draws[3] < augmentation.zero else (0.0, 0.0)
    y, x = draws[4] * (1 - tall), draws[5] * (1 - wide)
    return Look(
        top=math.floor(draws[6] * (size[0] - side + 1)),
        left=math.floor(draws[7] * (size[1] - side + 1)),
        side=side,
        mirrored=bool(draws[8] < augmentation.flip),
        hole=(float(y), float(x), float(y + tall), float(x + wide)),
        light=1.0 + augmentation.light * float(2 * draws[9] - 1),
        contrast=1.0 + augmentation.contrast * float(2 * draws[10] - 1),
        noise=augmentation.noise * float(draws[11]),
        key=(*key, 1),
    )


def seen(
    canvas: UInt8[Tensor, "3 H W"], way: Look, side: int, mean: UInt8[Tensor, "3 1 1"]
) -> UInt8[Tensor, "3 side side"]:
    """Applies an augmentation to a canvas.

    Args:
        canvas: RGB bytes, (3, H, W).
        way: the augmentation, with its window inside the canvas.
        side: of the network's input, in pixels.
        mean: colour of the erased rectangle, RGB bytes, (3, 1, 1).

    Returns:
        RGB bytes, (3, side, side).
    """
    picture = canvas[:, way.top : way.top + way.side, way.left : way.left + way.side]
    if way.mirrored:
        picture = picture.flip(-1)
    if way.side != side:
        picture = interpolate(picture[None], (side, side), mode="bilinear", antialias=True)[0]
    if way.light != 1 or way.contrast != 1:
        picture = _lit(picture, way.light, way.contrast)
    if way.noise:
        picture = _noisy(picture, way.noise, way.key)
    y0, x0, y1, x1 = (round(share * side) for share in way.hole)
    if y1 > y0 and x1 > x0:
        picture = picture.clone()
        picture[:, y0:y1, x0:x1] = mean
    return picture


def _lit(picture: UInt8[Tensor, "3 h w"], light: float, contrast: float) -> UInt8[Tensor, "3 h w"]:
    values = picture.float()
    middle = values.mean()
    return ((values - middle) * contrast + middle).mul_(light).round_().clamp_(0, 255).to(torch.uint8)


def _noisy(picture: UInt8[Tensor, "3 h w"], deviation: float, key: tuple[int, ...]) -> UInt8[Tensor, "3 h w"]:
    noise = torch.from_numpy(np.random.default_rng(key).standard_normal(picture.shape, dtype=np.float32))
    return picture.float().add_(noise, alpha=255 * deviation).round_().clamp_(0, 255).to(torch.uint8)
