"""Top activations of units, and their projections (Zeiler & Fergus 2014, fig. 2)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.methods.deconvnet import check_units, project, strongest
from deepinside.network import Network
from deepinside.probe import ReceptiveField, activations, receptive_fields
from deepinside.records import Row
from deepinside.study import Pictures, Study

_SHOWN = 0.99  # quantile of the magnitude at which projections are cut off
_MOST = 16_000_000  # what torch's quantile takes


class Tops(NamedTuple):
    """The strongest activations of units, one per image, in descending order.

    Attributes:
        values: (u, top); -inf if there are fewer images.
        pictures: positions of their images, (u, top); -1 if there are fewer.
        places: y and x in the map, (u, top, 2).
    """

    values: Float[Tensor, "u top"]
    pictures: Int[Tensor, "u top"]
    places: Int[Tensor, "u top 2"]

    def of(self, indices: Sequence[int]) -> "Tops":
        """Some of the units.

        Args:
            indices: their places in the list of units.

        Returns:
            Their activations.
        """
        rows = list(indices)
        return Tops(self.values[rows], self.pictures[rows], self.places[rows])


def top_activations(
    network: Network,
    pictures: Pictures,
    *,
    layer: str,
    units: Sequence[int] | int | None = 16,
    top: int = 9,
    rule: str = "deconvnet",
    contrast: str = "identity",
    batch_size: int = 32,
) -> Study:
    """For each unit its strongest images, cropped to its receptive field, beside their projections.

    One pass over the images; a unit that is zero everywhere is counted and not shown.

    Args:
        network: to visualise.
        pictures: of a data set.
        layer: dotted name of a layer with maps (n, u, y, x).
        units: numbers, or their number, spread evenly over the layer; None: all.
        top: images per unit.
        rule: of the ReLUs in the backward pass: `deconvnet`, `guided` or `gradient`.
        contrast: of local response normalisation in the backward pass: `identity` or `gradient`.
        batch_size: images per forward pass.

    Returns:
        `table`: unit, rank, image, label, value, y, x and the corners of the receptive field; `shown`: patches and
        projections (u, top, h, w, 3), those of the projections signed, each divided by the 99 % quantile of its
        magnitude and clipped at 1; masks where the field exceeds the image.

    Raises:
        KeyError: if there is no such layer, with the closest names.
        ValueError: if the layer has no maps, or a unit is outside it.

    Source: Zeiler & Fergus 2014, sec. 4 and fig. 2.
    """
    _, probe = pictures.first(1)
    size = (probe.images.shape[2], probe.images.shape[3])
    field = receptive_fields(network, (layer,), size)[layer]
    count = activations(network, probe.images.to(network.device), (layer,))[layer].shape[1]
    chosen = spread_units(units, count, layer)
    tops = strongest_pictures(network, pictures, layer=layer, units=chosen, top=top, batch_size=batch_size)
    alive = [i for i in range(len(chosen)) if tops.values[i, 0] > 0]
    how = {"layer": layer, "rule": rule, "contrast": contrast}
    rows, shown = cut_out(network, pictures, [chosen[i] for i in alive], tops.of(alive), field, how, batch_size)
    dead = [unit for i, unit in enumerate(chosen) if i not in alive]
    rows += [{"unit": unit, "rank": 0, "value": 0.0} for unit in dead]
    table = pd.DataFrame(rows).sort_values(["unit", "rank"])
    numbers = (
        Row("pictures", len(pictures), "images"),
        Row("units", len(chosen), "units"),
        Row("dead_units", len(dead), "units", len(chosen)),
        *_shares(table, top),
    )
    return Study(table, numbers, shown | {"units": np.array([chosen[i] for i in alive]), "layer": np.array(layer)})


def spread_units(units: Sequence[int] | int | None, count: int, layer: str) -> list[int]:
    """The numbers of the requested units.

    Args:
        units: numbers, or their number, spread evenly over the layer; None: all.
        count: number of units of the layer.
        layer: its name.

    Returns:
        Their numbers.

    Raises:
        ValueError: if one of them is outside the layer.
    """
    if units is None:
        return list(range(count))
    if isinstance(units, int):
        return sorted({int(unit) for unit in np.linspace(0, count - 1, min(units, count))})
    check_units(list(units), count, layer)
    return list(units)


def strongest_pictures(
    network: Network, pictures: Pictures, *, layer: str, units: Sequence[int], top: int = 9, batch_size: int = 32
) -> Tops:
    """The strongest activations of units in a data set, one per image; memory is constant in the number of images.

    Args:
        network: to visualise.
        pictures: of the data set.
        layer: dotted name of a layer with maps (n, u, y, x).
        units: their numbers.
        top: number of images.
        batch_size: images per forward pass.

    Returns:
        Activations, images and positions; earlier images win ties.
    """
    found = Tops(
        torch.full((len(units), top), -torch.inf),
        torch.full((len(units), top), -1),
        torch.zeros(len(units), top, 2, dtype=torch.long),
    )
    for positions, part in pictures.batches(batch_size):
        maps = activations(network, part.images.to(network.device), (layer,))[layer][:, list(units)].cpu()
        flat = maps.flatten(0, 1)
        places = strongest(flat).view(*maps.shape[:2], 2).transpose(0, 1)
        values = flat.flatten(1).amax(dim=1).view(maps.shape[:2]).T
        both = Tops(
            torch.cat([found.values, values], dim=1),
            torch.cat([found.pictures, torch.tensor(positions).expand(len(units), -1)], dim=1),
            torch.cat([found.places, places], dim=1),
        )
        order = both.values.argsort(dim=1, descending=True, stable=True)[:, :top]
        found = Tops(
            both.values.gather(1, order),
            both.pictures.gather(1, order),
            both.places.gather(1, order[..., None].expand(-1, -1, 2)),
        )
    return found


def cut_out(
    network: Network,
    pictures: Pictures,
    units: list[int],
    tops: Tops,
    field: ReceptiveField,
    how: dict[str, str],
    batch_size: int,
) -> tuple[list[dict], dict[str, ndarray]]:
    """Image patches in the receptive fields of units, and their projections.

    Args:
        network: to visualise.
        pictures: of the data set.
        units: their numbers.
        tops: of these units.
        field: receptive field of the layer.
        how: `layer`, `rule` and `contrast` as in `project`.
        batch_size: projections per pass.

    Returns:
        Rows of the table; and patches and projections (u, top, h, w, 3), the latter signed, each divided by the 99 %
        quantile of its magnitude and clipped at 1, and masks where the field exceeds the image (u, top, h, w).
    """
    count, top = tops.values.shape
    pairs = [(i, rank) for i in range(count) for rank in range(top) if tops.pictures[i, rank] >= 0]
    side = _sides(field, pictures)
    patches = np.zeros((count, top, *side, 3), dtype=np.float16)
    projections = np.zeros_like(patches)
    inside = np.zeros((count, top, *side), dtype=bool)
    rows = []
    for start in range(0, len(pairs), batch_size):
        part = pairs[start : start + batch_size]
        images = torch.stack([_image(pictures, int(tops.pictures[pair])) for pair in part])
        places = torch.stack([tops.places[pair] for pair in part])
        projected = project(network, images, units=[units[i] for i, _ in part], positions=places, **how)
        for (i, rank), place, image, signal in zip(part, places.tolist(), images, projected.pixels.cpu(), strict=True):
            window, target = _window(field, place, image.shape[1:], side)
            patches[i, rank][target] = image[:, *window].permute(1, 2, 0).numpy()
            projections[i, rank][target] = _scaled(signal[:, *window]).permute(1, 2, 0).numpy()
            inside[i, rank][target] = True
            rows.append(_row(units[i], rank, tops, i, pictures, place, window))
    return rows, {"patches": patches, "projections": projections, "inside": inside}


def _scaled(signal: Tensor) -> Tensor:
    # A few pixels may be far above all others; the rest would be grey beside them.
    top = signal.abs().flatten().quantile(_SHOWN) if signal.numel() < _MOST else signal.abs().amax()
    return (signal / top.clamp(min=1e-30)).clamp(-1, 1)


def _image(pictures: Pictures, position: int) -> Tensor:
    image = pictures.read(position)
    if image is None:
        raise ValueError(f"{pictures.names[position]} was readable before and no longer is: has it been moved?")
    return image


def _sides(field: ReceptiveField, pictures: Pictures) -> tuple[int, int]:
    _, probe = pictures.first(1)
    return min(field.size[0], probe.images.shape[2]), min(field.size[1], probe.images.shape[3])


def _window(
    field: ReceptiveField, place: Sequence[int], size: Sequence[int], side: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    # The receptive field cut to the image, and where that is in a patch; a field that is larger than the image
    # is the image.
    windows, targets = [], []
    for axis in (0, 1):
        low = field.offset[axis] + place[axis] * field.stride[axis] if field.size[axis] <= size[axis] else 0
        first, last = max(low, 0), min(low + side[axis], size[axis])
        windows.append(slice(first, last))
        targets.append(slice(first - low, last - low))
    return (windows[0], windows[1]), (targets[0], targets[1])


def _row(
    unit: int, rank: int, tops: Tops, i: int, pictures: Pictures, place: Sequence[int], window: tuple[slice, slice]
) -> dict:
    position = int(tops.pictures[i, rank])
    corners = {"x0": window[1].start, "y0": window[0].start, "x1": window[1].stop, "y1": window[0].stop}
    return {
        "unit": unit,
        "rank": rank + 1,
        "picture": pictures.names[position],
        "label": pictures.labels[position],
        "value": round(float(tops.values[i, rank]), 6),
        "y": place[0],
        "x": place[1],
        **corners,
    }


def _shares(table: pd.DataFrame, top: int) -> tuple[Row, ...]:
    # How much the images of a unit agree in class: the share of its commonest label.
    if "label" not in table or not (table["label"] >= 0).any() or top < 2:
        return ()
    labelled = table[(table["rank"] > 0) & (table["label"] >= 0)]
    shares = labelled.groupby("unit")["label"].agg(lambda labels: labels.value_counts(normalize=True).iloc[0])
    return (Row("commonest_class_share", float(shares.mean()), "share", len(shares)),)
