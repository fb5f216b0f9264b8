"""The one optimisation loop: x <- r(x + step(gradient of value - penalties)), many images at once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from deepinside.methods.synthesis import steps as policies
from deepinside.methods.synthesis.canvas import Canvas, Generators
from deepinside.methods.synthesis.priors import Priors, at
from deepinside.probe import redirected

PATIENCE = 20  # steps without any gradient, after which a unit counts as dead


class Seen(NamedTuple):
    """Values of the objective.

    Attributes:
        value: of the objective, (n,).
        traced: values to record, each (n,).
    """

    value: Float[Tensor, " n"]
    traced: Mapping[str, Float[Tensor, " n"]]


class Ascent(NamedTuple):
    """Result of gradient ascent.

    Attributes:
        variable: at the end; for an image whose value or gradient became NaN or infinite, the last valid one.
        traces: name -> (steps, n); recorded before each step.
        stopped: step at which an image became invalid, -1 for none.
        silent: whether the gradient of the value was zero for the last `PATIENCE` steps.
    """

    variable: Tensor
    traces: dict[str, Float[Tensor, "steps n"]]
    stopped: Int[Tensor, " n"]
    silent: Bool[Tensor, " n"]


def ascend(
    objective: Callable[[Float[Tensor, "n 3 h w"]], Seen],
    canvas: Canvas,
    generators: Generators,
    priors: Priors,
    *,
    steps: int,
    step: Mapping[str, Any],
    every: Callable[[int], object] = lambda _step: None,
) -> Ascent:
    """Maximises `objective(paint(x)).value` minus the priors' cost, independently for each image.

    Where the gradient is zero, as at a blank image in a network whose first layer is zero there, the step follows the
    image's own white noise, and then, while it stays zero, the gradient past ReLUs that are zero (`redirected`).

    Args:
        objective: from images in grey levels with the mean colour subtracted to values.
        canvas: the variable, and its mapping to images.
        generators: a random generator per image.
        priors: penalties, views, steering and operators.
        steps: their number.
        step: `policy` and its settings; see `steps`. Settings may be pairs [first, last]; None omits one.
        every: is called before each step, with its number.

    Returns:
        The variable at the end, and its traces.

    Raises:
        KeyError: if there is no such policy.
    """
    policy = policies.chosen(step["policy"])
    settings = {key: value for key, value in step.items() if key != "policy" and value is not None}
    variable = canvas.start.detach()
    memory: policies.Memory = {}
    good = variable  # the last whose value was finite
    count = len(variable)
    stopped = torch.full((count,), -1, device=variable.device)
    silence = torch.zeros(count, dtype=torch.long, device=variable.device)
    noise = None
    traces: dict[str, list[Tensor]] = {}
    for number in range(steps):
        every(number)
        share = number / steps
        seen, ascent, gradient, size = _gradients(objective, canvas, variable, generators, priors, share)
        for name, values in (*seen.traced.items(), ("norm", size)):
            traces.setdefault(name, []).append(values)
        nothing = ascent.flatten(1).abs().amax(dim=1) == 0
        if bool(nothing.any()):
            noise = generators.normal(*variable.shape[1:]) if noise is None else noise
            gradient = torch.where(_wide(nothing, gradient), noise, gradient)
            still = nothing & (silence > 0)
            if bool(still.any()):
                gradient = torch.where(
                    _wide(still, gradient), _redirected(objective, canvas, variable, noise), gradient
                )
        silence = torch.where(nothing, silence + 1, 0)
        gradient = priors.steered(gradient, variable, generators, share)
        change = policy(gradient, seen.value, memory, **{key: at(value, share) for key, value in settings.items()})
        moved = priors.settled(variable + change, ascent, generators, number, share)
        finite = seen.value.isfinite()
        good = torch.where(_wide(finite, variable), variable, good)
        bad = ~(finite & moved.flatten(1).isfinite().all(dim=1))
        stopped = torch.where(bad & (stopped < 0), number, stopped)
        variable = torch.where(_wide(stopped >= 0, moved), good, moved)
    stacked = {name: torch.stack(values).cpu() for name, values in traces.items()}
    return Ascent(variable, stacked, stopped.cpu(), (silence >= min(PATIENCE, steps)).cpu())


def _gradients(
    objective: Callable[[Tensor], Seen],
    canvas: Canvas,
    variable: Tensor,
    generators: Generators,
    priors: Priors,
    share: float,
) -> tuple[Seen, Tensor, Tensor, Float[Tensor, " n"]]:
    # The value; its gradient by the variable, without and with the penalties; the size of the images.
    with torch.enable_grad():
        leaf = variable.detach().requires_grad_()
        grey = canvas.paint(leaf)
        seen = objective(priors.shown(grey, generators, share))
        cost = priors.cost(grey, share)
        (ascent,) = torch.autograd.grad(seen.value.sum(), leaf, retain_graph=cost is not None)
        gradient = ascent if cost is None else ascent - torch.autograd.grad(cost.sum(), leaf)[0]
    size = grey.detach().square().mean(dim=(1, 2, 3)).sqrt()
    traced = {name: values.detach() for name, values in seen.traced.items()}
    return Seen(seen.value.detach(), traced), ascent, gradient, size


def _redirected(objective: Callable[[Tensor], Seen], canvas: Canvas, variable: Tensor, otherwise: Tensor) -> Tensor:
    # The gradient past ReLUs that are zero, or `otherwise` where it is zero as well. Without views: they would change
    # the random numbers of the other images of the batch.
    with torch.enable_grad(), redirected():
        leaf = variable.detach().requires_grad_()
        (found,) = torch.autograd.grad(objective(canvas.paint(leaf)).value.sum(), leaf)
    return torch.where(_wide(found.flatten(1).abs().amax(dim=1) > 0, found), found, otherwise)


def _wide(flags: Bool[Tensor, " n"], like: Tensor) -> Bool[Tensor, "n ..."]:
    return flags.view(-1, *[1] * (like.ndim - 1))
