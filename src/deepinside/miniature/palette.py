"""The eleven colours: their variation, and the name of a pixel's colour."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from numpy.random import Generator

from deepinside.miniature.surfaces import TEXTURES, grid, noise

COLOURS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")

# sRGB bytes of what a person calls by that name; the first is the one that is painted
_EXAMPLES = {
    "black": ((34, 34, 40), (10, 10, 12), (45, 42, 40)),
    "blue": ((52, 104, 214), (28, 40, 110), (120, 175, 235), (60, 160, 215), (25, 90, 120)),
    "brown": ((126, 80, 44), (84, 54, 32), (160, 110, 70), (190, 150, 105)),
    "green": ((62, 160, 70), (24, 84, 44), (140, 200, 100), (95, 120, 45), (50, 165, 130)),
    "grey": ((134, 136, 140), (92, 94, 98), (178, 180, 182)),
    "orange": ((244, 142, 40), (225, 105, 25), (250, 175, 95)),
    "pink": ((246, 150, 188), (225, 85, 145), (250, 195, 205)),
    "purple": ((134, 74, 174), (80, 40, 110), (175, 135, 215)),
    "red": ((214, 46, 48), (150, 25, 35), (230, 85, 75)),
    "white": ((242, 242, 238), (255, 255, 255), (222, 224, 226)),
    "yellow": ((248, 214, 66), (220, 190, 30), (250, 235, 150)),
}
_PAINTS = np.array([_EXAMPLES[name][0] for name in COLOURS])
_STEP = 8  # width of a cell of the look-up table, in grey levels


def paints(rng: Generator, count: int = 1, jitter: float = 14) -> Float[ndarray, "count 3"]:
    """`count` random colours of the eleven names, RGB 0 to 255, with a standard deviation of `jitter` grey levels."""
    mixed = _PAINTS[rng.integers(len(COLOURS), size=count)] + rng.normal(0, jitter, (count, 3))
    return mixed.clip(8, 250)


def lab(rgb: Float[ndarray, "... 3"]) -> Float[ndarray, "... 3"]:
    """CIELAB under daylight D65, L* in [0, 100], a*, b*, of sRGB in 0 to 255.

    Source: IEC 61966-2-1 (sRGB), CIE 15 (CIELAB).
    """
    c = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = linear @ matrix.T / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def _table() -> Int[ndarray, "32 32 32"]:
    centres = np.arange(_STEP // 2, 256, _STEP)
    cells = lab(np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), axis=-1))
    nearest = [np.min([((cells - lab(np.array(e))) ** 2).sum(-1) for e in _EXAMPLES[name]], axis=0) for name in COLOURS]
    return np.argmin(nearest, axis=0)


def named(pixels: UInt8[ndarray, "h w 3"]) -> Int[ndarray, "h w"]:
    """The name of each pixel's colour, an index into `COLOURS`, (h, w): that of the nearest example in CIELAB.

    Deviation: Broden uses van de Weijer's table, learnt from web images; here the colours are those that are painted.
    """
    r, g, b = np.moveaxis(pixels // _STEP, -1, 0)
    return _table()[r, g, b]


_TWO = 0.25  # probability that a swatch shows two textures


def swatch(seed: tuple[int, ...], side: int) -> tuple[UInt8[ndarray, "side side 3"], tuple[str, ...]]:
    """One texture, or two side by side, filling the image: RGB bytes, and the names, the one with the larger share
    first.
    """
    rng = np.random.default_rng(list(seed))
    count = 2 if rng.random() < _TWO else 1
    names = [list(TEXTURES)[k] for k in rng.permutation(len(TEXTURES))[:count]]
    picture = np.zeros((side, side, 3), dtype=np.float32)
    u, _ = grid((side, side), rng.uniform(0, 360), side / 2, side / 2)
    first = u < rng.uniform(0.08, 0.25) * side  # the line is beyond the middle, so the first texture has more
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
