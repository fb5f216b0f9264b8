"""Animals: fish, bird, cat, butterfly, snail. Every object is a list of shapes, from back to front."""

import numpy as np
from numpy.random import Generator

from deepinside.miniature.shapes import Shape, arc, ellipse, moved, polygon, smooth, stroke


def eye(x: float, y: float, radius: float) -> list[Shape]:
    """An eye and its pupil."""
    pupil = Shape(ellipse(x + radius * 0.15, y, radius * 0.55), "eye", "dark", "pupil")
    return [Shape(ellipse(x, y, radius), "eye", "light"), pupil]


def fish(rng: Generator) -> list[Shape]:
    """A fish from the side."""
    high, spread = rng.uniform(0.5, 0.64), rng.uniform(0.46, 0.62)
    body = smooth(
        [
            (0.95, 0.03),
            (0.6, -high * 0.8),
            (0.1, -high),
            (-0.45, -high * 0.4),
            (-0.62, 0),
            (-0.45, high * 0.4),
            (0.1, high),
            (0.6, high * 0.75),
        ]
    )
    tail = smooth([(-0.5, 0), (-1.05, -spread), (-0.86, 0), (-1.05, spread)], fine=3)
    back = smooth([(0.42, -high * 0.85), (0.1, -high - 0.26), (-0.3, -high - 0.12), (-0.32, -high * 0.6)], fine=3)
    belly = polygon((0.2, high * 0.9), (-0.1, high + 0.24), (-0.2, high * 0.75))
    return [
        Shape(tail, "tail", "accent"),
        Shape(back, "fin", "accent"),
        Shape(belly, "fin", "accent"),
        Shape(body, "body"),
        Shape(smooth([(0.2, 0.1), (-0.18, -0.06), (-0.26, 0.16), (-0.14, 0.3)]), "fin", "accent"),
        Shape(arc(0.3, 0, 0.14, high * 0.72, -70, 70, 0.05), "body", "dark", "gill"),
        Shape(stroke([(0.96, 0.14), (0.78, 0.16)], 0.05), "body", "dark", "mouth"),
        *eye(0.64, -0.12, rng.uniform(0.11, 0.14)),
    ]


def bird(rng: Generator) -> list[Shape]:
    """A standing bird from the side."""
    x, y, r = rng.uniform(0.4, 0.52), -rng.uniform(0.48, 0.6), rng.uniform(0.26, 0.31)
    body = smooth([(0.62, -0.15), (0.45, 0.3), (0, 0.46), (-0.5, 0.22), (-0.68, -0.08), (-0.3, -0.28), (0.2, -0.5)])
    lift = rng.uniform(-0.1, 0.14)
    wing = smooth([(0.26, -0.16), (-0.1, -0.24), (-0.82, 0.02 - lift), (-0.45, 0.2), (0.05, 0.26)])
    legs = [
        s
        for a in (-0.02, 0.2)
        for s in (stroke([(a, 0.38), (a - 0.02, 0.86)], 0.07), stroke([(a - 0.12, 0.88), (a + 0.16, 0.88)], 0.08))
    ]
    return [
        Shape(
            polygon((-0.5, -0.1), (-1.1, -0.3 - lift), (-1.14, -0.06 - lift), (-0.96, 0.08), (-0.5, 0.2)),
            "tail",
            "accent",
        ),
        *(Shape(leg, "leg", "dark") for leg in legs),
        Shape(body, "body"),
        Shape(ellipse(x, y, r), "head"),
        Shape(
            polygon((x + r * 0.8, y - 0.12), (x + r + rng.uniform(0.26, 0.38), y + 0.04), (x + r * 0.8, y + 0.13)),
            "beak",
            "accent",
        ),
        Shape(wing, "wing", "accent"),
        *eye(x + 0.08, y - 0.05, 0.09),
    ]


def cat(rng: Generator) -> list[Shape]:
    """The face of a cat."""
    wide, tip, lean = rng.uniform(0.82, 0.95), -rng.uniform(0.95, 1.1), rng.uniform(0.62, 0.8)
    head = smooth(
        [
            (0, -0.6),
            (wide * 0.75, -0.4),
            (wide, 0.1),
            (wide * 0.6, 0.62),
            (0, 0.76),
            (-wide * 0.6, 0.62),
            (-wide, 0.1),
            (-wide * 0.75, -0.4),
        ]
    )
    ears, whiskers = [], []
    for side in (-1, 1):
        outer = polygon((side * 0.16, -0.5), (side * lean, tip), (side * 0.84, -0.14))
        inner = polygon((side * 0.36, -0.54), (side * (lean - 0.04), tip + 0.22), (side * 0.7, -0.34))
        ears += [Shape(outer, "ear"), Shape(inner, "ear", "accent", "inner ear")]
        whiskers += [
            Shape(
                stroke([(side * 0.3, 0.3 + 0.05 * k), (side * 1.1, 0.16 + 0.18 * k)], 0.045),
                "whisker",
                "light",
                line=False,
            )
            for k in range(3)
        ]
    r = rng.uniform(0.17, 0.21)
    eyes = [Shape(ellipse(side * 0.36, -0.06, r, r * 0.9), "eye", "light") for side in (-1, 1)]
    pupils = [Shape(ellipse(side * 0.36, -0.06, r * 0.35, r * 0.8), "eye", "dark", "pupil") for side in (-1, 1)]
    mouth = [
        Shape(arc(side * 0.12, 0.4, 0.13, 0.12, 0, 180, 0.05), "head", "dark", "mouth", line=False) for side in (-1, 1)
    ]
    nose = Shape(polygon((-0.13, 0.2), (0.13, 0.2), (0, 0.36)), "nose", "accent")
    return [*ears, Shape(head, "head"), *eyes, *pupils, *whiskers, *mouth, nose]


def butterfly(rng: Generator) -> list[Shape]:
    """A butterfly from above."""
    reach, drop = rng.uniform(0.92, 1.05), rng.uniform(0.62, 0.8)
    upper = smooth([(0.05, -0.05), (0.4, -0.72), (reach, -0.74), (reach * 0.92, -0.12), (0.4, 0.08)])
    lower = smooth([(0.05, 0.02), (0.5, 0.04), (drop, 0.42), (0.48, 0.76), (0.16, 0.5)])
    spots = [(reach * 0.68, -0.42, 0.17, "light"), (0.46, 0.4, 0.12, "light")]
    shapes: list[Shape] = []
    for side in (-1, 1):
        wings = [Shape(lower, "wing", "accent"), Shape(upper, "wing")]
        wings += [Shape(ellipse(x, y, r), "wing", tone, "spot") for x, y, r, tone in spots]
        feeler = stroke(smooth([(0.03, -0.42), (0.1, -0.7), (0.3, -0.86)], closed=False), 0.05)
        wings += [Shape(feeler, "antenna", "dark"), Shape(ellipse(0.3, -0.86, 0.05), "antenna", "dark")]
        shapes += [moved(wing, scale=(side, 1)) for wing in wings]
    return [*shapes, Shape(ellipse(0, 0.1, 0.1, 0.46), "body", "dark"), Shape(ellipse(0, -0.4, 0.12), "head", "dark")]


def snail(rng: Generator) -> list[Shape]:
    """A snail from the side."""
    r, x = rng.uniform(0.6, 0.68), rng.uniform(-0.24, -0.14)
    foot = smooth(
        [
            (-1.05, 0.6),
            (-0.4, 0.42),
            (0.35, 0.4),
            (0.56, -0.2),
            (0.74, -0.36),
            (0.98, -0.24),
            (0.98, 0.02),
            (0.8, 0.5),
            (0.5, 0.62),
        ]
    )
    turns = np.linspace(0.3, 4.6 * np.pi, 60)
    radius = r * 0.88 * turns / turns[-1]
    spiral = np.stack([x + radius * np.cos(turns), -0.06 + radius * np.sin(turns)], axis=1)
    stalks = [((0.72, -0.3), (0.6, -0.76)), ((0.86, -0.3), (0.98, -0.74))]
    horns = [Shape(stroke(stalk, 0.07), "antenna", "accent") for stalk in stalks]
    return [
        *horns,
        *(part for _, (a, b) in stalks for part in eye(a, b, 0.1)),
        Shape(foot, "body", "accent"),
        Shape(ellipse(x, -0.06, r), "shell"),
        Shape(stroke(spiral, 0.08), "shell", "dark", "spiral"),
        Shape(stroke([(0.8, -0.02), (0.97, -0.06)], 0.05), "body", "dark", "mouth"),
    ]
