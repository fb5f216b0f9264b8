"""The register of claims: what the papers say, what was measured, and the verdict."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from deepinside.report import number
from deepinside.report.catalogue import Catalogue, Cell, Claims, Column, Line, Tally, measured
from deepinside.report.folder import Folder, lines
from deepinside.report.page import Artifact, Section

FILE = "claims.csv"
NEEDED = ("id", "verdict", "statement", "world")
VERDICTS = {
    "supported": "supported",
    "contradicted": "contradicted",
    "undecided": "undecided",
    "needs_data": "needs data",
}
WORLDS = {"miniature": "miniature world", "real": "real photographs", "ilsvrc": "ILSVRC"}
ANCHOR = "claims-table"
COLUMNS = (
    Column("Claim"),
    Column("Verdict", choice=True),
    Column("World", choice=True),
    Column("Measured", numeric=True),
    Column("n", numeric=True),
    Column("Evidence"),
)
_SHORT = 16  # characters of a unit


def told(folders: Sequence[Folder]) -> list[dict[str, str]]:
    """The rows of all registers among the artifacts.

    Args:
        folders: as read; damage of a register is added to its problems.

    Returns:
        Column -> text.
    """
    holders = [folder for folder in folders if any(sheet.file == FILE for sheet in folder.sheets)]
    return [one for folder in holders for one in lines(folder, FILE, NEEDED)]


def claims(
    rows: Sequence[Mapping[str, str]], artifacts: Sequence[Artifact], sections: Iterable[Section]
) -> Claims | None:
    """The register as the page shows it.

    Args:
        rows: see `told`.
        artifacts: of the page.
        sections: of the page, where the evidence is shown.

    Returns:
        The register; None without rows.
    """
    if not rows:
        return None
    places = _places(sections)
    known = {key: one for one in artifacts for key in (one.fingerprint, one.key)}
    holder = next(one for one in artifacts if any(sheet.file == FILE for sheet in one.sheets))
    listing = Catalogue(
        anchor=ANCHOR,
        title="",
        says="",
        noun="claims",
        columns=COLUMNS,
        lines=[Line(_row(one, known, places)) for one in sorted(rows, key=_open)],
        total=len(rows),
        file=FILE,
        href=f"{holder.href}{FILE}",
    )
    return Claims(_tallies(rows), listing, verdict=1, world=2)


def _places(sections: Iterable[Section]) -> dict[tuple[str, str], tuple[str, str]]:
    # Where a number, or (with an empty metric) an artifact, is shown: title of the section and anchor of the part.
    places: dict[tuple[str, str], tuple[str, str]] = {}
    for section in sections:
        for part in section.parts:
            there = (section.title, part.anchor)
            cells = [one for _, row in (line for grid in part.grids for line in grid.rows) for one in row if one]
            for one in (*part.numbers, *cells):
                places[part.artifact.anchor, one.metric] = there
            if part.first:
                places[part.artifact.anchor, ""] = there
    return places


def _row(
    one: Mapping[str, str], known: Mapping[str, Artifact], places: Mapping[tuple[str, str], tuple[str, str]]
) -> tuple[Cell, ...]:
    verdict = one["verdict"]
    words = VERDICTS.get(verdict, number.spelt(verdict).lower() or "not said")
    source = " · ".join(filter(None, (one["id"], one.get("source") or "")))
    predicted = one.get("predicted") or ""
    counted = measured(one.get("n") or "") if one.get("value") else measured("")
    return (
        Cell(one["statement"], key=one["id"], note=f"{source}{f'. Predicted: {predicted}' if predicted else ''}"),
        Cell(words, key=_rank(verdict), tone=_tone(verdict), note=_corrected(one)),
        Cell(WORLDS.get(one["world"], one["world"] or "not said")),
        _measured(one),
        counted,
        Cell("", links=_evidence(one, known, places)),
    )


def _open(one: Mapping[str, str]) -> bool:
    # What was measured stands before what lacks data, else in the register's order.
    return one["verdict"] == "needs_data"


def _rank(verdict: str) -> int:
    return list(VERDICTS).index(verdict) if verdict in VERDICTS else len(VERDICTS)


def _corrected(one: Mapping[str, str]) -> str:
    # What is left of the verdict when the number of claims is taken into account (Holm), where the register says so.
    strict = one.get("verdict_holm") or one["verdict"]
    return "" if strict == one["verdict"] else f"{VERDICTS.get(strict, strict)} with all claims counted (Holm)"


def _tone(verdict: str) -> str:
    return verdict.replace("_", "-") if verdict in VERDICTS else "undecided"


def _measured(one: Mapping[str, str]) -> Cell:
    said = one.get("unit") or ""
    unit = said if len(said) <= _SHORT else ""  # a long one does not fit beside its number
    cell = measured(one.get("value") or "", unit=unit)
    ends = (measured(one.get(key) or "", unit=unit).text for key in ("ci_low", "ci_high"))
    low, high = (end.removesuffix("%").removesuffix(unit).rstrip() for end in ends)
    between = f" [{low} to {high}]" if "–" not in (low, high) else ""
    note = (one.get("metric") or "").replace("_", " ") + (f", {said}" if said != unit else "")
    if not one.get("value") and one.get("needs"):
        note = f"needs {one['needs']}"
    return Cell(f"{cell.text}{between}", key=cell.key, note=note)


def _evidence(
    one: Mapping[str, str], known: Mapping[str, Artifact], places: Mapping[tuple[str, str], tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    links: dict[str, str] = {}
    for name in filter(None, re.split(r"[\s;,]+", one.get("artifact") or "")):
        artifact = known.get(name) or known.get(name.rstrip("/").rpartition("/")[2])
        if artifact is not None:
            own = (artifact.anchor, "")
            title, anchor = places.get((artifact.anchor, one.get("metric") or ""), places.get(own, ("evidence", "")))
            links.setdefault(title, f"#{anchor or artifact.anchor}")
        elif re.fullmatch(r"\w+/[0-9a-f]{16}", name):
            links.setdefault(name.partition("/")[0], f"../../{quote(name)}/")
        else:
            links.setdefault(name, "")
    return tuple(links.items())


def _tallies(rows: Sequence[Mapping[str, str]]) -> list[Tally]:
    worlds = [world for world in WORLDS if any(one["world"] == world for one in rows)]
    worlds += sorted({one["world"] for one in rows} - set(worlds))
    tallies = []
    for world in worlds:
        title = WORLDS.get(world, world or "not said")
        tallies.append(_tally(title, title, [one for one in rows if one["world"] == world]))
    return [_tally("all worlds", "", rows), *tallies] if len(worlds) > 1 else tallies


def _tally(title: str, world: str, members: Sequence[Mapping[str, str]]) -> Tally:
    counts = Counter(one["verdict"] for one in members)
    return Tally(title, world, [(words, _tone(verdict), counts[verdict]) for verdict, words in VERDICTS.items()])
