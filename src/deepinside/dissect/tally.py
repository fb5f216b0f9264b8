"""Counting where masks and labels meet: the whole-number sums behind every IoU."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from numpy import ndarray
from torch import Tensor

from deepinside.dissect.labels import Labels
from deepinside.dissect.upsample import Hits
from deepinside.dissect.vocabulary import Vocabulary
from deepinside.network import closest

RULES = ("image", "hit")


class Counts(NamedTuple):
    """What a batch adds: pixels of mask and label together, and pixels of masks in pictures of a category."""

    intersection: Int[ndarray, "u l"]
    activation: Int[ndarray, "u c"]


def counts(hits: Hits, labels: Labels, vocabulary: Vocabulary, *, units: int, rule: str = "image") -> Counts:
    """I and A of one layer on a batch, counted over the masks' pixels alone.

    I(u, l) = sum over pictures of |M_u and L_l|; A(u, c) = sum of |M_u| over the pictures that count for category c:
    with rule `image` those that carry a label of c, with `hit` those where the unit's own mask touches one.

    Args:
        hits: the masks' pixels.
        labels: of the same pictures, on the same device.
        vocabulary: category of each label.
        units: number of units of the layer.
        rule: `image` or `hit`.

    Returns:
        The counts.

    Raises:
        ValueError: for an unknown rule.

    Source: Bau et al. 2017, sec. 2.2 and code (makeresult.py), `image`; NetDissect-Lite (feature_operation.py), `hit`.
    """
    if rule not in RULES:
        raise ValueError(f"unknown activation rule {rule!r}; {closest(rule, RULES)}")
    pair = hits.image * units + hits.unit
    mask = torch.bincount(pair, minlength=len(labels) * units).view(-1, units)
    there = [level[hits.image, hits.pixel] for level in labels.maps]
    total = torch.zeros(units * len(vocabulary), dtype=torch.int64, device=pair.device)
    for label in there:
        total += torch.bincount(hits.unit * len(vocabulary) + label, minlength=len(total))
    intersection = total.view(units, -1)
    for whole in labels.whole.unbind(1):  # a label of the whole picture meets all of each mask
        intersection.index_add_(1, whole, mask.T.contiguous())
    intersection[:, 0] = 0
    if rule == "image":
        qualifies = vocabulary.carried(labels.area)[:, None]
    else:
        qualifies = _touched(pair, there, labels.whole, vocabulary, mask.shape)
    activation = (mask[:, :, None] * qualifies).sum(dim=0)
    return Counts(intersection.cpu().numpy(), activation.cpu().numpy())


def _touched(
    pair: Int[Tensor, " k"],
    there: list[Int[Tensor, " k"]],
    whole: Int[Tensor, "n m"],
    vocabulary: Vocabulary,
    shape: Sequence[int],
) -> Bool[Tensor, "n u c"]:
    # Whether a unit's mask in a picture touches a label of a category.
    column = vocabulary.column().to(pair.device)
    wide = len(vocabulary.categories) + 1
    touched = torch.zeros(shape[0] * shape[1], wide, dtype=torch.bool, device=pair.device)
    for label in there:
        touched[pair, column[label.long()]] = True
    everywhere = torch.zeros(shape[0], wide, dtype=torch.bool, device=pair.device)
    everywhere.scatter_(1, column[whole], value=True)
    return (touched.view(*shape, wide) | everywhere[:, None])[:, :, :-1]
