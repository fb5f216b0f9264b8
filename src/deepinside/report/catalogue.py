"""Long tables that can be searched, filtered and sorted on the page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepinside.report import number
from deepinside.report.embed import Embedded

STEPS = 50  # of a slider


@dataclass(frozen=True)
class Shown:
    """An image of a row: what it shows, and the file that has it, larger or with others."""

    embedded: Embedded
    title: str
    alt: str
    href: str


@dataclass(frozen=True)
class Cell:
    """A cell of a long table.

    Args:
        text: what is read.
        key: what it is sorted by, where that is not the text.
        between: its interval, below the text.
        note: smaller, below both.
        href: where the text leads; empty for nowhere.
        tone: class that colours it.
        bar: drawn behind the text, in percent of the column; None for none.
        links: further links, text and place.
        shown: an image before the text.
    """

    text: str
    key: float | str = ""
    between: str = ""
    note: str = ""
    href: str = ""
    tone: str = ""
    bar: float | None = None
    links: Sequence[tuple[str, str]] = ()
    shown: Shown | None = None

    @property
    def order(self) -> str:
        """The key as the script compares it; empty for a number that is not known, which comes last."""
        if isinstance(self.key, float | int):
            return f"{self.key:.6g}" if math.isfinite(self.key) else ""
        return self.key or self.text


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        title: its heading.
        numeric: whether it holds numbers.
        choice: whether the reader chooses among its few values.
        hidden: whether it is there for the choice alone, for another column says the same.
    """

    title: str
    numeric: bool = False
    choice: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Line:
    """A row; `picture` is the anchor of the image that belongs to it, empty for none."""

    cells: Sequence[Cell]
    picture: str = ""


@dataclass(frozen=True)
class Slider:
    """A filter by number: only rows whose cell in `column` reaches it."""

    column: int
    title: str
    end: float
    step: float


@dataclass(frozen=True)
class Catalogue:
    """A long table.

    Args:
        anchor: in the page.
        title: its heading; empty where the section's does.
        says: one sentence.
        noun: what a row is, plural.
        columns: headings.
        lines: rows; as many as the page may hold.
        total: how many there are.
        file: that has all of them.
        href: of that file.
        slider: a filter by number.
        chips: what many readers will search for, with how many rows have it.
    """

    anchor: str
    title: str
    says: str
    noun: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    total: int
    file: str
    href: str
    slider: Slider | None = None
    chips: Sequence[tuple[str, int]] = ()

    @property
    def pictured(self) -> bool:
        """Whether any row has an image."""
        return any(line.picture or line.cells[0].shown for line in self.lines)

    @property
    def weight(self) -> int:
        """Bytes that the images in its cells take."""
        return sum(len(cell.shown.embedded.uri) for line in self.lines for cell in line.cells if cell.shown)

    def choices(self) -> list[tuple[int, str, list[tuple[str, int]]]]:
        """The columns to choose in.

        Returns:
            Position, heading, and each value with the number of its rows, in order of appearance.
        """
        return [
            (place, column.title, options)
            for place, column in enumerate(self.columns)
            if column.choice and len(options := _counted(line.cells[place].text for line in self.lines)) > 1
        ]


@dataclass(frozen=True)
class Tally:
    """How many claims got which verdict in one world, or in all (`world` is empty then): words, tone and count."""

    title: str
    world: str
    verdicts: Sequence[tuple[str, str, int]]

    @property
    def total(self) -> int:
        """Of all verdicts."""
        return sum(count for _, _, count in self.verdicts)


@dataclass(frozen=True)
class Claims:
    """The register of claims; `verdict` and `world` are the places of these columns."""

    tallies: Sequence[Tally]
    catalogue: Catalogue
    verdict: int
    world: int


def _counted(values: Iterable[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return list(counts.items())


def measured(text: str, end: float = math.nan, unit: str = "") -> Cell:
    """A cell with a number.

    Args:
        text: as the file has it; what is no number is shown as a dash and sorted last.
        end: of the column's bars; NaN for none.
        unit: of the number.

    Returns:
        The cell.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        return Cell("–", key=-math.inf)
    bar = round(min(100.0, max(0.0, 100 * value / end)), 1) if end > 0 else None
    return Cell(number.shown(value, unit), key=value, bar=bar)


def slider(lines: Sequence[Line], column: int, title: str) -> Slider | None:
    """A filter that reaches from zero to the largest number of a column.

    Args:
        lines: rows.
        column: position of the numbers.
        title: of the filter.

    Returns:
        The filter; None where no number is above zero.
    """
    keys = [line.cells[column].key for line in lines]
    end = max((key for key in keys if isinstance(key, float) and math.isfinite(key)), default=0.0)
    if end <= 0:
        return None
    step = 10.0 ** math.floor(math.log10(end / STEPS))
    return Slider(column, title, round(math.floor(end / step) * step, 9), round(step, 9))
