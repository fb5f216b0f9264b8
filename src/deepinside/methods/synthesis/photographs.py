"""Photographs for synthesis: mean images to start from, patches, and the largest activations."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from deepinside.methods.synthesis.target import Target, unit_activations
from deepinside.network import Network
from deepinside.probe.activations import activations
from deepinside.probe.layers import before_scores
from deepinside.study import Pictures

_COMPONENTS = 50  # principal components before t-SNE (Nguyen et al. 2016)
_BATCH = 32


class Sorted(NamedTuple):
    """A class's images, sorted into facets.

    Attributes:
        images: RGB in [0, 1], (n, 3, h, w).
        facets: positions in `images` per facet, the largest facet first, those nearest to its middle first.
    """

    images: Float[Tensor, "n 3 h w"]
    facets: tuple[tuple[int, ...], ...]


def sort_facets(network: Network, pictures: Pictures, label: int, *, facets: int, seed: int = 0) -> Sorted:
    """Clusters the photographs of a class by the network's codes.

    The class's codes before the scores go through PCA and t-SNE to two dimensions and are split by k-means.

    Args:
        network: to visualise.
        pictures: labelled.
        label: the class.
        facets: clusters.
        seed: of t-SNE and k-means.

    Returns:
        The images, and the facet of each.

    Raises:
        ValueError: if there are too few images of the class.

    Source: Nguyen et al. 2016 (MFV), sec. 3: fc7, 50 components.
    """
    read, batch = pictures.batch([i for i, own in enumerate(pictures.labels) if own == label])
    if batch is None or len(read) < max(2 * facets, 4):
        raise ValueError(
            f"expected at least {max(2 * facets, 4)} images of class {label} to find {facets} facets in, got "
            f"{len(read)}: use fewer facets, raise data.limit, or start from something else"
        )
    layer = before_scores(network, batch.images)
    codes = torch.cat([activations(network, p.to(network.device), [layer])[layer] for p in batch.images.split(_BATCH)])
    flat = codes.flatten(2).mean(dim=2).cpu().numpy() if codes.ndim == 4 else codes.cpu().numpy()
    flat = PCA(min(_COMPONENTS, *flat.shape), random_state=seed).fit_transform(flat)
    perplexity = min(30.0, (len(flat) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(flat)
    clusters = KMeans(facets, n_init=10, random_state=seed).fit(plane)
    order = np.argsort(-np.bincount(clusters.labels_, minlength=facets), kind="stable")
    return Sorted(batch.images, tuple(_nearest(plane, clusters, which) for which in order.tolist()))


def _nearest(plane: Float[ndarray, "n 2"], clusters: KMeans, which: int) -> tuple[int, ...]:
    distance = np.linalg.norm(plane - clusters.cluster_centers_[which], axis=1)
    members = np.flatnonzero(clusters.labels_ == which)
    return tuple(members[np.argsort(distance[members], kind="stable")].tolist())


def facet(
    network: Network, pictures: Pictures, label: int, *, facets: int, which: int, nearest: int, seed: int = 0
) -> Float[Tensor, "3 h w"]:
    """The mean of the photographs of one facet of a class: of those nearest to its centre.

    Args:
        network: to visualise.
        pictures: labelled.
        label: the class.
        facets: clusters, see `sort_facets`.
        which: index of the facet, the largest first.
        nearest: number of images to average.
        seed: of t-SNE and k-means.

    Returns:
        RGB in [0, 1], (3, h, w).

    Raises:
        ValueError: if there are too few images of the class, or no such facet.

    Source: Nguyen et al. 2016 (MFV), sec. 3: 15 images.
    """
    if not 0 <= which < facets:
        raise ValueError(f"there is no facet {which} of {facets}: they are counted from 0")
    found = sort_facets(network, pictures, label, facets=facets, seed=seed)
    return found.images[list(found.facets[which][:nearest])].mean(dim=0)


def class_mean(pictures: Pictures, label: int) -> Float[Tensor, "3 h w"]:
    """The mean of all photographs of a class.

    Args:
        pictures: labelled.
        label: the class.

    Returns:
        RGB in [0, 1], (3, h, w).

    Raises:
        ValueError: if there are none.
    """
    _, batch = pictures.batch([i for i, own in enumerate(pictures.labels) if own == label])
    if batch is None:
        raise ValueError(f"expected images of class {label} to start from their mean, got none: raise data.limit")
    return batch.images.mean(dim=0)


def bank(
    pictures: Pictures, colour: Float[Tensor, "3"], *, side: int, count: int, seed: int = 0
) -> Float[Tensor, "count p"]:
    """Patches of photographs.

    Args:
        pictures: photographs.
        colour: the mean colour that is subtracted, RGB in [0, 1].
        side: of a patch, in pixels.
        count: number of patches, spread evenly over at most 200 images.
        seed: of their positions.

    Returns:
        Grey levels, mean subtracted, (count, 3·side·side).

    Raises:
        ValueError: if no image can be read.
    """
    chance = torch.Generator().manual_seed(seed)
    wanted = range(min(len(pictures), 200))
    images = [batch.images for _, batch in pictures.batches(_BATCH, wanted)]
    each = -(-count // max(sum(map(len, images)), 1))
    found = []
    for image in (image for part in images for image in part):
        height, width = (length - side + 1 for length in image.shape[1:])
        places = (torch.rand(each, 2, generator=chance) * torch.tensor([height, width])).long().tolist()
        found += [image[:, y : y + side, x : x + side] for y, x in places]
    if not found:
        raise ValueError("expected photographs to take patches from, got none that can be read")
    return 255 * (torch.stack(found[:count]) - colour.cpu().view(1, 3, 1, 1)).flatten(1)


def largest(
    network: Network, pictures: Pictures, goal: Target, *, side: tuple[int, int], position: tuple[int, int] | None
) -> Float[Tensor, " n"]:
    """The largest values of an objective over photographs.

    Args:
        network: to visualise.
        pictures: photographs.
        goal: the objective, one row per value.
        side: (h, w) of the network's input: the centre of each image.
        position: of the unit in the map.

    Returns:
        The largest value of each row; at least 1e-6.
    """
    best = torch.full((len(goal.weights),), 1e-6, device=network.device)
    for _, batch in pictures.batches(_BATCH):
        top, left = ((length - s) // 2 for length, s in zip(batch.images.shape[2:], side, strict=True))
        shown = batch.images[..., top : top + side[0], left : left + side[1]].to(network.device)
        with torch.no_grad():
            activations = unit_activations(network, shown, goal.layer, position)
        best = best.maximum((activations @ goal.weights.T).amax(dim=0))
    return best


def mean_pictures(
    network: Network, pictures: Pictures, labels: Sequence[int], *, start: Mapping[str, Any]
) -> Float[Tensor, "n 3 h w"]:
    """The mean images that gradient ascent of several classes starts from.

    Args:
        network: to visualise.
        pictures: labelled.
        labels: the classes.
        start: `kind`: `mean`, all images of the class, or `facet` with `facets`, `which` and `nearest`.

    Returns:
        RGB in [0, 1], one per class.
    """
    settings = {key: start[key] for key in ("facets", "which", "nearest") if key in start}
    of = partial(class_mean, pictures) if start["kind"] == "mean" else partial(facet, network, pictures, **settings)
    once = cache(of)
    return torch.stack([once(label) for label in labels])
