"""Changes of a network's design: which there are, which its numbers suggest, and what they cost."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

_ATTEMPTS = 24  # halvings of the interval of the factor of the widths
_CLOSE = 0.03  # operations within this share count as equal

Recipe = Mapping[str, Any]
Cost = Callable[[Recipe], int | None]  # operations of the network of a recipe; None: it cannot be built


@dataclass(frozen=True)
class Change:
    """One change of a design.

    Args:
        kind: kernel, stride, width, depth or groups.
        what: in words.
        layer: that it changes.
        key: of the group `model`; empty if no key makes it.
        value: of that key.
    """

    kind: str
    what: str
    layer: str
    key: str = ""
    value: Any = None


@dataclass(frozen=True)
class Proposal:
    """A change with its reason.

    Args:
        change: proposed.
        reason: why.
        measure: column of `layers.csv` or row of `table.csv` that it rests on.
        number: its value.
        bound: what it was compared with.
    """

    change: Change
    reason: str
    measure: str
    number: float
    bound: float


def candidates(recipe: Recipe, layers: pd.DataFrame) -> list[Change]:
    """All single changes that the keys of a recipe can make: kernel, stride, width, depth and groups, up and down.

    Args:
        recipe: the group `model` of the network.
        layers: of the network, from `measures.layers`.

    Returns:
        Changes; some of them may be impossible to build.
    """
    found = []
    first = layers.iloc[0]
    if "kernel" in recipe:
        found += [_kernel(first, recipe["kernel"] + step) for step in (-2, 2) if recipe["kernel"] + step > 0]
    if "stride" in recipe:
        found += [_stride(first, s) for s in (recipe["stride"] // 2, 2 * recipe["stride"]) if s > 0]
    for key in ("widths", "stem"):
        for i, width in enumerate(recipe.get(key) or ()):
            row = layers.iloc[i] if i < len(layers) else first
            found += [_width(row, key, recipe[key], i, w) for w in (width // 2, 2 * width) if w > 0]
    for key in ("depth", "layers"):
        if key in recipe:
            last = layers.iloc[-1]["layer"]
            found += [
                Change("depth", f"{key} {recipe[key]} to {n}", last, key, n)
                for n in (recipe[key] - 1, recipe[key] + 1)
                if n > 0
            ]
    if recipe.get("hidden"):
        found.append(_fewer_hidden(recipe["hidden"]))
    if "groups" in recipe:
        number = recipe["groups"]
        found.append(Change("groups", f"groups {number} to {2 * number}", "", "groups", 2 * number))
    return found


def proposals(recipe: Recipe, layers: pd.DataFrame, numbers: Mapping[str, float], bounds: Recipe) -> list[Proposal]:
    """The changes that the numbers suggest.

    Args:
        recipe: the group `model` of the network.
        layers: from `measures.layers`.
        numbers: `object_side`, `last_hidden_rank`; NaN where unknown.
        bounds: the group `diagnose`.

    Returns:
        Proposals, those of the first layer first.

    Source: Zeiler & Fergus 2014, sec. 4.1 (stride and kernel of the first layer, chosen by looking at it).
    Deviation: they judge by eye and name one change; rules and bounds are ours.
    """
    return [one for rule in (_first_layer, _widths, _depth, _groups) for one in rule(recipe, layers, numbers, bounds)]


def _first_layer(recipe: Recipe, layers: pd.DataFrame, _numbers: Mapping, bounds: Recipe) -> Iterator[Proposal]:
    for _, row in layers[layers["folded"] > bounds["aliasing_above"]].iterrows():
        reason = "its stride aliases frequencies that its filters pass: sample more densely"
        own = row["layer"] == layers["layer"].iloc[0] and "stride" in recipe
        change = _stride(row, max(1, int(row["stride"]) // 2), "stride" if own else "")
        yield Proposal(change, reason, "folded", row["folded"], bounds["aliasing_above"])
    wide = (layers["kernel"] > 3) & (layers["filter_side"] < bounds["filter_side_below"])
    for _, row in layers[wide].iterrows():
        reason = "its filters use the middle of their kernel alone: a smaller one does the same"
        own = row["layer"] == layers["layer"].iloc[0] and "kernel" in recipe
        change = _kernel(row, int(row["kernel"]) - 2, "kernel" if own else "")
        yield Proposal(change, reason, "filter_side", row["filter_side"], bounds["filter_side_below"])


def _widths(recipe: Recipe, layers: pd.DataFrame, _numbers: Mapping, bounds: Recipe) -> Iterator[Proposal]:
    for place, (_, row) in enumerate(layers.iterrows()):
        key = next((k for k in ("widths", "stem") if place < len(recipe.get(k) or ())), "")
        width = int(row["units"])
        if row["dead"] > bounds["dead_above"]:
            reason, measure, bound, new = "units are dead: leave them out", "dead", "dead_above", 1 - row["dead"]
        elif row["rank"] < bounds["rank_below"]:
            reason, measure, bound, new = "its units repeat one another: halve them", "rank", "rank_below", 0.5
        elif row["rank"] > bounds["rank_above"]:
            reason, measure, bound, new = "its units have little in common: add as many", "rank", "rank_above", 2
        else:
            continue
        values = recipe[key] if key else [width]
        changed = _width(row, key, values, place if key else 0, max(1, round(new * width / 4) * 4 or 1))
        if changed.value != list(values):
            yield Proposal(changed, reason, measure, row[measure], bounds[bound])


def _depth(recipe: Recipe, layers: pd.DataFrame, numbers: Mapping, bounds: Recipe) -> Iterator[Proposal]:
    last, side = layers.iloc[-1], numbers["object_side"]
    key = next((k for k in ("depth", "layers") if k in recipe), "")
    if last["effective_field"] < bounds["reach_below"] * side:
        reason = f"its units effectively see less than the objects, {side:.0f} pixels: add a layer"
        value = recipe[key] + 1 if key else None
        change = Change("depth", "one layer more", last["layer"], key, value)
        yield Proposal(change, reason, "effective_field", last["effective_field"], bounds["reach_below"] * side)
    if recipe.get("hidden") and numbers["last_hidden_rank"] < bounds["rank_below"]:
        reason = "the units before the scores repeat one another: leave their layer out"
        change = _fewer_hidden(recipe["hidden"])
        yield Proposal(change, reason, "last_hidden_rank", numbers["last_hidden_rank"], bounds["rank_below"])


def _groups(recipe: Recipe, layers: pd.DataFrame, _numbers: Mapping, bounds: Recipe) -> Iterator[Proposal]:
    inner = layers[(layers["kernel"] > 1) & (layers["groups"] == 1)].iloc[1:]
    rank = float(inner["rank"].mean()) if len(inner) else math.nan
    if rank < bounds["groups_below"]:
        key = "groups" if "groups" in recipe else ""
        change = Change("groups", "groups 1 to 2", inner["layer"].iloc[0], key, 2 if key else None)
        reason = "units of the inner layers repeat one another: half of them suffice as input"
        yield Proposal(change, reason, "mean rank of inner layers", rank, bounds["groups_below"])


def _kernel(row: pd.Series, side: int, key: str = "kernel") -> Change:
    return Change("kernel", f"kernel {row['kernel']} to {side}", row["layer"], key, side if key else None)


def _stride(row: pd.Series, stride: int, key: str = "stride") -> Change:
    return Change("stride", f"stride {row['stride']} to {stride}", row["layer"], key, stride if key else None)


def _width(row: pd.Series, key: str, values: Sequence[int], place: int, width: int) -> Change:
    changed = [width if i == place else value for i, value in enumerate(values)]
    return Change("width", f"units {values[place]} to {width}", row["layer"], key, changed if key else None)


def _fewer_hidden(hidden: Sequence[int]) -> Change:
    return Change(
        "depth", f"fully connected layers {len(hidden)} to {len(hidden) - 1}", "", "hidden", list(hidden[:-1])
    )


def at_equal_cost(recipe: Recipe, target: int, cost: Cost) -> Recipe | None:
    """The recipe with its convolutions' widths scaled by one factor so that its operations are those of another.

    Args:
        recipe: with `widths`.
        target: operations.
        cost: of a recipe.

    Returns:
        The recipe; None if it has no widths, or none within 3 % can be built.
    """
    if "widths" not in recipe:
        return None
    step = int(recipe.get("groups") or 1)
    low, high = 0.1, 4.0
    for _ in range(_ATTEMPTS):
        factor = math.sqrt(low * high)
        scaled = {**recipe, "widths": [max(1, round(factor * w / step)) * step for w in recipe["widths"]]}
        found = cost(scaled)
        if found is None:
            return None
        if abs(found - target) <= _CLOSE * target:
            return scaled
        low, high = (factor, high) if found < target else (low, factor)
    return None
