"""Paints a thing onto a canvas: its shadow, its colours, its surface and its contour lines, and its labels."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from deepinside.data.miniature.canvas import FINE, Canvas, centres, pen
from deepinside.data.miniature.coat import Coat, brightness, pattern
from deepinside.data.miniature.shapes import Shape

_INK = 0.55  # share of its brightness that a contour line loses
_LINE = 2  # width of a contour line, in sub-pixels
_SHADOW = 0.4  # opacity of the shadow that a thing casts
_DROP, _SOFT = 2, 2  # how far the shadow falls to the lower right, and its softness, in pixels
_MARGIN = 6  # pixels that the shadow may take beyond the thing


def dress(canvas: Canvas, rng: Generator, shapes: Sequence[Shape], wear: Coat, labels: dict[str, str]) -> None:
    """Paints a thing.

    Args:
        canvas: what to paint on.
        rng: the grain of its material.
        shapes: in pixels, from back to front; at most 127.
        wear: its coat.
        labels: of all its pixels, layer -> name.
    """
    points = np.concatenate([shape.points for shape in shapes])
    low = np.maximum(np.floor(points.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 1, (canvas.width, canvas.height))
    if (high <= low).any():
        return
    window = slice(low[1], high[1]), slice(low[0], high[0])
    numbers = _numbered(shapes, low, high - low)
    covered = np.asarray(numbers.point([0] + [255] * 255).reduce(FINE), dtype=np.float32) / 255
    _cast(canvas, covered, low[1], low[0])
    light = brightness(rng, wear, covered.shape)[..., None]
    patch = canvas.rgb[window]
    patch += _coloured(numbers, shapes, wear) * light - patch * covered[..., None]
    _label(canvas, window, centres(numbers), shapes, wear, labels)


def _numbered(shapes: Sequence[Shape], low: ndarray, size: ndarray) -> Image.Image:
    # The thing on the fine grid: shape k has number 2 k + 1, its contour 2 k + 2.
    numbers = Image.new("L", (int(size[0]) * FINE, int(size[1]) * FINE))
    brush = ImageDraw.Draw(numbers)
    for k, shape in enumerate(shapes):
        corners = pen(shape.points - low)
        if shape.hole is None:
            brush.polygon(corners, fill=2 * k + 1)
        else:
            inner = pen(shape.hole - low)
            mask = Image.new("1", numbers.size)
            cutter = ImageDraw.Draw(mask)
            cutter.polygon(corners, fill=1)
            cutter.polygon(inner, fill=0)
            numbers.paste(2 * k + 1, mask=mask)
            brush.line(inner + inner[:2], fill=2 * k + 2, width=_LINE)
        if shape.line:
            brush.line(corners + corners[:2], fill=2 * k + 2, width=_LINE)
    return numbers


def _coloured(numbers: Image.Image, shapes: Sequence[Shape], wear: Coat) -> Float[ndarray, "h w 3"]:
    # Colour times cover, in pixels.
    colours = np.zeros((256, 3))
    printed = np.zeros(256, dtype=np.uint8)
    for k, shape in enumerate(shapes):
        colours[2 * k + 1] = wear.tones[shape.tone]
        colours[2 * k + 2] = wear.tones[shape.tone] * (1 - _INK)
        printed[2 * k + 1] = 255 if shape.tone == "main" else 0
    picture = numbers.copy()
    picture.putpalette(np.clip(colours, 0, 255).astype(np.uint8).tobytes())
    flat = np.asarray(picture.convert("RGB").reduce(FINE), dtype=np.float32)
    if not wear.texture:
        return flat
    share = np.asarray(numbers.point(printed.tolist()).reduce(FINE), dtype=np.float32) / 255
    mixed = pattern(wear, share.shape) * share
    return flat + (wear.second - wear.tones["main"]).astype(np.float32) * mixed[..., None]


def _label(
    canvas: Canvas,
    window: tuple[slice, slice],
    numbers: ndarray,
    shapes: Sequence[Shape],
    wear: Coat,
    labels: dict[str, str],
) -> None:
    """Names the pixels by what lies at their centres; a part of a part keeps what it lies on."""
    inside = numbers > 0
    for layer, name in labels.items():
        canvas.maps[layer][window][inside] = canvas.code(layer, name)
    part, fine, stuff = (np.zeros(256, dtype=np.uint8) for _ in range(3))
    for k, shape in enumerate(shapes):
        at = slice(2 * k + 1, 2 * k + 3)
        part[at] = canvas.code("part", shape.part)
        fine[at] = canvas.code("part of part", shape.detail)
        stuff[at] = canvas.code("material", "glass" if shape.tone == "glass" else wear.material)
    for layer, table in (("part", part), ("part of part", fine), ("material", stuff)):
        canvas.maps[layer][window][inside] = table[numbers[inside]]


def _cast(canvas: Canvas, covered: Float[ndarray, "h w"], top: int, left: int) -> None:
    """Darkens what lies behind, to the lower right."""
    wide = np.pad(covered, _MARGIN)
    blurred = np.asarray(Image.fromarray((wide * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(_SOFT)))
    top, left = top - _MARGIN + _DROP, left - _MARGIN + _DROP
    a, b = max(0, top), max(0, left)
    patch = canvas.rgb[a : top + wide.shape[0], b : left + wide.shape[1]]
    soft = blurred[a - top :, b - left :][: patch.shape[0], : patch.shape[1], None]
    patch *= 1 - np.float32(_SHADOW / 255) * soft
