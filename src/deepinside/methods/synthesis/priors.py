"""What pictures are expected to look like: any set of priors by name, freely combined.

Each is one function: a penalty (subtracted from what is climbed), a view (what the network is shown), steering (of the
gradient) or an operator (after the step). Any number of theirs may be a pair [first, last]: it then moves linearly over
the steps. Operators also take `every`: only after each so many steps.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.synthesis.draws import Draws
from deepinside.methods.synthesis.operators import OPERATORS
from deepinside.methods.synthesis.penalties import PENALTIES
from deepinside.methods.synthesis.steering import STEERING
from deepinside.methods.synthesis.views import VIEWS
from deepinside.network import closest

KINDS: dict[str, Mapping[str, Callable[..., Tensor]]] = {
    "penalty": PENALTIES,
    "view": VIEWS,
    "steering": STEERING,
    "operator": OPERATORS,
}
PRIORS = {name: (kind, function) for kind, table in KINDS.items() for name, function in table.items()}


def at(value: Any, share: float) -> Any:
    """A number, or what a pair [first, last] has come to.

    Args:
        value: number, pair, or anything else.
        share: 0..1, of the steps that are done.

    Returns:
        The number.
    """
    return value[0] + (value[1] - value[0]) * share if isinstance(value, list | tuple) else value


class Priors:
    """A set of priors with their settings.

    Args:
        settings: name -> its settings; None or no settings at all leave it out.
        given: what settings cannot say: `side`, `colour`, `bank`, `bounds`, `reconstructed`; each prior takes its own.

    Raises:
        KeyError: if there is no such prior, with the closest names.
        ValueError: if a prior lacks a setting, or has one that it does not know.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any] | None], given: Mapping[str, Any]) -> None:
        self._chosen: dict[str, list[tuple[Callable[..., Tensor], dict[str, Any]]]] = {kind: [] for kind in KINDS}
        for name, own in settings.items():
            if own is None:
                continue
            if name not in PRIORS:
                raise KeyError(f"no prior {name!r}; {closest(name, PRIORS)}")
            kind, function = PRIORS[name]
            self._chosen[kind].append((_bound(name, function, kind, own, given), dict(own)))

    def cost(self, grey: Float[Tensor, "n 3 h w"], share: float) -> Float[Tensor, " n"] | None:
        """What the pictures cost.

        Args:
            grey: pictures.
            share: 0..1, of the steps that are done.

        Returns:
            Sum of the penalties; None where there are none.
        """
        costs = [function(grey, **_now(own, share)) for function, own in self._chosen["penalty"]]
        return torch.stack(costs).sum(dim=0) if costs else None

    def shown(self, canvas: Float[Tensor, "n 3 H W"], draws: Draws, share: float) -> Float[Tensor, "n 3 h w"]:
        """What the network is shown of them.

        Args:
            canvas: pictures.
            draws: their chance.
            share: 0..1, of the steps that are done.

        Returns:
            Views.
        """
        for function, own in self._chosen["view"]:
            canvas = function(canvas, draws, **_now(own, share))
        return canvas

    def steered(self, gradient: Tensor, variable: Tensor, draws: Draws, share: float) -> Tensor:
        """The gradient that a step is taken along.

        Args:
            gradient: by the variable.
            variable: pictures or codes.
            draws: their chance.
            share: 0..1, of the steps that are done.

        Returns:
            Of the same shape.
        """
        for function, own in self._chosen["steering"]:
            gradient = _with(function, draws)(gradient, variable, **_now(own, share))
        return gradient

    def settled(self, variable: Tensor, gradient: Tensor, draws: Draws, step: int, share: float) -> Tensor:
        """The variable after a step.

        Args:
            variable: pictures or codes.
            gradient: of what was climbed, at that step.
            draws: their chance.
            step: from 0.
            share: 0..1, of the steps that are done.

        Returns:
            Of the same shape.
        """
        for function, own in self._chosen["operator"]:
            now = _now(own, share)
            every = now.pop("every", 1)
            if every and step % every == 0:
                variable = _with(function, draws)(variable, gradient, **now)
        return variable


def _now(own: Mapping[str, Any], share: float) -> dict[str, Any]:
    return {key: at(value, share) for key, value in own.items()}


def _with(function: Callable[..., Tensor], draws: Draws) -> Callable[..., Tensor]:
    return partial(function, draws=draws) if "draws" in inspect.signature(function).parameters else function


def _bound(
    name: str, function: Callable[..., Tensor], kind: str, own: Mapping[str, Any], given: Mapping[str, Any]
) -> Callable[..., Tensor]:
    parameters = inspect.signature(function).parameters.values()
    wanted = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - {"draws"}
    taken = {key: given[key] for key in wanted & given.keys() if given[key] is not None}
    missing = wanted - taken.keys() - own.keys()
    unknown = own.keys() - wanted - ({"every"} if kind == "operator" else set())
    if missing or unknown:
        raise ValueError(
            f"prior {name!r}: expected the settings {sorted(wanted - given.keys())}"
            f"{f', needs {sorted(missing)}' if missing else ''}{f', knows no {sorted(unknown)}' if unknown else ''}"
        )
    return partial(function, **taken)
