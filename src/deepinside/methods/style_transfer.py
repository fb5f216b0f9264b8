"""The content of one picture in the style of another (Gatys et al. 2016)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from deepinside.methods.box_descent import box_descent
from deepinside.methods.style_layers import Layers, chosen_layers, features
from deepinside.methods.style_losses import WEIGHTINGS, Aim, aim, losses
from deepinside.methods.style_pictures import from_file, picked
from deepinside.network import Network
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

STARTS = ("content", "noise")


class _Made(NamedTuple):
    picture: Float[Tensor, "1 3 h w"]
    rows: list[dict[str, Any]]  # one per evaluation; the last one is of the picture
    distances: tuple[float, float]  # of its content, and of noise's, from what it should be


def style_transfer(
    network: Network,
    pictures: Pictures,
    *,
    content: Sequence[int] = (0,),
    style: Sequence[int] = (1,),
    style_file: str | None = None,
    content_layers: Sequence[str] | None = None,
    style_layers: Sequence[str] | None = None,
    weighting: str,
    content_weight: float,
    style_weight: float,
    tv: float = 0.0,
    start: str = "content",
    steps: int,
    seed: int = 0,
) -> Study:
    """The argmin over x of a·L_content(x) + b·L_style(x), L_style = the mean of E_l over the style layers.

    `paper`: L_content = 1/2 sum (F - P)², E_l = sum (G - A)² / (4 N² M²). `author` (the notebook that the author
    published): the mean of (F - P)², and 1e3/N² times the mean of (G/M - A/M)², summed over the layers; its style
    weights differ from the paper's by 4e3/N² a layer, so that wide layers count for less.

    Args:
        network: any with convolutions.
        pictures: of a data set.
        content: positions of pictures whose content is kept.
        style: positions of pictures whose style is taken; each pair is one result.
        style_file: a picture file whose style is taken instead; of any size, shrunk to the network's input where its
            shorter side is larger. Gram matrices are divided by their own number of positions.
        content_layers: dotted names; None: as `style_layers.chosen_layers` says.
        style_layers: likewise.
        weighting: `paper` or `author`.
        content_weight: a.
        style_weight: b.
        tv: weight of the sum of squared differences between neighbouring pixels.
        start: `content`, the content picture, or `noise`, uniform in [0, 1].
        steps: of L-BFGS.
        seed: of the noise.

    Returns:
        `table`: per pair and evaluation the losses, unweighted: `content`, `style.<layer>`, `tv`, and weighted `loss`
        and its lowest so far, `best`. Numbers: the style loss of the start over that of the result, over all layers and
        per layer; and the relative distance |F - P| / |P| of the result's content and, for scale, of noise's.

    Raises:
        FileNotFoundError: if there is no such style file.
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a position is outside the data set, the file is no picture or too small, or a setting is unknown.

    Source: Gatys et al. 2016, sec. 2 and 3; github.com/leongatys/PytorchNeuralStyleTransfer.
    Deviation: pixels stay in [0, 1] throughout (L-BFGS-B) where the paper clips at the end; layers are scaled by their
    mean magnitude (see `style_losses.aim`).
    """
    if weighting not in WEIGHTINGS or start not in STARTS:
        raise ValueError(f"expected a weighting of {WEIGHTINGS} and a start of {STARTS}, got {weighting!r}, {start!r}")
    ours = picked(pictures, content)
    theirs = picked(pictures, style) if style_file is None else from_file(style_file, network.preprocessing.input)
    layers = chosen_layers(network, next(iter(ours.values())), content_layers, style_layers)
    generator = torch.Generator().manual_seed(seed)
    made: dict[tuple[str, str], _Made] = {}
    for pair in ((one, other) for one in ours for other in theirs):
        image, painted = (images[name].to(network.device) for images, name in zip((ours, theirs), pair, strict=True))
        wanted = aim(network, image, painted, layers)
        noise = torch.rand(image.shape, generator=generator).to(image)
        first = image if start == "content" else noise
        loss = _Loss(network, wanted, layers, weighting, (content_weight, style_weight, tv), [])
        picture = box_descent(loss.of, first, steps=steps)
        loss.of(picture)
        distances = (_distance(network, picture, wanted, layers), _distance(network, noise, wanted, layers))
        made[pair] = _Made(picture, loss.rows, distances)
    weights = np.array([content_weight, style_weight * layer_weight(weighting, layers)])
    table = pd.DataFrame(
        [{"content_picture": pair[0], "style_picture": pair[1]} | row for pair, one in made.items() for row in one.rows]
    )
    return Study(table, tuple(_numbers(made, layers)), _shown(made, ours, theirs, layers) | {"weights": weights})


class _Loss(NamedTuple):
    # The loss of a picture; it keeps what it was each time.
    network: Network
    wanted: Aim
    layers: Layers
    weighting: str
    weights: tuple[float, float, float]
    rows: list[dict[str, Any]]

    def of(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, ""]:
        parts = losses(features(self.network, picture, self.layers), self.wanted, self.weighting)
        parts["tv"] = picture.diff(dim=2).square().sum() + picture.diff(dim=3).square().sum()
        style = torch.stack([parts[f"style.{layer}"] for layer in self.layers.style])
        parts["style"] = style.sum() * layer_weight(self.weighting, self.layers)
        words = ("content", "style", "tv")
        weighted = [weight * parts[word] for weight, word in zip(self.weights, words, strict=True)]
        total = torch.stack(weighted).sum()
        row = {name: float(value.detach()) for name, value in {"loss": total, **parts}.items()}
        best = min(row["loss"], self.rows[-1]["best"] if self.rows else math.inf)
        self.rows.append({"evaluation": len(self.rows), **row, "best": best})
        return total


def layer_weight(weighting: str, layers: Layers) -> float:
    """w_l, the weight of each style layer in the style loss: 1 over their number, or 1 in the author's notebook.

    Args:
        weighting: `paper` or `author`.
        layers: of style.

    Returns:
        The weight.

    Source: Gatys et al. 2016, sec. 3 (1/5 for five layers).
    """
    return 1 / len(layers.style) if weighting == "paper" else 1.0


def _distance(network: Network, picture: Tensor, wanted: Aim, layers: Layers) -> float:
    with torch.no_grad():
        now = features(network, picture, layers)
    away = sum(float((now[name] / wanted.scale[name] - to).square().sum()) for name, to in wanted.content.items())
    return math.sqrt(away / sum(float(to.square().sum()) for to in wanted.content.values()))


def _numbers(made: Mapping[tuple[str, str], _Made], layers: Layers) -> Iterator[Row]:
    yield Row("pairs", len(made), "pairs of pictures")
    for column in ("style", *(f"style.{layer}" for layer in layers.style)):
        ends = [(one.rows[0][column], one.rows[-1][column]) for one in made.values()]
        yield _mean(
            f"{column}.reduction", [first / last if last else math.nan for first, last in ends], "times smaller"
        )
    distances = [one.distances for one in made.values()]
    yield _mean("content.relative_distance", [one for one, _ in distances], "")
    yield _mean("content.relative_distance_of_noise", [noise for _, noise in distances], "")


def _mean(metric: str, values: Sequence[float], unit: str) -> Row:
    row = mean_row(metric, values, unit)
    return row if row.n > 1 else row._replace(ci_low=math.nan, ci_high=math.nan)  # one pair has no spread


def _shown(
    made: Mapping[tuple[str, str], _Made], ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], layers: Layers
) -> dict[str, ndarray]:
    shown = {"content_layers": np.array(layers.content), "style_layers": np.array(layers.style)}
    shown["content_pictures"] = np.array([pair[0] for pair in made])
    shown["style_pictures"] = np.array([pair[1] for pair in made])
    for number, ((one, other), result) in enumerate(made.items()):
        for word, image in (("content", ours[one]), ("style", theirs[other]), ("result", result.picture)):
            shown[f"{word}.{number}"] = image[0].permute(1, 2, 0).cpu().numpy()
    return shown
