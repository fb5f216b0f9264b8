"""The sections of the page: each number and each gallery appears once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from deepinside.report.catalogue import Catalogue
from deepinside.report.describe import slug
from deepinside.report.exhibit import Exhibits, gallery
from deepinside.report.findings import Finding
from deepinside.report.measure import side_by_side
from deepinside.report.page import Artifact, Number, Part, Section
from deepinside.report.settings import Chapter

OTHER = Chapter("Further results", "Results that belong to no section above.", ("*",))


@dataclass
class _Shelf:
    """What one artifact contributes to one section."""

    numbers: list[Number] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


SENTENCES = 3  # at the top of a section: those of its first artifacts; the numbers of the others are in their tables


def place(key: str, chapters: Sequence[Chapter]) -> tuple[int, int]:
    """Index of an artifact's section, the number of sections if it has none; and its index among the patterns."""
    index = _own(key, chapters)[0]
    return index, _rank(key, chapters[index]) if index < len(chapters) else 0


def _rank(key: str, chapter: Chapter) -> int:
    return next((rank for rank, pattern in enumerate(chapter.keys) if fnmatchcase(key, pattern)), len(chapter.keys))


def titled(title: str) -> str:
    """The anchor of a section."""
    return f"section-{slug(title)}"


def _own(key: str, chapters: Sequence[Chapter]) -> list[int]:
    own = [index for index, one in enumerate(chapters) if any(fnmatchcase(key, pattern) for pattern in one.keys)]
    return own or [len(chapters)]


def home(key: str, name: str, chapters: Sequence[Chapter]) -> int:
    """Index of the section that names a metric or group of images, otherwise of the artifact's first section."""
    own = _own(key, chapters)
    matching = (index for index in own if index < len(chapters) and _asks(chapters[index], name))
    return next(matching, own[0])


def _asks(chapter: Chapter, name: str) -> bool:
    plain = name.casefold().replace("_", " ")
    return any(fnmatchcase(plain, pattern) for pattern in chapter.about)


def lay_out(
    chapters: Sequence[Chapter],
    artifacts: Sequence[Artifact],
    known: Iterable[Number],
    exhibits: Exhibits,
    words: Mapping[str, str],
    catalogues: Mapping[str, Sequence[Catalogue]] | None = None,
    findings: Mapping[str, Sequence[Finding]] | None = None,
) -> list[Section]:
    """Sorts numbers and galleries into sections; an artifact without either still appears, with its problems.

    Within a section artifacts follow the order of its patterns, then that in which they come.

    `catalogues` are long tables by key of the artifact, shown where it is described; `findings` are sentences likewise,
    shown in the section of their topic.
    """
    shelves: dict[tuple[int, str], _Shelf] = {}
    for value in known:
        at = home(value.artifact.key, value.metric, chapters)
        shelves.setdefault((at, value.artifact.key), _Shelf()).numbers.append(value)
    for key, group in exhibits.groups:
        shelves.setdefault((home(key, group, chapters), key), _Shelf()).groups.append(group)
    for key in {one.key for one in artifacts} - {key for _, key in shelves}:
        shelves[place(key, chapters)[0], key] = _Shelf()
    sections = []
    first = {key: min(index for index, other in shelves if other == key) for _, key in shelves}
    for index, chapter in enumerate((*chapters, OTHER)):
        anchor = titled(chapter.title)
        parts = []
        for one in sorted(artifacts, key=lambda one: _rank(one.key, chapter)):
            if (index, one.key) in shelves:
                own = first[one.key] == index
                part = _part(one, shelves[index, one.key], exhibits, words, "" if own else anchor)
                parts.append(replace(part, catalogues=(catalogues or {}).get(one.key, ()) if own else ()))
        if parts:
            said = [one for part in parts for one in (findings or {}).get(part.artifact.key, ())]
            own_topic = [one.says for one in said if one.topic == chapter.topic]
            sections.append(Section(anchor, chapter.title, chapter.says, own_topic[:SENTENCES], parts))
    return sections


def _part(artifact: Artifact, shelf: _Shelf, exhibits: Exhibits, words: Mapping[str, str], within: str) -> Part:
    # `within` is the section's anchor where the artifact is described in another one.
    galleries = [gallery(exhibits, artifact, group, words) for group in shelf.groups]
    alone, grids = side_by_side(shelf.numbers, words)
    anchor = f"{within}-{artifact.anchor}" if within else artifact.anchor
    shown = [one for one in galleries if one.shown or one.left_out]
    return Part(anchor, artifact, alone, grids, shown, (), first=not within)
