"""The typed contents of artifacts, checked at construction."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from deepinside.spelling import readable


def _expect(condition: bool, expected: str, came: object, fix: str) -> None:
    if not condition:
        raise ValueError(f"expected {expected}, got {came}: {fix}")


@dataclass(frozen=True)
class Batch:
    """Images of one size, the input of every method.

    Args:
        images: RGB in [0, 1], (n, 3, h, w).
        names: one unique name per image.
        labels: class index per image, (n,), -1 where unknown; None where no image has one.

    Raises:
        ValueError: if shape, range or lengths disagree.
    """

    images: Float[Tensor, "n 3 h w"]
    names: tuple[str, ...]
    labels: Int[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        _expect(len(shape) == 4 and shape[1] == 3, "images (n, 3, h, w)", shape, "stack RGB images of one size")
        _expect(self.images.is_floating_point(), "floating-point images", self.images.dtype, "divide bytes by 255")
        low, high = (float(self.images.min()), float(self.images.max())) if self.images.numel() else (0.0, 0.0)
        _expect(
            low >= -1e-6 and high <= 1 + 1e-6,
            "images in [0, 1]",
            (low, high),
            "pass them without normalisation, which the network applies",
        )
        _expect(len(self.names) == shape[0], f"{shape[0]} names", len(self.names), "one per image")
        if self.labels is not None:
            _expect(tuple(self.labels.shape) == shape[:1], f"{shape[0]} labels", tuple(self.labels.shape), "one each")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, part: slice) -> "Batch":
        return Batch(self.images[part], self.names[part], None if self.labels is None else self.labels[part])


@dataclass(frozen=True)
class Maps:
    """One map per image and target: saliency, projection, occlusion.

    Args:
        values: (n, k, h, w), k targets per image.
        signed: whether zero is the middle (diverging colours) or the bottom of the scale.

    Raises:
        ValueError: if the shape is wrong, a value is not finite, or an unsigned map is negative.
    """

    values: Float[Tensor, "n k h w"]
    signed: bool = False

    def __post_init__(self) -> None:
        _expect(self.values.ndim == 4, "maps (n, k, h, w)", tuple(self.values.shape), "add the missing axes")
        _expect(bool(self.values.isfinite().all()), "finite maps", "NaN or inf", "check the weights")
        if not self.signed and self.values.numel():
            low = float(self.values.min())
            _expect(low >= 0, "an unsigned map", f"a minimum of {low}", "return Maps(values, signed=True)")


@dataclass(frozen=True)
class Images:
    """Images synthesised by a method.

    Args:
        values: RGB in [0, 1], (n, 3, h, w).
        titles: one per image.
        traces: named curves over the steps of the optimisation, each (steps, n).
        measured: named columns of measurements of each image, such as `class`, `unit`, `score`, `rank`, `state`.

    Raises:
        ValueError: if shapes disagree or a value is not finite.
    """

    values: Float[Tensor, "n 3 h w"]
    titles: tuple[str, ...]
    traces: dict[str, Float[Tensor, "steps n"]]
    measured: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(self.values.shape)
        _expect(len(shape) == 4 and shape[1] == 3, "images (n, 3, h, w)", shape, "stack RGB images of one size")
        _expect(bool(self.values.isfinite().all()), "finite images", "NaN or inf", "lower the step size")
        _expect(len(self.titles) == shape[0], f"{shape[0]} titles", len(self.titles), "one per image")
        for name, column in self.measured.items():
            _expect(len(column) == shape[0], f"{shape[0]} values of {name}", len(column), "one per image")


@dataclass(frozen=True)
class Boxes:
    """Half-open boxes `x0 y0 x1 y1` in the pixels of the original image: width is x1 - x0.

    Args:
        xyxy: (b, 4), x from the left, y from the top.

    Raises:
        ValueError: if a box is not finite or has no area.
    """

    xyxy: Float[ndarray, "b 4"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", np.asarray(self.xyxy, dtype=np.float64).reshape(-1, 4))
        sides = self.xyxy[:, 2:] - self.xyxy[:, :2]
        good = bool(np.isfinite(self.xyxy).all() and (sides > 0).all())
        _expect(good, "boxes x0 < x1, y0 < y1", self.xyxy.tolist(), "half-open boxes cover at least one pixel")

    def __len__(self) -> int:
        return len(self.xyxy)

    def inside(self, width: int, height: int) -> bool:
        """Whether all boxes are inside an image.

        Args:
            width: of the image, in pixels.
            height: of the image, in pixels.

        Returns:
            False if one reaches outside by more than a pixel (boxes of ILSVRC count from 0 or from 1) and more than
            1 % of the side (they may have been scaled).
        """
        sides = np.array([width, height])
        slack = np.maximum(1.0, 0.01 * sides)
        return bool((self.xyxy[:, :2] >= -slack).all() and (self.xyxy[:, 2:] <= sides + slack).all())

    @classmethod
    def from_inclusive(cls, corners: Float[ndarray, "b 4"] | Sequence[Sequence[float]]) -> Self:
        """Boxes from a file whose last column and row belong to the box (ILSVRC, PASCAL VOC).

        Args:
            corners: (b, 4), xmin ymin xmax ymax in pixels, both ends inside.

        Returns:
            The same boxes, half-open.
        """
        return cls(np.asarray(corners, dtype=np.float64).reshape(-1, 4) + np.array([0, 0, 1, 1]))

    def to_inclusive(self) -> Float[ndarray, "b 4"]:
        """The boxes as ILSVRC files write them.

        Returns:
            (b, 4), xmin ymin xmax ymax, both ends inside.
        """
        return self.xyxy - np.array([0, 0, 1, 1])


class Row(NamedTuple):
    """One number of a table; its 95 % interval is NaN if none was computed."""

    metric: str
    value: float
    unit: str = ""
    n: int = 0
    ci_low: float = math.nan
    ci_high: float = math.nan


def _cell(value: str | float | int) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(round(value, 10))
    return str(value)


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


@dataclass(frozen=True)
class Table:
    """The numbers of an artifact, `table.csv`: metric, value, unit, n, ci_low, ci_high.

    Raises:
        ValueError: if a metric appears twice.
    """

    rows: tuple[Row, ...]

    def __init__(self, rows: Iterable[Row | tuple]) -> None:
        object.__setattr__(self, "rows", tuple(Row(*row) for row in rows))
        names = [row.metric for row in self.rows]
        _expect(len(set(names)) == len(names), "each metric once", sorted(names), "rename one of the two")

    def __getitem__(self, metric: str) -> Row:
        try:
            return next(row for row in self.rows if row.metric == metric)
        except StopIteration:
            raise KeyError(f"no metric {metric!r} here; there are {[row.metric for row in self.rows]}") from None

    def write(self, folder: str | Path) -> None:
        """Writes `table.csv`; unknown values are empty cells.

        Args:
            folder: of the artifact.
        """
        folder = Path(folder)
        with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Row._fields)
            writer.writerows([_cell(value) for value in row] for row in self.rows)

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Reads `table.csv`.

        Args:
            folder: an artifact.

        Returns:
            The table; empty cells are NaN.
        """
        folder = Path(folder)
        with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        return cls(
            Row(r["metric"], _number(r["value"]), r["unit"], int(r["n"]), _number(r["ci_low"]), _number(r["ci_high"]))
            for r in lines
        )


def write_set_aside(folder: str | Path, rows: Iterable[tuple[str, str]]) -> None:
    """Writes `set_aside.csv`, the files that could not be used.

    Args:
        folder: where to.
        rows: file, relative to the root of the data, and reason; bytes of a name that are no UTF-8 are written out.
    """
    with (Path(folder) / "set_aside.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "reason"))
        writer.writerows(tuple(map(readable, row)) for row in rows)
