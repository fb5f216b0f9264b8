"""Outdoor objects: house, tree, flower, mushroom, rocket."""

import numpy as np
from numpy.random import Generator

from deepinside.miniature.shapes import Shape, box, ellipse, moved, polygon, smooth, stroke


def house(rng: Generator) -> list[Shape]:
    """A house from the front."""
    eaves, ridge, flat = -rng.uniform(0.1, 0.25), -rng.uniform(0.82, 1), rng.choice([0.0, 0.35])
    side = rng.choice([-1, 1])
    roof = polygon((-1, eaves), (-flat - 0.02, ridge), (flat + 0.02, ridge), (1, eaves))
    stack = box(side * 0.55 - 0.11, ridge - 0.06, side * 0.55 + 0.11, eaves - 0.1)
    door = -side * rng.uniform(0.3, 0.42)
    panes = []
    for x in (side * 0.4,) if abs(door) > 0.35 else (side * 0.3,):
        panes += _window(x, 0.28, rng.uniform(0.19, 0.24))
    return [
        Shape(stack, "chimney", "dark"),
        Shape(box(-0.84, eaves - 0.02, 0.84, 0.9), "facade"),
        Shape(roof, "roof", "accent"),
        Shape(box(door - 0.2, 0.28, door + 0.2, 0.9, 0.04), "door", "dark"),
        Shape(ellipse(door + 0.11, 0.6, 0.05), "door", "light", "knob"),
        *panes,
        *(_window(0, (eaves + ridge) / 2 + 0.05, 0.13) if rng.random() < 0.6 else []),
    ]


def _window(x: float, y: float, half: float) -> list[Shape]:
    bars = (stroke([(x - half, y), (x + half, y)], 0.05), stroke([(x, y - half), (x, y + half)], 0.05))
    frame = Shape(box(x - half - 0.04, y - half - 0.04, x + half + 0.04, y + half + 0.04), "window", "light")
    glass = Shape(box(x - half, y - half, x + half, y + half), "window", "glass", "pane")
    return [frame, glass, *(Shape(bar, "window", "light", line=False) for bar in bars)]


def tree(rng: Generator) -> list[Shape]:
    """A leafy tree, with or without fruit."""
    wide, lobes = rng.uniform(0.12, 0.17), int(rng.integers(6, 9))
    trunk = smooth(
        [(-wide, -0.1), (wide, -0.1), (wide, 0.6), (wide * 2.1, 0.98), (-wide * 2.1, 0.98), (-wide, 0.6)], fine=3
    )
    angles = np.linspace(0, 2 * np.pi, lobes, endpoint=False) + rng.uniform(0, 1)
    puffs = [(0.44 * np.cos(a), -0.36 + 0.34 * np.sin(a), rng.uniform(0.27, 0.36)) for a in angles]
    fruit = [(rng.uniform(-0.5, 0.5), rng.uniform(-0.75, 0.0)) for _ in range(int(rng.integers(0, 7)))]
    return [
        Shape(trunk, "trunk", "dark"),
        Shape(stroke([(0.02, 0.3), (0.34, -0.12)], 0.1), "branch", "dark"),
        *(Shape(ellipse(*puff), "crown", line=line) for line in (True, False) for puff in puffs),
        Shape(ellipse(0, -0.36, 0.46, 0.42), "crown", line=False),
        *(Shape(ellipse(x, y, 0.08), "fruit", "accent") for x, y in fruit),
    ]


def flower(rng: Generator) -> list[Shape]:
    """A flower on its stem."""
    count, y, bend = int(rng.integers(5, 9)), -0.36, rng.uniform(-0.16, 0.16)
    width = 1.3 / count
    one = Shape(smooth([(0.1, 0), (0.4, -width), (0.68, 0), (0.4, width)]), "petal")
    petals = [moved(one, 0, y, degrees=360 * k / count) for k in range(count)]
    stem = stroke(smooth([(0, y), (bend, 0.3), (0, 0.92)], closed=False), 0.11)
    leaf = Shape(smooth([(0, 0), (0.3, -0.18), (0.66, -0.08), (0.34, 0.14)]), "leaf", "dark")
    leaves = [moved(leaf, bend / 2, 0.66, scale=(s, 1), degrees=s * -rng.uniform(15, 40)) for s in (-1, 1)]
    return [
        Shape(stem, "stem", "dark"),
        *leaves,
        *petals,
        Shape(ellipse(0, y, rng.uniform(0.2, 0.26)), "disc", "accent"),
    ]


def mushroom(rng: Generator) -> list[Shape]:
    """A mushroom with a spotted cap."""
    rim, high, w = rng.uniform(0, 0.12), rng.uniform(0.75, 0.95), rng.uniform(0.22, 0.3)
    cap = smooth(
        [
            (-0.98, rim),
            (-0.78, rim - high * 0.62),
            (0, rim - high),
            (0.78, rim - high * 0.62),
            (0.98, rim),
            (0, rim + 0.13),
        ]
    )
    stalk = smooth([(-w, rim), (w, rim), (w * 0.9, 0.5), (w * 1.4, 0.92), (-w * 1.4, 0.92), (-w * 0.9, 0.5)])
    spots = [(-0.5, 0.34, 0.14), (0.05, 0.62, 0.17), (0.55, 0.32, 0.13), (0.08, 0.2, 0.11), (-0.28, 0.66, 0.08)]
    return [
        Shape(stalk, "stalk", "light"),
        Shape(smooth([(-w * 1.5, 0.36), (0, 0.28), (w * 1.5, 0.36), (0, 0.46)]), "skirt", "accent"),
        Shape(cap, "cap"),
        *(Shape(ellipse(x, rim - y * high, r, r * 0.85), "cap", "light", "spot") for x, y, r in spots),
    ]


def rocket(rng: Generator) -> list[Shape]:
    """A rocket with its flame."""
    w, fire = rng.uniform(0.36, 0.42), rng.uniform(0.86, 1.05)
    side = [(w * 0.75, -0.66), (w, -0.1), (w * 0.8, 0.46)]
    body = smooth([(0, -1.02), *side, *[(-x, y) for x, y in side[::-1]]])
    nose = smooth([(0, -1.04), (w * 0.5, -0.82), (w * 0.8, -0.58), (-w * 0.8, -0.58), (-w * 0.5, -0.82)], fine=3)
    fin = Shape(polygon((w * 0.8, -0.04), (w + 0.38, 0.42), (w + 0.36, 0.74), (w * 0.7, 0.46)), "fin", "accent")
    return [
        Shape(smooth([(-0.24, 0.5), (0.24, 0.5), (0.2, 0.7), (0, fire), (-0.2, 0.7)]), "flame", "light"),
        moved(fin, scale=(-1, 1)),
        fin,
        Shape(body, "body"),
        Shape(nose, "nose cone", "accent"),
        Shape(ellipse(0, -0.24, 0.2), "window", "light"),
        Shape(ellipse(0, -0.24, 0.135), "window", "glass", "pane"),
        Shape(box(-w * 0.72, 0.42, w * 0.72, 0.55), "nozzle", "dark"),
    ]
