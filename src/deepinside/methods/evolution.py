"""Images that fool a network, found by evolution without any gradient (Nguyen et al. 2015)."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from deepinside.metrics import high_frequency_share
from deepinside.network import Network, chosen_classes
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Study

MILESTONES = (0.5, 0.9, 0.99, 0.999)


class _Elite(NamedTuple):
    # The best image so far of each class, and what the network makes of it.
    genes: Float[Tensor, "t 3 y x"]
    confidence: Float[Tensor, " t"]
    top1: Int[Tensor, " t"]


def fooling_evolution(
    network: Network,
    *,
    classes: Sequence[int | str] | int,
    generations: int,
    children: int,
    rate: float,
    halved_every: int,
    strength: float,
    side: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
) -> Study:
    """Evolves one image per class: an archive of elites, mutation, and survival of the most confident (MAP-Elites).

    The genes are the pixels themselves, uniform in [0, 1] at the start. In each generation every child copies a random
    elite of any class, mutates, and replaces the elite of every class for which the network is more confident of it:
    an image evolved for one class may become that of another.

    Args:
        network: to visualise.
        classes: numbers or names; or their number, spread evenly over all.
        generations: their number.
        children: per generation.
        rate: share of the genes that mutate, at the start.
        halved_every: generations after which the rate halves.
        strength: index of polynomial mutation; larger values change a gene less.
        side: genes per side of the image, each of them a square of pixels; None: a gene per pixel.
        batch_size: images per pass.
        seed: of all random numbers.

    Returns:
        `table`: per class and generation (0 is the start) the confidence of the elite and whether its class is the most
        probable. Numbers: per class the confidence at the end and the generation of the first top-1 and of each
        milestone of confidence, NaN where it was not reached. `shown`: the images at the start and the end.

    Raises:
        KeyError: if no class has that name, with the closest names.
        ValueError: if a class is outside the network's or a number is out of range.

    Source: Nguyen et al. 2015, sec. 2.2 (direct encoding, MAP-Elites) and sec. 3.
    Deviation: the archive holds the chosen classes only, not all 1,000; with `side`, genes are squares of pixels, of
    which there are fewer to evolve.
    """
    _check(generations, children, rate, halved_every, strength, side)
    chosen = torch.tensor(chosen_classes(network, classes), device=network.device)
    generator = torch.Generator().manual_seed(seed)
    edge = network.preprocessing.input
    first = torch.rand(len(chosen), 3, *(2 * [side or edge]), generator=generator)
    start = elite = _better(network, None, first, chosen, batch_size)
    history = [elite]
    for generation in range(generations):
        parents = elite.genes[torch.randint(len(chosen), (children,), generator=generator)]
        born = mutated(parents, rate * 0.5 ** (generation // halved_every), strength, generator)
        elite = _better(network, elite, born, chosen, batch_size)
        history.append(elite._replace(genes=elite.genes[:0]))
    names = [network.classes[int(number)] for number in chosen]
    table = pd.DataFrame([row for step, one in enumerate(history) for row in _rows(step, one, chosen, names)])
    pictures = {word: _pixels(one.genes, edge) for word, one in (("start", start), ("end", elite))}
    numbers = _numbers(table, high_frequency_share(pictures["end"]))
    shown = {word: values.permute(0, 2, 3, 1).numpy() for word, values in pictures.items()}
    return Study(table, tuple(numbers), shown | {"names": np.array(names)})


def _check(generations: int, children: int, rate: float, halved_every: int, strength: float, side: int | None) -> None:
    counts = {"generations": generations, "children": children, "halved_every": halved_every}
    counts["side"] = 1 if side is None else side
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"expected {name} of at least 1, got {value}")
    if not 0 < rate <= 1 or strength < 0:
        raise ValueError(f"expected a rate in (0, 1] and a strength of at least 0, got {rate} and {strength}")


def mutated(
    genes: Float[Tensor, "n ..."], rate: float, strength: float, generator: torch.Generator
) -> Float[Tensor, "n ..."]:
    """Polynomial mutation: a gene moves by d = (2u)^(1/(s+1)) - 1 for u < 1/2, else 1 - (2(1-u))^(1/(s+1)).

    Args:
        genes: in [0, 1].
        rate: probability of each gene to mutate.
        strength: s; the mean of |d| is 1 / (s + 2).
        generator: of u, and of who mutates.

    Returns:
        Children, clipped to [0, 1].

    Source: Deb & Goyal 1996; Nguyen et al. 2015, sec. 2.2.
    """
    u = torch.rand(genes.shape, generator=generator)
    power = 1 / (strength + 1)
    moves = torch.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 * (1 - u)) ** power)
    chosen = torch.rand(genes.shape, generator=generator) < rate
    return torch.where(chosen, genes + moves, genes).clamp(0, 1)


def _pixels(genes: Tensor, edge: int) -> Float[Tensor, "n 3 h w"]:
    return torch.nn.functional.interpolate(genes, (edge, edge), mode="nearest-exact")


def _better(network: Network, elite: _Elite | None, born: Tensor, chosen: Tensor, batch_size: int) -> _Elite:
    edge = network.preprocessing.input
    parts = [network.scores(_pixels(part, edge)).softmax(dim=1) for part in born.split(batch_size)]
    chances = torch.cat(parts)
    best = chances[:, chosen].argmax(dim=0)  # of each class, the most confident child
    new = _Elite(born[best.cpu()], chances[best, chosen].cpu(), chances[best].argmax(dim=1).cpu())
    if elite is None:
        return new
    wins = new.confidence > elite.confidence
    genes = torch.where(wins[:, None, None, None], new.genes, elite.genes)
    return _Elite(genes, torch.where(wins, new.confidence, elite.confidence), torch.where(wins, new.top1, elite.top1))


def _rows(step: int, elite: _Elite, chosen: Tensor, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for i, name in enumerate(names):
        row = {"class": int(chosen[i]), "name": name, "generation": step, "confidence": float(elite.confidence[i])}
        yield row | {"top1": bool(elite.top1[i] == chosen[i])}


def _numbers(table: pd.DataFrame, shares: Float[Tensor, " t"]) -> Iterator[Row]:
    ends = []
    for number, mine in table.groupby("class", sort=False):
        ends.append(mine["confidence"].iloc[-1])
        yield Row(f"class_{number}.confidence", ends[-1], "probability", 1)
        yield Row(f"class_{number}.first_top1", _first(mine, mine["top1"]), "generation", 1)
        for level in MILESTONES:
            yield Row(f"class_{number}.first_{level:g}", _first(mine, mine["confidence"] > level), "generation", 1)
    yield mean_row("confidence", ends, "probability")
    yield mean_row("high_frequency_share", shares.numpy())


def _first(mine: pd.DataFrame, reached: pd.Series) -> float:
    found = mine["generation"][reached]
    return float(found.iloc[0]) if len(found) else math.nan
