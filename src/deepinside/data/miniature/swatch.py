"""Pictures that are nothing but texture, as in the Describable Textures Dataset."""

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from deepinside.data.miniature.palette import paints
from deepinside.data.miniature.surfaces import TEXTURES, grid, noise

_TWO = 0.25  # probability that a swatch shows two textures


def swatch(seed: tuple[int, ...], side: int) -> tuple[UInt8[ndarray, "side side 3"], tuple[str, ...]]:
    """One texture, or two side by side, filling the picture.

    Args:
        seed: names the picture.
        side: in pixels.

    Returns:
        RGB bytes, and the names of its textures, that with the larger share first.
    """
    rng = np.random.default_rng(list(seed))
    count = 2 if rng.random() < _TWO else 1
    names = [list(TEXTURES)[k] for k in rng.permutation(len(TEXTURES))[:count]]
    picture = np.zeros((side, side, 3), dtype=np.float32)
    u, _ = grid((side, side), rng.uniform(0, 360), side / 2, side / 2)
    first = u < rng.uniform(0.08, 0.25) * side  # the line lies beyond the middle, so the first texture has more
    for number, name in enumerate(names):
        one, other = paints(rng), paints(rng)
        while np.abs(one - other).sum() < 150:
            other = paints(rng)
        u, v = grid((side, side), rng.uniform(0, 180), side / 2, side / 2)
        bend = noise(rng, (side, side), (30, 30)) * 2
        period = rng.uniform(8, 18)
        share = TEXTURES[name]((u + bend) / period, (v + bend) / period)[..., None]
        layer = one + (other - one) * share
        picture = np.where(first[..., None] == (number == 0), layer, picture) if count == 2 else layer
    light = 1 + 0.12 * noise(rng, (side, side), (side / 2, side / 2))[..., None]
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(0, 6)
    return np.clip(picture * light + grain + 0.5, 0, 255).astype(np.uint8), tuple(names)
