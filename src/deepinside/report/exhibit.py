"""The galleries: selection, size and grid of the images."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from urllib.parse import quote

from deepinside.report import number
from deepinside.report.embed import Embedded, embed_all
from deepinside.report.folder import Folder, Listed
from deepinside.report.page import Artifact, Gallery, Picture, View

PANES = 3  # figures of several images that are shown at once
TINY = 160  # pixels: below this an image is enlarged as squares instead of being smoothed
FEWEST = 4  # a gallery is not cut below this to keep the page small
COMFORT = 0.62  # of its own width: how far a figure can shrink before its letters cannot be read
STRIP = 2.0  # width / height from which on an image may take a whole row
_GRIDS = ((170, "small"), (340, "medium"), (640, "large"))  # (comfortable width below, class in style.css)
_FIRST = {"panes": PANES, "single": 1, "banner": 2, "large": 6, "medium": 9, "small": 12, "tiny": 32}
_NARROW = {"small", "medium", "large"}
_SLACK = {"banner": 1} | dict.fromkeys(
    ("panes", "single", "large", "medium", "small", "tiny"), 3
)  # so few more are shown at once rather than hidden


@dataclass
class Exhibits:
    """The embedded images of a page; `bad` has the reasons of those that could not be embedded."""

    embedded: Mapping[Path, Embedded]
    bad: Mapping[Path, str]
    most: int
    groups: dict[tuple[str, str], list[Listed]] = field(default_factory=dict)
    anchors: dict[tuple[str, str], str] = field(default_factory=dict)
    entries: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)

    def anchor(self, key: str, one: Listed) -> str:
        """The anchor of an image; empty if it is not embedded or exceeds the size of its gallery."""
        shown = one in self.groups.get((key, one.group), ())[: self.most] and self.shows(one)
        return self.anchors[key, one.file] if shown else ""

    def shows(self, one: Listed) -> bool:
        """Whether any of its images is embedded."""
        return any(path in self.embedded for path in one.paths)

    @property
    def weight(self) -> int:
        """Bytes of all embedded images that are shown."""
        return _weight(self.groups, self.embedded, self.most)


def hang(folders: Sequence[Folder], *, most: int, budget: float, workers: int = 1) -> Exhibits:
    """Embeds the images of all artifacts within `budget` bytes; bad images are added to the artifacts' problems."""
    groups: dict[tuple[str, str], list[Listed]] = {}
    for folder in folders:
        for one in folder.pictures:
            groups.setdefault((folder.key, one.group), []).append(one)
    homes = {folder.key: folder.path for folder in folders}
    wanted = [(path, homes[key]) for (key, _), ones in groups.items() for one in ones[:most] for path in one.paths]
    embedded, bad = embed_all(wanted, budget, workers)
    for folder in folders:
        files = [pair for one in folder.pictures for pair in _files(one)]
        folder.problems += [f"{file} {bad[path]}" for file, path in files if path in bad]
    while most > FEWEST and _weight(groups, embedded, most) > budget:
        most = max(FEWEST, most // 2)
    return Exhibits(embedded, bad, most, groups, _anchors(groups))


def _files(one: Listed) -> list[tuple[str, Path]]:
    return [(pane.file, pane.path) for pane in one.panes] or [(one.file, one.path)]


def _anchors(groups: Mapping[tuple[str, str], Sequence[Listed]]) -> dict[tuple[str, str], str]:
    # `figure/ARTIFACT/NAME`, with a number where two would be the same.
    anchors: dict[tuple[str, str], str] = {}
    for (key, _), ones in groups.items():
        for one in ones:
            name = one.file.removeprefix("pictures/").removesuffix(".png")
            anchors.setdefault((key, one.file), unique(f"figure/{key}/{name}", set(anchors.values())))
    return anchors


def unique(address: str, taken: Collection[str]) -> str:
    """An address as an anchor, without characters that have to be escaped, numbered if it is taken."""
    anchor = base = re.sub(r"[^A-Za-z0-9_./-]+", "-", address)
    number = 1
    while anchor in taken:
        number += 1
        anchor = f"{base}~{number}"
    return anchor


def _weight(groups: Mapping[tuple[str, str], list[Listed]], embedded: Mapping[Path, Embedded], most: int) -> int:
    kept = {path for ones in groups.values() for one in ones[:most] for path in one.paths}
    return sum(len(embedded[path].uri) for path in kept if path in embedded)


def gallery(exhibits: Exhibits, artifact: Artifact, group: str, words: Mapping[str, str]) -> Gallery:
    """One group of `pictures.csv` as a gallery, without the bad images."""
    listed = exhibits.groups[artifact.key, group]
    pictures = [picture(one, exhibits, artifact) for one in listed[: exhibits.most] if exhibits.shows(one)]
    size = _grid(pictures)
    if size in _NARROW:
        pictures = [replace(one, long=one.embedded.width >= STRIP * one.embedded.height) for one in pictures]
    first = _FIRST[size] if len(pictures) > _FIRST[size] + _SLACK[size] else len(pictures)
    several = len(pictures) > 1
    captions, settings = ({one.caption for one in pictures}, {tuple(one.settings) for one in pictures})
    common = settings.pop() if several and len(settings) == 1 else ()
    caption = captions.pop() if several and len(captions) == 1 else ""
    if common:
        pictures = [replace(one, settings=()) for one in pictures]
    if caption:
        pictures = [replace(one, caption="") for one in pictures]
    return Gallery(
        title=words.get(group) or number.spelt(group) or "Pictures",
        caption=caption,
        settings=common,
        size=size,
        pictures=pictures[:first],
        rest=pictures[first:],
        left_out=max(0, len(listed) - exhibits.most),
    )


def picture(one: Listed, exhibits: Exhibits, artifact: Artifact) -> Picture:
    """An embedded figure as the page shows it."""
    anchor = exhibits.anchors.get((artifact.key, one.file), "")
    alt = ". ".join(filter(None, (one.title, one.caption))) or one.file
    if one.panes:
        views = [
            _view(
                pane.path, exhibits, artifact, pane.file, pane.title, pane.note, f"{pane.title}: {one.title}", pane.kind
            )
            for pane in one.panes
            if pane.path in exhibits.embedded
        ]
    else:
        views = [_view(one.path, exhibits, artifact, _shown(one), "", "", alt)]
    entries = exhibits.entries.get((artifact.key, one.file), ())
    return Picture(views, one.title, one.caption, one.settings, anchor, len(one.panes) and one.columns, entries=entries)


def _shown(one: Listed) -> str:
    return one.file.removesuffix(".png") + one.path.suffix if one.path.suffix == ".svg" else one.file


def _view(
    path: Path, exhibits: Exhibits, artifact: Artifact, file: str, title: str, note: str, alt: str, kind: str = "other"
) -> View:
    embedded = exhibits.embedded[path]
    tiny = max(embedded.width, embedded.height) <= TINY
    return View(embedded, title, note, alt, artifact.href + quote(file), tiny, kind)


def _grid(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return "small"
    if any(one.columns for one in pictures):
        return "panes"
    if all(one.views[0].tiny for one in pictures):
        return "tiny"
    if len(pictures) == 1:
        return "single"
    widths = [one.embedded.width for one in pictures]
    strip = median(one.embedded.width / one.embedded.height for one in pictures) >= STRIP
    possible = (name for limit, name in _GRIDS if median(widths) * COMFORT < limit)
    size = next(possible, "banner")
    return "banner" if strip and size == "large" else size
