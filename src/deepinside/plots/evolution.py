"""Fooling images and their evolution."""

import textwrap
from collections.abc import Iterator

from matplotlib import colormaps
from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

_STYLES = ("-", "--", "-.", ":")
_SIDE = 2.3  # inches
_ACROSS = 6  # classes that are drawn


def evolved(study: Study) -> Iterator[Drawn]:
    """The images at the start and the end, then the confidence over the generations."""
    count = int(study.table["generation"].max())
    ends = study.table[study.table["generation"] == count]
    yield Drawn(
        _pictures(study, count),
        "pictures",
        "Images found by evolution",
        f"Top: the random images that evolution started from. Bottom: the most confident image of each class after "
        f"{count} generations, with the confidence of the network. For "
        f"{int(ends['top1'].sum())} of {len(ends)} classes it is the most probable class. No gradient was used.",
    )
    yield Drawn(
        _curves(study),
        "curves",
        "Confidence over the generations",
        "Confidence of the best image of each class so far, per generation; marks: the class becomes the most "
        "probable one.",
    )


def _pictures(study: Study, count: int) -> Figure:
    names = study.shown["names"].tolist()[:_ACROSS]
    table = study.table
    figure = Figure(figsize=(_SIDE * max(len(names), 2), 2 * _SIDE + 0.9), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False)
    for row, (word, step) in enumerate((("start", 0), ("end", count))):
        chances = table[table["generation"] == step]["confidence"].tolist()
        for axis, picture, name, chance in zip(axes[row], study.shown[word], names, chances, strict=False):
            axis.imshow(picture, interpolation="nearest")
            axis.set_title(f"{textwrap.shorten(name.split(',')[0], 24)} {_percent(chance)}", fontsize=9)
            axis.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(f"generation {step}", fontsize=9)
    return figure


def _percent(chance: float) -> str:
    return f"{chance:.1%}" if chance >= 0.001 else f"{100 * chance:.1g}%"


def _curves(study: Study) -> Figure:
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axis, logarithmic = figure.subplots(1, 2)
    groups = list(study.table.groupby("class", sort=False))
    for i, (_, mine) in enumerate(groups):
        colour = colormaps["viridis"](0.85 * i / max(len(groups) - 1, 1))
        label = textwrap.shorten(str(mine["name"].iloc[0]).split(",")[0], 28)
        for panel in (axis, logarithmic):
            panel.plot(mine["generation"], mine["confidence"], _STYLES[i % 4], color=colour, lw=1.5, label=label)
            top = mine[mine["top1"]]
            panel.plot(top["generation"][:1], top["confidence"][:1], "o", color=colour, ms=6)
    axis.set(ylim=(-0.02, 1.02), ylabel="confidence (probability)")
    least = float(study.table["confidence"].min())
    logarithmic.set(yscale="log", ylim=(max(least, 1e-12) / 2, 1.5), ylabel="the same, logarithmic")
    for panel in (axis, logarithmic):
        panel.set_xlabel("generation")
        panel.grid(alpha=0.3)
    logarithmic.legend(fontsize=8, frameon=False, loc="lower right", ncols=1 + len(groups) // 8)
    return figure
