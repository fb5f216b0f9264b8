"""The content of one image in the style of another, and the losses over the optimisation."""

from collections.abc import Iterator

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_SIDE = 2.9  # inches
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


def transferred(study: Study) -> Iterator[Drawn]:
    """Content, style, result and losses of each pair."""
    content, style = (", ".join(study.shown[f"{word}_layers"].tolist()) for word in ("content", "style"))
    pairs = zip(study.shown["content_pictures"].tolist(), study.shown["style_pictures"].tolist(), strict=True)
    groups = study.table.groupby(["content_picture", "style_picture"], sort=False)
    for number, ((one, other), (_, mine)) in enumerate(zip(pairs, groups, strict=True)):
        yield Drawn(
            _figure(study, number, mine, one, other),
            f"{number + 1:02d}",
            f"{one} in the style of {other}",
            f"From the left: the content image ({content}), the style image ({style}), the result, and the losses over "
            "the evaluations of L-BFGS, logarithmic: thick the weighted sum that is minimised and its lowest value so "
            "far, thin its weighted parts.",
        )


def _figure(study: Study, number: int, table: pd.DataFrame, one: str, other: str) -> Figure:
    figure = Figure(figsize=(5.1 * _SIDE, _SIDE + 0.4), layout="constrained")
    axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.3])
    ignored = "" if study.shown["weights"][0] > 0 else " (ignored)"
    heads = {"content": f"content: {one}{ignored}", "style": f"style: {other}", "result": "result"}
    for axis, (word, head) in zip(axes, heads.items(), strict=False):
        axis.imshow(study.shown[f"{word}.{number}"].clip(0, 1))
        axis.set_title(head, fontsize=10)
        axis.set(xticks=[], yticks=[])
    _losses(axes[3], table, study.shown["style_layers"].tolist(), *study.shown["weights"].tolist())
    return figure


def _losses(axis: Axes, table: pd.DataFrame, layers: list[str], content_weight: float, style_weight: float) -> None:
    steps = table["evaluation"]
    axis.plot(steps, table["best"], color="black", lw=2.4, label="sum, lowest so far")
    axis.plot(steps, table["loss"], color="0.6", lw=0.8, label="sum")
    if content_weight > 0:
        content = content_weight * table["content"].where(table["content"] > 0)  # nothing has no logarithm
        axis.plot(steps, content, color="#D55E00", lw=1.6, ls="--", label="content")
    for i, layer in enumerate(layers):
        shade = colormaps["viridis"](0.9 * i / max(len(layers) - 1, 1))
        axis.plot(
            steps,
            style_weight * table[f"style.{layer}"],
            color=shade,
            lw=1.2,
            ls=_STYLES[i % 5],
            label=f"style {layer}",
        )
    lowest = float(table["best"].iloc[-1])
    axis.set(yscale="log", xlabel="evaluation of L-BFGS", ylabel="loss, weighted", ylim=(lowest / 100, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
