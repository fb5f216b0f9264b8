"""Change of features when the image is translated, scaled and rotated (Zeiler & Fergus 2014, sec. 4 and fig. 5)."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from deepinside.network import Network
from deepinside.probe import before_scores, capture, convolutional
from deepinside.records import Batch, Row
from deepinside.spelling import closest
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

REST = {"translation": 0.0, "scale": 1.0, "rotation": 0.0}  # what leaves an image as it is


def motion(kind: str, value: float, size: tuple[int, int]) -> Float[Tensor, "2 3"]:
    """The affine transformation from output to input coordinates, for `torch.nn.functional.affine_grid`.

    Coordinates run from -1 to 1 between the outer edges of the image (align_corners=False), so that one pixel is 2/h
    down and 2/w across.

    Args:
        kind: `translation` (share of the height, positive downwards), `scale` (above 1 enlarges) or `rotation`
            (degrees, anticlockwise); the latter two about the centre.
        value: of the transformation.
        size: (h, w) in pixels.

    Returns:
        Rows for x and y, double precision.

    Raises:
        ValueError: for an unknown kind.
    """
    height, width = size
    if kind == "translation":
        rows = [[1.0, 0.0, 0.0], [0.0, 1.0, -2 * value]]
    elif kind == "scale":
        rows = [[1 / value, 0.0, 0.0], [0.0, 1 / value, 0.0]]
    elif kind == "rotation":
        cosine, sine = math.cos(math.radians(value)), math.sin(math.radians(value))
        rows = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    else:
        raise ValueError(f"unknown transformation {kind!r}; {closest(kind, REST)}")
    return torch.tensor(rows, dtype=torch.float64)


def moved(
    images: Float[Tensor, "n 3 h w"], motions: Float[Tensor, "n 2 3"], fill: Float[Tensor, "3 1 1"]
) -> Float[Tensor, "n 3 h w"]:
    """Images transformed, bilinear between pixel centres.

    Args:
        images: RGB, (n, 3, h, w).
        motions: one per image, (n, 2, 3) (see `motion`).
        fill: colour outside the image, (3, 1, 1).

    Returns:
        (n, 3, h, w). A shift by whole pixels is exact.
    """
    grid = functional.affine_grid(motions.to(images.device), list(images.shape), align_corners=False)
    rest = images.double() - fill  # zero outside is the fill
    sampled = functional.grid_sample(rest, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return (sampled + fill).clamp(0, 1).to(images.dtype)


_DRAWN = 5  # images that are shown


def invariance(
    network: Network,
    pictures: Pictures,
    *,
    low: str | None = None,
    high: str | None = None,
    shifts: Sequence[float],
    scales: Sequence[float],
    angles: Sequence[float],
    images: int = 5,
    batch_size: int = 32,
) -> Study:
    """Distance |f(T x) - f(x)| of the features f of a low and a high layer, and the probability of the class, per T.

    T translates the image vertically, scales it about its centre, or rotates it about its centre. The frame outside the
    transformed image has the network's mean colour, which is zero for the network.

    Args:
        network: to visualise.
        pictures: of a data set.
        low: dotted name; None: the first convolution, after its ReLU where one follows.
        high: dotted name; None: the input of the layer of the class scores (see `before_scores`), averaged over
            positions where it has any: the network scores no position by itself.
        shifts: shares of the height, positive downwards.
        scales: above 1 enlarges.
        angles: in degrees, anticlockwise.
        images: number of images, the first ones.
        batch_size: images per pass.

    Returns:
        `table`: per image and transformation, for both layers, the Euclidean `distance` and the `relative` one, that
        is divided by |f(x)|, the mean `other` one to the other images, and the probability of the true class (of the
        predicted one where the true is unknown).
        `shown`: examples (3 kinds, 3 values, n, h, w, 3) and what is needed to label them. Numbers are of the smallest
        transformation of each kind; `other_picture` is the relative distance to the other images, for scale.

    Raises:
        KeyError: if there is no such layer.
        ValueError: if a scale is not positive, or there is nothing to compare.

    Source: Zeiler & Fergus 2014, sec. 4 and fig. 5.
    Deviation: relative distances are added, so that layers can be compared.
    """
    moves = {"translation": list(shifts), "scale": list(scales), "rotation": list(angles)}
    _check(moves)
    positions, shown = pictures.first(images)
    layers = {"low": low or convolutional(network)[0], "high": high or before_scores(network, shown.images[:1])}
    pooled = frozenset() if high else frozenset({"high"})
    seen = [
        _seen(network, shown.images[i : i + 1], shown, i, layers, pooled, moves, batch_size)
        for i in range(len(positions))
    ]
    table = pd.DataFrame([row for one in seen for row in one.rows])
    others = {word: _between([one.features[word] for one in seen]) for word in layers}
    for word, values in others.items():
        table[f"{word}_other"] = np.repeat(values, [len(one.rows) for one in seen])
    examples = _examples(network, shown.images[:_DRAWN], moves)
    about = {f"{word}_layer": np.array(name) for word, name in layers.items()}
    about |= {f"{word}_other_picture": np.array(float(values.mean())) for word, values in others.items()}
    numbers = (Row("images", len(positions), "images"), *_numbers(table, moves, others))
    return Study(table, numbers, {**examples, **about, "names": np.array(shown.names[:_DRAWN])})


def _check(moves: Mapping[str, Sequence[float]]) -> None:
    for kind, values in moves.items():
        if not any(_departure(kind, value) > 0 for value in values):
            raise ValueError(f"expected a {kind} other than {REST[kind]:g}, got {list(values)}: name one or more")
    if min(moves["scale"]) <= 0:
        raise ValueError(f"expected positive scales, got {moves['scale']}: 0.5 halves the image, 2 doubles it")


def _departure(kind: str, value: float) -> float:
    # How far a transformation is from leaving the image as it is.
    if kind == "scale":
        return abs(math.log(value)) if value > 0 else math.inf
    return min(abs(value) % 360, 360 - abs(value) % 360) if kind == "rotation" else abs(value)


class _Seen(NamedTuple):
    rows: list[dict[str, Any]]
    features: dict[str, Tensor]


def _seen(
    network: Network,
    image: Tensor,
    shown: Batch,
    number: int,
    layers: Mapping[str, str],
    pooled: Set[str],
    moves: Mapping[str, Sequence[float]],
    batch_size: int,
) -> _Seen:
    features, probabilities = _outputs(network, image, layers, pooled)
    label = -1 if shown.labels is None else int(shown.labels[number])
    known = 0 <= label < probabilities.shape[1]
    target = label if known else int(probabilities.argmax())
    listed = [(kind, value) for kind, values in moves.items() for value in values]
    rows = []
    for start in range(0, len(listed), batch_size):
        part = listed[start : start + batch_size]
        motions = torch.stack([motion(kind, value, (image.shape[2], image.shape[3])) for kind, value in part])
        versions = moved(
            image.expand(len(part), -1, -1, -1), motions, network.preprocessing.colour.view(3, 1, 1).to(image.device)
        )
        now, chances = _outputs(network, versions, layers, pooled)
        away = {word: (now[word] - features[word]).norm(dim=1).tolist() for word in layers}
        for i, (kind, value) in enumerate(part):
            row = {"picture": shown.names[number], "transformation": kind, "value": value}
            for word in layers:
                length = float(features[word].norm())
                row |= {f"{word}_distance": away[word][i], f"{word}_relative": away[word][i] / (length or math.nan)}
            rows.append(row | {"class": target, "class_is_known": known, "probability": float(chances[i, target])})
    rest = {"picture": shown.names[number], "transformation": "none", "value": math.nan}
    rest |= {f"{word}_{what}": 0.0 for word in layers for what in ("distance", "relative")}
    rest |= {"class": target, "class_is_known": known, "probability": float(probabilities[0, target])}
    return _Seen([rest, *rows], {word: values[0] for word, values in features.items()})


def _outputs(
    network: Network, images: Tensor, layers: Mapping[str, str], pooled: Set[str]
) -> tuple[dict[str, Tensor], Tensor]:
    with torch.no_grad(), capture(network, tuple(layers.values())) as captured:
        probabilities = network(images.to(network.device)).softmax(dim=1).cpu()
    found = {word: captured[name].cpu().double() for word, name in layers.items()}
    means = {word: found[word].flatten(2).mean(dim=2) for word in pooled if found[word].ndim > 2}
    return {word: values.flatten(1) for word, values in (found | means).items()}, probabilities


def _between(features: Sequence[Tensor]) -> Float[ndarray, " n"]:
    # Per image: mean relative distance to the other images.
    if len(features) < 2:
        return np.array([np.nan])
    away = torch.stack([torch.stack([(one - other).norm() for other in features]) for one in features])
    return (away.sum(1) / (len(features) - 1) / torch.stack([one.norm() for one in features])).numpy()


def _examples(network: Network, images: Tensor, moves: Mapping[str, Sequence[float]]) -> dict[str, ndarray]:
    # Of each kind the value in the middle and one towards each end, for the images that are drawn.
    fill = network.preprocessing.colour.view(3, 1, 1).to(images.device)
    examples, values = [], []
    size = (images.shape[2], images.shape[3])
    for kind, listed in moves.items():
        ordered = sorted(listed)
        picked = [ordered[len(ordered) * sixth // 6] for sixth in (1, 3, 5)]
        motions = [motion(kind, value, size).expand(len(images), -1, -1) for value in picked]
        versions = torch.stack([moved(images, each, fill) for each in motions])
        examples.append(versions.permute(0, 1, 3, 4, 2).cpu().numpy().astype(np.float16))
        values.append(picked)
    return {"examples": np.stack(examples), "example_values": np.array(values), "kinds": np.array(list(moves))}


def _numbers(table: pd.DataFrame, moves: Mapping[str, Sequence[float]], others: Mapping[str, ndarray]) -> Iterator[Row]:
    rest = table[table["transformation"] == "none"].set_index("picture")["probability"]
    yield mean_row("untransformed.probability", rest.to_numpy(), "probability")
    for word, values in others.items():
        yield mean_row(f"{word}.other_picture.relative_distance", values, "")
    for kind, listed in moves.items():
        mine = table[table["transformation"] == kind]
        least = min(departure for value in listed if (departure := _departure(kind, value)) > 0)
        small = [value for value in listed if math.isclose(_departure(kind, value), least)]
        near = mine[mine["value"].isin(small)].groupby("picture", sort=False)
        low, high = (near[f"{word}_relative"].mean().to_numpy() for word in ("low", "high"))
        yield Row(
            f"{kind}.smallest",
            max(small) if kind == "scale" else least,
            {"translation": "share", "rotation": "degrees"}.get(kind, "factor"),
        )
        yield mean_row(f"{kind}.low.relative_distance", low)
        yield mean_row(f"{kind}.high.relative_distance", high)
        yield mean_row(f"{kind}.low_above_high", low - high)
        change = mine.groupby("picture", sort=False)["probability"].mean() - rest
        yield mean_row(f"{kind}.probability_change", change, "probability")
