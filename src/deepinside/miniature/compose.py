"""One image: a scene, clutter, one kind of object, light and noise, with exact masks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from numpy.random import Generator

from deepinside.miniature.appearance import draw_appearance, render
from deepinside.miniature.canvas import Backdrop, Canvas
from deepinside.miniature.clutter import scattered
from deepinside.miniature.objects import KINDS
from deepinside.miniature.scenes import SCENES
from deepinside.miniature.shapes import Shape, moved


@dataclass(frozen=True)
class World:
    """Variation of the images.

    Args:
        scale: least and greatest size of the object, a share of the image's shorter side.
        rotation: greatest rotation, in degrees.
        textured: probability of a texture on the object.
        stretch: standard deviation of the logarithm of its width over its height.
        clutter: greatest number of pieces of clutter.
        twins: probability of a second instance.
        noise: greatest standard deviation of the sensor's noise, in grey levels.
    """

    scale: tuple[float, float] = (0.45, 0.76)
    rotation: float = 20
    textured: float = 0.4
    stretch: float = 0.1
    clutter: int = 5
    twins: float = 0.12
    noise: float = 7


@dataclass(frozen=True)
class Picture:
    """A generated image and its labels.

    Args:
        pixels: RGB bytes, (h, w, 3).
        bare: the same image without its object.
        kind: index into `KINDS`.
        scene: its name.
        boxes: half-open, one per instance, (b, 4), x0 y0 x1 y1.
        maps: layer -> number per pixel, (h, w), 0 unlabelled.
        names: layer -> what the numbers mean.
    """

    pixels: UInt8[ndarray, "h w 3"]
    bare: UInt8[ndarray, "h w 3"] | None
    kind: int
    scene: str
    boxes: Int[ndarray, "b 4"]
    maps: dict[str, Int[ndarray, "h w"]]
    names: dict[str, list[str]]


def compose(seed: tuple[int, ...], kind: int, size: tuple[int, int], world: World, *, bare: bool = False) -> Picture:
    """Generates one image of `size` (height, width) from a seed; `bare` adds the same image without its object.

    Position, scene, colours, material, texture, clutter, light and noise come from separate random streams that do not
    depend on the class.
    """
    canvas, streams, scene = _backdrop(seed, size, world)
    without = _finished(canvas.rgb.copy(), seed, world) if bare else None
    for number, shapes in enumerate(_placed(streams[0], kind, size, world), start=1):
        x, y = np.clip(np.concatenate([s.points for s in shapes]).mean(0).astype(int), 0, np.array(size)[::-1] - 1)
        around = canvas.rgb[max(0, y - 15) : y + 15, max(0, x - 15) : x + 15].mean((0, 1)).astype(np.float64)
        appearance = draw_appearance(streams[1], around, world.textured)
        render(canvas, streams[1], shapes, appearance, {"object": KINDS[kind].name, "instance": str(number)})
    boxes = _boxes(canvas)
    return Picture(_finished(canvas.rgb, seed, world), without, kind, scene, boxes, canvas.maps, canvas.names)


def _backdrop(seed: tuple[int, ...], size: tuple[int, int], world: World) -> tuple[Canvas, list[Generator], str]:
    streams = np.random.default_rng(list(seed)).spawn(4)
    backdrop = Backdrop(*size)
    scene = list(SCENES)[streams[2].integers(len(SCENES))]
    SCENES[scene](backdrop, streams[2])
    canvas = backdrop.developed()
    scattered(canvas, streams[3], int(streams[3].integers(world.clutter + 1)))
    return canvas, streams, scene


def _placed(rng: Generator, kind: int, size: tuple[int, int], world: World) -> list[list[Shape]]:
    # The shapes of one object, or two that do not touch, in pixels.
    one = _pose(rng, kind, size, world, 1.0)
    if rng.random() >= world.twins:
        return [one]
    first = _pose(rng, kind, size, world, 0.62)
    for _ in range(8):
        second = _pose(rng, kind, size, world, 0.62)
        (a0, a1), (b0, b1) = _extent(first), _extent(second)
        if (np.minimum(a1, b1) <= np.maximum(a0, b0)).any():
            return [first, second]
    return [first]


def _extent(shapes: list[Shape]) -> tuple[ndarray, ndarray]:
    points = np.concatenate([shape.points for shape in shapes])
    return points.min(0), points.max(0)


def _pose(rng: Generator, kind: int, size: tuple[int, int], world: World, factor: float) -> list[Shape]:
    # The object mirrored, stretched, turned, scaled and put where it fits.
    shapes = KINDS[kind].draw(rng)
    wide = np.exp(rng.normal(0, world.stretch))
    mirror = rng.choice([-1, 1])
    turn = rng.uniform(-world.rotation, world.rotation)
    shapes = [moved(shape, scale=(mirror * wide, 1 / wide), degrees=turn) for shape in shapes]
    low, high = _extent(shapes)
    sides = high - low
    short, margin = min(size), 2
    wanted = short * factor * rng.uniform(*world.scale) / np.sqrt(sides.prod())
    scale = min(wanted, (short - 2 * margin) / sides.max())
    room = (np.array(size)[::-1] - short) / 2 * 0.7  # the object stays near the central square
    least = room + margin - low * scale
    most = np.array(size)[::-1] - room - margin - high * scale
    x, y = rng.uniform(least, np.maximum(least, most))
    return [moved(shape, x, y, scale=scale) for shape in shapes]


def _boxes(canvas: Canvas) -> Int[ndarray, "b 4"]:
    boxes = []
    for name in canvas.names["instance"][1:]:
        rows, columns = np.nonzero(canvas.maps["instance"] == canvas.code("instance", name))
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return np.array(boxes, dtype=np.int64).reshape(-1, 4)


def _finished(rgb: Float[ndarray, "h w 3"], seed: tuple[int, ...], world: World) -> UInt8[ndarray, "h w 3"]:
    # Light from one side, contrast, brightness, and the noise of a sensor.
    rng = np.random.default_rng([*seed, 1])
    h, w = rgb.shape[:2]
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.24)
    ramp = np.cos(angle) * np.linspace(-1, 1, w, dtype=np.float32) + (
        np.sin(angle) * np.linspace(-1, 1, h, dtype=np.float32)[:, None]
    )
    tint = rng.normal(1, 0.035, 3).astype(np.float32) * rng.uniform(0.82, 1.12)
    contrast, level = rng.uniform(0.82, 1.08), rng.uniform(0, world.noise)
    lit = (rgb - 128) * np.float32(contrast) + 128
    lit *= (1 + np.float32(slope) * ramp)[..., None] * tint
    lit += np.float32(level) * rng.standard_normal(rgb.shape, dtype=np.float32)
    return np.clip(lit + 0.5, 0, 255).astype(np.uint8)
