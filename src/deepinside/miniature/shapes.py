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
        part: what it is called, or what it lies on; empty where that has no name.
        tone: which of the object's colours fills it: `main`, `accent`, `dark`, `light` or `glass`.
        detail: what it is called as a part of that part.
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
    """The polygon with these corners.

    Args:
        corners: x y of each, in order.

    Returns:
        (n, 2).
    """
    return np.array(corners, dtype=np.float64)


def ellipse(
    x: float, y: float, rx: float, ry: float | None = None, start: float = 0, end: float = 360, turn: float = 0
) -> Points:
    """An ellipse, or the piece of it between two angles, closed by its chord.

    Args:
        x: of the centre.
        y: of the centre.
        rx: half width.
        ry: half height; a circle where not given.
        start: first angle in degrees, 0 to the right, 90 downwards.
        end: last angle in degrees.
        turn: rotation of the whole in degrees.

    Returns:
        (n, 2).
    """
    pieces = max(6, int(abs(end - start) / 12))
    whole = abs(end - start) >= 360  # the last point of a whole ellipse is its first
    angles = np.arange(pieces + 1 - whole) * (np.radians(end - start) / pieces) + np.radians(start)
    points = np.empty((len(angles), 2))
    points[:, 0], points[:, 1] = rx * np.cos(angles), (rx if ry is None else ry) * np.sin(angles)
    return (rotated(points, turn) if turn else points) + (x, y)


def box(x0: float, y0: float, x1: float, y1: float, round_: float = 0) -> Points:
    """A rectangle, its corners rounded.

    Args:
        x0: left.
        y0: top.
        x1: right.
        y1: bottom.
        round_: radius of the corners.

    Returns:
        (n, 2).
    """
    r = min(round_, (x1 - x0) / 2, (y1 - y0) / 2)
    if r <= 0:
        return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    corners = ((x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180), (x1 - r, y0 + r, 270))
    return np.concatenate([ellipse(x, y, r, start=a, end=a + 90) for x, y, a in corners])


def smooth(points: Sequence[tuple[float, float]] | Points, *, closed: bool = True, fine: int = 5) -> Points:
    """A soft curve through the points (Catmull-Rom).

    Args:
        points: what the curve passes through, (n, 2).
        closed: whether it returns to the first.
        fine: pieces between two points.

    Returns:
        (m, 2).
    """
    p = np.asarray(points, dtype=np.float64)
    ends = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate([ends[0], p, ends[1]])
    t = np.linspace(0, 1, fine, endpoint=False)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-2:-1]])


def stroke(points: Sequence[tuple[float, float]] | Points, width: float, end: float | None = None) -> Points:
    """A line drawn with a brush.

    Args:
        points: the line, (n, 2).
        width: of the brush at its start.
        end: of the brush at its end; `width` where not given.

    Returns:
        The outline of the drawn line, (2 n, 2).
    """
    p = np.asarray(points, dtype=np.float64)
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    half = np.linspace(width, width if end is None else end, len(p))[:, None] / 2
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    p = np.concatenate([p[:1] - along[:1] * half[:1], p[1:-1], p[-1:] + along[-1:] * half[-1:]])
    return np.concatenate([p + across, (p - across)[::-1]])


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, width: float) -> Points:
    """A piece of an ellipse drawn with a brush.

    Args:
        x: of the centre.
        y: of the centre.
        rx: half width.
        ry: half height.
        start: first angle in degrees, 0 to the right, 90 downwards.
        end: last angle in degrees.
        width: of the brush.

    Returns:
        The outline of the drawn line, (n, 2).
    """
    return stroke(ellipse(x, y, rx, ry, start, end), width)


def rotated(points: Points, degrees: float) -> Points:
    """The points turned about the origin.

    Args:
        points: (n, 2).
        degrees: from the x axis (right) towards the y axis (down).

    Returns:
        (n, 2).
    """
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
    """The shape scaled, turned and then moved.

    Args:
        shape: any.
        x: to the right.
        y: downwards.
        scale: of both axes, or one of each.
        degrees: of the turn.

    Returns:
        A new shape.
    """
    shift = np.array([x, y])
    hole = None if shape.hole is None else rotated(shape.hole * scale, degrees) + shift
    points = rotated(shape.points * scale, degrees) + shift
    return Shape(points, shape.part, shape.tone, shape.detail, hole, shape.line)
