"""Clutter that belongs to no class: balls, crates, rings, and parts without their object."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from deepinside.miniature.appearance import draw_appearance, render
from deepinside.miniature.canvas import Canvas
from deepinside.miniature.shapes import Shape, box, ellipse, moved, polygon, smooth, stroke
from deepinside.miniature.vehicles import wheel


def _ball(_rng: Generator) -> list[Shape]:
    return [Shape(ellipse(0, 0, 1))]


def _crate(_rng: Generator) -> list[Shape]:
    bars = [
        Shape(stroke(line, 0.2), tone="accent") for line in ([(-0.9, -0.9), (0.9, 0.9)], [(-0.9, 0.9), (0.9, -0.9)])
    ]
    return [Shape(box(-1, -1, 1, 1)), *bars]


def _ring(rng: Generator) -> list[Shape]:
    return [Shape(ellipse(0, 0, 1), hole=ellipse(0, 0, rng.uniform(0.45, 0.65)))]


def _cone(_rng: Generator) -> list[Shape]:
    band = polygon((-0.44, 0.1), (0.44, 0.1), (0.6, 0.5), (-0.6, 0.5))
    return [Shape(polygon((0, -1), (0.85, 1), (-0.85, 1))), Shape(band, tone="accent")]


def _star(_rng: Generator) -> list[Shape]:
    turns = np.radians(np.arange(0, 360, 36) - 90)
    radius = np.where(np.arange(10) % 2, 0.45, 1.0)
    return [Shape(np.stack([radius * np.cos(turns), radius * np.sin(turns)], axis=1))]


def _plank(_rng: Generator) -> list[Shape]:
    return [Shape(box(-1.3, -0.22, 1.3, 0.22, 0.06))]


def _ribbon(_rng: Generator) -> list[Shape]:
    line = [(-1.2, 0.3), (-0.6, -0.4), (0, 0.3), (0.6, -0.4), (1.2, 0.2)]
    return [Shape(stroke(smooth(line, closed=False), 0.3))]


def _wheel(rng: Generator) -> list[Shape]:
    return wheel(0, 0, 0.9, spokes=bool(rng.random() < 0.3))


def _window(_rng: Generator) -> list[Shape]:
    return [
        Shape(box(-0.8, -0.9, 0.8, 0.9), "window", "light"),
        Shape(box(-0.6, -0.7, 0.6, 0.7), "window", "glass", "pane"),
    ]


def _leaf(_rng: Generator) -> list[Shape]:
    return [Shape(smooth([(-1, 0), (0, -0.5), (1, 0), (0, 0.5)]), "leaf", "accent")]


# name of the object; a part without its object has none
CLUTTER: tuple[tuple[str, Callable[[Generator], list[Shape]]], ...] = (
    ("ball", _ball), ("crate", _crate), ("ring", _ring), ("cone", _cone), ("star shape", _star), ("plank", _plank),
    ("ribbon", _ribbon), ("", _wheel), ("", _window), ("", _leaf),
)  # fmt: skip


def scattered(canvas: Canvas, rng: Generator, count: int) -> None:
    """Paints `count` random pieces of clutter anywhere on the image."""
    short = min(canvas.height, canvas.width)
    for _ in range(count):
        name, draw = CLUTTER[rng.integers(len(CLUTTER))]
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        scale, turn = short * rng.uniform(0.045, 0.1), rng.uniform(-40, 40)
        shapes = [moved(shape, x, y, scale=scale, degrees=turn) for shape in draw(rng)]
        behind = canvas.rgb[int(y), int(x)].astype(np.float64)
        render(canvas, rng, shapes, draw_appearance(rng, behind), {"object": name, "instance": ""})
