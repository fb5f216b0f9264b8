"""Correspondence of the same part of different images (Zeiler & Fergus 2014, sec. 4.3 and table 1)."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int8
from numpy import ndarray
from scipy import ndimage
from torch import Tensor

from deepinside.network import Network
from deepinside.probe import activations, before_scores, convolutional
from deepinside.records import Row
from deepinside.spelling import closest
from deepinside.statistics import LEVEL, widened
from deepinside.study import Segments, Study

_ELSEWHERE = ("-c", "-s")  # ends of Broden's names of colours and scenes, which are neither object nor part
_MOST = 3  # parts that are chosen where none are named; the paper has three


class Square(NamedTuple):
    """Rows y to y + side and columns x to x + side of an image, ends excluded."""

    y: int
    x: int
    side: int


class Part(NamedTuple):
    """A part of an object in one image: its square, and whether the object extends beyond that square."""

    square: Square
    avoidable: bool


class Case(NamedTuple):
    """An image that carries an object and its parts: image (3, h, w), where the object is (h, w), part -> square."""

    name: str
    image: Float[Tensor, "3 h w"]
    object: Bool[Tensor, "h w"]
    squares: dict[str, Square]


def find_cases(
    segments: Segments, object: str | None, parts: Sequence[str] | None, images: int
) -> tuple[str, tuple[str, ...], list[Case]]:
    """The requested object and parts, or the most common ones, and the first images that have them."""
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
        requested = " with ".join([object or "any object", ", ".join(parts or ("any part",))])
        raise ValueError(f"expected two images of {requested} or more, got {len(cases)}; the probe set has {had}")
    return wanted, chosen, cases


def _check(
    carried: Mapping[str, Mapping[int, Mapping[str, Part]]],
    object: str | None,
    parts: Sequence[str] | None,
    count: int,
) -> None:
    if not carried:
        raise ValueError(
            f"expected images with outlined parts of objects, got none of {count}: use a probe set with parts, such as "
            "concepts=miniature or concepts=broden"
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
    # The parts, and in which images all of them are.
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
    """Object -> part -> its square, from concept -> mask (h, w); objects without parts are omitted."""
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
    """The square over the leftmost large piece of a part (h, w), of the longer side of its bounding box."""
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
    # Upper left corners of squares of that size inside the image whose middle is on the object.
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
    """`part`, `random` on the object, `beside` at a fixed offset from the part -> round -> squares, one per image."""
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
    # Offsets (dy, dx) from the part that stay inside every image, drawn in proportion to how often they are on the
    # object; empty if there are none.
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


ZEROS = ("match", "left_out")  # treatment of dimensions that neither mask changed
PLACES = ("part", "random", "beside")
_DRAWN = 6  # images that are shown


def correspondence(
    network: Network,
    segments: Segments,
    *,
    object: str | None = None,
    parts: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    images: int = 5,
    repeats: int = 10,
    seed: int = 0,
    batch_size: int = 32,
    zero: float = 1e-5,
) -> Study:
    """Delta = mean over pairs i != j of H(sign eps_i, sign eps_j) / dimension, of a part and of other positions.

    eps_i = f(x_i) - f(x_i with a square of the mean colour over the part). A low Delta means that masking the part
    changes the features of different images in the same way. For comparison there are squares of the same size at
    `random` positions on the object but off the part, and squares at the same random offset from the part in every
    image (`beside`), which are as close to one another as the parts are, so that position alone cannot explain the
    difference.

    Args:
        network: to visualise.
        segments: images with outlined objects and parts.
        object: its name; None: the one with most parts, of equals that of most images with all of them.
        parts: their names; None: up to three, the most common ones that `images` images have together, without those
            that fill their object.
        layers: dotted names; None: the last convolution and the input of the layer of the class scores.
        images: number of images, the first ones.
        repeats: random positions per part.
        seed: of the positions.
        batch_size: images per pass.
        zero: changes up to this share of the layer's largest activation in the image count as zero; float rounding.

    Returns:
        `table`: per layer, part, treatment of zeros and position: delta, the standard error over pairs, the 95 %
        interval over images, and its difference from the part's with its interval. `shown`: the masked images.

    Raises:
        KeyError: if there is no such object, part or layer, with the closest names.
        ValueError: if fewer than two images have the object and parts.

    Source: Zeiler & Fergus 2014, sec. 4.3 and table 1.
    Deviation: the sum is divided by dimension and number of pairs (the paper's normalisation is not stated); of a part
        that an object has more than once the leftmost piece is masked; `beside` is ours.
    """
    wanted, chosen, cases = find_cases(segments, object, parts, images)
    pictures = torch.stack([case.image for case in cases])
    high = before_scores(network, pictures[:1])
    names = tuple(layers) if layers else (_last_convolution(network, high), high)
    fill = network.preprocessing.colour.view(3, 1, 1)
    clean = _features(network, pictures, names, batch_size)
    deltas: dict[tuple[str, str, str, str], Float[ndarray, "n n"]] = {}
    masked = {}
    for part in chosen:
        for place, rounds in squares_by_place(cases, part, repeats, seed).items():
            covered = [_masked(pictures, squares, fill) for squares in rounds]
            masked[part, place] = covered[:1]
            for layer, pair in _distances(network, clean, covered, names, batch_size, zero).items():
                deltas |= {(layer, part, zeros, place): matrix for zeros, matrix in zip(ZEROS, pair, strict=True)}
    table = pd.DataFrame(_rows(deltas, names, chosen))
    about = {"object": np.array(wanted), "parts": np.array(chosen), "layers": np.array(names)}
    counts = (Row("images", len(cases), "images"), Row("parts", len(chosen), "parts"))
    return Study(table, (*counts, *_numbers(table)), about | _shown(pictures, masked, chosen))


def _last_convolution(network: Network, high: str) -> str:
    # The last one that the network declares before the high layer.
    order = network.layers
    before = [name for name in convolutional(network) if order.index(name) < order.index(high)]
    return before[-1] if before else convolutional(network)[0]


def _masked(pictures: Tensor, squares: Sequence[Square], fill: Tensor) -> Float[Tensor, "n 3 h w"]:
    covered = pictures.clone()
    for image, square in zip(covered, squares, strict=True):
        image[:, square.y : square.y + square.side, square.x : square.x + square.side] = fill
    return covered


def _features(
    network: Network, images: Tensor, layers: Sequence[str], batch_size: int
) -> dict[str, Float[Tensor, "n d"]]:
    # Batches are the same for masked and whole images, so that what is alike rounds alike.
    parts = [activations(network, part.to(network.device), layers) for part in images.split(batch_size)]
    return {name: torch.cat([activations[name].flatten(1).cpu() for activations in parts]) for name in layers}


def _distances(
    network: Network,
    clean: Mapping[str, Tensor],
    covered: Sequence[Tensor],
    layers: Sequence[str],
    batch_size: int,
    zero: float,
) -> dict[str, tuple[ndarray, ndarray]]:
    # Layer -> distances of all pairs, both ways to count zeros, mean over the rounds.
    rounds: dict[str, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}
    for images in covered:
        features = _features(network, images, layers, batch_size)
        for layer in layers:
            change = clean[layer] - features[layer]
            least = zero * clean[layer].abs().amax(dim=1, keepdim=True)
            rounds[layer].append(sign_distances(torch.where(change.abs() > least, change.sign(), 0).to(torch.int8)))
    return {
        layer: (np.mean([one for one, _ in found], axis=0), np.mean([other for _, other in found], axis=0))
        for layer, found in rounds.items()
        if found
    }


def sign_distances(signs: Int8[Tensor, "n d"]) -> tuple[Float[Tensor, "n n"], Float[Tensor, "n n"]]:
    """Hamming distances of all pairs, as shares of all dimensions, and of those where one is not zero."""
    same = [(equal := (signs == sign).double()) @ equal.T for sign in (-1, 0, 1)]
    differing = signs.shape[1] - same[0] - same[1] - same[2]
    return differing / signs.shape[1], differing / (signs.shape[1] - same[1])


def pair_interval(
    distances: Float[ndarray, "n n"], *, level: float = LEVEL, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval over images of a mean over pairs (n, n); NaN is ignored."""
    known = np.isfinite(distances) & ~np.eye(len(distances), dtype=bool)
    if not known.any():
        return float("nan"), float("nan")
    chance = np.full(len(distances), 1 / len(distances))
    drawn = np.random.default_rng(seed).multinomial(len(distances), chance, size=resamples).astype(float)
    pairs = ((drawn @ known) * drawn).sum(1)
    sums = ((drawn @ np.where(known, distances, 0)) * drawn).sum(1)
    low, high = np.quantile(sums[pairs > 0] / pairs[pairs > 0], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _rows(
    deltas: Mapping[tuple[str, str, str, str], Float[ndarray, "n n"]], layers: Sequence[str], parts: Sequence[str]
) -> Iterator[dict]:
    for layer, part, zeros, place in product(layers, parts, ZEROS, PLACES):
        matrix = deltas.get((layer, part, zeros, place))
        if matrix is None:
            continue
        row = {"layer": layer, "part": part, "zeros": zeros, "place": place, "pictures": len(matrix)}
        above = matrix - deltas[layer, part, zeros, "part"]
        yield row | _summary(matrix, "delta") | (_summary(above, "above_part") if place != "part" else {})
    for layer, zeros, place in product(layers, ZEROS, PLACES[1:]):
        known = [part for part in parts if (layer, part, zeros, place) in deltas]
        if known:
            pairs = [(deltas[layer, p, zeros, place], deltas[layer, p, zeros, "part"]) for p in known]
            row = {"layer": layer, "part": "all parts", "zeros": zeros, "place": place, "pictures": len(pairs[0][0])}
            above = np.mean([other - own for other, own in pairs], axis=0)
            yield row | _summary(np.mean([o for o, _ in pairs], axis=0), "delta") | _summary(above, "above_part")


def _summary(matrix: Float[ndarray, "n n"], name: str) -> dict[str, float]:
    values = matrix[np.triu_indices(len(matrix), 1)]
    values = values[np.isfinite(values)]
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    mean = values.mean() if len(values) else np.nan
    low, high = widened(mean, *pair_interval(matrix), len(matrix))
    return {name: mean, f"{name}_error": error, f"{name}_low": low, f"{name}_high": high}


def _numbers(table: pd.DataFrame) -> Iterator[Row]:
    for row in table.to_dict("records"):
        start = f"{row['layer']}.{row['part'].replace(' ', '_')}.zeros_{row['zeros']}"
        if row["place"] == "part" or row["part"] != "all parts":
            interval = (row["delta_low"], row["delta_high"])
            yield Row(f"{start}.{row['place']}", row["delta"], "share", row["pictures"], *interval)
        if row["place"] != "part":
            interval = (row["above_part_low"], row["above_part_high"])
            yield Row(f"{start}.{row['place']}_above_part", row["above_part"], "share", row["pictures"], *interval)


def _shown(
    pictures: Tensor, masked: Mapping[tuple[str, str], list[Tensor]], parts: Sequence[str]
) -> dict[str, ndarray]:
    # Rows: the images as they are, each part masked, and the first random places of the first part.
    kept = [("nothing masked", pictures), *((part, masked[part, "part"][0]) for part in parts)]
    others = (("random", f"random, as large as {parts[0]}"), ("beside", f"one step from {parts[0]}"))
    kept += [(title, masked[parts[0], place][0]) for place, title in others if masked[parts[0], place]]
    rows = torch.stack([images[:_DRAWN] for _, images in kept]).permute(0, 1, 3, 4, 2)
    return {"masked": rows.cpu().numpy().astype(np.float16), "masked_names": np.array([name for name, _ in kept])}
