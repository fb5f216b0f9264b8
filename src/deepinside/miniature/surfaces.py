"""Materials, which shade, and textures, which mix two colours."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from PIL import Image

Field = Float[ndarray, "h w"]


def noise(rng: Generator, shape: tuple[int, int], cell: tuple[float, float]) -> Field:
    """Smooth noise (h, w): normal numbers on a grid with cells (height, width) in pixels, interpolated."""
    h, w = shape
    rows, columns = max(2, round(h / cell[0]) + 1), max(2, round(w / cell[1]) + 1)
    coarse = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    return np.asarray(coarse.resize((w, h), Image.Resampling.BICUBIC))


def grid(shape: tuple[int, int], degrees: float = 0, x: float = 0, y: float = 0) -> tuple[Field, Field]:
    """Coordinates u (right) and v (down) of the pixel centres, (h, w) each, rotated by degrees about x, y."""
    dx = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(0.5 - x)
    dy = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5 - y)
    cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return dx * cos + dy * sin, dy * cos - dx * sin


# -- materials: (rng, u, v) -> brightness, about 1 ---------------------------------------------------------------------


def _wood(rng: Generator, u: Field, v: Field) -> Field:
    bend = noise(rng, u.shape, (14, 40)) * 2.2
    grain = np.sin((v + bend) * (2 * np.pi / rng.uniform(4.5, 7)))
    plank = (v // rng.uniform(14, 20)) % 2
    return 0.92 + 0.17 * grain + 0.1 * plank


def _metal(rng: Generator, u: Field, v: Field) -> Field:
    band = np.sin((u + 0.35 * v) * (2 * np.pi / rng.uniform(26, 44)) + rng.uniform(0, 6.3))
    streaks = np.sin(v * 2.9 + 2 * np.sin(v * 0.7))
    return 0.98 + 0.34 * band * np.abs(band) + 0.06 * streaks


def _fabric(rng: Generator, u: Field, v: Field) -> Field:
    thread = 2 * np.pi / rng.uniform(2.6, 3.4)
    weave = np.sin((u + v) * thread) * np.sin((u - v) * thread)
    return 0.96 + 0.2 * weave + 0.12 * noise(rng, u.shape, (16, 16))


def _brick(rng: Generator, u: Field, v: Field) -> Field:
    high = rng.uniform(6, 8.5)
    row = np.floor(v / high)
    long = high * 2.1
    along = u + (row % 2) * long / 2
    mortar = ((v - row * high) < 1.3) | ((along % long) < 1.3)
    tint = np.sin(row * 12.9 + np.floor(along / long) * 78.2) * 0.12
    return np.where(mortar, 1.5, 0.88 + tint)


def _stone(rng: Generator, u: Field, v: Field) -> Field:
    size = rng.uniform(9, 12)
    bend = noise(rng, u.shape, (8, 8)) * 1.6
    row = np.floor((v + bend) / size)
    along = u + bend + np.sin(row * 37.7) * size
    column = np.floor(along / size)
    dx, dy = along - (column + 0.5) * size, v + bend - (row + 0.5) * size
    hump = 1 - (dx**2 + dy**2) * (2.6 / size**2)
    return 0.42 + 0.7 * np.clip(hump + 0.25 * np.sin(row * 5.1 + column * 9.7), 0, 1)


def _fur(rng: Generator, u: Field, _v: Field) -> Field:
    return 0.95 + 0.26 * noise(rng, u.shape, (4.5, 1.4)) + 0.1 * noise(rng, u.shape, (14, 14))


def _plastic(rng: Generator, u: Field, v: Field) -> Field:
    x, y = rng.uniform(-20, 5), rng.uniform(-20, 0)
    gloss = np.exp(-((u - x) ** 2 + (v - y) ** 2) / rng.uniform(120, 260))
    return 0.94 + 0.42 * gloss


def _water(rng: Generator, u: Field, v: Field) -> Field:
    bend = noise(rng, u.shape, (10, 18)) * 2.4
    ripple = np.sin((v + bend) * (2 * np.pi / rng.uniform(6, 9)) + 1.3 * np.sin(u * 0.22))
    return 0.98 + 0.2 * np.maximum(ripple, -0.3) ** 2 * np.sign(ripple)


def _sand(rng: Generator, u: Field, _v: Field) -> Field:
    speckle = rng.standard_normal(u.shape, dtype=np.float32)
    return 0.98 + 0.09 * speckle + 0.08 * noise(rng, u.shape, (5, 22))


def _foliage(rng: Generator, u: Field, _v: Field) -> Field:
    leaves = noise(rng, u.shape, (3.6, 3.6))
    return 0.88 + 0.34 * np.tanh(2.2 * leaves)


MATERIALS: dict[str, Callable[[Generator, Field, Field], Field]] = {
    "brick": _brick, "fabric": _fabric, "foliage": _foliage, "fur": _fur, "metal": _metal,
    "plastic": _plastic, "sand": _sand, "stone": _stone, "water": _water, "wood": _wood,
}  # fmt: skip
BODIES = ("brick", "fabric", "fur", "metal", "plastic", "stone", "wood")  # what objects can be made of


# -- textures: (u, v) in periods -> share of the second colour, 0 to 1 -------------------------------------------------


def _soft(x: Field, width: float = 0.12) -> Field:
    # A soft step at 0, so that the pattern has no jagged edges.
    return np.clip(x / width + 0.5, 0, 1)


def _saw(x: Field) -> Field:
    # Distance to the nearest whole number, 0 to 0.5.
    return np.abs(x - np.round(x))


def _striped(u: Field, _v: Field) -> Field:
    return _soft(_saw(u) - 0.25)


def _dotted(u: Field, v: Field) -> Field:
    shifted = u + 0.5 * (np.floor(v) % 2)
    return _soft(0.3 - np.hypot(shifted % 1 - 0.5, v % 1 - 0.5))


def _chequered(u: Field, v: Field) -> Field:
    return _soft(np.sin(np.pi * u) * np.sin(np.pi * v), 0.4)


def _zigzagged(u: Field, v: Field) -> Field:
    return _soft(_saw(v + 0.9 * _saw(u)) - 0.25)


def _gridded(u: Field, v: Field) -> Field:
    return _soft(0.13 - np.minimum(_saw(u), _saw(v)))


def _honeycombed(u: Field, v: Field) -> Field:
    a, b = np.stack([u % 1 - 0.5, (v % 1.732) - 0.866]), np.stack([(u + 0.5) % 1 - 0.5, ((v + 0.866) % 1.732) - 0.866])
    x, y = np.abs(np.where((a**2).sum(0) < (b**2).sum(0), a, b))
    return _soft(np.maximum(x, x * 0.5 + y * 0.866) - 0.4)


def _scaly(u: Field, v: Field) -> Field:
    row = np.floor(v * 1.6)
    x, y = (u + 0.5 * (row % 2)) % 1 - 0.5, v * 1.6 - row
    return _soft(np.abs(np.hypot(x, y * 0.75) - 0.46) * -1 + 0.1)


def _swirly(u: Field, v: Field) -> Field:
    r, angle = np.hypot(u, v), np.arctan2(v, u)
    return _soft(np.sin(2 * np.pi * r * 0.8 - 2 * angle), 0.5)


def _crosshatched(u: Field, v: Field) -> Field:
    near = _soft(0.1 - _saw(u + 0.6 * v)) + _soft(0.1 - _saw(u - 0.6 * v))
    return np.minimum(near, 1)


def _starry(u: Field, v: Field) -> Field:
    x, y = (u + 0.5 * (np.floor(v) % 2)) % 1 - 0.5, v % 1 - 0.5
    points = 0.22 + 0.12 * np.cos(5 * np.arctan2(y, x) + np.pi / 2)
    return _soft(points - np.hypot(x, y))


TEXTURES: dict[str, Callable[[Field, Field], Field]] = {
    "chequered": _chequered, "crosshatched": _crosshatched, "dotted": _dotted, "gridded": _gridded,
    "honeycombed": _honeycombed, "scaly": _scaly, "starry": _starry, "striped": _striped,
    "swirly": _swirly, "zigzagged": _zigzagged,
}  # fmt: skip
