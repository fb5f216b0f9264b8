"""Counts of the intersections of masks and labels, the integer sums behind every IoU."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from deepinside.dissection.labels import Carried, Placed, Vocabulary
from deepinside.dissection.upsample import Hits
from deepinside.spelling import closest

RULES = ("image", "hit")


class Tally(NamedTuple):
    """Per image and unit: pixels of mask and label together by the label's index, and pixels of the mask."""

    common: Int[Tensor, "n u k"]
    mask: Int[Tensor, "n u"]

    def to(self, device: torch.device) -> "Tally":
        """Copies the sums to a device.

        Args:
            device: of the copy.

        Returns:
            The copy.
        """
        return Tally(self.common.to(device), self.mask.to(device))


class Counts(NamedTuple):
    """What a batch adds: pixels of mask and label together, and pixels of masks in images of a category."""

    intersection: Int[ndarray, "u l"]
    activation: Int[ndarray, "u c"]


class Spots(NamedTuple):
    """The masks' pixels, indexed once for all label maps of one size.

    Args:
        row: flat index of image and unit in (n, u), for each pixel.
        pixel: flat index of the pixel in (n, p).
        mask: pixels of each mask, (n, u).
    """

    row: Int[Tensor, " k"]
    pixel: Int[Tensor, " k"]
    mask: Int[Tensor, "n u"]

    @classmethod
    def of(cls, hits: Hits, labels: Placed, units: int) -> "Spots":
        """Indexes the masks' pixels.

        Args:
            hits: the masks' pixels.
            labels: of the same images.
            units: number of units of the layer.

        Returns:
            Their indices.
        """
        count, row = len(labels.whole), hits.image * units + hits.unit
        mask = torch.bincount(row, minlength=count * units).view(count, units)
        return cls(row, hits.image * labels.maps.shape[2] + hits.pixel, mask)


def tally(spots: Spots, labels: Placed) -> Tally:
    """Counts over the masks' pixels.

    Args:
        spots: the masks' pixels.
        labels: of the same images, or of as many others of the same size; on the same device.

    Returns:
        The sums of each image.
    """
    places = labels.carried.ids.shape[1]
    total = torch.zeros(spots.mask.numel() * places, dtype=torch.int32, device=spots.row.device)
    start, one = spots.row * places, total.new_ones(1).expand(len(spots.row))
    for level in labels.maps:
        total.index_add_(0, start + level.reshape(-1).take(spots.pixel), one)
    common = total.view(*spots.mask.shape, places).long()
    for place in labels.whole.unbind(1):  # a label of the whole image meets all of each mask
        common.scatter_add_(2, place[:, None, None].expand(-1, common.shape[1], 1), spots.mask[:, :, None])
    common[:, :, 0] = 0
    return Tally(common, spots.mask)


def qualifying(found: Tally, labels: Carried, vocabulary: Vocabulary, rule: str) -> Int[Tensor, "n u c"]:
    """|M_u| in the images that count for category c, 0 in the others.

    By rule `image` those with a label of c count, by `hit` those where the unit's mask overlaps one.

    Args:
        found: sums of each image.
        labels: of the images.
        vocabulary: category of each label.
        rule: `image` or `hit`.

    Returns:
        (n, u, c).

    Raises:
        ValueError: for an unknown rule.

    Source: Bau et al. 2017, sec. 2.2 and code (makeresult.py), `image`; NetDissect-Lite (feature_operation.py), `hit`.
    """
    if rule not in RULES:
        raise ValueError(f"unknown activation rule {rule!r}; {closest(rule, RULES)}")
    member = vocabulary.member(labels.ids)
    if rule == "image":
        looked_at = member.any(dim=1)[:, None]
    else:
        looked_at = torch.bmm((found.common > 0).float(), member.float()) > 0
    return found.mask[:, :, None] * looked_at


def summed(found: Tally, labels: Carried, vocabulary: Vocabulary, rule: str) -> Counts:
    """I(u, l) = sum over images of |M_u and L_l|, and A(u, c) = sum of |M_u| over the images that count for c.

    Args:
        found: sums of each image.
        labels: of the images.
        vocabulary: category of each label.
        rule: `image` or `hit`.

    Returns:
        The counts.
    """
    units = found.mask.shape[1]
    intersection = found.common.new_zeros(units, len(vocabulary))
    intersection.index_add_(1, labels.ids.reshape(-1), found.common.transpose(0, 1).reshape(units, -1))
    activation = qualifying(found, labels, vocabulary, rule).sum(dim=0)
    return Counts(intersection.cpu().numpy(), activation.cpu().numpy())
