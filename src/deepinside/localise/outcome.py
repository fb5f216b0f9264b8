"""What localisation answered for every image, judged and written down."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from deepinside.localise import submission
from deepinside.localise.baselines import BASELINES
from deepinside.localise.error import best_overlaps, class_known_errors, errors, row
from deepinside.records import Row, Table

_CORNERS = ("x0", "y0", "x1", "y1")


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
        found: whether a guess has an object; if not, its box is the whole photograph, (n, g).
        known: the box drawn for the true class, (n, 4).
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
        return self._judged(self.overlaps, self.known_overlaps)

    def _judged(self, overlaps: Float[ndarray, "n g"], known: Float[ndarray, " n"]) -> dict[str, Float[ndarray, " n"]]:
        found = errors(self.labels, overlaps, self.truth, self.counted)
        return {**found, "known_error": np.where(self.counted, class_known_errors(known), np.nan)}

    def baseline_overlaps(self) -> dict[str, Float[ndarray, " n"]]:
        """How well boxes that look at nothing do.

        Returns:
            Per baseline the IoU of the box that it draws whatever the class, (n,).
        """
        sizes = [(int(height), int(width)) for height, width in self.sizes]
        drawn = {name: np.array([box(size) for size in sizes]).reshape(-1, 1, 4) for name, box in BASELINES.items()}
        return {name: best_overlaps(boxes, self.instances)[:, 0] for name, boxes in drawn.items()}

    def table(self) -> Table:
        """The errors in percent, those of the baselines, and what was counted.

        Returns:
            Classification and localisation errors at one and five guesses and with the class known; the localisation
            errors again for every baseline, its name and a dot in front.
        """
        return Table([*self._error_rows(), *self._counts()])

    def _error_rows(self) -> Iterator[Row]:
        yield from (row(column, wrong) for column, wrong in self.errors().items())
        for name, overlaps in self.baseline_overlaps().items():
            for column, wrong in self._judged(overlaps[:, None], overlaps).items():
                if not column.startswith("cls"):  # a baseline guesses the same classes
                    yield row(column, wrong, f"{name}.")

    def _counts(self) -> Iterator[Row]:
        yield Row("images", len(self.images), "images")
        yield Row("images_blacklisted", int((~self.counted).sum()), "images")
        yield Row("guesses_without_object", int((~self.found).sum()), "guesses", self.found.size)

    def write(self, folder: Path) -> None:
        """Writes `per_image.csv`: guesses, boxes, overlaps and errors; an error that does not count is empty.

        Args:
            folder: where to.
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
        columns |= {f"iou_{name}": overlaps for name, overlaps in self.baseline_overlaps().items()}
        return columns | self.errors()

    def guesses(self) -> submission.Guesses:
        """The guesses for a prediction file.

        Returns:
            Labels that count from 1, 0 for a guess not made, and boxes.
        """
        return submission.Guesses(self.labels + 1, self.boxes)


def _cell(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.10g}"
