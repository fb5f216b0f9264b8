"""Top activations of units: image patches beside their projections, as in figure 2 of Zeiler & Fergus 2014."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_UNITS = 8  # per sheet
_COLUMNS = 2
_INCHES = 2.5  # side of a mosaic


def sheets(study: Study) -> Iterator[Drawn]:
    """Sheets of eight units, each with a mosaic of its strongest patches and one of their projections."""
    units, layer = study.shown["units"].tolist(), str(study.shown["layer"])
    strongest = study.table[study.table["rank"] == 1].set_index("unit")["value"]
    for start in range(0, len(units), _UNITS):
        part = slice(start, start + _UNITS)
        figure = _sheet(
            study.shown["projections"][part].astype(np.float32),
            study.shown["patches"][part].astype(np.float32),
            study.shown["inside"][part],
            [f"unit {unit}, up to {strongest[unit]:.3g}" for unit in units[part]],
        )
        named = f"units {units[start]} to {units[min(start + _UNITS, len(units)) - 1]}"
        yield Drawn(
            figure,
            f"{start // _UNITS + 1:02d}",
            f"{layer}, {named}",
            f"{layer}: for each unit its strongest activation in each of its strongest images, in descending order, "
            "row by row. Left: projection of that activation (grey is zero, each on its own scale), right: its "
            "receptive field in the image.",
            about=[f"unit/{layer}/{unit}" for unit in units[part]],
        )


def _sheet(
    projections: Float[ndarray, "u top h w 3"],
    patches: Float[ndarray, "u top h w 3"],
    inside: Bool[ndarray, "u top h w"],
    titles: list[str],
) -> Figure:
    rows = -(-len(titles) // _COLUMNS)
    shape = patches.shape[2] / patches.shape[3]
    figure = Figure(figsize=(2 * _INCHES * _COLUMNS + 0.4, (_INCHES * shape + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, title, projection, patch, seen in zip(axes.flat, titles, projections, patches, inside, strict=False):
        grey = 0.5 + 0.5 * projection
        left, right = (_mosaic(np.where(seen[..., None], tiles, 1.0)) for tiles in (grey, patch))
        gap = np.ones((left.shape[0], max(2, left.shape[1] // 30), 3))
        axis.imshow(np.concatenate([left, gap, right], axis=1).clip(0, 1), interpolation="nearest")
        axis.set_title(title, fontsize=10, pad=3)
    return figure


def _mosaic(tiles: Float[ndarray, "n h w 3"]) -> Float[ndarray, "H W 3"]:
    side = int(np.ceil(np.sqrt(len(tiles))))
    height, width = tiles.shape[1:3]
    gap = max(1, round(max(height, width) / 40))
    sheet = np.ones((side * (height + gap) - gap, side * (width + gap) - gap, 3))
    for place, tile in enumerate(tiles):
        top, left = place // side * (height + gap), place % side * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet
