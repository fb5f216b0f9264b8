"""Unit cards: everything measured about one unit."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.statistics import mean_interval
from deepinside.study import Study

_KINDS = {"detector": ("#0072B2", "o", "detectors"), "random": ("#D55E00", "s", "units drawn at random")}


def agreement(study: Study) -> Iterator[Drawn]:
    """How far methods agree, then a card per unit, those of the lowest agreement first."""
    rows = {row.metric: row for row in study.numbers}
    ours, drawn = rows["detectors.agreement"], rows["random_units.agreement"]
    yield Drawn(
        _agreement(study.table),
        "means",
        "Do the methods agree about a unit?",
        f"Share of the other units (or other concepts) that are less alike than the unit's own, as a second network "
        f"describes what each method shows: 0.5 by chance. Left: each of {rows['pairs'].value:g} detectors and as many "
        f"units drawn at random. Right: means by pair of methods, bars: 95 % intervals. Mean {ours.value:.2f} "
        f"[{ours.ci_low:.2f}, {ours.ci_high:.2f}] for detectors, {drawn.value:.2f} [{drawn.ci_low:.2f}, "
        f"{drawn.ci_high:.2f}] for the others.",
    )
    yield from cards(study)


def _agreement(table: pd.DataFrame) -> Figure:
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.4))
    columns = [column for column in table if "_with_" in str(column)]
    for place, (kind, (colour, marker, name)) in enumerate(_KINDS.items()):
        part = table[table["kind"] == kind]
        spread = np.linspace(-0.2, 0.2, len(part)) if len(part) > 1 else np.zeros(1)
        left.plot(place + spread, part["agreement"], marker, color=colour, ms=4, alpha=0.8)
        for row, column in enumerate(columns):
            values = part[column].dropna().to_numpy(dtype=float)
            if len(values):
                low, high = mean_interval(values)
                mean, y = float(values.mean()), row + 0.3 * place - 0.15
                right.plot([low, high], [y, y], color=colour, lw=1.5)
                right.plot(mean, y, marker, color=colour, ms=5, label=name if column == columns[0] else None)
    left.set(xlim=(-0.5, 1.5), ylim=(-0.03, 1.03), ylabel="agreement of a unit")
    left.set_xticks(
        range(len(_KINDS)), [name.replace(" drawn", "\ndrawn") for _, _, name in _KINDS.values()], fontsize=8
    )
    right.set_yticks(range(len(columns)), [str(one).replace("_", " ") for one in columns], fontsize=8)
    right.set(xlabel="agreement", xlim=(0, 1))
    right.invert_yaxis()
    left.axhline(0.5, color="0.4", ls="--", lw=1)
    right.axvline(0.5, color="0.4", ls="--", lw=1, label="chance")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    right.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return figure


def cards(study: Study) -> Iterator[Drawn]:
    """A card per unit."""
    layer, table = str(study.shown["layer"]), study.table.set_index("unit")
    for i, unit in enumerate(study.shown["units"].tolist()):
        found = table.loc[unit]
        concept = str(found["concept"]) if isinstance(found["concept"], str) else ""
        detected = f"{concept}, IoU {found['iou']:.2f}" if concept and found["iou"] == found["iou"] else concept
        agrees = f" (agreement {found['agreement']:.2f})" if "agreement" in table else ""
        yield Drawn(
            _card(study.shown, i, f"{layer}, unit {unit}" + (f": {detected}" if detected else "") + agrees),
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
