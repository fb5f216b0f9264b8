"""From folders to the page: order and content of its sections."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deepinside.report import number
from deepinside.report.atlas import atlas, units_of, with_agreement
from deepinside.report.boxes import boxes, class_names
from deepinside.report.catalogue import Catalogue
from deepinside.report.citation import citation
from deepinside.report.claims import claims, register_rows, with_earlier
from deepinside.report.describe import describe
from deepinside.report.entries import Subjects
from deepinside.report.environment import environments, trace
from deepinside.report.exhibit import Exhibits, hang
from deepinside.report.external_tables import benchmarks, comparisons, growth, tested
from deepinside.report.findings import TOPICS, Finding, of_artifact
from deepinside.report.folder import Folder, read
from deepinside.report.lineage import drawings
from deepinside.report.measure import numbers
from deepinside.report.methods import methods
from deepinside.report.opening import opening
from deepinside.report.page import Artifact, Number, Page, Section
from deepinside.report.results import files, found
from deepinside.report.section import lay_out, place
from deepinside.report.settings import Settings
from deepinside.report.strips import Strip, strips

PICTURES = 0.9  # share of the page's weight that images may take; the rest is text
ATLAS = 0.4  # share of these that the images of all units may take


def compose(
    inputs: Mapping[str, Path], settings: Settings, name: str, workers: int = 1, *, budget: float | None = None
) -> tuple[Page, list[Folder]]:
    """Reads the artifacts and lays out the page; returns it and the folders, in the order of the page.

    `budget` is for all images together, in bytes; None for their share of the page's size.
    """
    chapters = settings.chapters
    every = sorted((read(*item) for item in inputs.items()), key=lambda one: (place(one.key, chapters), one.key))
    folders = _once(every)
    budget = settings.megabytes * 1e6 * PICTURES if budget is None else budget
    chosen, taken = trace(folders), set[str]()
    for folder in folders:
        folder.synthetic = chosen[folder.key].get("data") in settings.synthetic
        folder.pictures = [
            replace(one, title=folder.named(one.title), caption=folder.named(one.caption)) for one in folder.pictures
        ]
    atlases = _atlases(folders, settings.rows_per_table, budget * ATLAS, workers)
    budget -= sum(len(strip.embedded.uri) for _, found in atlases.values() for strip in found.values())
    exhibits = hang(folders, most=settings.pictures_per_gallery, budget=budget, workers=workers)
    artifacts = [describe(folder, chosen[folder.key], settings, taken) for folder in folders]
    subjects = _subjects(
        folders, artifacts, exhibits, atlases, Subjects(chosen, settings.words), settings.rows_per_table
    )
    tables = _catalogues(folders, artifacts, exhibits, settings.rows_per_table, atlases, subjects)
    before, unread = tested(settings.register)
    register = with_earlier(register_rows(folders), before)  # reading may find more that is wrong
    artifacts = [replace(one, problems=tuple(f.problems)) for f, one in zip(folders, artifacts, strict=True)]
    known = [n for f, one in zip(folders, artifacts, strict=True) for n in numbers(f.cells, one, settings.words)]
    findings = _findings(folders, known, settings, _worded(chosen, settings.words))
    sections = lay_out(chapters, artifacts, known, exhibits, settings.words, tables, findings)
    timed, untimed = benchmarks(settings.benchmarks)
    compared, uncompared = comparisons(settings.networks)
    grown, ungrown = growth(settings.growth)
    wide, narrow = drawings(folders, artifacts, _worded(chosen, settings.words))
    page = Page(
        title=settings.title,
        name=name,
        opening=opening(folders, artifacts, known, _in_order(findings), register, chosen, exhibits, settings, budget),
        missing=[
            *settings.missing,
            *_missing(settings, artifacts),
            *filter(None, (untimed, uncompared, ungrown, unread)),
        ],
        claims=claims(register, artifacts, sections, settings),
        found=found(known, settings.findings),
        sections=sections,
        artifacts=artifacts,
        wide=wide,
        narrow=narrow,
        anchors={one.fingerprint: one for one in artifacts},
        counts=_counts(artifacts, known, sections),
        command="" if settings.command is None else shlex.join(["deepinside", "run=report", *settings.command]),
        environments=environments(folders, artifacts),
        benchmarks=timed,
        comparisons=compared,
        growth=grown,
        glossary=settings.glossary,
        entries=subjects.entries(),
        citation=citation(folders),
        references=tuple(settings.references.items()),
        files=files(folders, sections),
    )
    return page, folders


def _once(folders: Sequence[Folder]) -> list[Folder]:
    # Several runs of a page may share an artifact; it is described where it comes first.
    found: dict[tuple[str, str], Folder] = {}
    for folder in folders:
        found.setdefault((folder.stage, folder.fingerprint), folder)
    return list(found.values())


Atlas = tuple[list[dict[str, str]], dict[tuple[str, str], Strip]]


def _atlases(folders: Sequence[Folder], most: int, budget: float, workers: int) -> dict[str, Atlas]:
    # Of every dissection its units and their images, in equal shares of the budget.
    units = {folder.key: with_agreement(folder, found, folders) for folder in folders if (found := units_of(folder))}
    return {
        folder.key: (units[folder.key], strips(folder, units[folder.key][:most], budget / len(units), workers))
        for folder in folders
        if folder.key in units
    }


def _catalogues(
    folders: Sequence[Folder],
    artifacts: Sequence[Artifact],
    exhibits: Exhibits,
    most: int,
    atlases: Mapping[str, Atlas],
    subjects: Subjects,
) -> dict[str, list[Catalogue]]:
    known = {folder.fingerprint: folder for folder in folders}
    tables = {}
    for folder, artifact in zip(folders, artifacts, strict=True):
        units, pictures = atlases.get(folder.key, ([], {}))
        both = (
            atlas(folder, artifact, units, exhibits, most, pictures, subjects),
            boxes(folder, artifact, class_names(folder, known), exhibits, most, subjects),
        )
        tables[folder.key] = [*(one for one in both if one is not None), *methods(folder, artifact, subjects.words)]
    return tables


def _worded(chosen: Mapping[str, Mapping[str, str]], words: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {key: {group: words.get(name, name) for group, name in names.items()} for key, names in chosen.items()}


def _subjects(
    folders: Sequence[Folder],
    artifacts: Sequence[Artifact],
    exhibits: Exhibits,
    atlases: Mapping[str, Atlas],
    subjects: Subjects,
    most: int,
) -> Subjects:
    known = {folder.fingerprint: folder for folder in folders}
    for folder, artifact in zip(folders, artifacts, strict=True):
        units, pictured = atlases.get(folder.key, ([], {}))
        subjects.add_units(folder, artifact, units[:most], pictured)
        subjects.add_images(folder, artifact, class_names(folder, known), most)
    for folder, artifact in zip(folders, artifacts, strict=True):
        subjects.add_figures(folder, artifact, exhibits)
    return subjects


def _findings(
    folders: Sequence[Folder],
    known: Sequence[Number],
    settings: Settings,
    chosen: Mapping[str, Mapping[str, str]],
) -> dict[str, list[Finding]]:
    # The number of classes is that of the data that an artifact was made from, where it is on the page. Where the page
    # is about several networks or data sets, a sentence says which of them it is about.
    prints = {folder.fingerprint: folder.key for folder in folders}
    classes = {one.artifact.key: one.value for one in known if one.metric == "classes"}
    several = [
        group for group in ("model", "data") if len({names.get(group, "") for names in chosen.values()} - {""}) > 1
    ]
    found = {}
    for folder in folders:
        own = [one for one in known if one.artifact.key == folder.key]
        count = classes.get(prints.get(folder.inputs.get("prepare", ""), ""), math.nan)
        about = ", ".join(chosen[folder.key][group] for group in several if group in chosen[folder.key])
        found[folder.key] = [one.about(about) for one in of_artifact(own, settings.words, count)]
    return found


def _in_order(findings: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    found = [one for own in findings.values() for one in own]
    return sorted(found, key=lambda one: TOPICS.index(one.topic))


def _missing(settings: Settings, artifacts: Sequence[Artifact]) -> list[str]:
    known = {one.key for one in artifacts} | {part.partition(":")[0] for part in settings.missing}
    advice = "no artifact of this stage; run it, then the report"
    absent = [f"{stage}: {advice}" for stage in settings.stages if stage not in known]
    return absent + [f"{one.key}: {problem}" for one in artifacts for problem in one.problems]


def _counts(
    artifacts: Sequence[Artifact], known: Sequence[Number], sections: Sequence[Section]
) -> list[tuple[str, str]]:
    pictures = sum(one.shown for section in sections for part in section.parts for one in part.galleries)
    counted = (("artifacts", len(artifacts)), ("numbers", len(known)), ("pictures", pictures))
    return [(number.shown(count), name if count != 1 else name.removesuffix("s")) for name, count in counted]
