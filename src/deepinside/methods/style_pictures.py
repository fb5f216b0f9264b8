"""Pictures whose content is kept and whose style is taken."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from deepinside.digests import readable
from deepinside.study import Pictures


def picked(pictures: Pictures, positions: Sequence[int]) -> dict[str, Float[Tensor, "1 3 h w"]]:
    """Pictures of a data set.

    Args:
        pictures: of it.
        positions: which, from 0.

    Returns:
        Name -> RGB in [0, 1], (1, 3, h, w).

    Raises:
        ValueError: if a position is outside the data set, or a picture cannot be read.
    """
    if not positions or min(positions) < 0 or max(positions) >= len(pictures):
        raise ValueError(f"expected positions of pictures, 0..{len(pictures) - 1}, got {list(positions)}")
    found = {pictures.names[position]: pictures.read(position) for position in positions}
    broken = [name for name, image in found.items() if image is None]
    if broken:
        raise ValueError(f"expected pictures that can be read, got {broken} that cannot: name others")
    return {name: image[None] for name, image in found.items() if image is not None}


def from_file(file: str, shorter: int) -> dict[str, Float[Tensor, "1 3 h w"]]:
    """A picture file, shrunk where it is large, never squeezed.

    Args:
        file: path to it.
        shorter: most pixels of its shorter side.

    Returns:
        Name -> RGB in [0, 1], (1, 3, h, w).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"expected a style picture, got no file {file}: give its path in style_file")
    try:
        with Image.open(path) as image:
            pixels = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"expected a picture, got {file}, which cannot be read: {error}") from error
    factor = min(1.0, shorter / min(pixels.size))
    pixels = pixels.resize((round(pixels.width * factor), round(pixels.height * factor)), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.asarray(pixels).copy()).permute(2, 0, 1).float() / 255
    return {readable(path.stem): values[None]}
