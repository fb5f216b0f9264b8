"""Step rules of gradient ascent. Every image has a step length of its own.

Every function takes the gradient (n, ...), the value of the objective (n,) and a memory that persists over the steps,
and returns what is added to the variable.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from deepinside.spelling import closest

Memory = dict[str, Tensor]


def _per_picture(numbers: Tensor, like: Tensor) -> Tensor:
    return numbers.view(-1, *[1] * (like.ndim - 1))


def constant(gradient: Tensor, _value: Tensor, _memory: Memory, *, rate: float) -> Tensor:
    """A plain gradient step: rate · g.

    Args:
        gradient: (n, ...).
        rate: factor.

    Returns:
        The change.

    Source: Yosinski et al. 2015, code (`constant`).
    """
    return rate * gradient


def progress(gradient: Tensor, _value: Tensor, _memory: Memory, *, max_rate: float, gain: float) -> Tensor:
    """min(max_rate, gain / ||g||²) · g: to first order the value rises by `gain`.

    Args:
        gradient: (n, ...).
        max_rate: largest factor.
        gain: rise that is aimed at.

    Returns:
        The change.

    Source: Yosinski et al. 2015, code (`progress`).
    """
    rate = (gain / gradient.flatten(1).square().sum(dim=1)).clamp(max=max_rate)
    return _per_picture(rate, gradient) * gradient


def progress01(
    gradient: Tensor, value: Tensor, _memory: Memory, *, max_rate: float, early: float, late: float
) -> Tensor:
    """As `progress`, for a probability p: the target increase is min(early, late · (1 - p)).

    Args:
        gradient: (n, ...).
        value: p, (n,).
        max_rate: largest factor.
        early: target increase while p is small.
        late: share of 1 - p.

    Returns:
        The change.

    Source: Yosinski et al. 2015, code (`progress01`).
    """
    gain = (late * (1 - value)).clamp(max=early)
    rate = (gain / gradient.flatten(1).square().sum(dim=1)).clamp(max=max_rate)
    return _per_picture(rate, gradient) * gradient


def mean(gradient: Tensor, _value: Tensor, memory: Memory, *, size: float, momentum: float = 0.0) -> Tensor:
    """A step of a given mean size, whatever the scale of the network: size · g / mean|g|, with momentum.

    Args:
        gradient: (n, ...).
        memory: stores the velocity.
        size: mean change of one step.
        momentum: 0..1.

    Returns:
        The change.

    Source: Nguyen et al. 2016 (MFV and DGN-AM), code, without momentum.
    """
    length = _per_picture(gradient.flatten(1).abs().mean(dim=1), gradient)
    memory["velocity"] = momentum * memory.get("velocity", torch.zeros(())) + gradient / length * size
    return memory["velocity"]


def adagrad(gradient: Tensor, _value: Tensor, memory: Memory, *, rate: float, momentum: float, leak: float) -> Tensor:
    """G <- leak·G + g²; m <- momentum·m + g / (1/rate + √G).

    Args:
        gradient: (n, ...).
        memory: keeps G and m.
        rate: largest factor.
        momentum: 0..1.
        leak: 0..1.

    Returns:
        The change, m.

    Source: Mahendran & Vedaldi 2016, code.
    """
    memory["squares"] = leak * memory.get("squares", torch.zeros(())) + gradient.square()
    memory["velocity"] = momentum * memory.get("velocity", torch.zeros(())) + gradient / (
        1 / rate + memory["squares"].sqrt()
    )
    return memory["velocity"]


def momentum(
    gradient: Tensor,
    _value: Tensor,
    memory: Memory,
    *,
    rate: float,
    momentum: float,
    least: float | None = None,
    most: float | None = None,
) -> Tensor:
    """Momentum, m <- momentum·m + rate·g, rescaled if its largest entry is outside least..most.

    Args:
        gradient: (n, ...).
        memory: stores m.
        rate: factor.
        momentum: 0..1.
        least: limit of the largest change of a step; None: no limit.
        most: likewise.

    Returns:
        The change, m.

    Source: Mahendran & Vedaldi 2015, code; the limits: Wei et al. 2015, code.
    """
    memory["velocity"] = momentum * memory.get("velocity", torch.zeros(())) + rate * gradient
    largest = memory["velocity"].flatten(1).abs().amax(dim=1)
    factor = largest.clamp(min=least, max=most) / largest.clamp(min=1e-30) if least or most else largest * 0 + 1
    memory["velocity"] = _per_picture(factor, gradient) * memory["velocity"]
    return memory["velocity"]


def adam(gradient: Tensor, _value: Tensor, memory: Memory, *, rate: float) -> Tensor:
    """Adam with its usual constants (0.9, 0.999, 1e-8), uphill.

    Args:
        gradient: (n, ...).
        memory: keeps both moments and the count.
        rate: learning rate.

    Returns:
        The change.

    Source: Kingma & Ba 2015.
    """
    count = memory["count"] = memory.get("count", torch.zeros(())) + 1
    memory["first"] = 0.9 * memory.get("first", torch.zeros(())) + 0.1 * gradient
    memory["second"] = 0.999 * memory.get("second", torch.zeros(())) + 0.001 * gradient.square()
    scale = (memory["second"] / (1 - 0.999**count)).sqrt() + 1e-8
    return rate * memory["first"] / (1 - 0.9**count) / scale


STEPS: dict[str, Callable[..., Tensor]] = {
    "constant": constant,
    "progress": progress,
    "progress01": progress01,
    "mean": mean,
    "adagrad": adagrad,
    "momentum": momentum,
    "adam": adam,
}


def chosen(policy: str) -> Callable[..., Tensor]:
    """The step policy of that name.

    Args:
        policy: its name.

    Returns:
        The function.

    Raises:
        KeyError: with the closest names, if there is none.
    """
    if policy not in STEPS:
        raise KeyError(f"no step policy {policy!r}; {closest(policy, STEPS)}")
    return STEPS[policy]
