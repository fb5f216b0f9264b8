"""Outlines in the plane: closed polygons, (n, 2) points x y, y downwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Points = Float[ndarray, "n 2"]


@dataclass(frozen=True)
class Shape:
    """One filled outline of an object.

    Args:
        points: the outline, (n, 2), in the object's own coordinates.
        part: its name, or that of the part below it; empty if that has no name.
        tone: colour that fills it: `main`, `accent`, `dark`, `light` or `glass`.
        detail: its name as a part of that part.
        hole: an outline cut out of it, or None.
        line: whether it has a contour line.
    """

    points: Points
    part: str = ""
    tone: str = "main"
    detail: str = ""
    hole: Points | None = None
    line: bool = True


def polygon(*corners: tuple[float, float]) -> Points:
    """The polygon with these corners x y, in order, (n, 2)."""
    return np.array(corners, dtype=np.float64)


def ellipse(
    x: float, y: float, rx: float, ry: float | None = None, start: float = 0, end: float = 360, turn: float = 0
) -> Points:
    """An ellipse (n, 2), or the segment between two angles, closed by its chord; a circle without `ry`.

    Angles are in degrees, 0 to the right, 90 downwards; `turn` rotates the whole.
    """
    pieces = max(6, int(abs(end - start) / 12))
    whole = abs(end - start) >= 360  # the last point of a whole ellipse is its first
    angles = np.arange(pieces + 1 - whole) * (np.radians(end - start) / pieces) + np.radians(start)
    points = np.empty((len(angles), 2))
    points[:, 0], points[:, 1] = rx * np.cos(angles), (rx if ry is None else ry) * np.sin(angles)
    return (rotated(points, turn) if turn else points) + (x, y)


def box(x0: float, y0: float, x1: float, y1: float, round_: float = 0) -> Points:
    """A rectangle (n, 2), with corners of radius `round_`."""
    r = min(round_, (x1 - x0) / 2, (y1 - y0) / 2)
    if r <= 0:
        return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    corners = ((x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180), (x1 - r, y0 + r, 270))
    return np.concatenate([ellipse(x, y, r, start=a, end=a + 90) for x, y, a in corners])


def smooth(points: Sequence[tuple[float, float]] | Points, *, closed: bool = True, fine: int = 5) -> Points:
    """A smooth curve (m, 2) through the points (Catmull-Rom), with `fine` pieces between two points."""
    p = np.asarray(points, dtype=np.float64)
    ends = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate([ends[0], p, ends[1]])
    t = np.linspace(0, 1, fine, endpoint=False)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-2:-1]])


def stroke(points: Sequence[tuple[float, float]] | Points, width: float, end: float | None = None) -> Points:
    """The outline (2 n, 2) of a line drawn with a brush, whose width changes from `width` to `end`."""
    p = np.asarray(points, dtype=np.float64)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    half = np.linspace(width, width if end is None else end, len(p))[:, None] / 2
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    p = np.concatenate([p[:1] - along[:1] * half[:1], p[1:-1], p[-1:] + along[-1:] * half[-1:]])
    return np.concatenate([p + across, (p - across)[::-1]])


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, width: float) -> Points:
    """The outline (n, 2) of a piece of an ellipse drawn with a brush; angles in degrees."""
    return stroke(ellipse(x, y, rx, ry, start, end), width)


def rotated(points: Points, degrees: float) -> Points:
    """The points (n, 2) rotated about the origin, by degrees from the x axis (right) towards the y axis (down)."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def moved(
    shape: Shape,
    x: float = 0,
    y: float = 0,
    *,
    scale: float | tuple[float, float] = 1,
    degrees: float = 0,
) -> Shape:
    """The shape scaled (both axes, or each), rotated by degrees and then translated."""
    shift = np.array([x, y])
    hole = None if shape.hole is None else rotated(shape.hole * scale, degrees) + shift
    points = rotated(shape.points * scale, degrees) + shift
    return Shape(points, shape.part, shape.tone, shape.detail, hole, shape.line)
