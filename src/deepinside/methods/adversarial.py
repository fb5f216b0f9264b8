"""Pictures changed a little so that the network errs, and what becomes of features and saliency on the way."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy import ndarray
from torch import Tensor

from deepinside.methods.attacked import Look, compared, look
from deepinside.methods.attacks import boxed, gradient_sign, stepped
from deepinside.methods.chosen_class import chosen_class
from deepinside.network import Network
from deepinside.probe import convolutional
from deepinside.records import Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

_DRAWN = 4  # pictures that are shown


class _Plan(NamedTuple):
    eps: tuple[float, ...]
    target: int | None
    boxed: dict[str, Any]
    layers: tuple[str, ...]

    @property
    def middle(self) -> float:  # the size that is drawn, and for which layers are summed up
        return sorted(self.eps)[len(self.eps) // 2]


class _Attempt(NamedTuple):
    attack: str
    eps: float
    images: Tensor  # of the first m pictures of the batch
    goals: tuple[int, ...]  # -1: any class but the one first seen


def adversarial(
    network: Network,
    pictures: Pictures,
    *,
    eps: Sequence[float],
    target: int | str | None = None,
    weight: float,
    steps: int,
    bisections: int,
    boxed_images: int = 4,
    layers: Sequence[str] | int = 6,
    images: int = 20,
    batch: int = 8,
    seed: int = 0,
) -> Study:
    """Attacks by the gradient's sign and by L-BFGS within the box, beside random noise of the same size.

    `fgsm` is clip(I + eps·sign(dJ/dI)), J the cross-entropy of the class that the network sees in the clean picture.
    `random` takes random signs instead: what noise of that size does by itself. `lbfgs` seeks the nearest picture that
    is seen as the target. All work on pixels in [0, 1]; the network normalises afterwards.

    Only pictures that the network gets right count for success. There the class it sees and the true one are the same,
    so a gradient of the true label tells the attack nothing new (no label leaks). Pictures without a label all count.

    Args:
        network: any.
        pictures: of a data set.
        eps: sizes of the first two attacks, in units of 1/255.
        target: of `lbfgs`, class by number or name; None: the least probable class of each picture.
        weight: of `lbfgs`, first weight of the loss (see `attacks.boxed`).
        steps: of L-BFGS per try.
        bisections: of the weight of the loss.
        boxed_images: how many pictures `lbfgs` is tried on, the first ones: it is slow.
        layers: whose features are compared: dotted names, or how many, spread evenly over the convolutions, each after
            its ReLU where one follows.
        images: how many pictures, the first ones.
        batch: pictures per pass.
        seed: of the random signs.

    Returns:
        `table`: per picture, attack and eps (NaN for `lbfgs`): the class `seen` before and after, `counted`, `success`
        (the class changed; for `lbfgs` it is the target; NaN where it is not counted), the probability of the class
        first seen before and after, `l2` and `linf` of the change, the relative distance |f(x') - f(x)| / |f(x)| of
        each layer, and Spearman's correlation of the saliency of x' with that of x: of the class first seen in both
        (`saliency_same`), and of what is now seen in x' (`saliency_now`). `shown`: examples. An interval without width
        says that all pictures agree; a rate over no counted picture is NaN.

    Raises:
        KeyError: if there is no such layer or class, with the closest names.
        ValueError: if an eps is not positive, or there is none.

    Source: Goodfellow et al. 2015, sec. 4; Szegedy et al. 2014, sec. 4.1.
    """
    if not eps or min(eps) <= 0:
        raise ValueError(f"expected eps above 0, in units of 1/255, got {list(eps)}: 1 is a step of an 8-bit picture")
    named = _spread(convolutional(network), layers) if isinstance(layers, int) else tuple(layers)
    aim = None if target is None else chosen_class(network, target)
    plan = _Plan(tuple(eps), aim, {"weight": weight, "steps": steps, "bisections": bisections}, named)
    generator = torch.Generator().manual_seed(seed)
    positions, _ = pictures.first(images)
    rows: list[dict[str, Any]] = []
    drawn: dict[str, list[ndarray]] = {}
    for start, (_, part) in enumerate(pictures.batches(batch, positions)):
        clean = look(network, part.images, part.names, named)
        true = [-1] * len(part) if part.labels is None else part.labels.tolist()
        for attempt in _attempts(network, clean, plan, generator, max(0, boxed_images - start * batch)):
            before = clean.first(len(attempt.images))
            now = look(network, attempt.images, before.names, named)
            found = compared(network, before, now, true, attempt.goals)
            rows += [{"attack": attempt.attack, "eps": attempt.eps} | row for row in found]
            _keep(drawn, attempt, plan, before, now)
    table = pd.DataFrame(rows)
    shown = {key: np.concatenate(values)[:_DRAWN] for key, values in drawn.items()}
    about = {"middle": np.array(plan.middle), "layers": np.array(named), "classes": np.array(network.classes)}
    return Study(table, (Row("images", len(positions), "images"), *_numbers(table, plan)), shown | about)


def _spread(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    last = len(names) - 1
    return tuple(names[i] for i in sorted({round(k * last / max(count - 1, 1)) for k in range(count)}))


def _attempts(
    network: Network, clean: Look, plan: _Plan, generator: torch.Generator, boxed_images: int
) -> Iterator[_Attempt]:
    anything = (-1,) * len(clean.names)
    uphill = gradient_sign(network, clean.images, clean.seen)
    noise = (torch.randint(2, clean.images.shape, generator=generator) * 2.0 - 1).to(clean.images)
    for size in plan.eps:
        yield _Attempt("fgsm", size, stepped(clean.images, uphill, size), anything)
        yield _Attempt("random", size, stepped(clean.images, noise, size), anything)
    least = clean.chances.argmin(dim=1).tolist()
    goals = tuple(least if plan.target is None else [plan.target] * len(least))[:boxed_images]
    if goals:
        each = zip(clean.images, goals, strict=False)
        found = [boxed(network, image[None], goal, **plan.boxed).image for image, goal in each]
        yield _Attempt("lbfgs", math.nan, torch.cat(found), goals)


def _keep(drawn: dict[str, list[ndarray]], attempt: _Attempt, plan: _Plan, before: Look, now: Look) -> None:
    # The examples of the middle eps and of the attack within the box, with the pictures as they were.
    if attempt.attack != "lbfgs" and attempt.eps != plan.middle:
        return
    looks = {attempt.attack: now} | ({"clean": before} if attempt.attack == "fgsm" else {})
    for word, one in looks.items():
        arrays = {
            "names": np.array(one.names),
            "images": one.images.permute(0, 2, 3, 1).cpu().numpy(),
            "maps": one.maps.cpu().numpy(),
            "seen": one.seen.cpu().numpy(),
            "chances": one.chances.amax(dim=1).cpu().numpy(),
        }
        for key, values in arrays.items():
            drawn.setdefault(f"{word}.{key}", []).append(values[:_DRAWN])


def _numbers(table: pd.DataFrame, plan: _Plan) -> Iterator[Row]:
    first = table[(table["attack"] == "fgsm") & (table["eps"] == plan.eps[0])]
    yield Row("counted", int(first["counted"].sum()), "images", len(first))
    tried = [(attack, size) for attack in ("fgsm", "random") for size in plan.eps]
    tried += [("lbfgs", math.nan)] * bool((table["attack"] == "lbfgs").any())
    for attack, size in tried:
        same = table["eps"].isna() if attack == "lbfgs" else table["eps"] == size
        counted = table[(table["attack"] == attack) & same & table["counted"]]
        name = attack if attack == "lbfgs" else f"{attack}.eps_{size:g}"
        yield mean_row(f"{name}.success_rate", counted["success"], "share")
        yield mean_row(f"{name}.l2", counted["l2"])
        yield mean_row(f"{name}.saliency_same", counted["saliency_same"], "rank correlation")
        yield mean_row(f"{name}.saliency_now", counted["saliency_now"], "rank correlation")
        if attack == "lbfgs" or size == plan.middle:
            for layer in plan.layers:
                yield mean_row(f"{name}.distance.{layer}", counted[f"distance.{layer}"])
