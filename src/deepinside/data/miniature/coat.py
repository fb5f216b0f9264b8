"""How a thing is dressed: its colours, its material and the texture printed on it, whatever it is."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from deepinside.data.miniature.palette import paints
from deepinside.data.miniature.surfaces import BODIES, MATERIALS, TEXTURES, grid

_APART = 90  # least distance between a thing's colour and what lies behind it, and between its own two colours
_EYE = np.sqrt((2, 4, 3)) / np.sqrt(3)  # weights of red, green and blue in that distance


@dataclass(frozen=True)
class Coat:
    """What a thing wears.

    Args:
        tones: tone of a shape -> RGB 0 to 255.
        second: the colour of the printed pattern.
        material: what its body is made of.
        texture: what is printed on its main tone; empty where nothing is.
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


def coat(rng: Generator, behind: Float[ndarray, " 3"], textured: float = 0.4) -> Coat:
    """Chooses what a thing wears, whatever it is.

    Args:
        rng: where the choice comes from.
        behind: mean colour of what lies behind it, from which it should stand out.
        textured: probability of a texture.

    Returns:
        The coat.
    """
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
    return Coat(tones, second, material, texture, rng.uniform(7, 12), rng.choice([0, 30, 45, 90]))


def brightness(rng: Generator, wear: Coat, shape: tuple[int, int]) -> Float[ndarray, "h w"]:
    """Grain of the material under light from above.

    Args:
        rng: the grain's variation.
        wear: the coat.
        shape: height and width in pixels.

    Returns:
        Factor about 1, (h, w).
    """
    strength = 0.4 if wear.texture else 0.75  # a grain under a pattern is faint, so that both can be seen
    u, v = grid(shape, rng.choice([0, 20, 90, -20]), shape[1] / 2, shape[0] / 2)
    slope = np.linspace(1.12, 0.86, shape[0], dtype=np.float32)[:, None]
    return (1 + strength * (MATERIALS[wear.material](rng, u, v) - 1)) * slope


def pattern(wear: Coat, shape: tuple[int, int]) -> Float[ndarray, "h w"]:
    """Share of the second colour in the texture.

    Args:
        wear: a coat with a texture.
        shape: height and width in pixels.

    Returns:
        0 to 1, (h, w).
    """
    u, v = grid(shape, wear.degrees, shape[1] / 2, shape[0] / 2)
    return TEXTURES[wear.texture](u / wear.period, v / wear.period)
