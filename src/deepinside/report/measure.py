"""The numbers of an artifact in words, and those of several things side by side."""

from collections.abc import Mapping, Sequence

from deepinside.report import number
from deepinside.report.folder import Cells
from deepinside.report.page import Artifact, Grid, Number

FEWEST = 2  # rows and columns that make a table of several things worth while


def numbers(cells: Sequence[Cells], artifact: Artifact, words: Mapping[str, str]) -> list[Number]:
    """The numbers of an artifact, worded and rounded.

    Args:
        cells: its `table.csv`.
        artifact: where they come from.
        words: readable names of metrics and of their prefixes.

    Returns:
        One per line of the table, in its order.
    """
    return [
        Number(
            artifact=artifact,
            metric=row.metric,
            **_names(row.metric, words),
            text=number.shown(row.value, row.unit),
            interval=number.interval(row.ci_low, row.ci_high, row.unit),
            count=number.shown(row.n) if row.n else "",
            unit=row.unit,
            value=row.value,
            low=row.ci_low,
            high=row.ci_high,
        )
        for row in (one.row for one in cells)
    ]


def _names(metric: str, words: Mapping[str, str]) -> dict[str, str]:
    # What it is of, a dot, what it is; what it is of may be a layer and hold dots itself.
    of, _, what = ("", "", metric) if metric in words else metric.rpartition(".")
    return {"what": words.get(what) or number.spelt(what), "of": words.get(of, of)}


def side_by_side(known: Sequence[Number], words: Mapping[str, str]) -> tuple[list[Number], Grid | None]:
    """Metrics of several things (`conv1.units`, `conv2.units`, `conv1.detectors` ...) as one table.

    A metric without a prefix that is measured of the others too stands in the first row.

    Args:
        known: numbers of one artifact.
        words: readable names; `<stage> itself` names the row without a prefix.

    Returns:
        The numbers that stand alone, and the table if there are enough others.
    """
    parts = [one.metric.rpartition(".") for one in known]
    columns = dict.fromkeys(what for _, dot, what in parts if dot)
    found = {(of, what): one for (of, _, what), one in zip(parts, known, strict=True)}
    own = {"": None} if any(("", column) in found for column in columns) else {}
    things = own | dict.fromkeys(of for of, dot, _ in parts if dot)
    if len(things) < FEWEST or len(columns) < FEWEST:
        return list(known), None
    itself = words.get(f"{known[0].artifact.stage} itself", "this method")
    rows = [(words.get(of, of) or itself, [found.get((of, what)) for what in columns]) for of in things]
    alone = [one for one, (of, dot, what) in zip(known, parts, strict=True) if not dot and what not in columns]
    return alone, Grid(
        [_head(what, [one for _, ones in rows if (one := ones[i])], words) for i, what in enumerate(columns)], rows
    )


def _head(what: str, column: Sequence[Number], words: Mapping[str, str]) -> tuple[str, str]:
    name = words.get(what) or number.spelt(what)
    units = {one.text.partition("\u00a0")[2] for one in column} - {""}
    unit = units.pop() if len(units) == 1 else ""
    return name, "" if unit.casefold() in name.casefold() else unit
