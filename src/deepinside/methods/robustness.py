"""How far a network resists attacks over the radius, and how its saliency follows edges and survives noise."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.ndimage import sobel
from scipy.stats import spearmanr
from torch import Tensor

from deepinside.methods.adversarial import boxed
from deepinside.methods.saliency import saliency
from deepinside.models.attacks import BYTE, ascent, check_radius, projected
from deepinside.network import Network
from deepinside.records import Batch, Row
from deepinside.spelling import closest
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study

ATTACKS = ("fgsm", "pgd", "random", "lbfgs")
_DRAWN = 6  # images that are shown


class _Plan(NamedTuple):
    attacks: tuple[str, ...]
    radii: tuple[float, ...]
    steps: int
    nearest: dict[str, Any]  # settings of `boxed`

    @property
    def middle(self) -> float:  # the radius that is drawn
        return sorted(self.radii)[len(self.radii) // 2]


def robustness(
    network: Network,
    pictures: Pictures,
    *,
    attacks: Sequence[str],
    radii: Sequence[float],
    steps: int,
    weight: float,
    lbfgs_steps: int,
    bisections: int,
    boxed_images: int,
    noise: float,
    images: int,
    batch_size: int,
    seed: int = 0,
) -> Study:
    """Errors after attacks over the radius; saliency beside edges and after noise.

    `fgsm`, `pgd` and `random` (signs by chance: the effect of noise of that size) change every pixel by up to the
    radius, away from the true class, or the predicted one where no label is known. `lbfgs` finds the nearest image that
    is classified as the class of the second highest score; its radius is the root mean square of the change, which is
    that of `fgsm` where no pixel leaves [0, 1].

    Args:
        network: to visualise.
        pictures: of a data set.
        attacks: some of `fgsm`, `pgd`, `random`, `lbfgs`.
        radii: in units of 1/255.
        steps: of `pgd`.
        weight: of `lbfgs`, first weight of the loss (see `adversarial.boxed`).
        lbfgs_steps: of L-BFGS per attempt.
        bisections: of the weight of the loss.
        boxed_images: number of images for `lbfgs`, the first ones: it is slow.
        noise: standard deviation of the Gaussian noise after which saliency is compared, in units of 1/255.
        images: number of images, the first ones.
        batch_size: images per pass.
        seed: of random starts, signs and noise.

    Returns:
        `table`: per image, attack and radius: the class before and after, `error` (another class than the label) and
        `success` (likewise, of images that were classified correctly; else NaN), and the root mean square of the
        change. Rows of the attack `none` have the errors without attack, and for the saliency map of the same class
        Spearman's correlation with the image's edges (Sobel), with those of the next image, and with its own map after
        noise. `shown`: examples.

    Raises:
        KeyError: if there is no such attack, with the closest names.
        ValueError: if a radius or the noise is not positive, or there is none.

    Source: Goodfellow et al. 2015; Madry et al. 2018; Szegedy et al. 2014; Tsipras et al. 2019, sec. 3.1 (gradients of
    robust networks follow edges).
    Deviation: Tsipras et al. show it by examples; the rank correlation with edges is ours.
    """
    for attack in attacks:
        if attack not in ATTACKS:
            raise KeyError(f"there is no attack {attack!r}; {closest(attack, ATTACKS)}")
    if not attacks or not radii:
        raise ValueError(f"expected attacks and radii, got {list(attacks)} and {list(radii)}")
    for value, name in (*((radius, "radii") for radius in radii), (noise, "noise")):
        check_radius(value, name)
    nearest = {"weight": weight, "steps": lbfgs_steps, "bisections": bisections}
    plan = _Plan(tuple(attacks), tuple(radii), steps, nearest)
    generator = torch.Generator().manual_seed(seed)
    positions, _ = pictures.first(images)
    rows: list[dict[str, Any]] = []
    drawn: dict[str, list[ndarray]] = {}
    maps, noisy, edges = [], [], []
    for start, (_, part) in enumerate(pictures.batches(batch_size, positions)):
        clean = part.images.to(network.device)
        seen = network.scores(clean).argmax(1)
        known = seen.cpu() if part.labels is None else part.labels
        labels = torch.where(known.to(seen) >= 0, known.to(seen), seen)
        before = _Part(part.names, clean, labels, seen)
        rows += _compared(network, before, "none", 0.0, clean, None)
        for attack, radius, changed, found in _attacked(
            network, before, plan, generator, boxed_images - start * batch_size
        ):
            rows += _compared(network, before, attack, radius, changed, found)
            if attack == "pgd" and radius == plan.middle:
                drawn.setdefault("pgd.images", []).append(changed.permute(0, 2, 3, 1).cpu().numpy())
                drawn.setdefault("pgd.seen", []).append(network.scores(changed).argmax(1).cpu().numpy())
        shaken = clean + (noise / BYTE) * torch.randn(clean.shape, generator=generator).to(clean)
        maps += list(_maps(network, clean, labels))
        noisy += list(_maps(network, shaken.clamp(0, 1), labels))
        edges += [_edges(image) for image in clean.cpu().numpy()]
        drawn.setdefault("images", []).append(clean.permute(0, 2, 3, 1).cpu().numpy())
        drawn.setdefault("seen", []).append(seen.cpu().numpy())
        drawn.setdefault("names", []).append(np.array(part.names))
    clean_rows = [row for row in rows if row["attack"] == "none"]
    for row, more in zip(clean_rows, _followed(maps, noisy, edges), strict=True):
        row.update(more)
    table = pd.DataFrame(rows)
    shown = {key: np.concatenate(values)[:_DRAWN] for key, values in drawn.items()}
    shown |= {"maps": np.stack(maps[:_DRAWN]), "edges": np.stack(edges[:_DRAWN]), "middle": np.array(plan.middle)}
    shown |= {"classes": np.array(network.classes), "noise": np.array(noise)}
    return Study(table, (Row("images", len(positions), "images"), *_numbers(table, plan)), shown)


class _Part(NamedTuple):
    names: tuple[str, ...]
    images: Tensor
    labels: Tensor
    seen: Tensor


def _attacked(
    network: Network, part: _Part, plan: _Plan, generator: torch.Generator, boxed_images: int
) -> Iterator[tuple[str, float, Tensor, list[bool] | None]]:
    # Attack, radius, images after it, and whether the nearest image was found within the radius.
    images, labels = part.images, part.labels
    for radius in plan.radii:
        for attack in plan.attacks:
            if attack == "fgsm":
                yield attack, radius, ascent(network, images, labels, radius=radius, step=radius), None
            elif attack == "pgd":
                changed = projected(network, images, labels, radius=radius, steps=plan.steps, generator=generator)
                yield attack, radius, changed, None
            elif attack == "random":
                signs = torch.randint(2, images.shape, generator=generator).to(images) * 2 - 1
                yield attack, radius, (images + radius / BYTE * signs).clamp(0, 1), None
    if "lbfgs" not in plan.attacks or boxed_images <= 0:
        return
    images = images[:boxed_images]
    goals = _others(network.scores(images), labels)
    found = [boxed(network, image[None], goal, **plan.nearest) for image, goal in zip(images, goals, strict=True)]
    changed = torch.cat([one.image for one in found])
    sizes = _rms(changed - images)
    for radius in plan.radii:
        reached = [one.success and size <= radius for one, size in zip(found, sizes, strict=True)]
        yield "lbfgs", radius, changed, reached


def _others(scores: Float[Tensor, "n k"], labels: Int[Tensor, " m"]) -> list[int]:
    # The class of the highest score besides the label.
    rest = scores.clone()
    rest[torch.arange(len(rest)), labels[: len(rest)]] = -math.inf
    return rest.argmax(1).tolist()


def _rms(change: Float[Tensor, "n 3 h w"]) -> list[float]:
    return (BYTE * change.double().square().mean(dim=(1, 2, 3)).sqrt()).tolist()


def _compared(
    network: Network, part: _Part, attack: str, radius: float, changed: Tensor, found: list[bool] | None
) -> Iterator[dict[str, Any]]:
    after = network.scores(changed).argmax(1)
    for i, size in enumerate(_rms(changed - part.images[: len(changed)])):
        label, before = int(part.labels[i]), int(part.seen[i])
        wrong = int(after[i]) != label if found is None else found[i] or before != label
        yield {
            "picture": part.names[i], "attack": attack, "radius": radius, "label": label, "seen_before": before,
            "seen_after": int(after[i]), "error": int(wrong), "success": float(wrong) if before == label else math.nan,
            "rms": size,
        }  # fmt: skip


def _followed(maps: list[ndarray], noisy: list[ndarray], edges: list[ndarray]) -> Iterator[dict[str, float]]:
    # What each saliency map follows.
    for i, map_ in enumerate(maps):
        yield {
            "edges": _rank_correlation(map_, edges[i]),
            "edges_of_other_image": _rank_correlation(map_, edges[(i + 1) % len(edges)]),
            "after_noise": _rank_correlation(map_, noisy[i]),
        }


def _maps(network: Network, images: Tensor, labels: Tensor) -> Float[ndarray, "n h w"]:
    batch = Batch(images, tuple(map(str, range(len(images)))))
    return saliency(network, batch, classes=labels[:, None]).values[:, 0].cpu().numpy()


def _edges(image: Float[ndarray, "3 h w"]) -> Float[ndarray, "h w"]:
    grey = image.mean(axis=0)
    return np.hypot(sobel(grey, axis=0), sobel(grey, axis=1))


def _rank_correlation(one: ndarray, other: ndarray) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:  # a map of one value has no ranks to compare
        return math.nan
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _numbers(table: pd.DataFrame, plan: _Plan) -> Iterator[Row]:
    none = table[table["attack"] == "none"]
    yield mean_row("clean.error", none["error"], "share")
    for attack in plan.attacks:
        for radius in plan.radii:
            rows = table[(table["attack"] == attack) & (table["radius"] == radius)]
            if len(rows):
                yield mean_row(f"{attack}.radius_{radius:g}.error", rows["error"], "share")
                yield mean_row(f"{attack}.radius_{radius:g}.success_rate", rows["success"].dropna(), "share")
    for column in ("edges", "edges_of_other_image", "after_noise"):
        yield mean_row(f"saliency.{column}", none[column], "rank correlation")
