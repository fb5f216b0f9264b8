"""What covering a part of an image costs the network (Zeiler & Fergus 2014, sec. 4.2).

Lengths are shares of an image's shorter side, so that one setting suits inputs of 96 and of 224 pixels.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.network import Network
from deepinside.probe import capture
from deepinside.records import Batch, Maps
from deepinside.spelling import closest

OF = ("score", "probability")


class Windows(NamedTuple):
    """Positions of the square in rows and columns; at the right and lower border it may extend beyond the image.

    Attributes:
        side: of the square, pixels.
        tops: first pixel row of each row of positions, (r,).
        lefts: first pixel column of each column of positions, (c,).
        down: pixel rows covered by each row of positions, (r, h).
        across: pixel columns covered by each column of positions, (c, w).
    """

    side: int
    tops: Int[Tensor, " r"]
    lefts: Int[Tensor, " c"]
    down: Bool[Tensor, "r h"]
    across: Bool[Tensor, "c w"]

    def centres(self) -> tuple[Float[ndarray, " r"], Float[ndarray, " c"]]:
        """Centres of the covered squares.

        Returns:
            y and x, in pixels from the top and from the left edge of the image.
        """
        first = ((self.tops, self.down), (self.lefts, self.across))
        y, x = ((start + covers.sum(dim=1) / 2).cpu().double().numpy() for start, covers in first)
        return y, x


class Outputs(NamedTuple):
    """Outputs of the network; for covered images the axes are (n, r, c), for clean ones (n,).

    Attributes:
        probability: of the class, 0..1.
        score: of the class, before softmax.
        label: the most probable class.
        activation: of the chosen map, summed over positions; NaN without a layer, or where the layer is zero.
    """

    probability: Float[Tensor, "n ..."]
    score: Float[Tensor, "n ..."]
    label: Int[Tensor, "n ..."]
    activation: Float[Tensor, "n ..."]


class Occluded(NamedTuple):
    """Images with a square at every position.

    Attributes:
        windows: the positions.
        covered: outputs at every position.
        clean: outputs without a square.
        unit: map of the layer with the largest total activation on the clean image, (n,); -1 without a layer, or
            where the layer is zero everywhere.
    """

    windows: Windows
    covered: Outputs
    clean: Outputs
    unit: Int[Tensor, " n"]


def windows(size: tuple[int, int], *, side: float, stride: float, device: torch.device | str = "cpu") -> Windows:
    """The positions of a square that moves from the upper left corner to the right and lower border.

    Args:
        size: (h, w) of the image in pixels.
        side: of the square, share of the shorter side of the image, rounded to pixels.
        stride: likewise, at most `side`.
        device: of the tensors.

    Returns:
        ceil((length - side) / stride) + 1 positions per axis; the last one may extend beyond the image.

    Raises:
        ValueError: if the square is larger than the image, or some pixels would never be covered.

    Source: captum, Occlusion (the same positions).
    """
    for name, share in (("side", side), ("stride", stride)):
        if not 0 < share <= 1:
            raise ValueError(
                f"expected {name} as a share in (0, 1] of the image's shorter side, {min(size)} pixels, got {share}: "
                "a larger square does not fit; divide pixels by the shorter side"
            )
    edge, step = (max(1, round(share * min(size))) for share in (side, stride))
    if step > edge:
        raise ValueError(f"expected stride <= side, got {stride} > {side}: pixels between squares would stay uncovered")
    tops, lefts = (torch.arange(math.ceil((length - edge) / step) + 1, device=device) * step for length in size)
    down, across = (_covers(first, edge, length) for first, length in ((tops, size[0]), (lefts, size[1])))
    return Windows(edge, tops, lefts, down, across)


def _covers(first: Int[Tensor, " p"], edge: int, length: int) -> Bool[Tensor, "p length"]:
    pixels = torch.arange(length, device=first.device)
    return (pixels >= first[:, None]) & (pixels < first[:, None] + edge)


def colour(network: Network, value: float | str) -> Float[Tensor, "3"]:
    """The colour of the square.

    Args:
        network: whose mean colour `mean` is: grey that is zero once the mean is subtracted.
        value: `mean`, or a grey level in [0, 1].

    Returns:
        RGB in [0, 1].

    Raises:
        ValueError: if the value is neither.
    """
    if value == "mean":
        return network.preprocessing.colour.to(network.device)
    if isinstance(value, str) or not 0 <= value <= 1:
        raise ValueError(f"expected value 'mean' or a grey level in [0, 1], got {value!r}")
    return torch.full((3,), float(value), device=network.device)


@torch.no_grad()
def occluded(
    network: Network,
    images: Float[Tensor, "n 3 h w"],
    *,
    classes: Int[Tensor, " n"],
    side: float,
    stride: float,
    value: float | str = "mean",
    layer: str | None = None,
    batch_size: int = 32,
) -> Occluded:
    """Moves a square over every image and evaluates the network at every position.

    Args:
        network: to visualise.
        images: RGB in [0, 1], (n, 3, h, w).
        classes: one per image.
        side: of the square, share of the shorter side of the image.
        stride: likewise.
        value: colour of the square: `mean` of the network, or a grey level in [0, 1].
        layer: dotted name of a layer with maps, whose strongest map is recorded; None: none.
        batch_size: covered images per forward pass, of one image or of several; this alone sets the memory needed.

    Returns:
        Probability, score, most probable label and total activation at every position and without a square, on the
        network's device.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if a class is outside the network's, the layer has no maps, or the square does not fit.

    Source: Zeiler & Fergus 2014, sec. 4.2 and fig. 7.
    Deviation: the text does not define the strongest map; here that of the largest total, which is recorded.
    """
    images = images.to(network.device)
    places = windows((images.shape[2], images.shape[3]), side=side, stride=stride, device=images.device)
    fill = colour(network, value).to(images)[:, None, None]
    scores, totals, unit = _uncovered(network, images, layer, batch_size)
    if len(classes) != len(images) or not (classes.min() >= 0 and classes.max() < scores.shape[1]):
        raise ValueError(
            f"expected {len(images)} classes in 0..{scores.shape[1] - 1}, one per image, got {classes.tolist()}"
        )
    classes = classes.to(images.device)
    grid = (len(images), len(places.tops), len(places.lefts))
    outputs = []
    for part in torch.arange(math.prod(grid), device=images.device).split(batch_size):
        picture, row, column = torch.unravel_index(part, grid)
        hidden = places.down[row][:, None, :, None] & places.across[column][:, None, None, :]
        found = _forward(network, torch.where(hidden, fill, images[picture]), layer)
        outputs.append(_outputs(*found, classes[picture], unit[picture]))
    covered = Outputs(*(torch.cat(values).view(grid) for values in zip(*outputs, strict=True)))
    return Occluded(places, covered, _outputs(scores, totals, classes, unit), unit)


def _uncovered(
    network: Network, images: Tensor, layer: str | None, batch_size: int
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n u"], Int[Tensor, " n"]]:
    # Scores, totals of every map, and which map is strongest; -1 where all are zero.
    parts = [_forward(network, part, layer) for part in images.split(batch_size)]
    scores, totals = (torch.cat(values) for values in zip(*parts, strict=True))
    if not totals.shape[1]:
        return scores, totals, torch.full_like(scores[:, 0], -1, dtype=torch.long)
    return scores, totals, totals.argmax(dim=1).where((totals != 0).any(dim=1), -1)


def _forward(network: Network, images: Tensor, layer: str | None) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n u"]]:
    with capture(network, [layer] if layer else []) as captured:
        scores = network(images)
    if layer is None:
        return scores, scores[:, :0]
    if layer not in captured:
        raise ValueError(f"the forward pass of {network.name} does not reach {layer!r}; name a layer that takes part")
    if captured[layer].ndim != 4:
        shape = tuple(captured[layer].shape)
        raise ValueError(
            f"layer {layer!r} has activations of shape {shape}; expected maps (n, u, y, x): name a layer with maps"
        )
    return scores, captured[layer].sum(dim=(2, 3))


def _outputs(scores: Tensor, totals: Tensor, classes: Int[Tensor, " n"], unit: Int[Tensor, " n"]) -> Outputs:
    columns = classes[:, None]
    followed = totals.gather(1, unit.clamp(min=0)[:, None])[:, 0] if totals.shape[1] else scores[:, 0]
    return Outputs(
        scores.softmax(dim=1).gather(1, columns)[:, 0],
        scores.gather(1, columns)[:, 0],
        scores.argmax(dim=1),
        followed.where(unit >= 0, torch.nan),
    )


def occlusion(
    network: Network,
    batch: Batch,
    *,
    side: float,
    stride: float,
    value: float | str = "mean",
    of: str = "score",
    batch_size: int = 32,
) -> Maps:
    """M_ij = mean over the squares that cover pixel ij of S_c(image) - S_c(covered image).

    Args:
        network: to visualise.
        batch: (n, 3, h, w), with labels, the classes.
        side: of the square, share of the shorter side of the image.
        stride: likewise, at most `side`.
        value: colour of the square: `mean` of the network, or a grey level in [0, 1].
        of: `score` before softmax, or `probability`.
        batch_size: covered images per forward pass.

    Returns:
        (n, 1, h, w), signed: positive where covering reduces the score or probability.

    Raises:
        ValueError: if there are no labels or one is outside the network's, `of` is unknown, or the square does not fit.

    Source: Zeiler & Fergus 2014, sec. 4.2; per pixel as captum, Occlusion.
    """
    if of not in OF:
        raise ValueError(f"unknown output {of!r}; {closest(of, OF)}")
    if batch.labels is None:
        raise ValueError("expected a batch with labels, got none: add the labels")
    seen = occluded(
        network, batch.images, classes=batch.labels, side=side, stride=stride, value=value, batch_size=batch_size
    )
    clean, covered = getattr(seen.clean, of), getattr(seen.covered, of)
    drop = (clean[:, None, None] - covered).double()
    down, across = seen.windows.down.double(), seen.windows.across.double()
    total = torch.einsum("rh,nrc,cw->nhw", down, drop, across)
    count = down.sum(dim=0)[:, None] * across.sum(dim=0)
    return Maps((total / count)[:, None].to(covered), signed=True)
