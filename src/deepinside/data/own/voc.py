"""PASCAL VOC's segmentation folders: one PNG per picture, whose palette index is the class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepinside.data.image import pictures, unread
from deepinside.data.layouts import concepts_instead
from deepinside.data.own.masks import BadMask, read_values
from deepinside.data.own.outlined import Outlined, Regions, write_broden

BACKGROUND, VOID = 0, 255  # VOID: the border that VOC's annotators left open


def write_voc(
    root: str | Path, out: str | Path, *, images: str, masks: str, names: Sequence[str], category: str = "object"
) -> list[tuple[str, str]]:
    """Turns VOC's folders, or any of the same kind, into a Broden folder.

    Args:
        root: of both folders.
        out: where to.
        images: folder of the pictures.
        masks: folder of the PNG files, named as the pictures.
        names: of the indices from 1 on.
        category: of all concepts.

    Returns:
        (file, reason) of each picture that cannot be used.

    Raises:
        FileNotFoundError: if one of the folders is missing.
        ValueError: if nothing can be used.

    Source: Everingham et al. 2010; VOC2012 development kit, section 4.2.
    """
    root, out = Path(root), Path(out)
    for folder in (root / images, root / masks):
        if not folder.is_dir():
            how = f"Expected {root}/{images}/NAME.jpg, {masks}/NAME.png"
            raise FileNotFoundError(f"{folder}: no such folder.{concepts_instead(root, 'voc')} {how}")
    outlined = [
        Outlined(path, path.name, _Read(mask, tuple(names), category))
        for path in pictures(root / images)
        if (mask := root / masks / f"{path.stem}.png").exists()  # VOC has many pictures that nobody segmented
    ]
    if not outlined:
        raise ValueError(f"{root / masks}: expected PNG files named as the pictures in {images}, got none")
    return [*write_broden(out, root, outlined), *unread(root / images, root)]


@dataclass(frozen=True)
class _Read:
    path: Path
    names: tuple[str, ...]
    category: str

    def __call__(self, height: int, width: int) -> Regions:
        values = read_values(self.path, height, width)
        there = [int(value) for value in np.unique(values) if value not in {BACKGROUND, VOID}]
        if there and there[-1] > len(self.names):
            mend = "name its class in concepts.convert.names"
            raise BadMask(self.path, f"indices up to {len(self.names)}", str(there[-1]), mend)
        return {self.category: {self.names[value - 1]: values == value for value in there}}
