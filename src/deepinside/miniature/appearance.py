"""Appearance of objects, whatever their class: colours, material and texture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from deepinside.miniature.canvas import FINE, Canvas, centres, pen
from deepinside.miniature.palette import paints
from deepinside.miniature.shapes import Shape
from deepinside.miniature.surfaces import BODIES, MATERIALS, TEXTURES, grid

_APART = 90  # least distance between a thing's colour and what is behind it, and between its own two colours
_EYE = np.sqrt((2, 4, 3)) / np.sqrt(3)  # weights of red, green and blue in that distance


@dataclass(frozen=True)
class Appearance:
    """Colours, material and texture of an object.

    Args:
        tones: tone of a shape -> RGB 0 to 255.
        second: colour of the texture.
        material: of its body.
        texture: on its main tone; empty for none.
        period: of the texture, in pixels.
        degrees: by which the texture is turned.
    """

    tones: dict[str, Float[ndarray, " 3"]]
    second: Float[ndarray, " 3"]
    material: str
    texture: str
    period: float
    degrees: float


def _unlike(rng: Generator, other: Float[ndarray, " 3"], tries: int = 6) -> Float[ndarray, " 3"]:
    # A colour that can be told from the other: the first that is far enough, or the farthest.
    colours = paints(rng, tries)
    gaps = np.sqrt((((colours - other) * _EYE) ** 2).sum(1))
    return colours[np.argmax(gaps > _APART) if (gaps > _APART).any() else np.argmax(gaps)]


def draw_appearance(rng: Generator, behind: Float[ndarray, " 3"], textured: float = 0.4) -> Appearance:
    """A random appearance; `behind` is the mean colour of the background, `textured` the probability of a texture."""
    main = _unlike(rng, behind)
    cool, pale = paints(rng, 2)
    tones = {
        "main": main,
        "accent": _unlike(rng, main),
        "dark": cool * 0.26 + 12,
        "light": pale * 0.16 + 206,
        "glass": cool * 0.25 + np.array((120, 150, 165)),
    }
    texture = list(TEXTURES)[rng.integers(len(TEXTURES))] if rng.random() < textured else ""
    second = main + (_unlike(rng, main) - main) * rng.uniform(0.55, 0.9)
    material = BODIES[rng.integers(len(BODIES))]
    return Appearance(tones, second, material, texture, rng.uniform(7, 12), rng.choice([0, 30, 45, 90]))


def brightness(rng: Generator, appearance: Appearance, shape: tuple[int, int]) -> Float[ndarray, "h w"]:
    """Grain of the material under light from above, a factor about 1, (h, w)."""
    strength = 0.4 if appearance.texture else 0.75  # a grain under a pattern is faint, so that both can be seen
    u, v = grid(shape, rng.choice([0, 20, 90, -20]), shape[1] / 2, shape[0] / 2)
    slope = np.linspace(1.12, 0.86, shape[0], dtype=np.float32)[:, None]
    return (1 + strength * (MATERIALS[appearance.material](rng, u, v) - 1)) * slope


def pattern(appearance: Appearance, shape: tuple[int, int]) -> Float[ndarray, "h w"]:
    """Share of the second colour in the texture, 0 to 1, (h, w)."""
    u, v = grid(shape, appearance.degrees, shape[1] / 2, shape[0] / 2)
    return TEXTURES[appearance.texture](u / appearance.period, v / appearance.period)


_INK = 0.55  # share of its brightness that a contour line loses
_LINE = 2  # width of a contour line, in sub-pixels
_SHADOW = 0.4  # opacity of the shadow that a thing casts
_DROP, _SOFT = 2, 2  # how far the shadow falls to the lower right, and its softness, in pixels
_MARGIN = 6  # pixels that the shadow may take beyond the thing


def render(
    canvas: Canvas, rng: Generator, shapes: Sequence[Shape], appearance: Appearance, labels: dict[str, str]
) -> None:
    """Paints an object: shapes in pixels, from back to front, at most 127; `labels` (layer -> name) hold for all
    pixels.
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
    light = brightness(rng, appearance, covered.shape)[..., None]
    patch = canvas.rgb[window]
    patch += _coloured(numbers, shapes, appearance) * light - patch * covered[..., None]
    _label(canvas, window, centres(numbers), shapes, appearance, labels)


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


def _coloured(numbers: Image.Image, shapes: Sequence[Shape], appearance: Appearance) -> Float[ndarray, "h w 3"]:
    # Colour times cover, in pixels.
    colours = np.zeros((256, 3))
    printed = np.zeros(256, dtype=np.uint8)
    for k, shape in enumerate(shapes):
        colours[2 * k + 1] = appearance.tones[shape.tone]
        colours[2 * k + 2] = appearance.tones[shape.tone] * (1 - _INK)
        printed[2 * k + 1] = 255 if shape.tone == "main" else 0
    picture = numbers.copy()
    picture.putpalette(np.clip(colours, 0, 255).astype(np.uint8).tobytes())
    flat = np.asarray(picture.convert("RGB").reduce(FINE), dtype=np.float32)
    if not appearance.texture:
        return flat
    share = np.asarray(numbers.point(printed.tolist()).reduce(FINE), dtype=np.float32) / 255
    mixed = pattern(appearance, share.shape) * share
    return flat + (appearance.second - appearance.tones["main"]).astype(np.float32) * mixed[..., None]


def _label(
    canvas: Canvas,
    window: tuple[slice, slice],
    numbers: ndarray,
    shapes: Sequence[Shape],
    appearance: Appearance,
    labels: dict[str, str],
) -> None:
    """Labels the pixels by the shape at their centres; a part of a part keeps the label of that part."""
    inside = numbers > 0
    for layer, name in labels.items():
        canvas.maps[layer][window][inside] = canvas.code(layer, name)
    part, fine, stuff = (np.zeros(256, dtype=np.uint8) for _ in range(3))
    for k, shape in enumerate(shapes):
        at = slice(2 * k + 1, 2 * k + 3)
        part[at] = canvas.code("part", shape.part)
        fine[at] = canvas.code("part of part", shape.detail)
        stuff[at] = canvas.code("material", "glass" if shape.tone == "glass" else appearance.material)
    for layer, table in (("part", part), ("part of part", fine), ("material", stuff)):
        canvas.maps[layer][window][inside] = table[numbers[inside]]


def _cast(canvas: Canvas, covered: Float[ndarray, "h w"], top: int, left: int) -> None:
    """Darkens the background to the lower right."""
    wide = np.pad(covered, _MARGIN)
    blurred = np.asarray(Image.fromarray((wide * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(_SOFT)))
    top, left = top - _MARGIN + _DROP, left - _MARGIN + _DROP
    a, b = max(0, top), max(0, left)
    patch = canvas.rgb[a : top + wide.shape[0], b : left + wide.shape[1]]
    soft = blurred[a - top :, b - left :][: patch.shape[0], : patch.shape[1], None]
    patch *= 1 - np.float32(_SHADOW / 255) * soft
