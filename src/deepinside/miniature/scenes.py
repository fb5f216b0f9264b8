"""The scenes behind the objects."""

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from numpy.random import Generator

from deepinside.miniature.canvas import Backdrop
from deepinside.miniature.palette import paints
from deepinside.miniature.shapes import box, ellipse, polygon, smooth, stroke
from deepinside.miniature.surfaces import MATERIALS, TEXTURES, grid

# sky colours, RGB bytes: zenith, horizon
_SKIES = (
    ((92, 160, 228), (205, 232, 246)),
    ((64, 120, 200), (246, 214, 180)),
    ((120, 96, 176), (250, 180, 150)),
    ((240, 150, 110), (252, 226, 160)),
    ((150, 170, 188), (218, 224, 226)),
    ((96, 190, 196), (226, 244, 224)),
    ((216, 140, 176), (250, 220, 222)),
)


def _colour(rng: Generator, rgb: tuple[int, int, int], jitter: float = 10) -> ndarray:
    return np.clip(np.array(rgb) + rng.normal(0, jitter, 3) + rng.normal(0, jitter), 4, 252)


def _sky(canvas: Backdrop, rng: Generator, bottom: float) -> None:
    zenith, horizon = _SKIES[rng.integers(len(_SKIES))]
    canvas.rows(0, bottom + 1, _colour(rng, zenith), _colour(rng, horizon), "sky")
    if rng.random() < 0.4:
        x, y, r = rng.uniform(0, canvas.width), rng.uniform(0, bottom * 0.8), rng.uniform(5, 11)
        glow = _colour(rng, (255, 240, 190), 4)
        canvas.fill(ellipse(x, y, r * 1.7), glow, alpha=0.3)
        canvas.fill(ellipse(x, y, r), glow, "sun")
    for _ in range(int(rng.integers(0, 4))):
        _cloud(canvas, rng, rng.uniform(0, canvas.width), rng.uniform(0, bottom * 0.7))


def _cloud(canvas: Backdrop, rng: Generator, x: float, y: float) -> None:
    size, white = rng.uniform(5, 11), _colour(rng, (246, 246, 250), 4)
    for dx, dy, r in ((-1.3, 0.15, 0.6), (-0.4, -0.25, 0.85), (0.6, -0.1, 0.75), (1.4, 0.2, 0.5)):
        canvas.fill(ellipse(x + dx * size, y + dy * size, r * size, r * size * 0.8), white, "cloud")


def _ridge(rng: Generator, width: int, height: int, base: float, swing: float, bumps: int) -> ndarray:
    # The outline of hills: a soft line over the whole width, closed below the image.
    x = np.linspace(-12, width + 12, bumps)
    line = smooth(np.stack([x, base - np.abs(rng.normal(0, swing, bumps))], axis=1), closed=False)
    return np.concatenate([line, [(width + 12, height + 9), (-12, height + 9)]])


def _scatter(canvas: Backdrop, rng: Generator, count: int, top: float) -> list[tuple[float, float, float]]:
    # Places on the ground, the far ones first, with their nearness from 0 to 1.
    ys = np.sort(rng.uniform(top, canvas.height, count))
    return [(rng.uniform(0, canvas.width), y, (y - top) / (canvas.height - top)) for y in ys]


def beach(canvas: Backdrop, rng: Generator) -> None:
    """Sand, sea and sky."""
    h, w = canvas.height, canvas.width
    horizon, shore = rng.uniform(0.32, 0.48) * h, rng.uniform(0.6, 0.74) * h
    _sky(canvas, rng, horizon)
    deep, shallow = _colour(rng, (30, 110, 170)), _colour(rng, (90, 190, 200))
    canvas.rows(horizon, h, deep, shallow, "sea", "water")
    _surface(canvas, rng, "sea", "water", 0.6)
    sand = _ridge(rng, w, h, shore, 5, 6)
    canvas.fill(sand - (0, 2.2), _colour(rng, (240, 248, 246), 3), "sea", material="water", alpha=0.8)
    canvas.fill(sand, _colour(rng, (226, 200, 148)), "beach", material="sand")
    _surface(canvas, rng, "beach", "sand", 0.7)
    for x, y, near in _scatter(canvas, rng, int(rng.integers(0, 4)), shore + 6):
        canvas.fill(
            ellipse(x, y, 2 + 3 * near, 1.5 + 2 * near), _colour(rng, (150, 140, 132)), "pebble", material="stone"
        )


def forest(canvas: Backdrop, rng: Generator) -> None:
    """Fir trees in rows, the near ones darker."""
    h, w = canvas.height, canvas.width
    floor = rng.uniform(0.62, 0.78) * h
    _sky(canvas, rng, floor + 14)
    hue = _colour(rng, (70, 130, 80), 22)
    for row in range(3):
        tone = hue * (1.25 - 0.3 * row) + (40 - 20 * row)
        for x in np.arange(-6, w + 6, rng.uniform(14, 19)) + rng.uniform(-4, 4):
            _fir(canvas, rng, x, floor + 6 + 4 * row, rng.uniform(24, 40) * (1 + 0.25 * row), np.clip(tone, 5, 250))
    canvas.fill(_ridge(rng, w, h, floor + 8, 3, 7), _colour(rng, (96, 108, 60), 14), "grass", material="foliage")
    _surface(canvas, rng, "grass", "foliage", 0.55)


def _fir(canvas: Backdrop, rng: Generator, x: float, y: float, tall: float, colour: ndarray) -> None:
    wide, lean = tall * rng.uniform(0.2, 0.27), rng.normal(0, 0.6)
    steps = [(1.0, 0.18), (0.62, 0.46), (0.7, 0.46), (0.36, 0.74), (0.44, 0.74), (0, 1.0)]
    right = [(x + wide * a + lean * b, y - tall * b) for a, b in steps]
    left = [(x - wide * a + lean * b, y - tall * b) for a, b in steps[::-1]]
    canvas.fill(box(x - 1.2, y - tall * 0.2, x + 1.2, y), colour * 0.6, "fir", material="wood")
    canvas.fill(polygon(*right, *left), colour * rng.uniform(0.92, 1.08), "fir", material="foliage")


def city(canvas: Backdrop, rng: Generator) -> None:
    """A skyline with lit windows above a street."""
    h, w = canvas.height, canvas.width
    street = rng.uniform(0.74, 0.86) * h
    _sky(canvas, rng, street)
    tone = _colour(rng, (130, 130, 150), 26)
    for layer in (0, 1):
        x = rng.uniform(-20, 0)
        while x < w:
            wide = rng.uniform(14, 26)
            top = street - rng.uniform(0.2, 0.62 - 0.14 * layer) * h
            _tower(canvas, rng, (x, top, x + wide, street + 2), tone * (1.15 - 0.38 * layer) + rng.normal(0, 7, 3))
            x += wide + rng.uniform(-1, 5)
    canvas.rows(street, h, _colour(rng, (104, 104, 108)), _colour(rng, (84, 84, 90)), "street", "stone")
    for x in np.arange(rng.uniform(0, 18), w, 18):
        canvas.fill(
            box(x, (street + h) / 2 - 1, x + 9, (street + h) / 2 + 1),
            _colour(rng, (236, 230, 200), 4),
            "street",
            material="stone",
        )


def _tower(canvas: Backdrop, rng: Generator, corners: tuple[float, float, float, float], colour: ndarray) -> None:
    x0, y0, x1, y1 = corners
    canvas.fill(box(*corners), np.clip(colour, 5, 250), "building", material="stone")
    lit = np.array((255, 232, 150)) if rng.random() < 0.6 else np.clip(colour * 1.35 + 20, 0, 255)
    for y in np.arange(y0 + 4, y1 - 4, 6):
        for x in np.arange(x0 + 3, x1 - 3, 5):
            if rng.random() < 0.45:
                canvas.fill(box(x, y, x + 2.4, y + 3.2), lit, "building", material="stone", alpha=0.85)


def room(canvas: Backdrop, rng: Generator) -> None:
    """A papered wall, a floor, perhaps a picture."""
    h, w = canvas.height, canvas.width
    edge = rng.uniform(0.64, 0.82) * h
    wall = paints(rng)[0] * 0.62 + 78
    canvas.rows(0, edge, wall, wall * 0.94, "wall", "plastic")
    if rng.random() < 0.6:
        _paper(canvas, rng)
    elif rng.random() < 0.5:
        _surface(canvas, rng, "wall", "brick", 0.8)
    if rng.random() < 0.6:
        _picture(canvas, rng, rng.uniform(10, w - 10), rng.uniform(0.1, 0.45) * h)
    floor = _colour(rng, (166, 118, 74), 22)
    canvas.rows(edge, h, floor * 0.9, floor, "floor", "wood")
    _surface(canvas, rng, "floor", "wood", 0.9)
    canvas.rows(edge - 3, edge, _colour(rng, (232, 226, 216), 6), _colour(rng, (206, 200, 190), 6), "skirting", "wood")


def _paper(canvas: Backdrop, rng: Generator) -> None:
    pattern = TEXTURES[list(TEXTURES)[rng.integers(len(TEXTURES))]]
    period = rng.uniform(9, 15)
    u, v = grid((canvas.height, canvas.width), rng.choice([0, 45, 90]))
    canvas.grain("wall", 1 + rng.choice([-1, 1]) * rng.uniform(0.12, 0.25) * pattern(u / period, v / period))


def _picture(canvas: Backdrop, rng: Generator, x: float, y: float) -> None:
    a, b = rng.uniform(7, 14), rng.uniform(6, 12)
    canvas.fill(box(x - a, y - b, x + a, y + b), _colour(rng, (96, 66, 40)), "picture", material="wood")
    inner = paints(rng)[0]
    canvas.fill(box(x - a + 2, y - b + 2, x + a - 2, y + b - 2), inner, "picture")
    hill = smooth(
        [(x - a + 2, y + b - 2), (x - a / 2, y), (x, y + b / 2), (x + a / 2, y - b / 4), (x + a - 2, y + b - 2)], fine=3
    )
    canvas.fill(hill, inner * 0.6, "picture")


def desert(canvas: Backdrop, rng: Generator) -> None:
    """Dunes, perhaps with cacti."""
    h, w = canvas.height, canvas.width
    horizon = rng.uniform(0.42, 0.58) * h
    _sky(canvas, rng, horizon + 8)
    sand = _colour(rng, (222, 160, 92), 14)
    for layer in range(3):
        dune = _ridge(rng, w, h, horizon + layer * 0.15 * h, 7, 5 + layer)
        canvas.fill(dune, sand * (0.82 + 0.1 * layer), "dune", material="sand")
    _surface(canvas, rng, "dune", "sand", 0.7)
    for x, y, near in _scatter(canvas, rng, int(rng.integers(0, 4)), horizon + 8):
        _cactus(canvas, rng, x, y, 10 + 14 * near)


def _cactus(canvas: Backdrop, rng: Generator, x: float, y: float, tall: float) -> None:
    green, w = _colour(rng, (70, 128, 70)), tall * 0.2
    canvas.fill(box(x - w / 2, y - tall, x + w / 2, y, w / 2), green, "cactus", material="foliage")
    for side, at in ((-1, 0.45), (1, 0.6)):
        arm = smooth(
            [(x, y - tall * at), (x + side * w * 1.5, y - tall * at), (x + side * w * 1.6, y - tall * (at + 0.3))],
            closed=False,
        )
        canvas.fill(stroke(arm, w * 0.7), green, "cactus", material="foliage")


def night(canvas: Backdrop, rng: Generator) -> None:
    """Stars and a moon above dark hills."""
    h, w = canvas.height, canvas.width
    canvas.rows(0, h, _colour(rng, (16, 20, 52), 7), _colour(rng, (66, 60, 120), 14), "sky")
    for _ in range(int(rng.integers(14, 34))):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h * 0.85), rng.uniform(0.5, 1.3)
        canvas.fill(ellipse(x, y, r), _colour(rng, (250, 246, 220), 5), "star")
    x, y, r = rng.uniform(0, w), rng.uniform(0.05, 0.4) * h, rng.uniform(7, 13)
    canvas.fill(ellipse(x, y, r * 1.6), np.array((250, 244, 210)), alpha=0.12)
    canvas.fill(ellipse(x, y, r), _colour(rng, (246, 240, 208), 5), "moon")
    for dx, dy, s in ((-0.3, -0.2, 0.22), (0.3, 0.25, 0.28), (0.15, -0.45, 0.15)):
        canvas.fill(ellipse(x + dx * r, y + dy * r, s * r), np.array((222, 214, 180)), "moon", alpha=0.8)
    for layer in range(2):
        hill = _ridge(rng, w, h, h * (0.82 + 0.1 * layer), 8, 6)
        canvas.fill(hill, _colour(rng, (36, 40, 70), 6) * (1 - 0.3 * layer), "hill", material="stone")


def mountains(canvas: Backdrop, rng: Generator) -> None:
    """Snow-capped peaks over a green valley."""
    h, w = canvas.height, canvas.width
    valley = rng.uniform(0.66, 0.8) * h
    _sky(canvas, rng, valley + 10)
    rock = _colour(rng, (120, 124, 140), 14)
    for layer, count in ((0, 3), (1, 3)):
        for x in (np.arange(count) + rng.uniform(0, 1)) * w / count:
            tall, wide = rng.uniform(0.34, 0.6 - 0.12 * layer) * h, rng.uniform(26, 44)
            _peak(canvas, rng, (x, valley + 6, tall, wide), np.clip(rock * (1.12 - 0.22 * layer), 5, 250))
    canvas.fill(_ridge(rng, w, h, valley + 4, 5, 6), _colour(rng, (112, 150, 76), 14), "grass", material="foliage")
    _surface(canvas, rng, "grass", "foliage", 0.4)


def _peak(canvas: Backdrop, rng: Generator, place: tuple[float, float, float, float], rock: ndarray) -> None:
    x, y, tall, wide = place
    canvas.fill(polygon((x - wide, y), (x, y - tall), (x + wide, y)), rock, "mountain", material="stone")
    canvas.fill(
        polygon((x, y - tall), (x + wide, y), (x + wide * 0.1, y), (x + wide * 0.16, y - tall * 0.5)),
        rock * 0.84,
        "mountain",
        material="stone",
    )
    s = rng.uniform(0.24, 0.38)
    cap = [
        (x, y - tall),
        (x + wide * s, y - tall * (1 - s)),
        (x + wide * s * 0.4, y - tall * (1.07 - s)),
        (x, y - tall * (0.92 - s)),
        (x - wide * s * 0.45, y - tall * (1.06 - s)),
        (x - wide * s, y - tall * (1 - s)),
    ]
    canvas.fill(polygon(*cap), _colour(rng, (244, 247, 252), 3), "snow", material="snow")


def meadow(canvas: Backdrop, rng: Generator) -> None:
    """Rolling green with dots of blossom."""
    h, w = canvas.height, canvas.width
    horizon = rng.uniform(0.38, 0.58) * h
    _sky(canvas, rng, horizon + 6)
    green = _colour(rng, (118, 172, 74), 18)
    for layer in range(3):
        hill = _ridge(rng, w, h, horizon + layer * 0.14 * h, 8, 5)
        canvas.fill(hill, np.clip(green * (1.1 - 0.12 * layer), 5, 250), "grass", material="foliage")
    _surface(canvas, rng, "grass", "foliage", 0.5)
    bright = paints(rng)[0]
    for x, y, near in _scatter(canvas, rng, int(rng.integers(5, 22)), horizon + 10):
        canvas.fill(ellipse(x, y, 0.8 + near), bright, "blossom", material="foliage")


def underwater(canvas: Backdrop, rng: Generator) -> None:
    """Blue depth, seaweed and bubbles."""
    h, w = canvas.height, canvas.width
    canvas.rows(0, h, _colour(rng, (96, 196, 210), 14), _colour(rng, (24, 84, 134), 12), "sea", "water")
    _surface(canvas, rng, "sea", "water", 0.35)
    for x in rng.uniform(0, w, 3):
        ray = polygon((x, 0), (x + 9, 0), (x + 30, h), (x - 8, h))
        canvas.fill(ray, np.array((220, 250, 250)), alpha=0.1)
    canvas.fill(_ridge(rng, w, h, 0.9 * h, 5, 6), _colour(rng, (196, 182, 134)), "seabed", material="sand")
    _surface(canvas, rng, "seabed", "sand", 0.7)
    for _ in range(int(rng.integers(2, 6))):
        x, tall, sway = rng.uniform(0, w), rng.uniform(0.2, 0.5) * h, rng.uniform(2, 5)
        stem = [(x + sway * np.sin(k * 1.6), h - tall * k / 5) for k in range(6)]
        canvas.fill(
            stroke(smooth(stem, closed=False), 4.5, 1), _colour(rng, (40, 130, 80), 16), "seaweed", material="foliage"
        )
    for _ in range(int(rng.integers(3, 10))):
        x, y, r = rng.uniform(0, w), rng.uniform(0, 0.85 * h), rng.uniform(1.2, 3.4)
        canvas.fill(ellipse(x, y, r), np.array((214, 244, 250)), "bubble", alpha=0.5)


def snowfield(canvas: Backdrop, rng: Generator) -> None:
    """Snow on the ground and in the air."""
    h, w = canvas.height, canvas.width
    horizon = rng.uniform(0.42, 0.6) * h
    _sky(canvas, rng, horizon + 8)
    white = _colour(rng, (230, 238, 248), 5)
    for x, y, near in _scatter(canvas, rng, int(rng.integers(0, 5)), horizon):
        _fir(canvas, rng, x, min(y, horizon + 12), 22 + 14 * near, _colour(rng, (70, 110, 100)))
    for layer in range(3):
        hill = _ridge(rng, w, h, horizon + 6 + layer * 0.14 * h, 6, 5)
        canvas.fill(hill, np.clip(white * (0.92 + 0.04 * layer), 0, 252), "snow", material="snow")
    for _ in range(int(rng.integers(15, 45))):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.5, 1.3)
        canvas.fill(ellipse(x, y, r), np.array((250, 252, 255)), alpha=0.9)


def _surface(canvas: Backdrop, rng: Generator, thing: str, material: str, strength: float) -> None:
    """Applies the grain of its material to a thing of the scene."""
    u, v = grid((canvas.height, canvas.width))
    canvas.grain(thing, 1 + strength * (MATERIALS[material](rng, u, v) - 1))


SCENES: dict[str, Callable[[Backdrop, Generator], None]] = {
    "beach": beach, "city": city, "desert": desert, "forest": forest, "meadow": meadow, "mountains": mountains,
    "night": night, "room": room, "snowfield": snowfield, "underwater": underwater,
}  # fmt: skip
