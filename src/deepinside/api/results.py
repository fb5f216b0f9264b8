"""Results of the functions of `import deepinside`: named arrays, displayed as figures in a notebook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from deepinside.plots import panels

if TYPE_CHECKING:
    from deepinside.plots.panels import Figure, Panel


def short(name: str) -> str:
    """The name of a class without its synonyms.

    Args:
        name: such as `bullfrog, Rana catesbeiana`.

    Returns:
        Its first word or words.
    """
    return name.split(",")[0]


class Result:
    """Base class of all results."""

    def panels(self) -> "list[Panel]":
        """The parts of its figure, from left to right."""
        raise NotImplementedError

    def figure(self) -> "Figure":
        """The result drawn with matplotlib.

        Returns:
            The figure; `deepinside.show` displays it.
        """
        return panels.sheet([self.panels()])

    def save(self, path: str | Path) -> None:
        """Saves the figure.

        Args:
            path: of the file, whose suffix is the format: `.png`, `.pdf`, `.svg`.
        """
        self.figure().savefig(path, dpi=150, bbox_inches="tight")

    def _repr_png_(self) -> bytes:
        return panels.png(self.figure())

    def __repr__(self) -> str:
        named = ((field.name, getattr(self, field.name)) for field in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={_brief(value)}' for name, value in named)})"


def _brief(value: object) -> str:
    if isinstance(value, ndarray):
        return f"array{value.shape}"
    if isinstance(value, pd.DataFrame):
        return f"DataFrame{value.shape}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_brief(one)}" for key, one in value.items()) + "}"
    return repr(value)


@dataclass(frozen=True, repr=False, eq=False)
class Saliency(Result):
    """Saliency of an image for classes, or for a unit.

    Attributes:
        image: at the network's scale, RGB in [0, 1], (h, w, 3).
        maps: one per target, on that image, (k, h, w).
        targets: names of the classes, or `unit 3 of relu5`.
        probabilities: of the classes, after softmax, averaged over the crops, (k,); NaN for a unit.
        signed: whether zero is the middle of the scale.
    """

    image: Float[ndarray, "h w 3"]
    maps: Float[ndarray, "k h w"]
    targets: tuple[str, ...]
    probabilities: Float[ndarray, " k"]
    signed: bool = False

    def panels(self) -> "list[Panel]":
        """The image, then its maps.

        Returns:
            One panel each.
        """
        titles = [
            short(name) if np.isnan(share) else f"{short(name)} ({share:.0%})"
            for name, share in zip(self.targets, self.probabilities, strict=True)
        ]
        maps = [panels.heat(map_, name, signed=self.signed) for map_, name in zip(self.maps, titles, strict=True)]
        return [panels.picture(self.image, "image"), *maps]


@dataclass(frozen=True, repr=False, eq=False)
class Synthesis(Result):
    """Images that maximise the score of a class, or the activation of a unit.

    Attributes:
        images: RGB in [0, 1], (n, h, w, 3).
        targets: class or unit of each.
        table: one row per image: `class` or `unit`, `score`, `rank` among all classes or units, `state` (`ok` or why it
            stopped).
        traces: `score`, `probability`, `rank` and more over the steps, each (steps, n).
    """

    images: Float[ndarray, "n h w 3"]
    targets: tuple[str, ...]
    table: pd.DataFrame
    traces: Mapping[str, Float[ndarray, "steps n"]]

    @property
    def image(self) -> Float[ndarray, "h w 3"]:
        """The first image, (h, w, 3)."""
        return self.images[0]

    def panels(self) -> "list[Panel]":
        """The images, with their scores.

        Returns:
            One panel each.
        """
        notes = [f"score {row.score:.1f}, rank {row.rank}" for row in self.table.itertuples()]
        titles = map(short, self.targets) if "class" in self.table else self.targets
        return [panels.picture(*one) for one in zip(self.images, titles, notes, strict=True)]


@dataclass(frozen=True, repr=False, eq=False)
class Inversion(Result):
    """Images whose features at a layer match those of a given image.

    Attributes:
        original: the network's input, RGB in [0, 1], (h, w, 3).
        images: one per layer, RGB in [0, 1], (l, h, w, 3).
        layers: their names.
        table: one row per layer: `feature_error` is ||Φ(x*) - Φ(x)||² / ||Φ(x)||².
    """

    original: Float[ndarray, "h w 3"]
    images: Float[ndarray, "l h w 3"]
    layers: tuple[str, ...]
    table: pd.DataFrame

    @property
    def image(self) -> Float[ndarray, "h w 3"]:
        """The image of the first layer, (h, w, 3)."""
        return self.images[0]

    def panels(self) -> "list[Panel]":
        """The original, then its reconstruction from each layer.

        Returns:
            One panel each.
        """
        notes = [f"feature error {error:.3f}" for error in self.table["feature_error"]]
        made = zip(self.images, self.layers, notes, strict=True)
        return [panels.picture(self.original, "image"), *(panels.picture(*one) for one in made)]


@dataclass(frozen=True, repr=False, eq=False)
class Localisation(Result):
    """Boxes of the objects of some classes, from a network that was trained on class labels alone.

    Attributes:
        image: RGB in [0, 1], (h, w, 3).
        boxes: one per class, half-open x0 y0 x1 y1 in its pixels, (k, 4).
        found: whether an object was found; otherwise the box is the whole image, (k,).
        targets: names of the classes.
        probabilities: of the classes, after softmax, averaged over the crops, (k,).
        maps: the maps that were segmented, on the working grid, (k, y, x).
        masks: the objects on that grid, (k, y, x).
    """

    image: Float[ndarray, "h w 3"]
    boxes: Float[ndarray, "k 4"]
    found: Bool[ndarray, " k"]
    targets: tuple[str, ...]
    probabilities: Float[ndarray, " k"]
    maps: Float[ndarray, "k y x"]
    masks: Bool[ndarray, "k y x"]

    def panels(self) -> "list[Panel]":
        """The photograph with its boxes, then the maps with the objects outlined.

        Returns:
            One panel each.
        """
        names = [f"{short(name)} ({p:.0%})" for name, p in zip(self.targets, self.probabilities, strict=True)]
        maps = [
            panels.heat(map_, short(name), mask=mask)
            for map_, name, mask in zip(self.maps, self.targets, self.masks, strict=True)
        ]
        return [panels.boxed(self.image, self.boxes, names, "boxes"), *maps]


@dataclass(frozen=True, repr=False, eq=False)
class Dissection(Result):
    """The concept that each unit of some layers detects.

    Attributes:
        units: one row per unit: `layer`, `unit`, `threshold`, its best `label`, the `category` and `score` (IoU) of it.
        counts: one row per layer, rule and category: numbers of units that detect a concept, and of concepts.
        table: the numbers of the command line's artifact: `metric`, `value`, `unit`, `n`, `ci_low`,
            `ci_high`.
        iou: threshold of a detector.
    """

    units: pd.DataFrame
    counts: pd.DataFrame
    table: pd.DataFrame
    iou: float

    @classmethod
    def read(cls, folder: str | Path, iou: float) -> Self:
        """Reads the tables of a dissection, at full precision.

        Args:
            folder: of an artifact of `run=dissect`, or the `out` of `deepinside.dissect`.
            iou: threshold of a detector.

        Returns:
            The dissection.
        """
        # The layer 0.10 of a network is no number, and a concept may be called "null".
        how: dict[str, Any] = {"dtype": {"layer": str}, "keep_default_na": False, "na_values": [""]}
        names = ("units", "counts", "table")
        units, counts, table = (
            pd.read_csv(Path(folder, f"{name}.csv"), float_precision="round_trip", **how) for name in names
        )
        return cls(units, counts, table, iou)

    @property
    def detectors(self) -> pd.DataFrame:
        """The rows of `units` whose IoU exceeds the threshold, best first."""
        return self.units[self.units["score"] > self.iou].sort_values("score", ascending=False)

    def panels(self) -> "list[Panel]":
        """The concepts of each layer by the number of units that detect them.

        Returns:
            One panel per layer.
        """
        layers = self.units.groupby("layer", sort=False)
        return [self._bars(str(layer), members) for layer, members in layers]

    def _bars(self, layer: str, members: pd.DataFrame) -> "Panel":
        own = members[members["score"] > self.iou]
        counts = own.groupby(["label", "category"]).size().rename("units").reset_index()
        counts = counts.sort_values(["units", "label"], ascending=[False, True])
        return panels.bars(counts, f"{layer}: {len(own)} of {len(members)} units, IoU > {self.iou:g}")


def rows(*result: Result | Sequence[Result]) -> "list[list[Panel]]":
    """The panels of several results.

    Args:
        *result: results, or lists of them.

    Returns:
        A row of panels for each.

    Raises:
        TypeError: if one of them is not a result.
        ValueError: if there is none.
    """
    every = [one for given in result for one in ([given] if isinstance(given, Result) else given)]
    for one in every:
        if not isinstance(one, Result):
            kind = type(one).__name__
            raise TypeError(f"expected results of saliency, maximise, invert, localise or dissect, got {kind}")
    if not every:
        raise ValueError("expected results to show, got none")
    return [one.panels() for one in every]
