"""Adversarial images, and their effects on features and saliency."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import spearmanr
from torch import Tensor

from deepinside.methods.box_descent import box_descent
from deepinside.methods.saliency import saliency
from deepinside.network import Network, chosen_class
from deepinside.probe import capture, convolutional
from deepinside.records import Batch, Row
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study


class Observation(NamedTuple):
    """Images, and the network's responses to them.

    Attributes:
        names: one per image.
        images: RGB in [0, 1], (n, 3, h, w).
        chances: softmax, (n, k).
        features: layer -> activations, (n, f).
        maps: saliency of the predicted class, (n, h, w).
    """

    names: tuple[str, ...]
    images: Float[Tensor, "n 3 h w"]
    chances: Float[Tensor, "n k"]
    features: dict[str, Float[Tensor, "n f"]]
    maps: Float[Tensor, "n h w"]

    @property
    def seen(self) -> Int[Tensor, " n"]:
        """The most probable class of each."""
        return self.chances.argmax(dim=1)

    def first(self, count: int) -> "Observation":
        """The first ones.

        Args:
            count: of images.

        Returns:
            Only these.
        """
        features = {layer: values[:count] for layer, values in self.features.items()}
        return Observation(self.names[:count], self.images[:count], self.chances[:count], features, self.maps[:count])


def observed(
    network: Network, images: Float[Tensor, "n 3 h w"], names: tuple[str, ...], layers: Sequence[str]
) -> Observation:
    """Probabilities, features and saliency of images.

    Args:
        network: to visualise.
        images: RGB in [0, 1], (n, 3, h, w).
        names: one per image.
        layers: dotted names.

    Returns:
        The network's responses.

    Raises:
        KeyError: if there is no such layer, with the closest names.
    """
    images = images.to(network.device)
    with torch.no_grad(), capture(network, layers) as captured:
        chances = network(images).softmax(dim=1)
    features = {layer: captured[layer].flatten(1).double() for layer in layers}
    return Observation(names, images, chances, features, _maps(network, images, names, chances.argmax(dim=1)))


def _maps(network: Network, images: Tensor, names: tuple[str, ...], classes: Tensor) -> Float[Tensor, "n h w"]:
    return saliency(network, Batch(images, names), classes=classes[:, None]).values[:, 0]


def compared(
    network: Network, clean: Observation, now: Observation, true: Sequence[int], goals: Sequence[int]
) -> list[dict[str, Any]]:
    """Differences between images before and after an attack, and their effects.

    Args:
        network: to visualise.
        clean: before the attack.
        now: the same images after it.
        true: class of each, -1 where unknown.
        goals: target class of each, -1 for any except the original one.

    Returns:
        Per image: the columns that `adversarial` describes.
    """
    change = (now.images - clean.images).flatten(1).double()
    same = _maps(network, now.images, now.names, clean.seen)
    rows = []
    for i, name in enumerate(now.names):
        before, after, goal = int(clean.seen[i]), int(now.seen[i]), goals[i]
        counted = true[i] in {-1, before} and goal != before
        success = float(after == goal if goal >= 0 else after != before) if counted else math.nan
        rows.append({
            "picture": name, "true": true[i], "target": goal, "seen_before": before, "seen_after": after,
            "counted": counted, "success": success,
            "probability_before": float(clean.chances[i, before]), "probability_after": float(now.chances[i, before]),
            "probability_seen_after": float(now.chances[i, after]),
            "l2": float(change[i].norm()), "linf": float(change[i].abs().max()),
            **{f"distance.{layer}": _distance(now.features[layer][i], old[i]) for layer, old in clean.features.items()},
            "saliency_same": _rank_correlation(clean.maps[i], same[i]),
            "saliency_now": _rank_correlation(clean.maps[i], now.maps[i]),
        })  # fmt: skip
    return rows


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _rank_correlation(one: Tensor, other: Tensor) -> float:
    # A map of one value has no ranks to compare.
    if one.amin() == one.amax() or other.amin() == other.amax():
        return math.nan
    return float(spearmanr(one.flatten().cpu().numpy(), other.flatten().cpu().numpy()).statistic)


_FACTOR = 10.0  # by which the weight of the loss grows until the target is reached
_ROUNDS = 7  # of growth, at most


def gradient_sign(
    network: Network, images: Float[Tensor, "n 3 h w"], labels: Int[Tensor, " n"]
) -> Float[Tensor, "n 3 h w"]:
    """sign(dJ/dI), J the cross-entropy of the labels: where each pixel has to go for the label to lose most.

    Args:
        network: to visualise.
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
        signs: direction of the step, (n, 3, h, w).
        eps: size of the step, in units of 1/255; an image of bytes would round 0.5 to zero.

    Returns:
        RGB in [0, 1], (n, 3, h, w).
    """
    return (images + eps / 255 * signs).clamp(0, 1)


class Boxed(NamedTuple):
    """Result of the box-constrained attack.

    Attributes:
        image: the changed image, (1, 3, h, w); the last attempt, if the target was never reached.
        weight: c of the loss; NaN if the target was never reached.
        success: whether the target is the predicted class.
    """

    image: Float[Tensor, "1 3 h w"]
    weight: float
    success: bool


def boxed(
    network: Network, image: Float[Tensor, "1 3 h w"], target: int, *, weight: float, steps: int, bisections: int
) -> Boxed:
    """The argmin over r of |r|² + c·J(I + r, target), I + r in [0, 1], with the smallest c that reaches the target.

    c grows tenfold from `weight` until the target is predicted, and is then bisected on a logarithmic scale between the
    last failure and the first success. Each attempt starts at the image itself.

    Args:
        network: to visualise.
        image: RGB in [0, 1], (1, 3, h, w).
        target: class to be predicted.
        weight: first c; if it succeeds at once, a tenth of it is assumed to fail.
        steps: of L-BFGS per attempt.
        bisections: attempts after the first success.

    Returns:
        The nearest image found.

    Source: Szegedy et al. 2014, sec. 4.1.
    Deviation: the paper writes c|r| + J and searches for the minimum c, which would give the largest r; here c weights
    the loss, and the norm is squared, so that it is smooth at zero (as Carlini & Wagner 2017 interpret it).
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


_DRAWN = 4  # images that are shown


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
    images: Tensor  # of the first m images of the batch
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
    batch_size: int = 8,
    seed: int = 0,
) -> Study:
    """Attacks by the gradient's sign and by L-BFGS within the box, beside random noise of the same size.

    `fgsm` is clip(I + eps·sign(dJ/dI)), J the cross-entropy of the class predicted for the clean image. `random` takes
    random signs instead: the effect of noise of that size. `lbfgs` finds the nearest image that is classified as the
    target. All act on pixels in [0, 1]; the network normalises afterwards.

    Only correctly classified images count for success. For these the predicted class is the true one, so the attack
    does not leak labels. Images without a label all count.

    Args:
        network: to visualise.
        pictures: of a data set.
        eps: sizes of the first two attacks, in units of 1/255.
        target: of `lbfgs`, class by number or name; None: the least probable class of each image.
        weight: of `lbfgs`, first weight of the loss (see `attacks.boxed`).
        steps: of L-BFGS per attempt.
        bisections: of the weight of the loss.
        boxed_images: number of images for `lbfgs`, the first ones: it is slow.
        layers: with the features to compare: dotted names, or their number, spread evenly over the convolutions, each
            after its ReLU where one follows.
        images: number of images, the first ones.
        batch_size: images per pass.
        seed: of the random signs.

    Returns:
        `table`: per image, attack and eps (NaN for `lbfgs`): the class `seen` before and after, `counted`, `success`
        (the class changed; for `lbfgs` it is the target; NaN if not counted), the probability of the original class
        before and after, `l2` and `linf` of the change, the relative distance |f(x') - f(x)| / |f(x)| of each layer,
        and Spearman's correlation of the saliency of x' with that of x: of the original class in both
        (`saliency_same`), and of the new class in x' (`saliency_now`). `shown`: examples. An interval of zero width
        means that all images agree; a rate over no counted image is NaN.

    Raises:
        KeyError: if there is no such layer or class, with the closest names.
        ValueError: if an eps is not positive, or there is none.

    Source: Goodfellow et al. 2015, sec. 4; Szegedy et al. 2014, sec. 4.1.
    """
    if not eps or min(eps) <= 0:
        raise ValueError(f"expected eps above 0, in units of 1/255, got {list(eps)}: 1 is a step of an 8-bit image")
    named = _spread(convolutional(network), layers) if isinstance(layers, int) else tuple(layers)
    aim = None if target is None else chosen_class(network, target)
    plan = _Plan(tuple(eps), aim, {"weight": weight, "steps": steps, "bisections": bisections}, named)
    generator = torch.Generator().manual_seed(seed)
    positions, _ = pictures.first(images)
    rows: list[dict[str, Any]] = []
    drawn: dict[str, list[ndarray]] = {}
    for start, (_, part) in enumerate(pictures.batches(batch_size, positions)):
        clean = observed(network, part.images, part.names, named)
        true = [-1] * len(part) if part.labels is None else part.labels.tolist()
        for attempt in _attempts(network, clean, plan, generator, max(0, boxed_images - start * batch_size)):
            before = clean.first(len(attempt.images))
            now = observed(network, attempt.images, before.names, named)
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
    network: Network, clean: Observation, plan: _Plan, generator: torch.Generator, boxed_images: int
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


def _keep(
    drawn: dict[str, list[ndarray]], attempt: _Attempt, plan: _Plan, before: Observation, now: Observation
) -> None:
    # The examples of the middle eps and of the attack within the box, with the images as they were.
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
