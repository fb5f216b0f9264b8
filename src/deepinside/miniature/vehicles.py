"""Vehicles: car, train, bicycle, boat, aeroplane."""

import numpy as np
from numpy.random import Generator

from deepinside.miniature.shapes import Shape, box, ellipse, polygon, smooth, stroke


def wheel(x: float, y: float, radius: float, *, spokes: bool = False) -> list[Shape]:
    """A wheel: a tyre and a hub, or a thin tyre with spokes."""
    tyre = ellipse(x, y, radius)
    if not spokes:
        hub = Shape(ellipse(x, y, radius * 0.5), "wheel", "light", "hub")
        return [Shape(tyre, "wheel", "dark"), hub, Shape(ellipse(x, y, radius * 0.16), "wheel", "dark", "hub")]
    turns = np.radians(np.arange(0, 180, 45))
    ends = [(radius * 0.9 * np.cos(t), radius * 0.9 * np.sin(t)) for t in turns]
    lines = [Shape(stroke([(x - a, y - b), (x + a, y + b)], 0.03), "wheel", "dark", line=False) for a, b in ends]
    ring = Shape(tyre, "wheel", "dark", hole=ellipse(x, y, radius * 0.76))
    return [*lines, ring, Shape(ellipse(x, y, radius * 0.2), "wheel", "light", "hub")]


def car(rng: Generator) -> list[Shape]:
    """A car from the side."""
    top, front, back = -rng.uniform(0.62, 0.78), rng.uniform(0.46, 0.64), -rng.uniform(0.66, 0.84)
    middle, low, high = rng.uniform(-0.1, 0.06), -0.04, top + 0.11
    cabin = polygon((back, 0), (back * 0.75, top), (0.3, top), (front, 0))
    rear = polygon((back * 0.84, low), (back * 0.69, high), (middle - 0.05, high), (middle - 0.05, low))
    fore = polygon((middle + 0.05, low), (middle + 0.05, high), (0.26, high), (front * 0.86, low))
    radius = rng.uniform(0.25, 0.3)
    return [
        Shape(cabin, "roof"),
        Shape(box(-1, -0.08, 1, 0.5, 0.2), "body"),
        Shape(box(middle, low + 0.04, middle + 0.44, 0.42, 0.05), "door", "accent"),
        Shape(rear, "window", "glass"),
        Shape(fore, "window", "glass"),
        Shape(box(middle + 0.06, 0.08, middle + 0.2, 0.14), "door", "dark", "door handle"),
        Shape(ellipse(0.9, 0.1, 0.1, 0.13), "headlight", "light"),
        *(Shape(box(x - 0.15, 0.34, x + 0.15, 0.5, 0.06), "bumper", "dark") for x in (-0.92, 0.92)),
        *wheel(-0.54, 0.5, radius),
        *wheel(0.54, 0.5, radius),
    ]


def train(rng: Generator) -> list[Shape]:
    """A steam locomotive from the side."""
    height, funnel, wide = rng.uniform(0.82, 0.96), rng.uniform(0.48, 0.66), rng.uniform(0.15, 0.22)
    stack = polygon((funnel - 0.1, -0.3), (funnel - wide, -height), (funnel + wide, -height), (funnel + 0.1, -0.3))
    return [
        Shape(stack, "chimney", "dark"),
        Shape(ellipse(0.12, -0.36, 0.15, 0.2), "dome", "accent"),
        Shape(box(-0.45, -0.36, 0.92, 0.34, 0.16), "boiler"),
        *(Shape(box(x, -0.36, x + 0.09, 0.34), "boiler", "accent", "band") for x in (0.06, 0.48)),
        Shape(box(-0.95, -0.72, -0.26, 0.38), "cab", "accent"),
        Shape(box(-1.04, -0.9, -0.16, -0.7, 0.07), "roof", "dark"),
        Shape(box(-0.8, -0.56, -0.42, -0.14, 0.04), "window", "glass"),
        Shape(box(-1, 0.32, 1, 0.48, 0.03), "chassis", "dark"),
        Shape(polygon((0.86, 0.34), (1.12, 0.8), (0.78, 0.8)), "bumper", "light"),
        Shape(ellipse(0.92, -0.1, 0.1), "headlight", "light"),
        *wheel(-0.6, 0.52, rng.uniform(0.28, 0.33)),
        *(part for x in (-0.04, 0.36, 0.72) for part in wheel(x, 0.62, 0.2)),
    ]


def bicycle(rng: Generator) -> list[Shape]:
    """A bicycle from the side."""
    r, w, high = rng.uniform(0.4, 0.46), rng.uniform(0.085, 0.11), -rng.uniform(0.36, 0.46)
    hub, fore, pedal, seat, head = (-0.58, 0.3), (0.58, 0.3), (-0.06, 0.3), (-0.22, high + 0.08), (0.38, high + 0.06)
    tubes = [(hub, seat), (hub, pedal), (pedal, seat), (pedal, head), ((seat[0] + 0.03, seat[1] + 0.1), head)]
    return [
        *wheel(*hub, r, spokes=True),
        *wheel(*fore, r, spokes=True),
        *(Shape(stroke(tube, w), "frame") for tube in tubes),
        Shape(stroke([(0.34, high - 0.1), fore], w), "frame"),
        Shape(
            smooth([(-0.42, high), (-0.2, high - 0.06), (-0.02, high + 0.01), (-0.2, high + 0.07)]), "saddle", "accent"
        ),
        Shape(
            stroke(
                smooth([(0.2, high - 0.2), (0.36, high - 0.14), (0.54, high - 0.2), (0.5, high - 0.02)], closed=False),
                0.1,
            ),
            "handlebar",
            "accent",
        ),
        Shape(ellipse(*pedal, 0.11), "pedal", "accent"),
        Shape(stroke([pedal, (0.06, 0.48)], 0.06), "pedal", "accent"),
    ]


def boat(rng: Generator) -> list[Shape]:
    """A sailing boat."""
    top, deck, bow = -1.0, rng.uniform(0.42, 0.5), rng.uniform(0.85, 1)
    hull = polygon((-0.85, deck), (bow, deck), (bow * 0.66, 0.86), (-0.6, 0.86))
    flag = polygon((0, top - 0.02), (-0.3, top + 0.09), (0, top + 0.2))
    jib = smooth([(0.08, top + 0.26), (0.5, -0.1), (rng.uniform(0.62, 0.8), deck - 0.1), (0.08, deck - 0.1)], fine=1)
    shapes = [
        Shape(stroke([(0, top), (0, deck + 0.05)], 0.09), "mast", "dark"),
        Shape(flag, "flag", "accent"),
        Shape(
            polygon((-0.08, top + 0.3), (-0.08, deck - 0.1), (-rng.uniform(0.62, 0.78), deck - 0.1)), "sail", "light"
        ),
        Shape(jib, "sail", "light"),
        Shape(hull, "hull"),
        Shape(
            polygon((-0.85, deck), (bow, deck), (bow * 0.94, deck + 0.12), (-0.79, deck + 0.12)),
            "hull",
            "accent",
            "rail",
        ),
    ]
    if rng.random() < 0.5:
        shapes += [Shape(ellipse(x, deck + 0.25, 0.07), "hull", "glass", "porthole") for x in (-0.4, -0.05, 0.3)]
    return shapes


def aeroplane(rng: Generator) -> list[Shape]:
    """An aeroplane from the side and slightly below."""
    thick, sweep, fin = rng.uniform(0.22, 0.27), rng.uniform(0.1, 0.3), -rng.uniform(0.64, 0.76)
    outline = [(1.0, 0.05), (0.8, -thick), (-0.4, -thick), (-0.95, -0.12), (-0.9, 0.04), (-0.3, thick), (0.75, thick)]
    near = polygon((0.34, 0.06), (-0.24 - sweep, 0.86), (0.06 - sweep, 0.86), (0.66, 0.1))
    far = polygon((0.28, -0.14), (-sweep, -0.72), (0.2 - sweep, -0.74), (0.6, -0.16))
    return [
        Shape(far, "wing", "accent"),
        Shape(polygon((-0.95, -0.08), (-1.1, fin), (-0.84, fin), (-0.42, -0.16)), "tail", "accent"),
        Shape(smooth(outline), "fuselage"),
        *(Shape(ellipse(x, -0.08, 0.065, 0.08), "window", "glass") for x in np.arange(-0.46, 0.5, 0.22)),
        Shape(polygon((0.72, -0.17), (0.66, -0.02), (0.92, -0.02), (0.88, -0.11)), "cockpit", "glass"),
        Shape(polygon((-0.92, -0.06), (-1.16, 0.18), (-0.96, 0.2), (-0.5, 0)), "tail", "accent"),
        Shape(box(-0.14 - sweep / 2, 0.42, 0.24 - sweep / 2, 0.62, 0.09), "engine", "dark"),
        Shape(near, "wing", "accent"),
    ]
