"""Long tables that can be searched, filtered and sorted on the page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepinside.report import number
from deepinside.report.embed import Embedded

STEPS = 50  # of a slider


@dataclass(frozen=True)
class Shown:
    """An image of a row: caption, the file that contains it, larger or with others, and its anchor."""

    embedded: Embedded
    title: str
    alt: str
    href: str
    anchor: str


@dataclass(frozen=True)
class Cell:
    """A cell of a long table.

    Args:
        text: of the cell.
        key: for sorting, if not the text.
        between: its interval, below the text.
        note: smaller, below both.
        href: target of the link; empty for none.
        tone: class that colours it.
        bar: drawn behind the text, in percent of the column; None for none.
        links: further links, text and address.
        shown: an image before the text.
        cites: whether the note names papers, which are then links.
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
    cites: bool = False

    @property
    def order(self) -> str:
        """The key by which the script sorts; empty for an unknown number, which comes last."""
        if isinstance(self.key, float | int):
            return f"{self.key:.6g}" if math.isfinite(self.key) else ""
        return self.key or self.text


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        title: its heading.
        numeric: whether it contains numbers.
        choice: whether it has a menu of its few values.
        hidden: whether it is only for the menu, because another column shows the same.
    """

    title: str
    numeric: bool = False
    choice: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Line:
    """A row; `entry` is the address of all about it, `picture` the anchor of its image, each empty for none."""

    cells: Sequence[Cell]
    picture: str = ""
    entry: str = ""


@dataclass(frozen=True)
class Slider:
    """A numeric filter: only rows whose cell in `column` is at least the chosen value."""

    column: int
    title: str
    end: float
    step: float


@dataclass(frozen=True)
class Catalogue:
    """A long table.

    Args:
        anchor: in the page.
        title: its heading; empty if that of the section suffices.
        says: one sentence.
        noun: what a row is, plural.
        columns: headings.
        lines: rows, as many as the page may contain.
        total: number of all rows.
        file: that has all of them.
        href: of that file.
        slider: a numeric filter.
        chips: suggested search terms, with the number of matching rows.
        first: whether it comes before the images.
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
    first: bool = False

    @property
    def pictured(self) -> bool:
        """Whether any row has an image."""
        return any(line.picture or line.cells[0].shown for line in self.lines)

    @property
    def weight(self) -> int:
        """Bytes of the images in its cells."""
        return sum(len(cell.shown.embedded.uri) for line in self.lines for cell in line.cells if cell.shown)

    def choices(self) -> list[tuple[int, str, list[tuple[str, int]]]]:
        """The columns with a menu: position, heading, and each value with the number of its rows."""
        return [
            (place, column.title, options)
            for place, column in enumerate(self.columns)
            if column.choice and len(options := _counted(line.cells[place].text for line in self.lines)) > 1
        ]


@dataclass(frozen=True)
class Tally:
    """Number of claims by verdict on one data set, or on all (`world` is then empty): words, tone and count."""

    title: str
    world: str
    verdicts: Sequence[tuple[str, str, int]]

    @property
    def total(self) -> int:
        """Of all verdicts."""
        return sum(count for _, _, count in self.verdicts)


@dataclass(frozen=True)
class Rest:
    """Claims without a decision, of one kind: words, tone, and per test its name, statement and reason."""

    title: str
    tone: str
    lines: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Claims:
    """The register of claims; `verdict` and `world` are the positions of these columns.

    The catalogue lists what was decided, `rest` the others; `counted` says how many there are.
    """

    tallies: Sequence[Tally]
    catalogue: Catalogue
    verdict: int
    world: int
    counted: str = ""
    rest: Sequence[Rest] = ()


def _counted(values: Iterable[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return list(counts.items())


def measured(text: str, end: float = math.nan, unit: str = "") -> Cell:
    """A cell with a number; text that is no number is shown as a dash and sorted last.

    `end` is the end of the column's bars, NaN for none.
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
    """A filter from zero to the largest number of a column; None if no number is above zero."""
    keys = [line.cells[column].key for line in lines]
    end = max((key for key in keys if isinstance(key, float) and math.isfinite(key)), default=0.0)
    if end <= 0:
        return None
    step = 10.0 ** math.floor(math.log10(end / STEPS))
    return Slider(column, title, round(math.floor(end / step) * step, 9), round(step, 9))
