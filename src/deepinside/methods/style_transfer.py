"""The content of one image in the style of another (Gatys et al. 2016)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from deepinside.methods.box_descent import box_descent
from deepinside.network import Network
from deepinside.probe import convolutional
from deepinside.probe.activations import reached
from deepinside.records import Row
from deepinside.spelling import closest, readable
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

_STYLES = 5  # layers of style, one per resolution: conv1_1 .. conv5_1 in VGG
_CONTENT = 4  # of which resolution the content is: conv4_2 in VGG


class Layers(NamedTuple):
    """Dotted names of the layers of content and style."""

    content: tuple[str, ...]
    style: tuple[str, ...]


def chosen_layers(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    content: Sequence[str] | None,
    style: Sequence[str] | None,
) -> Layers:
    """The requested layers, or those closest to the paper's.

    Args:
        network: with convolutions.
        images: one image is enough.
        content: dotted names; None: the second convolution, or the only one, of the fourth resolution or the last.
        style: dotted names; None: the first convolution of each of the first five resolutions.

    Returns:
        Names; each convolution after its ReLU where one follows.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a list of names is empty.
    """
    for names in (content, style):
        if names is not None and not names:
            raise ValueError("expected layers of content and of style, got none: name one or more, or use null")
        for name in names or ():
            if name not in network.layers:
                raise KeyError(f"{network.name} has no layer {name!r}; {closest(name, network.layers)}")
    if content is not None and style is not None:
        return Layers(tuple(content), tuple(style))
    groups = list(_resolutions(network, images[:1]).values())
    fourth = groups[min(_CONTENT, len(groups)) - 1]
    found = tuple(group[0] for group in groups[:_STYLES])
    return Layers(tuple(content or fourth[min(1, len(fourth) - 1) :][:1]), tuple(style or found))


def _resolutions(network: Network, image: Tensor) -> dict[tuple[int, ...], list[str]]:
    # Height and width -> convolutions with maps of this size, in order; those that run once and tell positions apart.
    answered: list[tuple[str, tuple[int, ...]]] = []
    handles = [
        network.layer(name).register_forward_hook(lambda _m, _a, y, name=name: answered.append((name, y.shape[2:])))
        for name in dict.fromkeys(convolutional(network))
    ]
    try:
        with torch.no_grad():
            network(image.to(network.device))
    finally:
        for handle in handles:
            handle.remove()
    ran = [name for name, _ in answered]
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, size in answered:
        if ran.count(name) == 1 and min(size, default=1) > 1:
            groups.setdefault(tuple(size), []).append(name)
    if not groups:
        raise ValueError(f"{network.name} has no convolution with more than one position: name the layers")
    return groups


def features(network: Network, image: Float[Tensor, "1 3 h w"], layers: Layers) -> dict[str, Float[Tensor, "u y x"]]:
    """Activations of the layers on an image of any size, attached to the graph."""
    names = tuple(dict.fromkeys((*layers.content, *layers.style)))
    try:
        captured = reached(network, image, names)
    except RuntimeError as error:  # torch's own words for a kernel that is larger than what it shall slide over
        size = "x".join(map(str, image.shape[2:]))
        raise ValueError(
            f"expected an image large enough for {names[-1]!r}, got {size} pixels: use a larger one"
        ) from error
    for name, activation in captured.items():
        if activation.ndim != 4:
            raise ValueError(f"expected layers with positions, (n, u, y, x), got {name!r} of {tuple(activation.shape)}")
    return {name: activation[0] for name, activation in captured.items()}


WEIGHTINGS = ("paper", "author")


class Aim(NamedTuple):
    """Targets of the optimisation.

    Attributes:
        content: layer -> features of the content image, in units of `scale`.
        gram: layer -> Gram matrix of the style image over its number of positions, in squared units of `scale`.
        scale: layer -> mean |feature| of the two images.
    """

    content: dict[str, Float[Tensor, "u y x"]]
    gram: dict[str, Float[Tensor, "u u"]]
    scale: dict[str, float]


def gram(features: Float[Tensor, "u y x"]) -> Float[Tensor, "u u"]:
    """G_ij = (1/M) sum over the M positions of F_i F_j.

    Args:
        features: of one image, (u, y, x).

    Returns:
        (u, u), symmetric.

    Source: Gatys et al. 2016, eq. 3.
    Deviation: divided by M, so that images of different sizes have comparable matrices.
    """
    flat = features.flatten(1)
    return flat @ flat.T / flat.shape[1]


def content_loss(now: Float[Tensor, "u y x"], aim: Float[Tensor, "u y x"], weighting: str) -> Float[Tensor, ""]:
    """1/2 sum (F - P)² (`paper`), or the mean of (F - P)² (`author`).

    Args:
        now: features of the image.
        aim: those of the content image.
        weighting: `paper` or `author`.

    Returns:
        The loss of one layer.

    Source: Gatys et al. 2016, eq. 1; github.com/leongatys/PytorchNeuralStyleTransfer.
    """
    squares = (now - aim).square()
    return squares.sum() / 2 if weighting == "paper" else squares.mean()


def style_loss(now: Float[Tensor, "u u"], aim: Float[Tensor, "u u"], weighting: str) -> Float[Tensor, ""]:
    """Sum (G - A)² / (4 N² M²) (`paper`), or 1e3/N² times the mean of (G/M - A/M)² (`author`).

    Args:
        now: Gram matrix of the image, over its M positions (see `gram`).
        aim: that of the style image, over its own positions.
        weighting: `paper` or `author`; of one layer they differ by the factor 4e3/N².

    Returns:
        The loss of one layer.

    Source: Gatys et al. 2016, eq. 4; github.com/leongatys/PytorchNeuralStyleTransfer.
    """
    units = len(now)
    squares = (now - aim).square()
    return squares.sum() / (4 * units**2) if weighting == "paper" else 1e3 / units**2 * squares.mean()


def aim(network: Network, content: Float[Tensor, "1 3 h w"], style: Float[Tensor, "1 3 y x"], layers: Layers) -> Aim:
    """Computes the targets of the optimisation.

    Args:
        network: to visualise.
        content: the content image.
        style: the style image, of any size.
        layers: of both.

    Returns:
        Features, Gram matrices and their scale.

    Deviation: the paper scales VGG's weights so that each unit's mean activation over ImageNet is one; here each layer
    is divided by the mean magnitude of its activations on these two images, so that weights suit any network.
    """
    with torch.no_grad():
        ours, theirs = features(network, content, layers), features(network, style, layers)
    scale = {name: max(float((ours[name].abs().mean() + theirs[name].abs().mean()) / 2), 1e-12) for name in ours}
    return Aim(
        {name: ours[name] / scale[name] for name in layers.content},
        {name: gram(theirs[name] / scale[name]) for name in layers.style},
        scale,
    )


def losses(now: Mapping[str, Float[Tensor, "u y x"]], wanted: Aim, weighting: str) -> dict[str, Float[Tensor, ""]]:
    """Unweighted losses: `content`, summed over its layers, and `style.<layer>`."""
    content = [content_loss(now[n] / wanted.scale[n], to, weighting) for n, to in wanted.content.items()]
    style = {f"style.{n}": style_loss(gram(now[n] / wanted.scale[n]), to, weighting) for n, to in wanted.gram.items()}
    return {"content": torch.stack(content).sum(), **style}


def picked(pictures: Pictures, positions: Sequence[int]) -> dict[str, Float[Tensor, "1 3 h w"]]:
    """Images of a data set by name, RGB in [0, 1], (1, 3, h, w); positions are from 0."""
    if not positions or min(positions) < 0 or max(positions) >= len(pictures):
        raise ValueError(f"expected positions of images, 0..{len(pictures) - 1}, got {list(positions)}")
    found = {pictures.names[position]: pictures.read(position) for position in positions}
    broken = [name for name, image in found.items() if image is None]
    if broken:
        raise ValueError(f"expected images that can be read, got {broken} that cannot: name others")
    return {name: image[None] for name, image in found.items() if image is not None}


def from_file(file: str, shorter: int) -> dict[str, Float[Tensor, "1 3 h w"]]:
    """An image file by name, RGB in [0, 1], (1, 3, h, w), reduced if its shorter side exceeds `shorter` pixels."""
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"expected a style image, got no file {file}: give its path in style_file")
    try:
        with Image.open(path) as image:
            pixels = image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"expected an image, got {file}, which cannot be read: {error}") from error
    factor = min(1.0, shorter / min(pixels.size))
    pixels = pixels.resize((round(pixels.width * factor), round(pixels.height * factor)), Image.Resampling.BICUBIC)
    values = torch.from_numpy(np.asarray(pixels).copy()).permute(2, 0, 1).float() / 255
    return {readable(path.stem): values[None]}


STARTS = ("content", "noise")


class _Made(NamedTuple):
    picture: Float[Tensor, "1 3 h w"]
    rows: list[dict[str, Any]]  # one per evaluation; the last one is of the image
    distances: tuple[float, float]  # of its content, and of noise's, from what it should be
    wrong: float  # style loss of the start over that of the result, for the style of another image


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
        network: with convolutions.
        pictures: of a data set.
        content: positions of the content images.
        style: positions of the style images; each pair is one result.
        style_file: a style image file instead; of any size, reduced to the network's input if its shorter side is
            larger. Gram matrices are divided by their own number of positions.
        content_layers: dotted names; None: as in `chosen_layers`.
        style_layers: likewise.
        weighting: `paper` or `author`.
        content_weight: a.
        style_weight: b.
        tv: weight of the sum of squared differences between neighbouring pixels.
        start: `content`, the content image, or `noise`, uniform in [0, 1].
        steps: of L-BFGS.
        seed: of the noise.

    Returns:
        `table`: per pair and evaluation the losses, unweighted: `content`, `style.<layer>`, `tv`, and weighted `loss`
        and its lowest so far, `best`; in the last row of a pair also the numbers below, and `reduction_of_other_style`,
        for the next style image, which was not asked for. Numbers: the style loss of the start over that of
        the result, over all layers and
        per layer; and the relative distance |F - P| / |P| of the result's content and, for scale, of noise's.

    Raises:
        FileNotFoundError: if there is no such style file.
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a position is outside the data set, the file is no image or too small, or a setting is unknown.

    Source: Gatys et al. 2016, sec. 2 and 3; github.com/leongatys/PytorchNeuralStyleTransfer.
    Deviation: pixels stay in [0, 1] throughout (L-BFGS-B) where the paper clips at the end; layers are scaled by their
    mean magnitude (see `aim`).
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
        names = list(theirs)
        other = names[(names.index(pair[1]) + 1) % len(names)]
        wrong = aim(network, image, theirs[other].to(network.device), layers)
        ratio = math.nan if other == pair[1] else _style(network, first, wrong, layers, weighting)
        ratio /= _style(network, picture, wrong, layers, weighting) or math.nan
        made[pair] = _Made(picture, loss.rows, distances, ratio)
    weights = np.array([content_weight, style_weight * layer_weight(weighting, layers)])
    table = pd.DataFrame(
        [
            {"content_picture": pair[0], "style_picture": pair[1]} | row
            for pair, one in made.items()
            for row in _rows(one)
        ]
    )
    return Study(table, tuple(_numbers(made, layers)), _shown(made, ours, theirs, layers) | {"weights": weights})


def _style(network: Network, picture: Tensor, wanted: Aim, layers: Layers, weighting: str) -> float:
    with torch.no_grad():
        parts = losses(features(network, picture, layers), wanted, weighting)
    return sum(float(parts[f"style.{layer}"]) for layer in layers.style)


def _rows(one: _Made) -> list[dict[str, Any]]:
    first, last = one.rows[0]["style"], one.rows[-1]["style"]
    end = {"reduction": first / last if last else math.nan, "reduction_of_other_style": one.wrong}
    end |= dict(zip(("relative_distance", "relative_distance_of_noise"), one.distances, strict=True))
    return [*one.rows[:-1], one.rows[-1] | end]


class _Loss(NamedTuple):
    # The loss of an image; it keeps what it was each time.
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
        terms = ("content", "style", "tv")
        weighted = [weight * parts[word] for weight, word in zip(self.weights, terms, strict=True)]
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
    yield Row("pairs", len(made), "pairs of images")
    for column in ("style", *(f"style.{layer}" for layer in layers.style)):
        ends = [(one.rows[0][column], one.rows[-1][column]) for one in made.values()]
        yield mean_row(
            f"{column}.reduction", [first / last if last else math.nan for first, last in ends], "times smaller"
        )
    distances = [one.distances for one in made.values()]
    yield mean_row("content.relative_distance", [one for one, _ in distances], "")
    yield mean_row("content.relative_distance_of_noise", [noise for _, noise in distances], "")


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
