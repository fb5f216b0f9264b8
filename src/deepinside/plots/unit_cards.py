"""Unit cards: everything measured about one unit."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.study import Study


def cards(study: Study) -> Iterator[Drawn]:
    """A card per unit."""
    layer, table = str(study.shown["layer"]), study.table.set_index("unit")
    for i, unit in enumerate(study.shown["units"].tolist()):
        found = table.loc[unit]
        concept = str(found["concept"]) if isinstance(found["concept"], str) else ""
        detected = f"{concept}, IoU {found['iou']:.2f}" if concept and found["iou"] == found["iou"] else concept
        yield Drawn(
            _card(study.shown, i, f"{layer}, unit {unit}" + (f": {detected}" if detected else "")),
            f"{unit:04d}",
            f"{layer}, unit {unit}",
            "From the left: the image that maximises the unit; the pre-image of its activations on its strongest "
            "image; its strongest image patches, one per image, in descending order; their projections by DeconvNet, "
            "each on its own scale, grey is zero.",
            about=(f"unit/{layer}/{unit}",),
        )


def _card(shown: Mapping[str, ndarray], i: int, title: str) -> Figure:
    figure = Figure(figsize=(10.5, 2.9), layout="constrained")
    axes = figure.subplots(1, 4)
    tile = [_tiled(shown["patches"][i], shown["inside"][i], 1.0)]
    back = 0.5 + 0.5 * shown["projections"][i].astype(np.float32)
    tile.append(_tiled(back, shown["inside"][i], 1.0))
    for axis, image, name in zip(
        axes,
        (shown["stimuli"][i], shown["pre_images"][i], *tile),
        ("preferred stimulus", "its pre-image", "strongest patches", "projections"),
        strict=True,
    ):
        _show(axis, image, name)
    figure.suptitle(title, fontsize=10)
    return figure


def _show(axis: Axes, image: ndarray, name: str) -> None:
    axis.imshow(image, interpolation="nearest")
    axis.set_title(name, fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _tiled(pictures: ndarray, inside: ndarray, blank: float) -> ndarray:
    pictures = np.where(inside[..., None], pictures.astype(np.float32), blank)
    columns = int(np.ceil(len(pictures) ** 0.5))
    gap = max(1, pictures.shape[2] // 25)
    padded = np.pad(pictures, ((0, -len(pictures) % columns), (0, gap), (0, gap), (0, 0)), constant_values=blank)
    rows = [np.concatenate(padded[k : k + columns], axis=1) for k in range(0, len(padded), columns)]
    return np.concatenate(rows).clip(0, 1)
