"""The pictures at the top of the page, for those who see it for the first time."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from deepinside.report.exhibit import Exhibits, picture
from deepinside.report.folder import Listed
from deepinside.report.page import Highlight, Section
from deepinside.report.settings import Showcase


def highlights(
    showcase: Iterable[Showcase], sections: Sequence[Section], exhibits: Exhibits, budget: float
) -> list[Highlight]:
    """The pictures that the showcase asks for, each once more than in its gallery.

    Args:
        showcase: what to show, in this order.
        sections: of the page.
        exhibits: all pictures.
        budget: of all pictures together, in bytes; what exceeds it is left out.

    Returns:
        Those that are there.
    """
    taken: list[Highlight] = []
    room = budget - exhibits.weight
    for wish in showcase:
        found = _first(wish, sections, exhibits)
        if found is not None and len(found.picture.embedded.uri) <= room:
            taken.append(found)
            room -= len(found.picture.embedded.uri)
    return taken


def _first(wish: Showcase, sections: Sequence[Section], exhibits: Exhibits) -> Highlight | None:
    # The galleries know the pictures as they are shown; the groups know the names that patterns are about.
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
