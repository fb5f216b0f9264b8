"""Changes of a picture that hardly show and that change what a network says."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.methods.box_descent import box_descent
from deepinside.network import Network

_FACTOR = 10.0  # by which the weight of the loss grows until the target is reached
_ROUNDS = 7  # of growth, at most


def gradient_sign(
    network: Network, images: Float[Tensor, "n 3 h w"], labels: Int[Tensor, " n"]
) -> Float[Tensor, "n 3 h w"]:
    """sign(dJ/dI), J the cross-entropy of the labels: where each pixel has to go for the label to lose most.

    Args:
        network: any.
        images: RGB in [0, 1], (n, 3, h, w).
        labels: class to lead away from, (n,).

    Returns:
        -1, 0 or 1, (n, 3, h, w).

    Source: Goodfellow et al. 2015, sec. 4 (the fast gradient sign method, whose step is eps times this).
    """
    leaf = images.to(network.device).detach().clone().requires_grad_()
    with torch.enable_grad():
        loss = torch.nn.functional.cross_entropy(network(leaf), labels.to(network.device), reduction="sum")
        return torch.autograd.grad(loss, leaf)[0].sign()


def stepped(images: Float[Tensor, "n 3 h w"], signs: Float[Tensor, "n 3 h w"], eps: float) -> Float[Tensor, "n 3 h w"]:
    """clip(I + eps·signs, 0, 1).

    Args:
        images: RGB in [0, 1], (n, 3, h, w).
        signs: where to, (n, 3, h, w).
        eps: how far, in units of 1/255; a picture kept as bytes would round 0.5 away.

    Returns:
        RGB in [0, 1], (n, 3, h, w).
    """
    return (images + eps / 255 * signs).clamp(0, 1)


class Boxed(NamedTuple):
    """What the attack within the box found.

    Attributes:
        image: the changed picture, (1, 3, h, w); where the target was never reached, the last try.
        weight: c of the loss; NaN where the target was never reached.
        success: whether the network sees the target.
    """

    image: Float[Tensor, "1 3 h w"]
    weight: float
    success: bool


def boxed(
    network: Network, image: Float[Tensor, "1 3 h w"], target: int, *, weight: float, steps: int, bisections: int
) -> Boxed:
    """The argmin over r of |r|² + c·J(I + r, target), I + r in [0, 1], with the smallest c that reaches the target.

    c grows tenfold from `weight` until the network sees the target, and is then bisected on a logarithmic scale between
    the last that failed and the first that did not. Each try starts at the picture itself.

    Args:
        network: any.
        image: RGB in [0, 1], (1, 3, h, w).
        target: class to be seen.
        weight: first c; where it already succeeds, a tenth of it is taken to fail.
        steps: of L-BFGS per try.
        bisections: tries after the first success.

    Returns:
        The nearest picture found.

    Source: Szegedy et al. 2014, sec. 4.1.
    Deviation: the paper writes c|r| + J and searches for the minimum c, which as it stands would seek the largest r; c
    is at the loss here, and the norm is squared, so that it is smooth at zero (Carlini & Wagner 2017 read it so too).
    """
    image = image.to(network.device)
    aim = torch.tensor([target], device=network.device)
    best, failed, c = None, weight / _FACTOR, weight
    tried = image
    for _ in range(_ROUNDS):
        tried = _nearest(network, image, aim, c, steps)
        if _seen(network, tried) == target:
            best = Boxed(tried, c, success=True)
            break
        failed, c = c, c * _FACTOR
    if best is None:
        return Boxed(tried, float("nan"), success=False)
    for _ in range(bisections):
        c = (failed * best.weight) ** 0.5
        tried = _nearest(network, image, aim, c, steps)
        if _seen(network, tried) == target:
            best = Boxed(tried, c, success=True)
        else:
            failed = c
    return best


def _nearest(network: Network, image: Tensor, aim: Tensor, c: float, steps: int) -> Tensor:
    def loss(picture: Tensor) -> Tensor:
        return (picture - image).square().sum() + c * torch.nn.functional.cross_entropy(network(picture), aim)

    return box_descent(loss, image, steps=steps)


def _seen(network: Network, image: Tensor) -> int:
    with torch.no_grad():
        return int(network(image).argmax())
