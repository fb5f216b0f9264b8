"""Class saliency: how much each pixel moves a class score (Simonyan et al. 2013, sec. 3)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from deepinside import views
from deepinside.network import Network
from deepinside.probe import relu_rule
from deepinside.records import Batch, Maps


def _gradients(
    images: Float[Tensor, "n 3 h w"], scores: Float[Tensor, "n k"], classes: Int[Tensor, "n t"]
) -> Float[Tensor, "n t h w"]:
    # Max over channels of |dS_c/dI| for every target, from one forward pass that is already done.
    maps = []
    for column in classes.T:
        chosen = scores.gather(1, column[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, images, retain_graph=True)
        maps.append(gradient.abs().amax(dim=1))
    return torch.stack(maps, dim=1)


def _forward(
    network: Network, images: Float[Tensor, "n 3 h w"], rule: str
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n k"]]:
    images = images.to(network.device).detach().clone().requires_grad_()
    with torch.enable_grad(), relu_rule(rule):
        return images, network(images)


def saliency(
    network: Network, batch: Batch, *, classes: Int[Tensor, "n t"] | None = None, rule: str = "gradient"
) -> Maps:
    """M_ij = max over channels of |dS_c/dI|, of the score before softmax.

    Args:
        network: any.
        batch: (n, 3, h, w); its labels are the classes asked for unless `classes` says otherwise.
        classes: targets per picture, (n, t); all t come from one forward pass.
        rule: backward rule of the ReLUs: `gradient`, `deconvnet` or `guided` (see `probe.relu_rule`).

    Returns:
        (n, t, h, w), in score per unit of pixel intensity, not negative.

    Raises:
        ValueError: if neither classes nor labels say what to look for, or a class is outside the network's.

    Source: Simonyan et al. 2013, sec. 3.1; with the other rules sec. 4 and Springenberg et al. 2015.
    """
    if classes is None:
        if batch.labels is None:
            raise ValueError("expected classes, or a batch with labels, got neither: say which class to look for")
        classes = batch.labels[:, None]
    images, scores = _forward(network, batch.images, rule)
    if not (classes.min() >= 0 and classes.max() < scores.shape[1]):
        raise ValueError(f"expected classes in 0..{scores.shape[1] - 1}, got {classes.unique().tolist()}")
    return Maps(_gradients(images, scores, classes.to(scores.device)).detach())


class Viewed(NamedTuple):
    """One photograph as the network sees it through its crops.

    Attributes:
        probabilities: mean softmax over the crops, (k,).
        classes: most probable first, then the one added by `also`, (t,).
        maps: saliency on the canvas, averaged over the crops that cover each pixel, (t, H, W).
        covered: pixels that a crop covers, (H, W).
        canvas: RGB in [0, 1], (3, H, W).
    """

    probabilities: Float[Tensor, " k"]
    classes: Int[Tensor, " t"]
    maps: Float[Tensor, "t H W"]
    covered: Bool[Tensor, "H W"]
    canvas: Float[Tensor, "3 H W"]


def viewed(
    network: Network,
    image: UInt8[Tensor, "3 h w"],
    *,
    crops: str = "ten",
    top: int = 5,
    also: int | None = None,
    rule: str = "gradient",
) -> Viewed:
    """Classes and their saliency maps for a photograph of any size, by one forward pass over its crops.

    Magnitude and maximum over channels come first, per crop; then maps are un-mirrored, laid back onto the canvas and
    averaged where they overlap.

    Args:
        network: any.
        image: RGB bytes, (3, h, w).
        crops: `ten` (corners, centre, mirrored), `centre`, or `warp` (the whole photograph squeezed to the input).
        top: how many of the most probable classes.
        also: a class to add where it is not among them.
        rule: backward rule of the ReLUs.

    Returns:
        Probabilities, classes, maps; on the network's device.

    Source: Simonyan et al. 2013, sec. 3.1 and 3.2.
    """
    recipe = network.preprocessing
    canvas = views.warped(image, recipe) if crops == "warp" else views.canvas(image, recipe)
    height, width = canvas.shape[1:]
    places = views.placements(height, width, recipe.input, "centre" if crops == "warp" else crops)
    images, scores = _forward(network, views.cut(canvas, places, recipe.input), rule)
    probabilities = scores.detach().softmax(dim=1).mean(dim=0)
    classes = probabilities.topk(min(top, len(probabilities))).indices
    if also is not None and also not in classes.tolist():
        classes = torch.cat([classes, classes.new_tensor([also])])
    maps = _gradients(images, scores, classes.expand(len(places), -1))
    merged, covered = views.merged(maps, places, height, width)
    return Viewed(probabilities, classes, merged, covered, canvas)
