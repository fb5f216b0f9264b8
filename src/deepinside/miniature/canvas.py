"""Canvas: outlines drawn on a fine grid, then reduced to pixels with soft edges and exact labels."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw

from deepinside.miniature.shapes import Points

FINE = 3  # sub-pixels per pixel and axis; odd, so that one of them is the pixel's centre
LAYERS = ("object", "part", "part of part", "material", "instance")


def pen(points: Points) -> list[float]:
    """Corners (n, 2) in pixels as Pillow draws them on the fine grid: integers are centres of sub-pixels."""
    return (points * FINE - 0.5).ravel().tolist()


def centres(image: Image.Image) -> UInt8[ndarray, "h w"]:
    """The values of a one-channel image on the fine grid at the centre of each pixel, (h, w), a copy."""
    return np.asarray(image)[FINE // 2 :: FINE, FINE // 2 :: FINE].copy()


@dataclass
class Canvas:
    """An unfinished image and its label maps.

    Args:
        rgb: 0 to 255, (h, w, 3).
        maps: layer -> number per pixel, (h, w); 0 is unlabelled.
        names: layer -> what the numbers mean.
    """

    rgb: Float[ndarray, "h w 3"]
    maps: dict[str, Int[ndarray, "h w"]]
    names: dict[str, list[str]]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.rgb.shape[1]

    def code(self, layer: str, name: str) -> int:
        """The number of a name in a layer of this canvas; the empty name is 0, unlabelled."""
        known = self.names[layer]
        if name not in known:
            known.append(name)
        return known.index(name)


@dataclass
class Backdrop:
    """The scene before objects are added, on the fine grid; height and width are in pixels."""

    height: int
    width: int
    kinds: list[tuple[str, str]] = field(default_factory=lambda: [("", "")])
    grains: list[tuple[str, Float[ndarray, "h w"]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = (self.width * FINE, self.height * FINE)
        self._picture, self._labels = Image.new("RGB", size), Image.new("L", size)
        self._brush, self._marker = ImageDraw.Draw(self._picture, "RGBA"), ImageDraw.Draw(self._labels)

    def _code(self, thing: str, material: str) -> int:
        if (thing, material) not in self.kinds:
            self.kinds.append((thing, material))
        return self.kinds.index((thing, material))

    def fill(
        self, points: Points, colour: Float[ndarray, " 3"], thing: str = "", material: str = "", *, alpha: float = 1
    ) -> None:
        """Paints a plain outline (n, 2) in pixels; without a `thing`, the labels below remain."""
        corners = pen(points)
        red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
        self._brush.polygon(corners, fill=(red, green, blue, round(255 * alpha)))
        if thing:
            self._marker.polygon(corners, fill=self._code(thing, material))

    def rows(self, top: float, bottom: float, first: ndarray, last: ndarray, thing: str, material: str = "") -> None:
        """Paints a horizontal band from row `top` to `bottom`, excluded, whose RGB colour changes linearly."""
        a, b = round(max(0, top) * FINE), round(min(self.height, bottom) * FINE)
        wide = self._picture.size[0]
        t = np.linspace(0, 1, b - a)[:, None, None]
        band = np.clip(first * (1 - t) + last * t, 0, 255).astype(np.uint8)
        self._picture.paste(Image.fromarray(band).resize((wide, b - a), Image.Resampling.NEAREST), (0, a))
        self._marker.rectangle((0, a, wide, b - 1), fill=self._code(thing, material))

    def grain(self, thing: str, factor: Float[ndarray, "h w"]) -> None:
        """Multiplies the brightness of everything of that name by a factor about 1, over the whole image."""
        self.grains.append((thing, factor))

    def developed(self) -> Canvas:
        """The scene as a canvas in pixels."""
        rgb = np.asarray(self._picture.reduce(FINE), dtype=np.float32)
        codes = centres(self._labels)
        for thing, factor in self.grains:
            mine = np.isin(codes, [k for k, (name, _) in enumerate(self.kinds) if name == thing])
            rgb = rgb * np.where(mine, factor, 1).astype(np.float32)[..., None]
        canvas = Canvas(rgb, {layer: np.zeros_like(codes) for layer in LAYERS}, {layer: [""] for layer in LAYERS})
        for place, layer in enumerate(("object", "material")):
            table = np.array([canvas.code(layer, kind[place]) for kind in self.kinds], dtype=np.uint8)
            canvas.maps[layer] = table[codes]
        return canvas
