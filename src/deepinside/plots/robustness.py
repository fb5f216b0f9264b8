"""Robustness: errors over the radius, and what saliency follows."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from deepinside.plots.gallery import Drawn
from deepinside.study import Study

# Okabe & Ito's colours, distinguishable with any kind of colour vision.
_LOOKS = {
    "fgsm": ("#D55E00", "-", "o", "one step (FGSM)"),
    "pgd": ("#CC79A7", "-.", "D", "many steps (PGD)"),
    "lbfgs": ("#0072B2", "--", "s", "nearest image (L-BFGS)"),
    "random": ("0.4", ":", "^", "random signs (control)"),
}
_SIDE = 1.7  # inches


def curves(study: Study) -> Iterator[Drawn]:
    """Errors over the radius, then a sheet of images, their attacked versions and maps, of a study by `robustness`."""
    rows = {row.metric: row for row in study.numbers}
    edges, others, noisy = (rows[f"saliency.{key}"].value for key in ("edges", "edges_of_other_image", "after_noise"))
    yield Drawn(
        _errors(study),
        "errors",
        "Errors after attacks",
        f"Share of {rows['images'].value:g} images misread (L-BFGS: of {_tried(study)}), bars: 95 % intervals, "
        "dashed: without attack. The radius is the largest change of a pixel; of L-BFGS, the root mean square. Rank "
        f"correlation of saliency with the image's edges {edges:.2f} (with another image's {others:.2f}), with itself "
        f"after noise of {float(study.shown['noise']):g}/255 {noisy:.2f}.",
    )
    yield Drawn(
        _sheet(study),
        "images",
        "Images, attacked images and maps",
        f"Top to bottom: the image; after PGD of {float(study.shown['middle']):g}/255, with the predicted class; the "
        "change, grey is zero; saliency of the label, up to its 99.5 % quantile; the image's edges (Sobel).",
    )


def _tried(study: Study) -> int:
    return int(study.table.loc[study.table["attack"] == "lbfgs", "picture"].nunique())


def _errors(study: Study) -> Figure:
    rows = {row.metric: row for row in study.numbers}
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for attack, (colour, line, marker, word) in _LOOKS.items():
        own = study.table[study.table["attack"] == attack]
        radii = sorted(own["radius"].unique().tolist())
        if radii:
            found = [rows[f"{attack}.radius_{radius:g}.error"] for radius in radii]
            values = np.array([row.value for row in found])
            ends = np.array([[row.value - row.ci_low, row.ci_high - row.value] for row in found]).T.clip(0)
            axis.errorbar(radii, values, ends, color=colour, ls=line, marker=marker, ms=5, capsize=3, label=word)
            axis.set_xscale("log", base=2)
            axis.set_xticks(radii, [f"{radius:g}" for radius in radii])
    axis.axhline(rows["clean.error"].value, color="0.4", lw=1, ls="--")
    axis.set(ylim=(-0.03, 1.03), xlabel="radius (1/255)", ylabel="error (share of images)")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _sheet(study: Study) -> Figure:
    shown = study.shown
    count, attacked = len(shown["images"]), "pgd.images" in shown
    kinds = ["image", *(["after PGD", "change"] if attacked else []), "saliency", "edges"]
    figure = Figure(figsize=(_SIDE * count, (_SIDE + 0.25) * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), count, squeeze=False)
    for number, column in enumerate(axes.T):
        image = shown["images"][number]
        panels = {"image": image, "saliency": shown["maps"][number], "edges": shown["edges"][number]}
        titles = {"image": shown["seen"][number]}
        if attacked:
            change = shown["pgd.images"][number] - image
            panels |= {"after PGD": shown["pgd.images"][number]}
            panels |= {"change": 0.5 + 0.5 * change / (np.abs(change).max() or 1.0)}
            titles |= {"after PGD": shown["pgd.seen"][number]}
        for axis, kind in zip(column, kinds, strict=True):
            values = panels[kind]
            if values.ndim == 3:
                axis.imshow(values.clip(0, 1))
            else:
                axis.imshow(values, cmap="magma", vmin=0, vmax=max(float(np.quantile(values, 0.995)), 1e-12))
            if kind in titles:
                axis.set_title(str(shown["classes"][titles[kind]]).split(",")[0], fontsize=8)
            axis.set(xticks=[], yticks=[])
    for axis, kind in zip(axes[:, 0], kinds, strict=True):
        axis.set_ylabel(kind, fontsize=9)
    return figure
