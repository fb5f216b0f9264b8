"""Whether a network treats the same part of different pictures alike (Zeiler & Fergus 2014, sec. 4.3 and table 1)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int8
from numpy import ndarray
from torch import Tensor

from deepinside.methods.part_squares import Square, find_cases, squares_by_place
from deepinside.network import Network
from deepinside.probe import activations, before_scores, convolutional
from deepinside.records import Row
from deepinside.study import Segments, Study

ZEROS = ("match", "left_out")  # what becomes of dimensions that neither mask changed
PLACES = ("part", "random", "beside")
_DRAWN = 6  # pictures that are shown


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
    batch: int = 32,
    zero: float = 1e-5,
) -> Study:
    """Delta = mean over pairs i != j of H(sign eps_i, sign eps_j) / dimension, of one part against other places.

    eps_i = f(x_i) - f(x_i with a square of the mean colour over the part). The lower Delta, the more alike the masked
    part changes the features of different pictures. It is set beside squares of the same size `random`ly placed on the
    object but off the part, and beside squares the same random step away from the part in every picture (`beside`):
    these lie as near to one another as the parts do, so that being in the same place cannot be what they differ by.

    Args:
        network: any.
        segments: pictures with outlined objects and parts.
        object: its name; None: the one with most parts, of equals the one that most pictures carry with all of them.
        parts: their names; None: up to three, the commonest that `images` pictures carry together; one that fills its
            object, so that there is no place off it, is none.
        layers: dotted names; None: the last convolution and what the layer of the class scores reads.
        images: how many pictures, the first ones.
        repeats: places drawn per part.
        seed: of the places.
        batch: pictures per pass.
        zero: a change up to this share of the layer's largest activation in the picture is none; float rounding.

    Returns:
        `table`: per layer, part, way to count zeros and place: delta, the standard error over pairs, the 95 % interval
        over pictures, and how far it lies above the part's with its interval. `shown`: the masked pictures.

    Raises:
        KeyError: if there is no such object, part or layer, with the closest names.
        ValueError: if fewer than two pictures carry what is asked for.

    Source: Zeiler & Fergus 2014, sec. 4.3 and table 1.
    Deviation: the sum is divided by dimension and number of pairs (the paper's normalisation is not stated); of a part
        that an object has more than once the leftmost piece is masked; `beside` is ours.
    """
    wanted, chosen, cases = find_cases(segments, object, parts, images)
    pictures = torch.stack([case.image for case in cases])
    high = before_scores(network, pictures[:1])
    names = tuple(layers) if layers else (_last_convolution(network, high), high)
    fill = network.preprocessing.colour.view(3, 1, 1)
    clean = _features(network, pictures, names, batch)
    deltas: dict[tuple[str, str, str, str], Float[ndarray, "n n"]] = {}
    masked = {}
    for part in chosen:
        for place, rounds in squares_by_place(cases, part, repeats, seed).items():
            covered = [_masked(pictures, squares, fill) for squares in rounds]
            masked[part, place] = covered[:1]
            for layer, pair in _distances(network, clean, covered, names, batch, zero).items():
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


def _features(network: Network, images: Tensor, layers: Sequence[str], batch: int) -> dict[str, Float[Tensor, "n d"]]:
    # Batches are the same for masked and whole pictures, so that what is alike rounds alike.
    parts = [activations(network, part.to(network.device), layers) for part in images.split(batch)]
    return {name: torch.cat([answers[name].flatten(1).cpu() for answers in parts]) for name in layers}


def _distances(
    network: Network,
    clean: Mapping[str, Tensor],
    covered: Sequence[Tensor],
    layers: Sequence[str],
    batch: int,
    zero: float,
) -> dict[str, tuple[ndarray, ndarray]]:
    # Layer -> distances of all pairs, both ways to count zeros, mean over the rounds.
    rounds: dict[str, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}
    for images in covered:
        features = _features(network, images, layers, batch)
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
    """Hamming distances of all pairs, as shares of the dimensions that count.

    Args:
        signs: -1, 0 or 1, (n, d).

    Returns:
        Of all dimensions, where two zeros match; and of those in which at least one of the two is not zero, NaN where
        there is none.

    Source: Zeiler & Fergus 2014, sec. 4.3.
    """
    same = [(equal := (signs == sign).double()) @ equal.T for sign in (-1, 0, 1)]
    differing = signs.shape[1] - same[0] - same[1] - same[2]
    return differing / signs.shape[1], differing / (signs.shape[1] - same[1])


def pair_interval(
    distances: Float[ndarray, "n n"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over pairs, over pictures; a picture drawn twice is no pair.

    Args:
        distances: of all pairs, symmetric, (n, n); NaN counts for nothing.
        level: coverage aimed at.
        resamples: how many times to draw n of n pictures.
        seed: of the draws.

    Returns:
        Lower and upper end; NaN where there is no pair.
    """
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
    low, high = pair_interval(matrix)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    mean = values.mean() if len(values) else np.nan
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
    # Rows: the pictures as they are, each part masked, and the first random places of the first part.
    kept = [("nothing masked", pictures), *((part, masked[part, "part"][0]) for part in parts)]
    others = (("random", f"random, as large as {parts[0]}"), ("beside", f"one step from {parts[0]}"))
    kept += [(said, masked[parts[0], place][0]) for place, said in others if masked[parts[0], place]]
    rows = torch.stack([images[:_DRAWN] for _, images in kept]).permute(0, 1, 3, 4, 2)
    return {"masked": rows.cpu().numpy().astype(np.float16), "masked_names": np.array([name for name, _ in kept])}
