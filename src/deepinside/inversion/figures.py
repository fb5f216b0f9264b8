"""Figures of trained inverters on held-out images."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from deepinside.inversion.score import Held
from deepinside.inversion.survey import Survey
from deepinside.models.inverter import Inverter
from deepinside.plots.gallery import Gallery
from deepinside.plots.inversion import curves, reconstructions


def draw(
    inverters: Mapping[str, Inverter],
    history: pd.DataFrame,
    held: Held,
    found: Survey,
    nearest: Mapping[str, Float[Tensor, "n 3 h w"]],
    options: DictConfig,
    out: Path,
) -> None:
    """Two figures: the reconstructions, and the losses over the epochs; `nearest` are training images by code."""
    gallery, count, first = Gallery(out), options.shown, next(iter(inverters))
    columns = {"original": held.images[:count]}
    columns["mean image"] = found.mean.expand_as(columns["original"])
    columns[f"nearest by {first}"] = nearest[first][:count]
    columns |= {name: inverter.invert(held.codes[name][:count]).cpu() for name, inverter in inverters.items()}
    weights = ", ".join(f"{term} {weight}" for term, weight in options.loss.items() if weight)
    ending = (
        f"Network {inverters[first].network.name}; {found.size} training images, {options.epochs} epochs, hidden "
        f"{options.architecture.hidden}, widths {list(options.architecture.widths)}, loss: {weights}; "
        f"artifact {out.name.removesuffix('.part')}."
    )
    gallery.add(
        reconstructions(columns),
        "reconstructions",
        group="learned inversion",
        title="Reconstruction from features",
        caption="Rows: held-out images. Columns: the image; the mean training image; the training image whose "
        f"{first} is nearest; its reconstruction by an up-convolutional network from each code. {ending}",
    )
    gallery.add(
        curves(history),
        "learning",
        group="learned inversion",
        title="Training of the inverters",
        caption=f"Mean squared error of pixels in [0, 1], in training and on held-out images. {ending}",
    )
    gallery.write()
