"""What localisation answered for every image, judged and written down."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from deepinside.localisation import submission
from deepinside.localisation.error import best_overlaps, class_known_errors, errors
from deepinside.localisation.measure import Measured
from deepinside.localisation.settings import BASELINES

_CORNERS = ("x0", "y0", "x1", "y1")


class Drawn(NamedTuple):
    """Boxes by another rule: of the guesses (n, g, 4), and of the true class (n, 4)."""

    boxes: Float[ndarray, "n g 4"]
    known: Float[ndarray, "n 4"]


@dataclass(frozen=True)
class Outcome:
    """Guesses and truth of n images; boxes are half-open, in whole pixels of the original photographs.

    Args:
        images: names.
        sizes: (height, width), (n, 2).
        truth: class per image, (n,).
        instances: boxes of the true class, per image.
        counted: images whose localisation counts: all that are not blacklisted.
        labels: guessed classes, best first, (n, g).
        boxes: of the guesses, (n, g, 4).
        found: whether a guess has an object; otherwise its box is the whole image, (n, g).
        known: the box for the true class, (n, 4).
        seeds: the box around the largest component of its foreground seeds, (n, 4), where known.
        measured: measures of its map, where known.
        others: boxes by other rules, by name.
    """

    images: tuple[str, ...]
    sizes: Int[ndarray, "n 2"]
    truth: Int[ndarray, " n"]
    instances: tuple[Float[ndarray, "b 4"], ...]
    counted: Bool[ndarray, " n"]
    labels: Int[ndarray, "n g"]
    boxes: Float[ndarray, "n g 4"]
    found: Bool[ndarray, "n g"]
    known: Float[ndarray, "n 4"]
    seeds: Float[ndarray, "n 4"] | None = None
    measured: Measured | None = None
    others: Mapping[str, Drawn] = field(default_factory=dict)

    @cached_property
    def overlaps(self) -> Float[ndarray, "n g"]:
        """IoU of each guessed box with the instance that it meets best."""
        return best_overlaps(self.boxes, self.instances)

    @cached_property
    def known_overlaps(self) -> Float[ndarray, " n"]:
        """IoU of the box of the true class."""
        return best_overlaps(self.known[:, None], self.instances)[:, 0]

    def errors(self) -> dict[str, Float[ndarray, " n"]]:
        """Whether each image is wrong.

        Returns:
            `cls_error_1`, `loc_error_1`, `cls_error_5`, `loc_error_5`, `known_error`: 0 or 1, NaN where not counted.
        """
        return self.judged(self.overlaps, self.known_overlaps)

    def judged(self, overlaps: Float[ndarray, "n g"], known: Float[ndarray, " n"]) -> dict[str, Float[ndarray, " n"]]:
        """The errors of any boxes, with the classes that were guessed.

        Args:
            overlaps: of the boxes of the guesses, or (n, 1) for one box whatever the class.
            known: of the box of the true class.

        Returns:
            As `errors`.
        """
        found = errors(self.labels, overlaps, self.truth, self.counted)
        return {**found, "known_error": np.where(self.counted, class_known_errors(known), np.nan)}

    @cached_property
    def baselines(self) -> dict[str, tuple[Float[ndarray, "n g"], Float[ndarray, " n"]]]:
        """Overlaps of every baseline's boxes: of the guesses (n, g) or of one box for all (n, 1); of the true class."""
        sizes = [(int(height), int(width)) for height, width in self.sizes]
        blind = {name: np.array([box(size) for size in sizes]).reshape(-1, 1, 4) for name, box in BASELINES.items()}
        found = {name: best_overlaps(boxes, self.instances) for name, boxes in blind.items()}
        drawn = {
            name: (
                best_overlaps(other.boxes, self.instances),
                best_overlaps(other.known[:, None], self.instances)[:, 0],
            )
            for name, other in self.others.items()
        }
        return {name: (overlaps, overlaps[:, 0]) for name, overlaps in found.items()} | drawn

    @cached_property
    def seeds_overlaps(self) -> Float[ndarray, " n"]:
        """IoU of the box around the seeds of the true class; empty where they are not known."""
        return np.zeros(0) if self.seeds is None else best_overlaps(self.seeds[:, None], self.instances)[:, 0]

    def write(self, folder: Path) -> None:
        """Writes `per_image.csv`: guesses, boxes, overlaps and errors; an error that does not count is an empty cell.

        Args:
            folder: of the artifact.
        """
        with (folder / "per_image.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("image", *(columns := self._columns())))
            writer.writerows(
                (name, *map(_cell, numbers))
                for name, numbers in zip(self.images, np.stack(list(columns.values()), axis=1).tolist(), strict=True)
            )

    def _columns(self) -> dict[str, ndarray]:
        columns = {"label": self.truth, "height": self.sizes[:, 0], "width": self.sizes[:, 1]}
        columns |= {"blacklisted": ~self.counted}
        for guess in range(self.labels.shape[1]):
            columns |= {f"label_{guess + 1}": self.labels[:, guess], f"found_{guess + 1}": self.found[:, guess]}
            columns |= {f"{edge}_{guess + 1}": self.boxes[:, guess, i] for i, edge in enumerate(_CORNERS)}
            columns |= {f"iou_{guess + 1}": self.overlaps[:, guess]}
        columns |= {f"{edge}_known": self.known[:, i] for i, edge in enumerate(_CORNERS)}
        columns |= {"iou_known": self.known_overlaps}
        columns |= {f"iou_{name}": known for name, (_, known) in self.baselines.items()}
        if len(self.seeds_overlaps):
            columns |= {"iou_seeds": self.seeds_overlaps}
        if self.measured is not None:
            columns |= {"pointed": self.measured.pointed, "energy_in_box": self.measured.energy}
        return columns | self.errors()

    def guesses(self) -> submission.Guesses:
        """The guesses for a prediction file.

        Returns:
            Labels from 1 on, 0 for no guess, and boxes.
        """
        return submission.Guesses(self.labels + 1, self.boxes)


def _cell(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.10g}"
