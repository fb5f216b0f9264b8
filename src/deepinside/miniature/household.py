"""Household objects: mug, lamp, clock, guitar, umbrella."""

import itertools

import numpy as np
from numpy.random import Generator

from deepinside.miniature.shapes import Shape, arc, box, ellipse, polygon, smooth, stroke


def mug(rng: Generator) -> list[Shape]:
    """A mug."""
    foot, high, thick = rng.uniform(0.5, 0.64), rng.uniform(0.66, 0.8), rng.uniform(0.13, 0.19)
    bottom = ellipse(0, high, foot, 0.14, 0, 180)
    side = np.concatenate([polygon((-0.66, -high), (0.66, -high)), bottom])
    shapes = [
        Shape(arc(0.6, -0.02, 0.46, 0.42, -100, 100, thick), "handle", "accent"),
        Shape(side, "body"),
        Shape(ellipse(0, -high, 0.66, 0.17), "rim", "light"),
        Shape(ellipse(0, -high + 0.02, 0.56, 0.115), "rim", "dark", "drink"),
    ]
    if rng.random() < 0.4:
        shapes.append(
            Shape(polygon((-0.64, -0.12), (0.63, -0.12), (0.6, 0.14), (-0.61, 0.14)), "body", "accent", "band")
        )
    return shapes


def lamp(rng: Generator) -> list[Shape]:
    """A table lamp."""
    top, bottom, edge = rng.uniform(0.3, 0.46), rng.uniform(0.76, 0.9), rng.uniform(-0.12, 0.02)
    foot = smooth([(-0.46, 0.95), (-0.36, 0.76), (0, 0.7), (0.36, 0.76), (0.46, 0.95)], fine=3)
    shapes = [
        Shape(ellipse(0, edge + 0.06, 0.18, 0.16), "bulb", "light"),
        Shape(stroke([(0, edge), (0, 0.8)], 0.12), "pole", "dark"),
        Shape(foot, "foot", "accent"),
        Shape(polygon((-top, -0.95), (top, -0.95), (bottom, edge), (-bottom, edge)), "shade"),
        Shape(
            polygon((-bottom, edge), (bottom, edge), (bottom * 0.94, edge - 0.1), (-bottom * 0.94, edge - 0.1)),
            "shade",
            "accent",
            "trim",
        ),
    ]
    if rng.random() < 0.5:
        shapes.insert(2, Shape(ellipse(0, 0.42, 0.2, 0.24), "vase", "accent"))
    return shapes


def clock(rng: Generator) -> list[Shape]:
    """An alarm clock with two bells."""
    r, minute, hour = 0.74, rng.uniform(0, 360), rng.uniform(0, 360)
    turns = [np.radians(30 * k) for k in range(12)]
    dots = [Shape(ellipse(0.56 * np.cos(t), 0.56 * np.sin(t), 0.04), "dial", "dark", "mark") for t in turns]
    hands = [((minute, 0.5), 0.07), ((hour, 0.34), 0.1)]
    needles = [
        Shape(
            stroke([(0, 0), (long * np.cos(np.radians(a)), long * np.sin(np.radians(a)))], wide), "dial", "dark", "hand"
        )
        for (a, long), wide in hands
    ]
    return [
        *(Shape(stroke([(s * 0.4, 0.5), (s * 0.64, 0.94)], 0.14), "foot", "dark") for s in (-1, 1)),
        *(Shape(ellipse(s * 0.5, -0.62, 0.36, 0.28, 180, 360, turn=s * 36), "bell", "accent") for s in (-1, 1)),
        Shape(ellipse(0, 0, r), "case"),
        Shape(ellipse(0, 0, rng.uniform(0.58, 0.64)), "dial", "light"),
        *dots,
        *needles,
        Shape(ellipse(0, 0, 0.07), "dial", "accent"),
    ]


def guitar(rng: Generator) -> list[Shape]:
    """A guitar."""
    low, waist, up = rng.uniform(0.58, 0.66), rng.uniform(0.33, 0.39), rng.uniform(0.44, 0.5)
    half = [(0, 0.98), (low * 0.75, 0.9), (low, 0.58), (waist, 0.22), (up, -0.06), (up * 0.6, -0.26)]
    body = smooth([*half, (0, -0.2), *[(-x, y) for x, y in half[:0:-1]]])
    strings = [
        Shape(stroke([(x, y), (x, z)], 0.03), part, "light", "string", line=False)
        for x in (-0.045, 0.045)
        for part, y, z in (("neck", -0.7, 0.12), ("body", 0.12, 0.64))
    ]
    return [
        *(Shape(ellipse(s * 0.21, y, 0.07), "peg", "accent") for s in (-1, 1) for y in (-0.95, -0.78)),
        Shape(box(-0.16, -1.06, 0.16, -0.66, 0.06), "headstock", "accent"),
        Shape(body, "body"),
        Shape(box(-0.11, -0.72, 0.11, 0.14), "neck", "dark"),
        Shape(ellipse(0, 0.26, 0.19), "soundhole", "dark"),
        Shape(box(-0.26, 0.6, 0.26, 0.72, 0.03), "bridge", "dark"),
        *strings,
    ]


def umbrella(rng: Generator) -> list[Shape]:
    """An open umbrella."""
    count, high = int(rng.integers(3, 6)), rng.uniform(0.7, 0.86)
    edges = np.linspace(-1, 1, count + 1)
    rim, dome = 0.02, np.radians(np.linspace(180, 360, 25))
    arch = np.stack([np.cos(dome), rim + high * np.sin(dome)], axis=1)
    scallops = [ellipse((a + b) / 2, rim, (b - a) / 2, -0.14, 0, 180) for a, b in itertools.pairwise(edges)]
    lower = np.concatenate(scallops[::-1])
    ribs = [
        stroke(smooth([(0, rim - high), (x * 0.72, rim - high * 0.62), (x, rim)], closed=False), 0.04)
        for x in edges[1:-1]
    ]
    hook = smooth([(0, -high), (0, 0.4), (0, 0.78), (0.07, 0.95), (0.2, 0.95), (0.26, 0.8)], closed=False)
    return [
        Shape(stroke([(0, rim - high - 0.14), (0, 0.6)], 0.07), "shaft", "dark"),
        Shape(stroke(hook[6:], 0.1), "handle", "accent"),
        Shape(np.concatenate([arch, lower]), "canopy"),
        *(Shape(rib, "canopy", "accent", "rib") for rib in ribs),
    ]
