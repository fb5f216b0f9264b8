"""The galleries: selection, size and grid of the images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from urllib.parse import quote

from deepinside.report import number
from deepinside.report.embed import Embedded, embed_all
from deepinside.report.folder import Folder, Listed
from deepinside.report.page import Artifact, Gallery, Highlight, Picture, Section
from deepinside.report.settings import Showcase

TINY = 160  # pixels: below this an image is enlarged as squares instead of being smoothed
FEWEST = 4  # a gallery is not cut below this to keep the page small
COMFORT = 0.62  # of its own width: how far a figure can shrink before its letters cannot be read
STRIP = 2.0  # width / height from which on an image may take a whole row
_GRIDS = ((170, "small"), (340, "medium"), (640, "large"))  # (comfortable width below, class in style.css)
_FIRST = {"single": 1, "banner": 2, "large": 6, "medium": 9, "small": 12, "tiny": 32}
_NARROW = {"small", "medium", "large"}
LONG = 200  # characters: what a caption says at once; the rest is shown on demand
_SLACK = {"banner": 1} | dict.fromkeys(
    ("single", "large", "medium", "small", "tiny"), 3
)  # so few more are shown at once rather than hidden


@dataclass
class Exhibits:
    """The embedded images of a page; `bad` has the reasons of those that could not be embedded."""

    embedded: Mapping[Path, Embedded]
    bad: Mapping[Path, str]
    most: int
    groups: dict[tuple[str, str], list[Listed]] = field(default_factory=dict)
    anchors: dict[tuple[str, str], str] = field(default_factory=dict)

    def anchor(self, key: str, one: Listed) -> str:
        """The anchor of an image; empty if it is not embedded or exceeds the size of its gallery."""
        shown = one in self.groups.get((key, one.group), ())[: self.most] and one.path in self.embedded
        return self.anchors[key, one.file] if shown else ""

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
    wanted = [(one.path, homes[key]) for (key, _), ones in groups.items() for one in ones[:most]]
    embedded, bad = embed_all(wanted, budget, workers)
    for folder in folders:
        folder.problems += [f"{one.file} {bad[one.path]}" for one in folder.pictures if one.path in bad]
    while most > FEWEST and _weight(groups, embedded, most) > budget:
        most = max(FEWEST, most // 2)
    listed = dict.fromkeys((key, one.file) for (key, _), ones in groups.items() for one in ones)
    return Exhibits(embedded, bad, most, groups, {name: f"picture-{n}" for n, name in enumerate(listed)})


def _weight(groups: Mapping[tuple[str, str], list[Listed]], embedded: Mapping[Path, Embedded], most: int) -> int:
    kept = {one.path for ones in groups.values() for one in ones[:most]}
    return sum(len(embedded[path].uri) for path in kept if path in embedded)


def gallery(exhibits: Exhibits, artifact: Artifact, group: str, words: Mapping[str, str]) -> Gallery:
    """One group of `pictures.csv` as a gallery, without the bad images."""
    listed = exhibits.groups[artifact.key, group]
    pictures = [picture(one, exhibits, artifact) for one in listed[: exhibits.most] if one.path in exhibits.embedded]
    size = _grid(pictures)
    if size in _NARROW:
        pictures = [replace(one, long=one.embedded.width >= STRIP * one.embedded.height) for one in pictures]
    first = _FIRST[size] if len(pictures) > _FIRST[size] + _SLACK[size] else len(pictures)
    captions = {one.caption for one in pictures}
    return Gallery(
        title=words.get(group) or number.spelt(group) or "Pictures",
        caption=captions.pop() if len(pictures) > 1 and len(captions) == 1 else ("", ""),
        size=size,
        pictures=pictures[:first],
        rest=pictures[first:],
        left_out=max(0, len(listed) - exhibits.most),
    )


def picture(one: Listed, exhibits: Exhibits, artifact: Artifact) -> Picture:
    """An embedded image as the page shows it."""
    embedded = exhibits.embedded[one.path]
    alt = ". ".join(filter(None, (one.title, one.caption))) or one.file
    tiny = max(embedded.width, embedded.height) <= TINY
    anchor = exhibits.anchors.get((artifact.key, one.file), "")
    return Picture(embedded, one.title, split_caption(one.caption), alt, artifact.href + quote(one.file), tiny, anchor)


def split_caption(caption: str) -> tuple[str, str]:
    """A caption in two parts: its first sentence, or the text before a long bracket; and the rest."""
    if len(caption) <= LONG:
        return caption, ""
    ends = [place for mark in (". ", " (", "; ") if (place := caption.find(mark, 40)) >= 0]
    end = min(ends, default=len(caption))
    return caption[:end].rstrip(".") + ".", caption[end:].lstrip(".; ")


def _grid(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return "small"
    if all(one.tiny for one in pictures):
        return "tiny"
    if len(pictures) == 1:
        return "single"
    widths = [one.embedded.width for one in pictures]
    strip = median(one.embedded.width / one.embedded.height for one in pictures) >= STRIP
    possible = (name for limit, name in _GRIDS if median(widths) * COMFORT < limit)
    size = next(possible, "banner")
    return "banner" if strip and size == "large" else size


def highlights(
    showcase: Iterable[Showcase], sections: Sequence[Section], exhibits: Exhibits, budget: float
) -> list[Highlight]:
    """The images of the showcase that exist, as far as they fit into `budget` bytes."""
    taken: list[Highlight] = []
    room = budget - exhibits.weight
    for wish in showcase:
        found = _first(wish, sections, exhibits)
        if found is not None and len(found.picture.embedded.uri) <= room:
            taken.append(found)
            room -= len(found.picture.embedded.uri)
    return taken


def _first(wish: Showcase, sections: Sequence[Section], exhibits: Exhibits) -> Highlight | None:
    # The galleries know the images as they are shown; the groups know the names that patterns are about.
    homes = {
        one.anchor: (section, part.artifact)
        for section in sections
        for part in section.parts
        for gallery in part.galleries
        for one in (*gallery.pictures, *gallery.rest)
    }
    for pattern in wish.pictures:
        for (key, _), ones in exhibits.groups.items():
            for one in ones:
                anchor = exhibits.anchor(key, one)
                if _fits(key, one, pattern) and anchor in homes:
                    section, artifact = homes[anchor]
                    return Highlight(wish.title, wish.says, picture(one, exhibits, artifact), section.title)
    return None


def _fits(key: str, one: Listed, pattern: str) -> bool:
    return fnmatchcase(f"{key}:{one.group}:{one.title}", pattern)
