"""How often a network is wrong about photographs."""

from collections.abc import Iterable
from itertools import islice

import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from deepinside.network import Network
from deepinside.views import canvas, cut, placements, warped

VIEWS = {"centre": 1, "ten": 10, "warp": 1}


def views(network: Network, image: UInt8[Tensor, "3 h w"], crops: str) -> Float[Tensor, "m 3 s s"]:
    """What the network looks at.

    Args:
        network: with its preprocessing.
        image: RGB bytes, (3, h, w), of any size.
        crops: `centre` and `ten` cut from the canvas, `warp` squeezes the whole photograph.

    Returns:
        RGB in [0, 1], (m, 3, input, input); m = 1 or 10.

    Raises:
        ValueError: if `crops` is unknown.
    """
    if crops not in VIEWS:
        raise ValueError(f"expected crops {', '.join(VIEWS)}, got {crops!r}")
    if crops == "warp":
        return warped(image, network.preprocessing)[None]
    picture = canvas(image, network.preprocessing)
    height, width = picture.shape[1:]
    side = network.preprocessing.input
    return cut(picture, placements(height, width, side, crops), side)


def probabilities(
    network: Network, images: Iterable[UInt8[Tensor, "3 h w"]], *, crops: str = "centre", batch: int = 64
) -> Float[Tensor, "n k"]:
    """Class probabilities: the mean over a photograph's views of softmax(S).

    Args:
        network: on any device.
        images: RGB bytes, each of any size; read as they are needed.
        crops: `centre`, `ten` or `warp`.
        batch: views per forward pass; fixed by position, so that the last bits do not change.

    Returns:
        (n, k) on the CPU, rows sum to 1.

    Source: Krizhevsky et al. 2012, sec. 4.1 (ten crops, softmax averaged).
    """
    stream = iter(images)
    count = max(1, batch // VIEWS.get(crops, 1))
    answers: list[Tensor] = [torch.empty(0, len(network.classes))]
    with torch.inference_mode():
        while chunk := [views(network, image, crops) for image in islice(stream, count)]:
            scores = network.scores(torch.cat(chunk)).float().cpu()
            answers.append(scores.softmax(1).view(len(chunk), -1, scores.shape[1]).mean(1))
    return torch.cat(answers)


def wrong(
    values: Float[Tensor, "n k"], labels: Int[ndarray, " n"] | Int[Tensor, " n"], guesses: int
) -> Bool[ndarray, " n"]:
    """Whether the true class is missing among the first guesses.

    Args:
        values: scores or probabilities, (n, k).
        labels: true classes, (n,).
        guesses: how many the network may make.

    Returns:
        (n,), true where `guesses` or more classes score higher than the true one.
    """
    labels = torch.as_tensor(labels).long()
    above = (values > values.gather(1, labels[:, None])).sum(1)
    return (above >= guesses).numpy()
