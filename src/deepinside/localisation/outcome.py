"""What localisation answered for every image, judged and written down."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from deepinside.localisation.error import best_overlaps, class_known_errors, errors
from deepinside.localisation.measure import THRESHOLDS
from deepinside.localisation.settings import BASELINES

_CORNERS = ("x0", "y0", "x1", "y1")


class Located(NamedTuple):
    """Result of one image, boxes in whole pixels of the photograph; or, with an axis in front, of n images.

    Attributes:
        labels: guessed classes, best first; -1 for no guess, (g,).
        boxes: of the guesses, half-open x0 y0 x1 y1, (g, 4).
        found: whether a guess has an object; otherwise its box is the whole image, (g,).
        known: the box for the true class, (4,).
        seeds: the box around the largest component of the true class's foreground seeds, (4,).
        curve: of the true class's map, the best IoU at each of `measure.THRESHOLDS`, (t,).
        pointed: whether the maximum of that map is in an instance.
        energy: share of the sum of that map in the instances.
        others: by other maps or settings, the boxes of the guesses and, last, of the true class, (o, g + 1, 4).
        reason: why the image could not be read; empty if it was.
    """

    labels: Int[ndarray, "*n g"]
    boxes: Float[ndarray, "*n g 4"]
    found: Bool[ndarray, "*n g"]
    known: Float[ndarray, "*n 4"]
    seeds: Float[ndarray, "*n 4"]
    curve: Float[ndarray, "*n t"]
    pointed: Float[ndarray, "*n"]
    energy: Float[ndarray, "*n"]
    others: Float[ndarray, "*n o g+1 4"]
    reason: ndarray

    @classmethod
    def blank(cls, top: int, others: int, reason: str = "") -> Self:
        """No guess.

        Args:
            top: number of guesses.
            others: number of other maps or settings.
            reason: why the image could not be read.

        Returns:
            The result of one image: no labels, boxes of one pixel, no measures.
        """
        box, none = np.array([0.0, 0, 1, 1]), np.array(np.nan)
        return cls(
            labels=np.full(top, -1),
            boxes=np.tile(box, (top, 1)),
            found=np.ones(top, dtype=bool),
            known=box,
            seeds=box,
            curve=np.full(len(THRESHOLDS), np.nan),
            pointed=none,
            energy=none,
            others=np.tile(box, (others, top + 1, 1)),
            reason=np.array(reason),
        )


@dataclass(frozen=True)
class Outcome:
    """Guesses and truth of n images; boxes are half-open, in whole pixels of the original photographs.

    Args:
        images: names.
        sizes: (height, width), (n, 2).
        truth: class per image, (n,).
        instances: boxes of the true class, per image.
        counted: images whose localisation counts: all that are not blacklisted.
        located: results of the n images.
        others: names of `located.others`.
    """

    images: tuple[str, ...]
    sizes: Int[ndarray, "n 2"]
    truth: Int[ndarray, " n"]
    instances: tuple[Float[ndarray, "b 4"], ...]
    counted: Bool[ndarray, " n"]
    located: Located
    others: tuple[str, ...] = ()

    @cached_property
    def overlaps(self) -> Float[ndarray, "n g"]:
        """IoU of each guessed box with the instance that it meets best."""
        return best_overlaps(self.located.boxes, self.instances)

    @cached_property
    def known_overlaps(self) -> Float[ndarray, " n"]:
        """IoU of the box of the true class."""
        return best_overlaps(self.located.known[:, None], self.instances)[:, 0]

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
        found = errors(self.located.labels, overlaps, self.truth, self.counted)
        return {**found, "known_error": np.where(self.counted, class_known_errors(known), np.nan)}

    @cached_property
    def baselines(self) -> dict[str, tuple[Float[ndarray, "n g"], Float[ndarray, " n"]]]:
        """Overlaps of every baseline's boxes: of the guesses (n, g) or of one box for all (n, 1); of the true class."""
        sizes = self.sizes.tolist()
        blind = {name: np.array([[box(size)] * 2 for size in sizes]) for name, box in BASELINES.items()}
        boxes = {name: both.reshape(-1, 2, 4) for name, both in blind.items()}
        boxes |= zip(self.others, np.moveaxis(self.located.others, 1, 0), strict=True)
        overlaps = {name: best_overlaps(found, self.instances) for name, found in boxes.items()}
        return {name: (found[:, :-1], found[:, -1]) for name, found in overlaps.items()}

    @cached_property
    def seeds_overlaps(self) -> Float[ndarray, " n"]:
        """IoU of the box around the seeds of the true class."""
        return best_overlaps(self.located.seeds[:, None], self.instances)[:, 0]

    @cached_property
    def centred(self) -> Bool[ndarray, " n"]:
        """Whether the middle of each image is in an instance: what the pointing game gives to a map of the centre."""
        middles = self.sizes[:, ::-1] / 2  # x, y
        inside = [(own[:, :2] <= xy) & (xy < own[:, 2:]) for own, xy in zip(self.instances, middles, strict=True)]
        return np.array([bool(one.all(axis=1).any()) for one in inside])

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
        located = self.located
        columns = {"label": self.truth, "height": self.sizes[:, 0], "width": self.sizes[:, 1]}
        columns |= {"blacklisted": ~self.counted}
        for guess in range(located.labels.shape[1]):
            columns |= {f"label_{guess + 1}": located.labels[:, guess], f"found_{guess + 1}": located.found[:, guess]}
            columns |= {f"{edge}_{guess + 1}": located.boxes[:, guess, i] for i, edge in enumerate(_CORNERS)}
            columns |= {f"iou_{guess + 1}": self.overlaps[:, guess]}
        columns |= {f"{edge}_known": located.known[:, i] for i, edge in enumerate(_CORNERS)}
        columns |= {"iou_known": self.known_overlaps}
        columns |= {f"iou_{name}": known for name, (_, known) in self.baselines.items()}
        columns |= {"iou_seeds": self.seeds_overlaps, "pointed": located.pointed, "energy_in_box": located.energy}
        columns |= {"pointed_centre": self.centred}
        return columns | self.errors()


def _cell(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.10g}"
