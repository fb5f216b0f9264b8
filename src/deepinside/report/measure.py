"""The numbers of an artifact in words, and tables of comparable ones."""

import re
from collections.abc import Mapping, Sequence

from deepinside.report import number
from deepinside.report.folder import Cells
from deepinside.report.page import Artifact, Grid, Number

BETWEEN = " · "
_DOT = r"\.(?![\d_])"
FEWEST = 2  # rows and columns that make a table of several things worth while


def numbers(cells: Sequence[Cells], artifact: Artifact, words: Mapping[str, str]) -> list[Number]:
    """The numbers of a `table.csv`, worded and rounded, in its order."""
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


def named(metric: str, words: Mapping[str, str]) -> str:
    """A metric in one line."""
    what, of = _names(metric, words).values()
    return f"{what}, {of}" if of else what


def _spelt(of: str, words: Mapping[str, str]) -> str:
    # `method.layer.setting` piece by piece; dots before figures and underscores belong to the name of a layer.
    if of in words:
        return words[of]
    head, dot, rest = of.partition(".")
    if dot and head in words:
        return f"{words[head]}{BETWEEN}{_spelt(rest, words)}"
    pieces = re.split(_DOT, of)
    return BETWEEN.join(words.get(one) or (one if one.startswith("_") else one.replace("_", " ")) for one in pieces)


def _parted(metric: str) -> tuple[str, str, str]:
    # As `rpartition(".")`, but for the point within a number and for what begins like a part of a layer's name.
    dots = [found.start() for found in re.finditer(_DOT, metric)]
    return (metric[: dots[-1]], ".", metric[dots[-1] + 1 :]) if dots else ("", "", metric)


def _what(name: str) -> str:
    what, dot, layer = name.partition("._")
    return f"{number.spelt(what)}, _{layer}" if dot else number.spelt(what)


def _names(metric: str, words: Mapping[str, str]) -> dict[str, str]:
    # What it is of, a dot, what it is; what it is of may be a layer and hold dots itself.
    of, _, what = ("", "", metric) if metric in words else _parted(metric)
    return {"what": words.get(what) or _what(what), "of": _spelt(of, words)}


def side_by_side(known: Sequence[Number], words: Mapping[str, str]) -> tuple[list[Number], list[Grid]]:
    """Metrics of several things (`conv1.units`, `conv2.units`, `conv1.detectors` ...) as tables.

    A metric without a prefix that the others have, too, is in the first row. Things without a common metric are in
    separate tables. Returns the numbers that belong to no table, and the tables.
    """
    parts = [_parted(one.metric) for one in known]
    columns = dict.fromkeys(what for _, dot, what in parts if dot)
    found = {(of, what): one for (of, dot, what), one in zip(parts, known, strict=True) if dot or what in columns}
    grids, placed = [], set()
    for things in _related(found):
        shared_columns = [what for what in columns if any((of, what) in found for of in things)]
        if len(things) >= FEWEST and len(shared_columns) >= FEWEST:
            grids.append(_grid(things, shared_columns, found, words))
            placed |= {(of, what) for of in things for what in shared_columns}
    return [one for (of, _, what), one in zip(parts, known, strict=True) if (of, what) not in placed], grids


def _related(found: Mapping[tuple[str, str], Number]) -> list[list[str]]:
    # Groups of things that are joined by metrics which they share, the unnamed thing first.
    groups: list[tuple[list[str], set[str]]] = []
    for of in sorted(dict.fromkeys(of for of, _ in found), key=bool):
        own = {what for thing, what in found if thing == of}
        joined = [group for group in groups if group[1] & own]
        merged = [thing for things, _ in joined for thing in things]
        groups = [group for group in groups if group not in joined]
        groups.append(([*merged, of], own.union(*(whats for _, whats in joined))))
    return [things for things, _ in groups]


def _grid(
    things: Sequence[str], columns: Sequence[str], found: Mapping[tuple[str, str], Number], words: Mapping[str, str]
) -> Grid:
    stage = next(iter(found.values())).artifact.stage
    itself = words.get(f"{stage} itself", "this method")
    names = [_spelt(of, words) for of in things]
    names = _short(names) if stage == "visualise" else names
    rows = [
        (name or itself, [found.get((of, what)) for what in columns]) for name, of in zip(names, things, strict=True)
    ]
    heads = [_head(what, [one for _, ones in rows if (one := ones[i])], words) for i, what in enumerate(columns)]
    return Grid(heads, rows)


def _short(names: Sequence[str]) -> list[str]:
    # Without the name of the method, where it is that of all: the table is beside its images.
    parts = [name.partition(BETWEEN) for name in names if name]
    alike = len({first for first, _, _ in parts}) == 1 and all(rest for _, _, rest in parts)
    return [name.partition(BETWEEN)[2] if alike else name for name in names]


def _head(what: str, column: Sequence[Number], words: Mapping[str, str]) -> tuple[str, str]:
    name = words.get(what) or _what(what)
    units = {one.text.partition("\u00a0")[2] for one in column} - {""}
    unit = units.pop() if len(units) == 1 else ""
    return name, "" if unit.casefold() in name.casefold() else unit
