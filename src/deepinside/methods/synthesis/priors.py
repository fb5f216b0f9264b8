"""Priors of images by name, freely combined.

Each is one function: a penalty (subtracted from the objective), a view (of the canvas, the network's input), steering
(of the gradient) or an operator (after the step). Any number among the settings may be a pair [first, last] and then
changes linearly over the steps. Operators also take `every`: the number of steps between applications.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from deepinside.methods.synthesis.canvas import Generators
from deepinside.methods.synthesis.operators import OPERATORS
from deepinside.methods.synthesis.views import VIEWS
from deepinside.spelling import closest

_SMALLEST = 1e-5  # squared slope below which total variation with beta < 2 counts as flat


def l2(grey: Float[Tensor, "n 3 h w"], *, weight: float) -> Float[Tensor, " n"]:
    """The squared norm: weight · Σ x².

    Args:
        grey: images.
        weight: per squared grey level.

    Returns:
        Cost per image.

    Source: Simonyan et al. 2013, sec. 2.
    """
    return weight * grey.square().sum(dim=(1, 2, 3))


def alpha_norm(
    grey: Float[Tensor, "n 3 h w"], *, weight: float, alpha: float, joint: bool, mean: bool
) -> Float[Tensor, " n"]:
    """The alpha norm, weight · Σ |x|^alpha: small up to a typical intensity, very large above it.

    Args:
        grey: images.
        weight: of the cost.
        alpha: exponent.
        joint: whether |x| is the norm of a pixel's three colours (2016) or each colour's own magnitude (2015).
        mean: whether to divide by the number of pixels (2016).

    Returns:
        Cost per image.

    Source: Mahendran & Vedaldi 2015, eq. 4; 2016, eq. 4.
    """
    # |x|^alpha of the sum of squares, so that no square root of zero is differentiated
    powers = (grey.square().sum(dim=1, keepdim=True) if joint else grey.square()).pow(alpha / 2)
    pixels = grey.shape[2] * grey.shape[3] if mean else 1
    return weight * powers.sum(dim=(1, 2, 3)) / pixels


def total_variation(grey: Float[Tensor, "n 3 h w"], *, weight: float, beta: float, mean: bool) -> Float[Tensor, " n"]:
    """Total variation: weight · Σ (dx² + dy²)^(beta/2), with dx and dy zero beyond the last column and row.

    Args:
        grey: images.
        weight: of the cost.
        beta: exponent: 1 is total variation, 2 spreads steps out.
        mean: whether to divide by the number of pixels (2016).

    Returns:
        Cost per image.

    Source: Mahendran & Vedaldi 2015, eq. 5 and 6 (the guard at small slopes is their code's).
    """
    padded_x = grey.diff(dim=3, append=grey[..., -1:]).square()
    padded_y = grey.diff(dim=2, append=grey[..., -1:, :]).square()
    slope = padded_x + padded_y
    slope = slope if beta >= 2 else slope.clamp(min=_SMALLEST)
    pixels = grey.shape[2] * grey.shape[3] if mean else 1
    return weight * slope.pow(beta / 2).sum(dim=(1, 2, 3)) / pixels


PENALTIES: dict[str, Callable[..., Tensor]] = {"l2": l2, "alpha_norm": alpha_norm, "total_variation": total_variation}


def centre(gradient: Float[Tensor, "n 3 h w"], _variable: Tensor, *, margin: float) -> Float[Tensor, "n 3 h w"]:
    """Sets the gradient outside the centre to zero.

    Args:
        gradient: by the pixels.
        margin: width of the border in pixels.

    Returns:
        The gradient.

    Raises:
        ValueError: if nothing is left in the centre.

    Source: Nguyen et al. 2016 (MFV), code: centre bias.
    """
    border = round(margin)
    if 2 * border >= min(gradient.shape[2:]):
        raise ValueError(f"a margin of {border} pixels covers all of {tuple(gradient.shape[2:])}; lower it")
    kept = torch.zeros_like(gradient[:1])
    kept[..., border : gradient.shape[2] - border, border : gradient.shape[3] - border] = 1
    return gradient * kept


def pull(
    gradient: Tensor, variable: Tensor, *, weight: float, reconstructed: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n ..."]:
    """Adds weight · (E(G(h)) - h): towards codes of the generator's own images.

    Args:
        gradient: by the code, (n, ...).
        variable: the code h.
        weight: epsilon 1.
        reconstructed: h -> E(G(h)).

    Returns:
        The gradient.

    Source: Nguyen et al. 2017 (PPGN), eq. 11.
    """
    with torch.no_grad():
        return gradient + weight * (reconstructed(variable) - variable)


def heat(gradient: Tensor, _variable: Tensor, *, generators: Generators, sigma: float) -> Tensor:
    """Adds white noise, so that gradient ascent becomes a sampler.

    Args:
        gradient: (n, ...).
        generators: a random generator per image.
        sigma: epsilon 3.

    Returns:
        The gradient.

    Source: Nguyen et al. 2017 (PPGN), eq. 11.
    """
    return gradient + sigma * generators.normal(*gradient.shape[1:])


STEERING: dict[str, Callable[..., Tensor]] = {"centre": centre, "pull": pull, "heat": heat}


KINDS: dict[str, Mapping[str, Callable[..., Tensor]]] = {
    "penalty": PENALTIES,
    "view": VIEWS,
    "steering": STEERING,
    "operator": OPERATORS,
}
PRIORS = {name: (kind, function) for kind, table in KINDS.items() for name, function in table.items()}


def at(value: Any, share: float) -> Any:
    """A number, or the current value of a pair [first, last].

    Args:
        value: number, pair, or anything else.
        share: 0..1, of the steps so far.

    Returns:
        The number.
    """
    return value[0] + (value[1] - value[0]) * share if isinstance(value, list | tuple) else value


class Priors:
    """A set of priors with their settings.

    Args:
        settings: name -> its settings; None or no settings omit it.
        available: further arguments: `side`, `colour`, `bank`, `bounds`, `reconstructed`; each prior takes its own.

    Raises:
        KeyError: if there is no such prior, with the closest names.
        ValueError: if a prior lacks a setting, or has an unknown one.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any] | None], available: Mapping[str, Any]) -> None:
        self._chosen: dict[str, list[tuple[Callable[..., Tensor], dict[str, Any]]]] = {kind: [] for kind in KINDS}
        for name, own in settings.items():
            if own is None:
                continue
            if name not in PRIORS:
                raise KeyError(f"no prior {name!r}; {closest(name, PRIORS)}")
            kind, function = PRIORS[name]
            self._chosen[kind].append((_bound(name, function, kind, own, available), dict(own)))

    def cost(self, grey: Float[Tensor, "n 3 h w"], share: float) -> Float[Tensor, " n"] | None:
        """Penalties of the images.

        Args:
            grey: images.
            share: 0..1, of the steps so far.

        Returns:
            Sum of the penalties; None without penalties.
        """
        costs = [function(grey, **_now(own, share)) for function, own in self._chosen["penalty"]]
        return torch.stack(costs).sum(dim=0) if costs else None

    def shown(self, canvas: Float[Tensor, "n 3 H W"], generators: Generators, share: float) -> Float[Tensor, "n 3 h w"]:
        """The network's views of the images.

        Args:
            canvas: images.
            generators: a random generator per image.
            share: 0..1, of the steps so far.

        Returns:
            Views.
        """
        for function, own in self._chosen["view"]:
            canvas = function(canvas, generators, **_now(own, share))
        return canvas

    def steered(self, gradient: Tensor, variable: Tensor, generators: Generators, share: float) -> Tensor:
        """The gradient after steering.

        Args:
            gradient: by the variable.
            variable: images or codes.
            generators: a random generator per image.
            share: 0..1, of the steps so far.

        Returns:
            Of the same shape.
        """
        for function, own in self._chosen["steering"]:
            gradient = _with(function, generators)(gradient, variable, **_now(own, share))
        return gradient

    def settled(self, variable: Tensor, gradient: Tensor, generators: Generators, step: int, share: float) -> Tensor:
        """The variable after a step.

        Args:
            variable: images or codes.
            gradient: of the objective at that step.
            generators: a random generator per image.
            step: from 0.
            share: 0..1, of the steps so far.

        Returns:
            Of the same shape.
        """
        for function, own in self._chosen["operator"]:
            now = _now(own, share)
            every = now.pop("every", 1)
            if every and step % every == 0:
                variable = _with(function, generators)(variable, gradient, **now)
        return variable


def _now(own: Mapping[str, Any], share: float) -> dict[str, Any]:
    return {key: at(value, share) for key, value in own.items()}


def _with(function: Callable[..., Tensor], generators: Generators) -> Callable[..., Tensor]:
    return (
        partial(function, generators=generators) if "generators" in inspect.signature(function).parameters else function
    )


def _bound(
    name: str, function: Callable[..., Tensor], kind: str, own: Mapping[str, Any], available: Mapping[str, Any]
) -> Callable[..., Tensor]:
    parameters = inspect.signature(function).parameters.values()
    wanted = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - {"generators"}
    taken = {key: available[key] for key in wanted & available.keys() if available[key] is not None}
    optional = {p.name for p in parameters if p.default is not p.empty}
    missing = wanted - optional - taken.keys() - own.keys()
    unknown = own.keys() - wanted - ({"every"} if kind == "operator" else set())
    if missing or unknown:
        raise ValueError(
            f"prior {name!r}: expected the settings {sorted(wanted - available.keys())}"
            f"{f', needs {sorted(missing)}' if missing else ''}{f', unknown {sorted(unknown)}' if unknown else ''}"
        )
    return partial(function, **taken)
