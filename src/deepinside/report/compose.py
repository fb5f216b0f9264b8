"""From folders to the page: what goes where, in which order."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from deepinside.report import number
from deepinside.report.describe import describe
from deepinside.report.exhibit import hang
from deepinside.report.folder import Folder, read
from deepinside.report.found import found
from deepinside.report.lineage import drawings
from deepinside.report.measure import numbers
from deepinside.report.origin import trace
from deepinside.report.page import Artifact, Number, Page, Section
from deepinside.report.section import lay_out, place
from deepinside.report.settings import Settings

PICTURES = 0.9  # share of the page's weight that pictures may take; the rest is text


def compose(inputs: Mapping[str, Path], settings: Settings, name: str, workers: int = 1) -> tuple[Page, list[Folder]]:
    """Reads the artifacts and lays out the page.

    Args:
        inputs: finished artifacts by key.
        settings: of the page.
        name: of the experiment.
        workers: threads that encode pictures.

    Returns:
        The page, and the folders as read, in the order of the page.
    """
    chapters = settings.chapters
    folders = sorted((read(*item) for item in inputs.items()), key=lambda one: (place(one.key, chapters), one.key))
    budget = settings.megabytes * 1e6 * PICTURES
    exhibits = hang(folders, most=settings.pictures_per_gallery, budget=budget, workers=workers)
    chosen, taken = trace(folders), set[str]()
    artifacts = [describe(folder, chosen[folder.key], settings, taken) for folder in folders]
    known = [n for f, one in zip(folders, artifacts, strict=True) for n in numbers(f.cells, one, settings.words)]
    sections = lay_out(chapters, artifacts, known, exhibits, settings.words)
    wide, narrow = drawings(folders, artifacts, chosen)
    page = Page(
        title=settings.title,
        name=name,
        lead=_lead(chosen),
        missing=_missing(settings.stages, artifacts),
        found=found(known, settings.findings),
        sections=sections,
        artifacts=artifacts,
        wide=wide,
        narrow=narrow,
        anchors={one.fingerprint: one for one in artifacts},
        counts=_counts(artifacts, known, sections),
        command="" if settings.command is None else shlex.join(["deepinside", "run=report", *settings.command]),
    )
    return page, folders


def _lead(chosen: Mapping[str, Mapping[str, str]]) -> str:
    main_first = sorted(chosen, key=lambda key: "." in key)
    pairs = dict.fromkeys((chosen[key].get("model"), chosen[key].get("data")) for key in main_first)
    looked = [f"{model} on {data}" for model, data in pairs if model and data]
    subject = f" of {' and of '.join(looked)}" if looked else ""
    return (
        f"Class models, saliency, localisation and dissection{subject}; "
        "every number and every picture leads to the folder of files that it came from."
    )


def _missing(stages: Iterable[str], artifacts: Sequence[Artifact]) -> list[str]:
    there = {one.key for one in artifacts}
    advice = "there is no artifact of this stage; run it, then the report"
    absent = [f"{stage}: {advice}" for stage in stages if stage not in there]
    return absent + [f"{one.key}: {problem}" for one in artifacts for problem in one.problems]


def _counts(
    artifacts: Sequence[Artifact], known: Sequence[Number], sections: Sequence[Section]
) -> list[tuple[str, str]]:
    pictures = sum(one.shown for section in sections for part in section.parts for one in part.galleries)
    counted = (("artifacts", len(artifacts)), ("numbers", len(known)), ("pictures", pictures))
    return [(number.shown(count), name if count != 1 else name.removesuffix("s")) for name, count in counted]
