"""What a picture shows and how it is painted, as a network's features tell them apart (Gatys et al. 2016)."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.style_layers import Layers, features
from deepinside.network import Network

WEIGHTINGS = ("paper", "author")


class Aim(NamedTuple):
    """What a picture is to come close to.

    Attributes:
        content: layer -> features of the content picture, in units of `scale`.
        gram: layer -> Gram matrix of the style picture over its number of positions, in squared units of `scale`.
        scale: layer -> mean |feature| of the two pictures.
    """

    content: dict[str, Float[Tensor, "u y x"]]
    gram: dict[str, Float[Tensor, "u u"]]
    scale: dict[str, float]


def gram(features: Float[Tensor, "u y x"]) -> Float[Tensor, "u u"]:
    """G_ij = (1/M) sum over the M positions of F_i F_j.

    Args:
        features: of one picture, (u, y, x).

    Returns:
        (u, u), symmetric.

    Source: Gatys et al. 2016, eq. 3.
    Deviation: divided by M, so that pictures of different sizes have comparable matrices.
    """
    flat = features.flatten(1)
    return flat @ flat.T / flat.shape[1]


def content_loss(now: Float[Tensor, "u y x"], aim: Float[Tensor, "u y x"], weighting: str) -> Float[Tensor, ""]:
    """1/2 sum (F - P)² (`paper`), or the mean of (F - P)² (`author`).

    Args:
        now: features of the picture.
        aim: those of the content picture.
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
        now: Gram matrix of the picture, over its M positions (see `gram`).
        aim: that of the style picture, over its own.
        weighting: `paper` or `author`; of one layer they differ by the factor 4e3/N².

    Returns:
        The loss of one layer.

    Source: Gatys et al. 2016, eq. 4; github.com/leongatys/PytorchNeuralStyleTransfer.
    """
    units = len(now)
    squares = (now - aim).square()
    return squares.sum() / (4 * units**2) if weighting == "paper" else 1e3 / units**2 * squares.mean()


def aim(network: Network, content: Float[Tensor, "1 3 h w"], style: Float[Tensor, "1 3 y x"], layers: Layers) -> Aim:
    """What is to be matched.

    Args:
        network: any.
        content: picture whose content is kept.
        style: picture whose style is taken, of any size.
        layers: of both.

    Returns:
        Features, Gram matrices and the scale that both are in.

    Deviation: the paper scales VGG's weights so that each unit's mean activation over ImageNet is one; here each layer
    is divided by the mean magnitude of its answers to these two pictures, so that weights suit any network.
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
    """How far a picture is from what it shall come close to.

    Args:
        now: features of the picture.
        wanted: by it.
        weighting: `paper` or `author`.

    Returns:
        `content`, summed over its layers, and `style.<layer>`, unweighted.
    """
    content = [content_loss(now[n] / wanted.scale[n], to, weighting) for n, to in wanted.content.items()]
    style = {f"style.{n}": style_loss(gram(now[n] / wanted.scale[n]), to, weighting) for n, to in wanted.gram.items()}
    return {"content": torch.stack(content).sum(), **style}
