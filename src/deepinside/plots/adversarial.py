"""Adversarial images: success rates, effects on features and saliency, and the images themselves."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from deepinside.plots.gallery import Drawn
from deepinside.records import Row
from deepinside.study import Study

# Okabe & Ito's colours, distinguishable with any kind of colour vision.
_LOOKS = {"fgsm": ("#D55E00", "-", "o"), "lbfgs": ("#0072B2", "--", "s"), "random": ("0.4", ":", "^")}
_WORDS = {"fgsm": "gradient's sign (FGSM)", "lbfgs": "nearest image (L-BFGS)", "random": "random signs (control)"}
_SIDE = 2.5  # inches
_QUANTILE = 0.999  # of the magnitude of a change has full colour, for few values are far larger than the rest


def attacked(study: Study) -> Iterator[Drawn]:
    """Curves over eps and over layers, then a sheet per image, of a study by `adversarial`."""
    rows = {row.metric: row for row in study.numbers}
    count = int(rows["counted"].value)
    tried = rows["lbfgs.success_rate"] if "lbfgs.success_rate" in rows else Row("", np.nan)
    box = f"succeeds for {tried.value:.0%} of {tried.n} images" if tried.n else "was run on no counted image"
    yield Drawn(
        _curves(study, rows),
        "curves",
        "Success and effects of attacks",
        f"Means over {count} of {rows['counted'].n} images (correctly classified or without a label), bars: 95 % "
        "intervals. Left: share of images whose class changes when every "
        "pixel changes by eps, along the gradient's sign or at random. Middle: relative distance of the features, "
        f"layer by layer, at eps {float(study.shown['middle']):g}/255 and for the nearest image classified as the "
        f"target (L-BFGS, which {box}). Right: rank correlation of the saliency map with that of the "
        "clean image, for the original class (filled) and for the new class (hollow).",
    )
    for number in range(len(study.shown["clean.names"])):
        yield _sheet(study, number)


def _curves(study: Study, rows: Mapping[str, Row]) -> Figure:
    layers = study.shown["layers"].tolist()
    sizes = sorted(study.table["eps"].dropna().unique().tolist())
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    success, distance, saliency = figure.subplots(1, 3)
    middle = f"eps_{float(study.shown['middle']):g}"
    for attack in ("fgsm", "random"):
        named = [f"{attack}.eps_{size:g}" for size in sizes]
        _line(success, sizes, [rows[f"{name}.success_rate"] for name in named], attack)
        _line(saliency, sizes, [rows[f"{name}.saliency_same"] for name in named], attack)
        _line(saliency, sizes, [rows[f"{name}.saliency_now"] for name in named], attack, hollow=True)
    for attack, prefix in {"fgsm": f"fgsm.{middle}", "random": f"random.{middle}", "lbfgs": "lbfgs"}.items():
        if f"{prefix}.distance.{layers[0]}" in rows:
            _line(distance, range(len(layers)), [rows[f"{prefix}.distance.{name}"] for name in layers], attack)
    for axis in (success, saliency):
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axis.set_xlabel("eps (1/255, one step of an 8-bit image)")
    success.set(ylim=(-0.03, 1.03), ylabel="share of images", title="the class changes")
    saliency.set(
        ylim=(min(0, saliency.get_ylim()[0]), 1.03), ylabel="rank correlation", title="similarity of the saliency map"
    )
    distance.set(ylim=(0, None), ylabel="|f(x') − f(x)| / |f(x)|", title="change of the features, layer by layer")
    distance.set_xticks(range(len(layers)), layers, rotation=45, ha="right", fontsize=7)
    distance.set_xlabel("layer, from the image to the scores")
    handles, labels = distance.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    for axis in (success, distance, saliency):
        axis.grid(alpha=0.3)
    return figure


def _line(axis: Axes, x: Sequence[float], rows: list[Row], attack: str, *, hollow: bool = False) -> None:
    colour, style, marker = _LOOKS[attack]
    values = np.array([row.value for row in rows])
    ends = np.array([[row.value - row.ci_low, row.ci_high - row.value] for row in rows]).T.clip(0)
    axis.errorbar(
        x, values, ends, color=colour, ls=style, marker=marker, ms=5, capsize=3, lw=1.4,
        mfc="white" if hollow else colour, label=_WORDS[attack],
    )  # fmt: skip


def _sheet(study: Study, number: int) -> Drawn:
    shown = study.shown
    kinds = [word for word in ("clean", "fgsm", "lbfgs", "random") if number < len(shown.get(f"{word}.names", ()))]
    clean = shown["clean.images"][number]
    height, width = clean.shape[:2]
    figure = Figure(figsize=(_SIDE * len(kinds), 3 * _SIDE * height / width + 1.1), layout="constrained")
    axes = figure.subplots(3, len(kinds), squeeze=False)
    middle = float(shown["middle"])
    heads = _WORDS | {"clean": "original"}
    heads |= {word: f"{heads[word]}\neps {middle:g}/255" for word in ("fgsm", "random")}
    for column, word in zip(axes.T, kinds, strict=True):
        seen = str(shown["classes"][shown[f"{word}.seen"][number]]).split(",")[0]
        column[0].imshow(shown[f"{word}.images"][number].clip(0, 1))
        column[0].set_title(
            f"{heads[word]}\n{textwrap.shorten(seen, 24)} {shown[f'{word}.chances'][number]:.0%}", fontsize=9
        )
        _change(column[1], shown[f"{word}.images"][number] - clean)
        map_ = shown[f"{word}.maps"][number]
        column[2].imshow(map_, cmap="magma", vmin=0, vmax=max(float(np.quantile(map_, 0.995)), 1e-12))
        column[2].set_xlabel(f"saliency of {textwrap.shorten(seen, 20)}", fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, word in zip(axes[:, 0], ("image", "change", "saliency"), strict=True):
        axis.set_ylabel(word, fontsize=9)
    name = str(shown["clean.names"][number])
    caption = (
        f"{name}. Top: the image and its attacked versions, with the predicted classes. Middle: the perturbation, grey "
        "is zero, amplified as written below; the largest 0.1 % of the changes have full colour. "
        "Bottom: saliency of the predicted class, each on its own scale up to its 99.5 % quantile (dark is zero)."
    )
    return Drawn(figure, f"{number + 1:02d}", f"{name}, attacked", caption)


def _change(axis: Axes, change: Float[ndarray, "h w 3"]) -> None:
    most = float(np.abs(change).max())
    if most == 0:
        axis.imshow(np.full_like(change, 0.5))
        axis.set_xlabel("no change", fontsize=8)
        return
    full = float(np.quantile(np.abs(change), _QUANTILE))
    axis.imshow((0.5 + 0.5 * change / (full or most)).clip(0, 1))
    axis.set_xlabel(
        f"amplified {0.5 / (full or most):.0f}×; L2 {np.linalg.norm(change):.2f}, most {255 * most:.2g}/255", fontsize=8
    )
