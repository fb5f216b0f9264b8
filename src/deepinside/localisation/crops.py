"""Classes and their maps for an image of any size, from its crops."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from deepinside import views
from deepinside.localisation.maps import Scene, scene
from deepinside.localisation.settings import GRAD_CAM, SALIENCY
from deepinside.methods.grad_cam import evidence
from deepinside.methods.saliency import forward
from deepinside.network import Network
from deepinside.probe.activations import capture
from deepinside.records import Batch, Maps
from deepinside.runtime.memory import halved


class Viewed(NamedTuple):
    """Predictions and maps of one image, from its crops.

    Attributes:
        probabilities: mean softmax over the crops, (k,).
        classes: most probable first, then the one added by `also`, (t,).
        maps: method -> one per class on the canvas, averaged over the crops that cover each pixel, (t, H, W), not
            negative.
        covered: pixels that a crop covers, (H, W).
        canvas: RGB in [0, 1], (3, H, W).
    """

    probabilities: Float[Tensor, " k"]
    classes: Int[Tensor, " t"]
    maps: Mapping[str, Float[Tensor, "t H W"]]
    covered: Bool[Tensor, "H W"]
    canvas: Float[Tensor, "3 H W"]

    def scene(self, side: int | None) -> Scene:
        """The image and its maps on the working grid, as arrays, which `segment.segment` takes.

        Args:
            side: shorter side of the grid, in pixels, where the canvas is larger; None for the canvas itself.

        Returns:
            The scene.
        """
        maps = {name: values.cpu().numpy() for name, values in self.maps.items()}
        return scene(maps, self.covered.cpu().numpy(), self.canvas.cpu().numpy(), side)


def viewed(
    network: Network,
    image: UInt8[Tensor, "3 h w"],
    *,
    crops: str = "ten",
    top: int = 5,
    also: int | None = None,
    rule: str = "gradient",
    layer: str | None = None,
    classes: Sequence[int] | None = None,
    methods: Mapping[str, Callable[[Network, Batch], Maps]] | None = None,
    name: str = "image",
) -> Viewed:
    """Classes and their maps for an image of any size, by one forward pass over its crops.

    If memory is insufficient for all crops, the classes are computed first, and then the maps of some crops at a time.
    Magnitude and maximum over channels are taken per crop; then maps are un-mirrored, mapped back onto the canvas and
    averaged where they overlap. Grad-CAM is a by-product of the same backward pass. Further methods are called once
    per class, and the magnitude of their maps is taken last.

    Args:
        network: to analyse.
        image: RGB bytes, (3, h, w).
        crops: `ten` (corners, centre, mirrored), `centre`, or `warp` (the whole image resized to the input).
        top: number of most probable classes.
        also: a class to add if it is not among them.
        rule: backward rule of the ReLUs.
        layer: of Grad-CAM (see `methods.grad_cam.spatial_layer`); None: no such map.
        classes: instead of the most probable ones.
        methods: further ones by name.
        name: of the image, by which methods draw random numbers.

    Returns:
        Probabilities, classes, maps; on the network's device.

    Source: Simonyan et al. 2013, sec. 3.1 and 3.2.
    """
    canvas, places, pixels = views.crops_of(image, network.preprocessing, crops)

    def asked(shares: Float[Tensor, "m k"]) -> Int[Tensor, " t"]:
        if classes is not None:
            return torch.tensor(list(classes), device=shares.device)
        return _asked(shares.mean(dim=0), top, also)

    @cache
    def of_all() -> Int[Tensor, " t"]:
        return asked(network.scores(pixels).softmax(dim=1))

    def look(part: slice) -> tuple[Float[Tensor, "m k"], Int[Tensor, " t"], Float[Tensor, "m s h w"]]:
        known = None if len(pixels[part]) == len(pixels) else of_all()
        with capture(network, [layer] if layer else []) as kept:
            images, scores = forward(network, pixels[part], rule)
        shares = scores.detach().softmax(dim=1)
        chosen = asked(shares) if known is None else known
        return shares, chosen, _maps(images, kept[layer] if layer else None, scores, chosen)

    shares, chosen, maps = zip(*halved(look, len(pixels), "crops"), strict=True)
    merged, covered = views.merged(torch.cat(maps), places, canvas.shape[1], canvas.shape[2])
    probabilities, count = torch.cat(shares).mean(dim=0), len(chosen[0])
    found = {SALIENCY: merged[:count]} | ({GRAD_CAM: merged[count:]} if layer else {})
    view = views.Crops(canvas, places, pixels)
    for title, method in (methods or {}).items():
        own = [views.mapped(network, view, label, method, name, title)[0].abs() for label in chosen[0].tolist()]
        found[title] = torch.stack(own).to(merged)
    return Viewed(probabilities, chosen[0], found, covered, canvas)


def _asked(probabilities: Float[Tensor, " k"], top: int, also: int | None) -> Int[Tensor, " t"]:
    classes = probabilities.topk(min(top, len(probabilities))).indices
    if also is None or also in classes.tolist():
        return classes
    return torch.cat([classes, classes.new_tensor([also])])


def _maps(
    images: Float[Tensor, "m 3 h w"], answer: Tensor | None, scores: Float[Tensor, "m k"], classes: Int[Tensor, " t"]
) -> Float[Tensor, "m s h w"]:
    # Saliency of every class, then, where a layer answered, class activation of every class.
    sources = (images,) if answer is None else (images, answer)
    saliency, activation = [], []
    for number, label in enumerate(classes.tolist(), start=1):
        found = torch.autograd.grad(scores[:, label].sum(), sources, retain_graph=number < len(classes))
        saliency.append(found[0].abs().amax(dim=1))
        if answer is not None:
            activation.append(evidence(answer.detach(), found[1], images.shape[-2:]))
    return torch.stack([*saliency, *activation], dim=1)
