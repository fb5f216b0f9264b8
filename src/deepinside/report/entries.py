"""Addresses on the page for every image and every unit, and what is known about each."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deepinside.report.catalogue import measured
from deepinside.report.exhibit import Exhibits, unique
from deepinside.report.folder import Folder, lines
from deepinside.report.measure import named
from deepinside.report.page import Artifact, Entry

PER_IMAGE = "per_image.csv"
AGREEMENT = "agreement"  # what `method=unit_agreement` measures of a unit
_HIDDEN = re.compile(r"image|label|predicted|height|width|blacklisted|(label|found|x0|y0|x1|y1|iou)_(\d|known)")
_BOX = ("x0_known", "y0_known", "x1_known", "y1_known")
_OVERLAP = "iou_known"
_FLOAT = re.compile(r"-?\d*\.\d+(e-?\d+)?")
Key = tuple[str, str]  # what names belong to (a data set or a network), `image/NAME` or `unit/LAYER/NUMBER`


@dataclass
class _Draft:
    facts: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    strip: str = ""


@dataclass
class Subjects:
    """The images and units of the artifacts on a page; `anchors` are their addresses."""

    chosen: Mapping[str, Mapping[str, str]]
    words: Mapping[str, str]
    drafts: dict[Key, _Draft] = field(default_factory=dict)
    anchors: dict[Key, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def key(self, folder: Folder, about: str) -> Key:
        """What an artifact means by `image/NAME` or `unit/LAYER/NUMBER`."""
        home = (
            folder.inputs.get("network", "") if about.startswith("unit/") else self.chosen[folder.key].get("data", "")
        )
        return home, folder.named(about)

    def anchor(self, folder: Folder, about: str) -> str:
        """Its address on the page; empty if there is none."""
        return self.anchors.get(self.key(folder, about), "")

    def _draft(self, folder: Folder, about: str) -> _Draft:
        key = self.key(folder, about)
        if key not in self.drafts:
            self.drafts[key] = _Draft()
            self.anchors[key] = unique(key[1], self.taken)
            self.taken.add(self.anchors[key])
        return self.drafts[key]

    def add_units(
        self, folder: Folder, artifact: Artifact, units: Iterable[Mapping[str, str]], strips: Iterable
    ) -> None:
        """Adds the rows of `units.csv`."""
        pictured = set(strips)
        for unit in units:
            draft = self._draft(folder, f"unit/{unit['layer']}/{unit['unit']}")
            draft.facts.append((artifact.name, list(_unit(unit))))
            if (unit["layer"], unit["unit"]) in pictured:
                draft.strip = strip_anchor(artifact, unit)

    def add_images(self, folder: Folder, artifact: Artifact, classes: Mapping[str, str], most: int) -> None:
        """Adds the rows of `per_image.csv`, if the artifact has it; `classes` are names by label."""
        if not any(sheet.file == PER_IMAGE for sheet in folder.sheets):
            return
        for row in lines(folder, PER_IMAGE, ("image",))[:most]:
            facts = [("True class", classes[row["label"]])] if row.get("label") in classes else []
            if all(row.get(edge) for edge in _BOX):
                facts.append(("Box (x0, y0, x1, y1)", ", ".join(row[edge] for edge in _BOX)))
            shown = ((name, text) for name, text in row.items() if text and _tells(name))
            facts += [(named(name, self.words), _rounded(text)) for name, text in shown]
            self._draft(folder, f"image/{row['image']}").facts.append((artifact.name, facts))

    def add_figures(self, folder: Folder, artifact: Artifact, exhibits: Exhibits) -> None:
        """Adds the figures about an image or a unit, and tells the figures where these are."""
        for one in folder.pictures:
            anchor = exhibits.anchor(folder.key, one)
            for about in one.about if anchor else ():
                self._draft(folder, about).figures.append((f"{artifact.name}: {one.title}", anchor))
                links = exhibits.entries.setdefault((folder.key, one.file), [])
                links.append((_title(folder.named(about)), f"#{self.anchor(folder, about)}"))

    def entries(self) -> list[Entry]:
        """One per image and unit."""
        return [
            Entry(self.anchors[key], _title(key[1]), key[1].partition("/")[0], draft.facts, draft.figures, draft.strip)
            for key, draft in self.drafts.items()
        ]


def strip_anchor(artifact: Artifact, unit: Mapping[str, str]) -> str:
    """The anchor of a unit's top images in the atlas."""
    return unique(f"strip/{artifact.anchor}/{unit['layer']}/{unit['unit']}", ())


def _title(about: str) -> str:
    kind, _, name = about.partition("/")
    layer, _, number = name.rpartition("/")
    return f"{layer}, unit {number}" if kind == "unit" else name


def _unit(unit: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    label, category = unit["label"] or "none", unit["category"]
    yield "Concept", f"{label} ({category})" if category else label
    yield "IoU with it", measured(unit["score"]).text
    if unit.get("score_low"):
        yield "95 % interval of the IoU", f"{measured(unit['score_low']).text} to {measured(unit['score_high']).text}"
    if unit.get("null_score"):
        yield "IoU expected with permuted labels", measured(unit["null_score"]).text
        yield "p, permuted labels", measured(unit.get("p_value") or "").text
    if unit.get(AGREEMENT):
        yield "Agreement of methods, 0.5 by chance", measured(unit[AGREEMENT]).text
    if unit.get("threshold"):
        yield "Threshold of its activation", measured(unit["threshold"]).text
    for name, text in unit.items():
        other = name.removesuffix("-iou") if name else ""
        if other != name and other != category and text and unit.get(f"{other}-label"):
            yield f"Best {other}", f"{unit[f'{other}-label']}, IoU {measured(text).text}"


def _tells(column: str) -> bool:
    # What is not told by another line, and not about the boxes of the guesses.
    return column == _OVERLAP or (bool(column) and not _HIDDEN.fullmatch(column))


def _rounded(text: str) -> str:
    return measured(text).text if _FLOAT.fullmatch(text) else text
