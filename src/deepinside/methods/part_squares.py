"""Squares that hide parts of objects, and the same squares elsewhere."""

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from deepinside.network import closest
from deepinside.study import Segments

_ELSEWHERE = ("-c", "-s")  # ends of Broden's names of colours and scenes, which are neither object nor part
_MOST = 3  # parts that are chosen where none are named; the paper has three


class Square(NamedTuple):
    """Rows y to y + side and columns x to x + side of a picture, ends excluded."""

    y: int
    x: int
    side: int


class Part(NamedTuple):
    """A part of an object in one picture: the square over it, and whether the object has a place off that square."""

    square: Square
    avoidable: bool


class Case(NamedTuple):
    """A picture that carries an object and its parts: image (3, h, w), where the object is (h, w), part -> square."""

    name: str
    image: Float[Tensor, "3 h w"]
    object: Bool[Tensor, "h w"]
    squares: dict[str, Square]


def find_cases(
    segments: Segments, object: str | None, parts: Sequence[str] | None, images: int
) -> tuple[str, tuple[str, ...], list[Case]]:
    """The first pictures that carry an object and parts of it.

    A concept is part of another in a picture where 95 % of it lie within that other, which lies in no third.

    Args:
        segments: pictures with outlines.
        object: its name; None: see `correspondence`.
        parts: their names; None: see `correspondence`.
        images: how many pictures at most.

    Returns:
        The object, its parts, and the pictures.

    Raises:
        KeyError: if there is no such object or part.
        ValueError: if fewer than two pictures carry them.
    """
    carried: dict[str, dict[int, dict[str, Part]]] = {}
    for position in range(len(segments.pictures)):
        for name, found in parts_of(segments.masks(position)).items():
            carried.setdefault(name, {})[position] = found
    _check(carried, object, parts, len(segments.pictures))
    names = [object] if object else list(carried)
    offers = [(_shared(carried[name], parts, images), name) for name in names]
    (chosen, positions), wanted = min(offers, key=lambda offer: (-len(offer[0][0]), -len(offer[0][1]), offer[1]))
    cases: list[Case] = []
    for position in positions:
        image = segments.pictures.read(position) if len(cases) < images else None
        if image is not None:
            squares = {part: carried[wanted][position][part].square for part in chosen}
            cases.append(Case(segments.pictures.names[position], image, segments.masks(position)[wanted], squares))
    if len(cases) < 2 or not chosen:
        had = ", ".join(f"{name}: {_inventory(found)}" for name, found in sorted(carried.items())[:30])
        asked = " with ".join([object or "any object", ", ".join(parts or ("any part",))])
        raise ValueError(f"expected two pictures of {asked} or more, got {len(cases)}; the probe set has {had}")
    return wanted, chosen, cases


def _check(
    carried: Mapping[str, Mapping[int, Mapping[str, Part]]],
    object: str | None,
    parts: Sequence[str] | None,
    count: int,
) -> None:
    if not carried:
        raise ValueError(
            f"expected pictures in which parts are outlined within objects, got none of {count}: take a probe set with "
            "parts, such as concepts=miniature or concepts=broden"
        )
    if object is not None and object not in carried:
        raise KeyError(f"no object {object!r} with parts; {closest(object, sorted(carried))}")
    known = {part for name in ([object] if object else carried) for found in carried[name].values() for part in found}
    for part in parts or ():
        if part not in known:
            raise KeyError(f"no part {part!r} of {object or 'any object'}; {closest(part, sorted(known))}")


def _inventory(found: Mapping[int, Mapping[str, Part]]) -> str:
    counts = pd.Series([part for parts in found.values() for part in parts]).value_counts()
    return ", ".join(f"{part} {count}" for part, count in counts.items())


def _shared(
    found: Mapping[int, Mapping[str, Part]], parts: Sequence[str] | None, images: int
) -> tuple[tuple[str, ...], list[int]]:
    # The parts, and in which pictures all of them are.
    if parts:
        return tuple(parts), [position for position, mine in found.items() if set(parts) <= mine.keys()]
    where: dict[str, set[int]] = {}
    for position, mine in found.items():
        for name in (name for name, part in mine.items() if part.avoidable):
            where.setdefault(name, set()).add(position)
    chosen: list[str] = []
    common = set(found)
    for name in sorted(where, key=lambda name: (-len(where[name]), name)):
        if len(chosen) < _MOST and len(common & where[name]) >= max(images, 2):
            chosen.append(name)
            common &= where[name]
    return tuple(chosen), sorted(common) if chosen else []


def parts_of(masks: Mapping[str, Bool[Tensor, "h w"]]) -> dict[str, dict[str, Part]]:
    """Which concepts of a picture are parts of which.

    Args:
        masks: concept -> where it is, (h, w).

    Returns:
        Object -> part -> its square; objects without parts are left out.
    """
    names = [name for name, mask in masks.items() if not name.endswith(_ELSEWHERE) and bool(mask.any())]
    if not names:
        return {}
    flat = torch.stack([masks[name].flatten() for name in names]).float()
    common, area = flat @ flat.T, flat.sum(1)
    within = (common >= 0.95 * area[:, None]) & (area[:, None] < area)  # row within column
    outer = ~within.any(dim=1)
    found: dict[str, dict[str, Part]] = {}
    for part, whole in (within & outer).nonzero().tolist():
        square = square_over(masks[names[part]])
        off = _tops(masks[names[whole]], square) & _apart(square, masks[names[whole]].shape)
        found.setdefault(names[whole], {})[names[part]] = Part(square, bool(off.any()))
    return found


def square_over(mask: Bool[Tensor, "h w"]) -> Square:
    """The square to mask a part by: over the bounding box of one piece, as wide as the box's longer side.

    Args:
        mask: where the part is, (h, w); not empty.

    Returns:
        A square inside the picture; of several pieces of at least half the largest one's size, over the leftmost.
    """
    pieces, count = ndimage.label(mask.numpy(), structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(pieces)
    rows, columns = min(
        (box for box, size in zip(boxes, sizes, strict=True) if 2 * size >= sizes.max()), key=lambda box: box[1].start
    )
    side = min(max(rows.stop - rows.start, columns.stop - columns.start), *mask.shape)
    y, x = (
        min(max((edge.start + edge.stop - side) // 2, 0), length - side)
        for edge, length in zip((rows, columns), mask.shape, strict=True)
    )
    return Square(y, x, side)


def _tops(mask: Bool[Tensor, "h w"], square: Square) -> Bool[Tensor, "h w"]:
    # Upper left corners of squares of that size inside the picture whose middle lies on the object.
    height, width = (length - square.side + 1 for length in mask.shape)
    tops = torch.zeros_like(mask)
    half = square.side // 2
    tops[:height, :width] = mask[half : half + height, half : half + width]
    return tops


def _apart(square: Square, size: Sequence[int]) -> Bool[Tensor, "h w"]:
    # Upper left corners of squares of the same size that do not touch it.
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    return ((rows - square.y).abs() >= square.side) | ((columns - square.x).abs() >= square.side)


def squares_by_place(cases: Sequence[Case], part: str, repeats: int, seed: int) -> dict[str, list[list[Square]]]:
    """Squares over a part, at random on the object, and the same step beside the part in every picture.

    Args:
        cases: the pictures.
        part: its name.
        repeats: how often places are drawn.
        seed: of the places.

    Returns:
        `part`, `random` and `beside` -> round -> one square per picture.
    """
    own = [case.squares[part] for case in cases]
    drawn = [_random(case, part, repeats, seed) for case in cases]
    steps = _steps(cases, part, repeats, seed)
    beside = [[Square(s.y + dy, s.x + dx, s.side) for s in own] for dy, dx in steps]
    return {"part": [own], "random": [list(each) for each in zip(*drawn, strict=True)], "beside": beside}


def _random(case: Case, part: str, repeats: int, seed: int) -> list[Square]:
    square = case.squares[part]
    on = _tops(case.object, square)
    off = on & _apart(square, case.object.shape)
    corners = (off if off.any() else on).nonzero()
    if not len(corners):
        return [square] * repeats
    generator = np.random.default_rng([seed, zlib.crc32(case.name.encode()), zlib.crc32(part.encode())])
    picked = corners[generator.integers(len(corners), size=repeats)].tolist()
    return [Square(y, x, square.side) for y, x in picked]


def _steps(cases: Sequence[Case], part: str, repeats: int, seed: int) -> list[tuple[int, int]]:
    # Steps (dy, dx) off the part that stay inside every picture, drawn in proportion to how often they end on the
    # object; none where there are none.
    height, width = cases[0].object.shape
    possible, on = np.ones((2 * height - 1, 2 * width - 1), bool), np.zeros((2 * height - 1, 2 * width - 1))
    for case in cases:
        square = case.squares[part]
        window = (slice(height - 1 - square.y, 2 * height - 1 - square.y),
                  slice(width - 1 - square.x, 2 * width - 1 - square.x))  # fmt: skip
        free = np.zeros_like(possible)
        apart = _apart(square, (height, width)).numpy()
        apart[height - square.side + 1 :] = False
        apart[:, width - square.side + 1 :] = False
        free[window] = apart
        possible &= free
        on[window] += _tops(case.object, square).numpy()
    weights = (on * possible).ravel()
    if not weights.any():
        return []
    generator = np.random.default_rng([seed, zlib.crc32(part.encode())])
    picked = generator.choice(weights.size, size=repeats, p=weights / weights.sum())
    return [(int(i) // (2 * width - 1) - height + 1, int(i) % (2 * width - 1) - width + 1) for i in picked]
