"""The atlas of units: the concept that each of them detects, from the `units.csv` of a dissection."""

from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from deepinside.report import number
from deepinside.report.catalogue import Catalogue, Cell, Column, Line, Shown, measured, slider
from deepinside.report.entries import AGREEMENT, Subjects, strip_anchor
from deepinside.report.exhibit import Exhibits
from deepinside.report.folder import Folder, lines
from deepinside.report.page import Artifact
from deepinside.report.strips import Strip

FILE = "units.csv"
NEEDED = ("layer", "unit", "category", "label", "score")
COLUMNS = (
    Column("Unit"),
    Column("Layer", choice=True, hidden=True),
    Column("Concept"),
    Column("Category", choice=True),
    Column("IoU", numeric=True),
    Column("Also"),
)
_IOU = 4
CHIPS = 14  # concepts offered for a click
ALSO = 2  # further concepts of a unit, of other categories


def units_of(folder: Folder) -> list[dict[str, str]]:
    """The units of a dissection, those with the highest scores first; damage is added to the folder's problems."""
    if folder.stage != "dissect" or not any(sheet.file == FILE for sheet in folder.sheets):
        return []
    return sorted(lines(folder, FILE, NEEDED), key=lambda unit: -_score(unit["score"]))


def with_agreement(folder: Folder, units: Sequence[dict[str, str]], folders: Sequence[Folder]) -> list[dict[str, str]]:
    """Units with how far methods agree about them, where another artifact of the same network says so."""
    measures = {
        (row["layer"], row["unit"]): row[AGREEMENT]
        for other in folders
        if other.stage == "visualise" and other.inputs.get("network") == folder.inputs.get("network")
        for row in lines(other, "unit_agreement.csv", ("layer", "unit", AGREEMENT))
    }
    return [unit | {AGREEMENT: measures.get((unit["layer"], unit["unit"]), "")} for unit in units]


def atlas(
    folder: Folder,
    artifact: Artifact,
    units: Sequence[Mapping[str, str]],
    exhibits: Exhibits,
    most: int,
    pictures: Mapping[tuple[str, str], Strip],
    subjects: Subjects,
) -> Catalogue | None:
    """The table of all units of a dissection, at most `most` rows; None without units.

    `pictures` are the strips of top images by (layer, unit), `subjects` the units of the page.
    """
    if not units:
        return None
    border = _border(folder)
    detectors = Counter(unit["label"] for unit in units if _score(unit["score"]) > border)
    cards = {one.file: exhibits.anchor(folder.key, one) for one in folder.pictures}
    compared = any(unit.get(AGREEMENT) for unit in units[:most])
    shown = _rows(units[:most], cards, pictures, folder, artifact, subjects, compared)
    return Catalogue(
        anchor=f"{artifact.anchor}-atlas",
        title="Atlas of units",
        says=_says(len(units), sum(detectors.values()), len(detectors), border, bool(pictures), compared),
        noun="units",
        columns=(*COLUMNS, Column("Agreement", numeric=True)) if compared else COLUMNS,
        lines=shown,
        total=len(units),
        file=FILE,
        href=f"{artifact.href}{FILE}",
        slider=slider(shown, _IOU, "IoU at least"),
        chips=detectors.most_common(CHIPS),
    )


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if value == value else -1.0


def _border(folder: Folder) -> float:
    chosen = folder.config.get("dissect")
    return _score(str(chosen.get("iou"))) if isinstance(chosen, Mapping) else 0.0


def _says(units: int, detectors: int, concepts: int, border: float, pictured: bool, compared: bool) -> str:
    found = f"{number.shown(detectors)} of {number.shown(units)} units detect one of {number.shown(concepts)} concepts"
    message = (
        f"{found}: the places where such a unit fires hardest and the places where the concept is overlap by more than "
        f"{border:g} of their union (IoU). "
    )
    shown = "The images are those with the highest activations, bright above the threshold. " if pictured else ""
    agree = "Agreement: how far the other methods show the same of a unit, 0.5 by chance. " if compared else ""
    return f"{message}{shown}{agree}A name that is a link opens all that is known about the unit."


def _rows(
    units: Sequence[Mapping[str, str]],
    cards: Mapping[str, str],
    pictures: Mapping[tuple[str, str], Strip],
    folder: Folder,
    artifact: Artifact,
    subjects: Subjects,
    compared: bool,
) -> list[Line]:
    end = max((_score(unit["score"]) for unit in units), default=0.0)
    return [
        Line(
            (
                Cell(
                    f"{unit['layer']} {unit['unit']}",
                    key=f"{unit['layer']} {unit['unit'].rjust(6)}",
                    shown=_shown(unit, pictures.get((unit["layer"], unit["unit"])), artifact),
                ),
                Cell(unit["layer"]),
                Cell(unit["label"] or "–"),
                Cell(unit["category"] or "none"),
                measured(unit["score"], end),
                Cell(_also(unit)),
                *([measured(unit.get(AGREEMENT, ""), 1.0)] if compared else []),
            ),
            cards.get(_card(unit), ""),
            subjects.anchor(folder, f"unit/{unit['layer']}/{unit['unit']}"),
        )
        for unit in units
    ]


def _shown(unit: Mapping[str, str], strip: Strip | None, artifact: Artifact) -> Shown | None:
    if strip is None:
        return None
    title = f"{unit['layer']} unit {unit['unit']}: {unit['label'] or 'no concept'}, IoU {measured(unit['score']).text}"
    also = f" Also: {others}." if (others := _also(unit)) else ""
    alt = f"The images with its highest activations, bright where it exceeds its threshold.{also}"
    return Shown(strip.embedded, title, alt, artifact.href + quote(strip.file), strip_anchor(artifact, unit))


def _card(unit: Mapping[str, str]) -> str:
    # As the stage `dissect` names the image of a unit.
    return f"pictures/unit_{unit['layer'].replace('.', '_')}_{unit['unit'].rjust(4, '0')}.png"


def _also(unit: Mapping[str, str]) -> str:
    others = [
        (_score(value), unit.get(f"{category}-label") or "")
        for name, value in unit.items()
        if name and name.endswith("-iou") and (category := name.removesuffix("-iou")) != unit["category"]
    ]
    best = sorted(((score, label) for score, label in others if label and score > 0), reverse=True)[:ALSO]
    return ", ".join(f"{label} {number.shown(score)}" for score, label in best)
