"""Objects that travel: car, train, bicycle, boat, aeroplane."""

import numpy as np
from numpy.random import Generator

from deepinside.data.miniature.shapes import Shape, arc, box, ellipse, moved, polygon, smooth, stroke


def wheel(x: float, y: float, radius: float, *, spokes: bool = False) -> list[Shape]:
    """A wheel: a tyre and a hub, or a thin tyre with spokes.

    Args:
        x: of its centre.
        y: of its centre.
        radius: of the tyre.
        spokes: whether one can look through it.

    Returns:
        Its shapes.
    """
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
    """A car from the side.

    Args:
        rng: its variation.

    Returns:
        Its shapes, from back to front.
    """
    top, front, back = -rng.uniform(0.42, 0.6), rng.uniform(0.5, 0.72), -rng.uniform(0.6, 0.85)
    cabin = smooth([(back, 0), (back * 0.72, top), (0.28, top), (front, 0)], fine=1)
    body = box(-1, -0.08, 1, 0.38, 0.17)
    middle, sill = rng.uniform(-0.1, 0.06), -0.06
    rear = polygon((back * 0.82, sill), (back * 0.65, top + 0.09), (middle - 0.04, top + 0.09), (middle - 0.04, sill))
    fore = polygon((middle + 0.04, sill), (middle + 0.04, top + 0.09), (0.24, top + 0.09), (front * 0.86, sill))
    radius = rng.uniform(0.21, 0.27)
    return [
        Shape(cabin, "roof"),
        Shape(body, "body"),
        Shape(box(middle, sill + 0.03, middle + 0.42, 0.32, 0.05), "door", "accent"),
        Shape(rear, "window", "glass"),
        Shape(fore, "window", "glass"),
        Shape(box(middle + 0.06, 0.06, middle + 0.2, 0.11), "door", "dark", "door handle"),
        Shape(ellipse(0.92, 0.08, 0.08, 0.1), "headlight", "light"),
        Shape(box(0.72, 0.26, 1.06, 0.38, 0.05), "bumper", "dark"),
        Shape(box(-1.06, 0.26, -0.78, 0.38, 0.05), "bumper", "dark"),
        *wheel(-0.55, 0.38, radius),
        *wheel(0.55, 0.38, radius),
    ]


def train(rng: Generator) -> list[Shape]:
    """A steam locomotive from the side.

    Args:
        rng: its variation.

    Returns:
        Its shapes, from back to front.
    """
    height, funnel = rng.uniform(0.62, 0.8), rng.uniform(0.5, 0.75)
    wide = rng.uniform(0.12, 0.2)
    stack = polygon((funnel - 0.09, -0.3), (funnel - wide, -height), (funnel + wide, -height), (funnel + 0.09, -0.3))
    small = [part for x in (-0.1, 0.27, 0.64) for part in wheel(x, 0.48, 0.17)]
    return [
        Shape(stack, "chimney", "dark"),
        Shape(ellipse(0.2, -0.3, 0.13, 0.16), "dome", "accent"),
        Shape(box(-0.45, -0.32, 0.92, 0.26, 0.14), "boiler"),
        Shape(box(0.1, -0.32, 0.18, 0.26), "boiler", "accent", "band"),
        Shape(box(0.5, -0.32, 0.58, 0.26), "boiler", "accent", "band"),
        Shape(box(-0.95, -0.62, -0.3, 0.3), "cab", "accent"),
        Shape(box(-1.05, -0.76, -0.2, -0.58, 0.06), "roof", "dark"),
        Shape(box(-0.8, -0.48, -0.46, -0.12, 0.04), "window", "glass"),
        Shape(box(-1, 0.24, 1, 0.38, 0.03), "chassis", "dark"),
        Shape(polygon((0.9, 0.26), (1.16, 0.64), (0.84, 0.64)), "bumper", "light"),
        Shape(ellipse(0.94, -0.12, 0.08), "headlight", "light"),
        *wheel(-0.62, 0.4, rng.uniform(0.25, 0.3)),
        *small,
    ]


def bicycle(rng: Generator) -> list[Shape]:
    """A bicycle from the side.

    Args:
        rng: its variation.

    Returns:
        Its shapes, from back to front.
    """
    r, w, high = rng.uniform(0.4, 0.46), rng.uniform(0.085, 0.11), -rng.uniform(0.36, 0.46)
    hub, fore, pedal, seat, head = (-0.58, 0.3), (0.58, 0.3), (-0.06, 0.3), (-0.22, high + 0.08), (0.38, high + 0.06)
    tubes = [(hub, seat), (hub, pedal), (pedal, seat), (pedal, head), ((seat[0] + 0.03, seat[1] + 0.1), head)]
    return [
        *wheel(*hub, r, spokes=True),
        *wheel(*fore, r, spokes=True),
        *(Shape(stroke(tube, w), "frame") for tube in tubes),
        Shape(stroke([(0.34, high - 0.1), fore], w), "frame"),
        Shape(smooth([(-0.42, high), (-0.2, high - 0.06), (-0.02, high + 0.01), (-0.2, high + 0.07)]), "saddle", "accent"),
        Shape(stroke(smooth([(0.2, high - 0.2), (0.36, high - 0.14), (0.54, high - 0.2), (0.5, high - 0.02)], closed=False), 0.1), "handlebar", "accent"),
        Shape(ellipse(*pedal, 0.11), "pedal", "accent"),
        Shape(stroke([pedal, (0.06, 0.48)], 0.06), "pedal", "accent"),
    ]


def boat(rng: Generator) -> list[Shape]:
    """A sailing boat.

    Args:
        rng: its variation.

    Returns:
        Its shapes, from back to front.
    """
    top, deck, bow = -1.0, rng.uniform(0.42, 0.5), rng.uniform(0.85, 1)
    hull = polygon((-0.85, deck), (bow, deck), (bow * 0.66, 0.86), (-0.6, 0.86))
    flag = polygon((0, top - 0.02), (-0.3, top + 0.09), (0, top + 0.2))
    jib = smooth([(0.08, top + 0.26), (0.5, -0.1), (rng.uniform(0.62, 0.8), deck - 0.1), (0.08, deck - 0.1)], fine=1)
    shapes = [
        Shape(stroke([(0, top), (0, deck + 0.05)], 0.09), "mast", "dark"),
        Shape(flag, "flag", "accent"),
        Shape(polygon((-0.08, top + 0.3), (-0.08, deck - 0.1), (-rng.uniform(0.62, 0.78), deck - 0.1)), "sail", "light"),
        Shape(jib, "sail", "light"),
        Shape(hull, "hull"),
        Shape(polygon((-0.85, deck), (bow, deck), (bow * 0.94, deck + 0.12), (-0.79, deck + 0.12)), "hull", "accent", "rail"),
    ]
    if rng.random() < 0.5:
        shapes += [Shape(ellipse(x, deck + 0.25, 0.07), "hull", "glass", "porthole") for x in (-0.4, -0.05, 0.3)]
    return shapes


def aeroplane(rng: Generator) -> list[Shape]:
    """An aeroplane from the side and slightly below.

    Args:
        rng: its variation.

    Returns:
        Its shapes, from back to front.
    """
    thick, sweep = rng.uniform(0.16, 0.21), rng.uniform(0.1, 0.35)
    fuselage = smooth([(1.05, 0.04), (0.85, -thick), (-0.4, -thick), (-1, -0.1), (-0.95, 0.02), (-0.3, thick), (0.8, thick)])
    fin = polygon((-1, -0.08), (-1.16, -rng.uniform(0.5, 0.62)), (-0.92, -0.56), (-0.5, -0.12))
    near = polygon((0.32, 0.04), (-0.22 - sweep, 0.72), (0.02 - sweep, 0.72), (0.62, 0.08))
    far = polygon((0.3, -0.1), (0.04 - sweep, -0.56), (0.2 - sweep, -0.58), (0.58, -0.12))
    windows = [Shape(ellipse(x, -0.06, 0.05, 0.06), "window", "glass") for x in np.arange(-0.5, 0.62, 0.2)]
    engine = Shape(box(-0.14 - sweep / 2, 0.38, 0.2 - sweep / 2, 0.54, 0.07), "engine", "dark")
    return [
        Shape(far, "wing", "accent"),
        Shape(fin, "tail", "accent"),
        Shape(fuselage, "fuselage"),
        *windows,
        Shape(polygon((0.78, -0.13), (0.72, -0.02), (0.96, -0.02), (0.92, -0.1)), "cockpit", "glass"),
        Shape(polygon((-1, -0.06), (-1.25, 0.14), (-1.08, 0.16), (-0.62, -0.02)), "tail", "accent"),
        engine,
        Shape(near, "wing", "accent"),
    ]
