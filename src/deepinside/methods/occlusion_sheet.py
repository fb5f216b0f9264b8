"""Images under a moving square, as in figure 7 of Zeiler & Fergus 2014."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.methods.deconvnet import project
from deepinside.methods.occlusion import Occluded, Outputs, Windows, colour, occluded
from deepinside.network import Network
from deepinside.probe import convolutional
from deepinside.records import Batch, Boxes, Row
from deepinside.runtime.progress import track
from deepinside.statistics import mean_row
from deepinside.study import Pictures, Study
from deepinside.views import to_bytes


def occlusion_sheet(
    network: Network,
    pictures: Pictures,
    *,
    side: float,
    stride: float,
    layer: str | None = None,
    value: float | str = "mean",
    images: int = 6,
    measured: int = 24,
    rule: str = "deconvnet",
    contrast: str = "identity",
    batch_size: int = 32,
) -> Study:
    """Outputs of the network while a square moves over images: one sheet each, as figure 7 of the paper.

    Args:
        network: to visualise.
        pictures: of a data set; the class is the label, or the predicted one without a label.
        side: of the square, share of the shorter side of the image.
        stride: likewise, at most `side`.
        layer: dotted name of a layer with maps; None: the last convolution, after its ReLU where one follows.
        value: colour of the square: `mean` of the network, or a grey level in [0, 1].
        images: number of images to show, the first ones.
        measured: number of images for the numbers, the first ones; at least `images`.
        rule: of the ReLUs on the way back of the projection: `deconvnet`, `guided` or `gradient`.
        contrast: of local response normalisation in the backward pass: `identity` or `gradient`.
        batch_size: covered images per forward pass.

    Returns:
        `table`: image, class, unit (the strongest map, -1 where the layer is zero everywhere), y and x of
        the centre of the square, probability, activation (empty where the layer is zero), label, whether the centre is
        `in_box`, and the `energy` of the projection under the square; the first row of each image, without y and x, is
        the image without a square. `numbers`: drop of probability with the centre in
        the box and outside, share of images whose largest drop is in the box, and the correlation of the drop of the
        activation with the projection's energy under the square. `shown`: for the figures.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if the layer has no maps, a label is outside the network's, or the square does not fit.

    Source: Zeiler & Fergus 2014, sec. 4.2 and fig. 7; the numbers are own proxies for what it claims.
    """
    layer = layer or convolutional(network)[-1]
    positions, part = pictures.first(max(images, measured))
    classes = _classes(network, part, batch_size)
    how = {"side": side, "stride": stride, "value": value, "layer": layer, "batch_size": batch_size}
    seen = _joined(
        [
            occluded(network, image, classes=wanted, **how)  # type: ignore[arg-type]
            for image, wanted in track(list(zip(part.images.split(1), classes.split(1), strict=True)), "occlusion")
        ]
    )
    pixels = _projections(network, part.images, layer, seen.unit.tolist(), rule, contrast)
    boxes = [pictures.boxes[position] for position in positions]
    inside, energy = np.stack([_inside(seen.windows, own) for own in boxes]), _energy(seen, pixels)
    numbers = _numbers(seen, inside, energy)
    shown = _shown(network, part, seen, classes, pixels, boxes, images)
    shown |= {"fill": colour(network, value).cpu().numpy(), "layer": np.array(layer)}
    return Study(_table(part.names, classes, seen, inside, energy), numbers, shown)


def _classes(network: Network, part: Batch, batch_size: int) -> Int[Tensor, " n"]:
    scores = [network.scores(images) for images in part.images.split(batch_size)]
    predicted = torch.cat(scores).argmax(dim=1).cpu()
    return predicted if part.labels is None else part.labels.where(part.labels >= 0, predicted)


def _joined(parts: Sequence[Occluded]) -> Occluded:
    covered, clean = (
        Outputs(*(torch.cat(values) for values in zip(*outputs, strict=True)))
        for outputs in ([part.covered for part in parts], [part.clean for part in parts])
    )
    return Occluded(parts[0].windows, covered, clean, torch.cat([part.unit for part in parts]))


def _projections(
    network: Network, images: Tensor, layer: str, units: list[int], rule: str, contrast: str
) -> Float[Tensor, "n 3 h w"]:
    # One image at a time, for the way back holds on to a whole forward pass.
    pixels = torch.zeros_like(images)
    for i, unit in enumerate(track(units, "projections")):
        if unit >= 0:
            found = project(network, images[i : i + 1], layer=layer, units=[unit], rule=rule, contrast=contrast)
            pixels[i] = found.pixels[0].cpu()
    return pixels


def _inside(places: Windows, boxes: Boxes) -> Bool[ndarray, "r c"]:
    # Whether the centre of what is covered is in a box.
    y, x = places.centres()
    found = np.zeros((len(y), len(x)), dtype=bool)
    for x0, y0, x1, y1 in boxes.xyxy:
        found |= ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
    return found


def _table(
    names: tuple[str, ...],
    classes: Tensor,
    seen: Occluded,
    inside: Bool[ndarray, "n r c"],
    energy: Float[ndarray, "n p"],
) -> pd.DataFrame:
    y, x = seen.windows.centres()
    rows = 1 + len(y) * len(x)

    def column(field: str) -> ndarray:
        clean, covered = getattr(seen.clean, field), getattr(seen.covered, field)
        return torch.cat([clean[:, None], covered.flatten(1)], dim=1).flatten().cpu().numpy()

    def covered_only(values: ndarray) -> ndarray:
        flat = values.reshape(len(names), -1).astype(np.float64)
        return np.concatenate([np.full((len(flat), 1), np.nan), flat], axis=1).ravel()

    return pd.DataFrame(
        {
            "picture": np.repeat(names, rows),
            "class": np.repeat(classes.numpy(), rows),
            "unit": np.repeat(seen.unit.cpu().numpy(), rows),
            "y": np.tile([np.nan, *np.repeat(y, len(x))], len(names)),
            "x": np.tile([np.nan, *np.tile(x, len(y))], len(names)),
            "probability": column("probability").round(6),
            "activation": column("activation").round(6),
            "label": column("label"),
            "in_box": covered_only(inside),
            "energy": covered_only(energy),
        }
    )


def _numbers(seen: Occluded, inside: Bool[ndarray, "n r c"], energy: Float[ndarray, "n p"]) -> tuple[Row, ...]:
    clean, covered = seen.clean, seen.covered
    drop = (clean.probability[:, None, None] - covered.probability).cpu().double().numpy()
    changed = (covered.label != clean.label[:, None, None]).double().mean(dim=(1, 2)).cpu().numpy()
    boxed = [i for i in range(len(drop)) if inside[i].any() and not inside[i].all()]
    inner, outer = (np.array([drop[i][mask[i]].mean() for i in boxed]) for mask in (inside, ~inside))
    measures = {
        "label_changed": (changed, "share"),
        "probability_drop_in_box": (inner, ""),
        "probability_drop_outside_box": (outer, ""),
        "probability_drop_in_box_above_outside": (inner - outer, ""),
        "largest_drop_in_box": (np.array([float(inside[i].flat[drop[i].argmax()]) for i in boxed]), "share"),
        "positions_in_box": (np.array([inside[i].mean() for i in boxed]), "share"),
        "activation_drop_with_projection_correlation": (_correlations(seen, energy), ""),
    }
    silent = int((seen.unit < 0).sum())
    return (
        Row("images", len(drop), "images"),
        Row("images_with_silent_layer", silent, "images", len(drop)),
        *(mean_row(metric, values, unit) for metric, (values, unit) in measures.items() if len(values)),
    )


def _energy(seen: Occluded, pixels: Float[Tensor, "n 3 h w"]) -> Float[ndarray, "n p"]:
    # Of the projection under the square, at each of the p positions.
    down, across = (covers.cpu().double() for covers in (seen.windows.down, seen.windows.across))
    return torch.einsum("rh,nhw,cw->nrc", down, pixels.double().square().sum(dim=1), across).flatten(1).numpy()


def _correlations(seen: Occluded, energy: Float[ndarray, "n p"]) -> Float[ndarray, " n"]:
    # Per image, over positions: how the drop of the activation goes with the projection's energy under the square.
    drop = (seen.clean.activation[:, None, None] - seen.covered.activation).flatten(1).cpu().double().numpy()
    moving = [i for i in range(len(drop)) if drop[i].std() > 0 and energy[i].std() > 0]
    return np.array([np.corrcoef(drop[i], energy[i])[0, 1] for i in moving])


def _shown(
    network: Network,
    part: Batch,
    seen: Occluded,
    classes: Tensor,
    pixels: Tensor,
    boxes: list[Boxes],
    images: int,
) -> dict[str, ndarray]:
    y, x = seen.windows.centres()
    fields = {
        f"{kind}.{field}": values
        for kind in ("clean", "covered")
        for field, values in getattr(seen, kind)._asdict().items()
        if field != "score"
    }
    arrays = {name: values[:images].cpu().numpy() for name, values in fields.items()}
    scaled = pixels / pixels.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30)
    numbers = np.unique(
        np.concatenate([arrays["covered.label"].ravel(), arrays["clean.label"], classes[:images].numpy()])
    )
    rows = [(i, *corners) for i, own in enumerate(boxes[:images]) for corners in own.xyxy.tolist()]
    return arrays | {
        "names": np.array(part.names[:images]),
        "classes": classes[:images].numpy(),
        "unit": seen.unit[:images].cpu().numpy(),
        "images": to_bytes(part.images[:images]),
        "projections": scaled[:images].permute(0, 2, 3, 1).half().numpy(),
        "boxes": np.array(rows, dtype=np.float64).reshape(-1, 5),
        "y": y,
        "x": x,
        "tops": seen.windows.tops.cpu().numpy(),
        "lefts": seen.windows.lefts.cpu().numpy(),
        "side": np.array(seen.windows.side),
        "label_numbers": numbers,
        "label_names": np.array([network.classes[number].split(",")[0] for number in numbers]),
    }
