"""The register of claims: statements of the papers, measurements and verdicts."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from deepinside.report import number
from deepinside.report.catalogue import Catalogue, Cell, Claims, Column, Line, Rest, Tally, measured
from deepinside.report.folder import Folder, lines
from deepinside.report.measure import named
from deepinside.report.page import Artifact, Section
from deepinside.report.section import home, titled
from deepinside.report.settings import Chapter, Settings

_Place = tuple[str, str]  # title of the section, anchor of the part


@dataclass(frozen=True)
class Places:
    """Where numbers and artifacts appear on the page.

    Args:
        known: fingerprint or key -> artifact.
        numbers: (anchor of the artifact, metric) -> place.
        parts: (anchor of the artifact, anchor of the section) -> place; with an empty section where it is described.
        chapters: of the page.
    """

    known: Mapping[str, Artifact]
    numbers: Mapping[tuple[str, str], _Place]
    parts: Mapping[tuple[str, str], _Place]
    chapters: Sequence[Chapter]

    @classmethod
    def of(cls, artifacts: Iterable[Artifact], sections: Iterable[Section], chapters: Sequence[Chapter]) -> Self:
        """All places of the page."""
        numbers: dict[tuple[str, str], _Place] = {}
        parts: dict[tuple[str, str], _Place] = {}
        for section in sections:
            for part in section.parts:
                there, anchor = (section.title, part.anchor), part.artifact.anchor
                cells = [one for grid in part.grids for _, row in grid.rows for one in row if one]
                numbers |= {(anchor, one.metric): there for one in (*part.numbers, *cells)}
                parts[anchor, section.anchor] = there
                if part.first:
                    parts[anchor, ""] = there
        return cls({key: one for one in artifacts for key in (one.fingerprint, one.key)}, numbers, parts, chapters)

    def links(self, names: str, metric: str) -> tuple[_Place, ...]:
        """Text and address of links to the artifacts of a claim; the address is empty where there is none.

        Args:
            names: of artifacts, as in `claims.csv`.
            metric: that was measured; if no table has it, its words determine the section.
        """
        links: dict[str, str] = {}
        for name in filter(None, re.split(r"[\s;,]+", names)):
            artifact = self.known.get(name) or self.known.get(name.rstrip("/").rpartition("/")[2])
            if artifact is not None:
                title, anchor = self._of(artifact, metric)
                links.setdefault(title, f"#{anchor}")
            elif re.fullmatch(r"\w+/[0-9a-f]{16}", name):
                stage, again = name.partition("/")[0], sum(text.isdecimal() for text in links) + 2
                links[str(again) if stage in links else stage] = (
                    f"../../{quote(name)}/"  # of five seeds: dissect, 2, 3 ...
                )
            else:
                links.setdefault(name, "")
        return tuple(links.items())

    def _of(self, artifact: Artifact, metric: str) -> _Place:
        own = self.parts.get((artifact.anchor, ""), ("evidence", artifact.anchor))
        if (artifact.anchor, metric) in self.numbers:
            return self.numbers[artifact.anchor, metric]
        index = home(artifact.key, metric, self.chapters)
        title = titled(self.chapters[index].title) if index < len(self.chapters) else ""
        return self.parts.get((artifact.anchor, title), own)


FILE = "claims.csv"
NEEDED = ("id", "verdict", "statement", "world")
VERDICTS = {
    "supported": "supported",
    "negligible": "negligible",
    "contradicted": "contradicted",
    "undecided": "undecided",
    "needs_data": "needs data",
    "not_posed": "not posed",
}
DECIDED = ("supported", "negligible", "contradicted")
WORLDS = {
    "miniature": "synthetic data set",
    "real": "real photographs",
    "ilsvrc": "ILSVRC",
    "photographs": "photographs, ConvNet",
    "photographs_squeezenet": "photographs, SqueezeNet",
    "photographs_lite0": "photographs, EfficientNet-Lite0",
    "photographs_ilsvrc": "ILSVRC photographs, SqueezeNet",
}
ANCHOR = "claims-table"
COLUMNS = (
    Column("Claim"),
    Column("Verdict", choice=True),
    Column("Data set", choice=True),
    Column("Difference from the null", numeric=True),
    Column("n", numeric=True),
    Column("Evidence"),
)
_EARLIER = "earlier"  # key of the remark on a row that this run did not measure
_SHORT = 16  # characters of a unit


def register_rows(folders: Sequence[Folder]) -> list[dict[str, str]]:
    """The rows of all registers among the artifacts; damage is added to their problems."""
    holders = [folder for folder in folders if any(sheet.file == FILE for sheet in folder.sheets)]
    return [one for folder in holders for one in lines(folder, FILE, NEEDED)]


def with_earlier(rows: Sequence[Mapping[str, str]], before: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The tests of this run, and in the place of those that it did not make those of an earlier register.

    Args:
        rows: of this run.
        before: of the earlier register; what it did not decide is not taken.

    Returns:
        Rows; the earlier ones say so, and lead to no artifact, which may be on another machine.
    """
    known = {(one["id"], one["world"]): one for one in before if _tested(one)}
    merged = [one if _tested(one) else _marked(known.get((one["id"], one["world"])), one) for one in rows]
    there = {(one["id"], one["world"]) for one in rows}
    return merged + [_marked(one, one) for key, one in known.items() if key not in there]


def _tested(one: Mapping[str, str]) -> bool:
    return one["verdict"] in {*DECIDED, "undecided"}


def _marked(earlier: Mapping[str, str] | None, own: Mapping[str, str]) -> Mapping[str, str]:
    return own if earlier is None else {**earlier, "artifact": "", _EARLIER: "measured before, not by this run"}


def claims(
    rows: Sequence[Mapping[str, str]], artifacts: Sequence[Artifact], sections: Sequence[Section], settings: Settings
) -> Claims | None:
    """The register as the page shows it: what was decided, and the rest in short; None without rows."""
    if not rows:
        return None
    decided = [one for one in rows if _listed(one)]
    places = Places.of(artifacts, sections, settings.chapters)
    holder = next((one for one in artifacts if any(sheet.file == FILE for sheet in one.sheets)), None)
    listing = Catalogue(
        anchor=ANCHOR,
        title="",
        says="",
        noun="numbers",
        columns=COLUMNS,
        lines=[Line(_row(one, places, settings.words)) for one in decided],
        total=len(decided),
        file=FILE,
        href=f"{holder.href}{FILE}" if holder else "",
    )
    return Claims(_tallies(rows), listing, verdict=1, world=2, counted=_counted(rows), rest=_rest(rows))


def _listed(one: Mapping[str, str]) -> bool:
    # A verdict, or a word that is none of ours, which is not hidden.
    return one["verdict"] in DECIDED or one["verdict"] not in VERDICTS


def _counted(rows: Sequence[Mapping[str, str]]) -> str:
    claims = len({one["id"].partition(".")[0] for one in rows})
    numbers, worlds = (len({one[key] for one in rows}) for key in ("id", "world"))
    decided = sum(one["verdict"] in DECIDED for one in rows)
    counts = ", ".join(
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((claims, "claim"), (numbers, "number"), (worlds, "data set"))
    )
    return f"{counts}: {decided} of {len(rows)} tests decide"


def _rest(rows: Sequence[Mapping[str, str]]) -> list[Rest]:
    # One group per verdict that decides nothing: each test with the reason.
    groups = []
    for verdict, words in VERDICTS.items():
        mine = [one for one in rows if one["verdict"] == verdict and not _listed(one)]
        lines = [
            (f"{one['id']}, {WORLDS.get(one['world'], one['world'])}", one["statement"], _why(one)) for one in mine
        ]
        groups += [Rest(words, tone(verdict), lines)] if lines else []
    return groups


def _why(one: Mapping[str, str]) -> str:
    if one.get("needs"):
        return one["needs"]
    ends = (one.get("value") or "", one.get("ci_low") or "", one.get("ci_high") or "")
    value, low, high = (measured(end).text for end in ends)
    return f"{value} [{low}, {high}], rule {one['rule']}" if one.get("rule") else value


def _row(one: Mapping[str, str], places: Places, words: Mapping[str, str]) -> tuple[Cell, ...]:
    verdict = one["verdict"]
    text = VERDICTS.get(verdict, number.spelt(verdict).lower() or "not said")
    source = " · ".join(filter(None, (one["id"], one.get("source") or "")))
    predicted = one.get("predicted") or ""
    counted = measured(one.get("n") or "") if one.get("value") else measured("")
    return (
        Cell(
            one["statement"],
            key=one["id"],
            cites=True,
            note=f"{source}{f'. Predicted: {predicted}' if predicted else ''}",
        ),
        Cell(text, key=_rank(verdict), tone=tone(verdict), note=_corrected(one)),
        Cell(WORLDS.get(one["world"], one["world"] or "not said"), note=one.get(_EARLIER, "")),
        _measured(one, words),
        counted,
        Cell("", links=places.links(one.get("artifact") or "", one.get("metric") or "")),
    )


def _rank(verdict: str) -> int:
    return list(VERDICTS).index(verdict) if verdict in VERDICTS else len(VERDICTS)


def _corrected(one: Mapping[str, str]) -> str:
    # What is left of the verdict when the number of claims is taken into account (Holm), where the register says so.
    strict = one.get("verdict_holm") or one["verdict"]
    return "" if strict == one["verdict"] else f"{VERDICTS.get(strict, strict)} with all claims counted (Holm)"


def tone(verdict: str) -> str:
    """The class that colours a verdict."""
    return verdict.replace("_", "-") if verdict in VERDICTS else "undecided"


def _measured(one: Mapping[str, str], words: Mapping[str, str]) -> Cell:
    text = one.get("unit") or ""
    unit = text if len(text) <= _SHORT else ""  # a long one does not fit beside its number
    cell = measured(one.get("value") or "", unit=unit)
    ends = (measured(one.get(key) or "", unit=unit).text for key in ("ci_low", "ci_high"))
    low, high = (end.removesuffix("%").removesuffix(unit).rstrip() for end in ends)
    between = f"{low} to {high}" if "–" not in (low, high) else ""
    name = named(one.get("metric") or "", words)
    note = f"{name}, {text}" if text != unit and text.casefold() not in name.casefold() else name
    if one.get("null"):
        note = f"{note}; compared with {one['null']}{_against(one)}"
    return Cell(cell.text, key=cell.key, between=between, note=note)


def _against(one: Mapping[str, str]) -> str:
    # What was measured, and what the null was, whose difference the number is.
    null = measured(one.get("null_value") or "")
    if null.text == "–":
        return ""
    return f", {number.shown(float(one['value']) + float(one['null_value']), '')} against {null.text}"


def _tallies(rows: Sequence[Mapping[str, str]]) -> list[Tally]:
    worlds = [world for world in WORLDS if any(one["world"] == world for one in rows)]
    worlds += sorted({one["world"] for one in rows} - set(worlds))
    tallies = []
    for world in worlds:
        title = WORLDS.get(world, world or "not stated")
        tallies.append(_tally(title, title, [one for one in rows if one["world"] == world]))
    return [_tally("all data sets", "", rows), *tallies] if len(worlds) > 1 else tallies


def _tally(title: str, world: str, members: Sequence[Mapping[str, str]]) -> Tally:
    counts = Counter(one["verdict"] for one in members)
    return Tally(title, world, [(words, tone(verdict), counts[verdict]) for verdict, words in VERDICTS.items()])
