"""Untargeted attacks within a maximum norm, by steps along the sign of the gradient."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from deepinside.network import Network

BYTE = 255  # radii and steps are in units of 1/255


def check_radius(radius: float, name: str = "radius") -> None:
    """Checks a radius or a step.

    Args:
        radius: in units of 1/255.
        name: of the setting, for the message.

    Raises:
        ValueError: if it is not above 0, or larger than the range of pixels.
    """
    if not 0 < radius <= BYTE:
        raise ValueError(f"expected {name} above 0 and up to 255, in units of 1/255, got {radius}")


def random_start(
    images: Float[Tensor, "n 3 h w"], radius: float, generator: torch.Generator | None = None
) -> Float[Tensor, "n 3 h w"]:
    """Uniform noise in the maximum norm's ball.

    Args:
        images: RGB in [0, 1], (n, 3, h, w).
        radius: of the ball, in units of 1/255.
        generator: on the CPU; None: torch's own, on the images' device.

    Returns:
        The noise, (n, 3, h, w).
    """
    device = images.device if generator is None else torch.device("cpu")
    noise = torch.rand(images.shape, generator=generator, device=device).to(images.device)
    return (2 * noise - 1) * (radius / BYTE)


def ascent(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    labels: Int[Tensor, " n"],
    *,
    radius: float,
    step: float,
    steps: int = 1,
    start: Float[Tensor, "n 3 h w"] | None = None,
) -> Float[Tensor, "n 3 h w"]:
    """Projected ascent of the cross-entropy along the sign of its gradient; one step of `radius` is FGSM.

    The change is limited to [-radius, radius], and the images to [0, 1], after every step.

    Args:
        network: to attack, in whatever mode it is.
        images: RGB in [0, 1], (n, 3, h, w), on the network's device.
        labels: class to lead away from, (n,); an image with -1 stays at its start.
        radius: largest change of a pixel, in units of 1/255.
        step: of every step, likewise.
        steps: their number.
        start: first change; None: zero.

    Returns:
        The changed images, detached, (n, 3, h, w).

    Raises:
        ValueError: if a radius or step is not positive, or there is no step.

    Source: Goodfellow et al. 2015, sec. 4 (FGSM); Madry et al. 2018, sec. 2.1 (PGD); Wong et al. 2020, algorithm 3
    (one step from a random start).
    """
    check_radius(radius)
    check_radius(step, "step")
    if steps < 1:
        raise ValueError(f"expected one step or more, got steps={steps}")
    limit = radius / BYTE
    low, high = (images - limit).clamp(0, 1), (images + limit).clamp(0, 1)
    changed = images if start is None else torch.minimum(torch.maximum(images + start, low), high)
    for _ in range(steps):
        leaf = changed.detach().clone().requires_grad_()
        with torch.enable_grad():
            loss = cross_entropy(network(leaf), labels, reduction="sum", ignore_index=-1)
            uphill = torch.autograd.grad(loss, leaf)[0].sign()
        changed = torch.minimum(torch.maximum(leaf.detach() + step / BYTE * uphill, low), high)
    return changed.detach()


def projected(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    labels: Int[Tensor, " n"],
    *,
    radius: float,
    steps: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "n 3 h w"]:
    """PGD from a random start, by steps of 2.5 radii over their number.

    Args:
        network: to attack, in whatever mode it is.
        images: RGB in [0, 1], (n, 3, h, w), on the network's device.
        labels: class to lead away from, (n,).
        radius: largest change of a pixel, in units of 1/255.
        steps: their number.
        generator: of the start, on the CPU; None: torch's own.

    Returns:
        The changed images, (n, 3, h, w).

    Source: Madry et al. 2018, sec. 2.1 and appendix B (steps of 2.5 radii over their number).
    """
    check_radius(radius)
    start = random_start(images, radius, generator)
    return ascent(network, images, labels, radius=radius, step=2.5 * radius / max(steps, 1), steps=steps, start=start)
