"""Scores and activations while a square moves over an image, as in figure 7 of Zeiler & Fergus 2014."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_PER_PICTURE = ("names", "classes", "unit", "images", "projections")
_NAMED = 6  # labels with a colour of their own; the others share grey
_OTHER = (0.82, 0.82, 0.82)
_QUANTILE = 0.999  # of a projection's magnitude is its full colour, for few values are far larger than the rest
_SIDE = 2.5  # inches


def sheets(study: Study) -> Iterator[Drawn]:
    """One sheet per image: the image, total activation, projection, probability, most probable label."""
    shown = study.shown
    names = dict(zip(shown["label_numbers"].tolist(), shown["label_names"].tolist(), strict=True))
    common = {key: values for key, values in shown.items() if key not in _PER_PICTURE and "." not in key}
    for i in range(len(shown["names"])):
        own = {key: shown[key][i] for key in shown if key in _PER_PICTURE or "." in key}
        own["boxes"] = shown["boxes"][shown["boxes"][:, 0] == i, 1:]
        case = common | own
        requested = names[int(case["classes"])]
        seen = int(case["clean.label"])
        wrong = "" if seen == int(case["classes"]) else f", predicted {names[seen]}"
        title = f"{requested} ({case['clean.probability']:.0%}){wrong}"
        yield Drawn(_sheet(case, names), f"{i + 1:02d}", title, _caption(case, requested))


def _caption(case: Mapping[str, ndarray], requested: str) -> str:
    layer = str(case["layer"])
    followed = (
        f"the total activation of map {case['unit']} of {layer}, the strongest on the clean image; the projection "
        "of that map's strongest activation (grey is zero); "
        if case["unit"] >= 0
        else f"no activation, as layer {layer} is zero everywhere on the clean image; "
    )
    return (
        f"{case['names']}. A square of {case['side']} pixels moves over the image. From the left: the position with "
        f"the largest effect; by the position of its centre, {followed}the probability of {requested}; the most "
        "probable label. Dark: covering reduces the value; the marks on the scales are the values without a square; "
        "dashed: box of the object."
    )


def _sheet(case: Mapping[str, ndarray], names: Mapping[int, str]) -> Figure:
    height, width = case["images"].shape[:2]
    figure = Figure(figsize=(5 * _SIDE + 0.5, _SIDE * height / width + 1.2), layout="constrained")
    ratios = [_SIDE * height / width, 0.65]
    (picture, total, back, likely, label), below = figure.subplots(2, 5, height_ratios=ratios)
    for axis in below:
        axis.axis("off")
    _picture(picture, below[0], case)
    _strongest(total, back, below[1], below[2], case)
    _levels(likely, below[3], case, "probability")
    likely.set_title(f"probability of {names[int(case['classes'])]}", fontsize=8)
    _labels(label, below[4], case, names)
    for axis in (picture, total, back, likely, label):
        axis.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        axis.tick_params(labelsize=6, length=2)
    for axis in (picture, total, likely):
        _boxes(axis, case["boxes"])
    picture.set_ylabel("pixels", fontsize=7)
    return figure


def _picture(axis: Axes, below: Axes, case: Mapping[str, ndarray]) -> None:
    height, width = case["images"].shape[:2]
    axis.imshow(case["images"], extent=(0, width, height, 0))
    row, column = np.unravel_index(case["covered.probability"].argmin(), case["covered.probability"].shape)
    corner, side = (int(case["lefts"][column]), int(case["tops"][row])), int(case["side"])
    axis.add_patch(Rectangle(corner, side, side, facecolor=case["fill"].clip(0, 1), edgecolor="white", lw=1))
    axis.set_title("position with the largest effect", fontsize=8)
    steps = np.diff(case["tops"])[:1].tolist() or np.diff(case["lefts"])[:1].tolist()
    moved = f", stride {steps[0]}" if steps else ""
    boxed = "\ndashed: box of the object" if len(case["boxes"]) else ""
    _note(below, f"square of {side} pixels{moved}{boxed}")


def _boxes(axis: Axes, boxes: Float[ndarray, "b 4"]) -> None:
    for x0, y0, x1, y1 in boxes:
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="black", lw=1.6))
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="white", lw=1, ls=(0, (4, 3))))


def _strongest(total: Axes, back: Axes, below: Axes, note: Axes, case: Mapping[str, ndarray]) -> None:
    height, width = case["images"].shape[:2]
    if case["unit"] < 0:
        for axis in (total, back):
            message = f"layer {case['layer']}\nis zero everywhere\non this image"
            axis.text(0.5, 0.5, message, ha="center", va="center", fontsize=8, transform=axis.transAxes)
        return
    _levels(total, below, case, "activation")
    total.set_title(f"total activation, map {case['unit']} of {case['layer']}", fontsize=8)
    signal = case["projections"].astype(np.float32)
    top = max(float(np.quantile(np.abs(signal), _QUANTILE)), 1e-12)
    back.imshow((0.5 + 0.5 * signal / top).clip(0, 1), extent=(0, width, height, 0))
    back.set_title(f"map {case['unit']}, projected back", fontsize=8)
    _note(note, "from its strongest activation,\nwithout a square; grey is zero")


def _note(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.95, text, ha="center", va="top", fontsize=7, transform=axis.transAxes)


def _levels(axis: Axes, below: Axes, case: Mapping[str, ndarray], field: str) -> None:
    # From zero, so that a small drop looks small; the clean value is marked on the scale.
    values, clean = case[f"covered.{field}"], float(case[f"clean.{field}"])
    low, high = min(0.0, float(values.min()), clean), max(float(values.max()), clean, 1e-12)
    drawn = axis.pcolormesh(*_edges(case), values, cmap="magma", vmin=low, vmax=high)
    scale = below.inset_axes((0.05, 0.74, 0.9, 0.17))
    bar = axis.figure.colorbar(drawn, cax=scale, orientation="horizontal", ticks=MaxNLocator(4))
    bar.ax.tick_params(labelsize=6)
    bar.ax.ticklabel_format(axis="x", scilimits=(-2, 3))
    bar.ax.xaxis.get_offset_text().set_fontsize(6)
    bar.ax.plot([clean], [1.5], marker="v", color="black", ms=4, clip_on=False, transform=bar.ax.get_xaxis_transform())
    below.text(0.5, 0.25, f"▼ without a square: {clean:.3g}", ha="center", va="top", fontsize=7)


def _edges(case: Mapping[str, ndarray]) -> tuple[ndarray, ndarray]:
    # A cell per position: it reaches halfway to the centres of the next ones.
    found = []
    for centres in (case["x"], case["y"]):
        gaps = np.diff(centres) if len(centres) > 1 else np.array([float(case["side"])])
        ends = centres[0] - gaps[0] / 2, centres[-1] + gaps[-1] / 2
        found.append(np.array([ends[0], *(centres[:-1] + centres[1:]) / 2, ends[1]]))
    return found[0], found[1]


def _labels(axis: Axes, below: Axes, case: Mapping[str, ndarray], names: Mapping[int, str]) -> None:
    # The requested class comes first, even where it is never the most probable.
    labels, requested = case["covered.label"], int(case["classes"])
    numbers, counts = np.unique(labels, return_counts=True)
    others = [number for number in numbers[np.argsort(-counts, kind="stable")].tolist() if number != requested]
    named = [requested, *others[: _NAMED - 1]]
    index = np.full(labels.shape, _NAMED)
    for place, number in enumerate(named):
        index[labels == number] = place
    colours = [*colormaps["Set2"].colors[:_NAMED], _OTHER]  # type: ignore[attr-defined]
    axis.pcolormesh(*_edges(case), index, cmap=ListedColormap(colours), vmin=-0.5, vmax=_NAMED + 0.5)
    axis.set_title("most probable label", fontsize=8)
    entries = [(colours[place], names[number], place) for place, number in enumerate(named)]
    if len(others) >= _NAMED:
        entries.append((_OTHER, f"other ({len(others) - _NAMED + 1} labels)", _NAMED))
    patches = [Patch(color=shade, label=f"{word}  {(index == place).mean():.0%}") for shade, word, place in entries]
    below.legend(handles=patches, loc="upper center", fontsize=7, frameon=False, labelspacing=0.15)
