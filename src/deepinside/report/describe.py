"""Names, anchors and links of artifacts on the page."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from deepinside.artifacts.artifact import flat
from deepinside.report import number
from deepinside.report.environment import command
from deepinside.report.folder import Folder
from deepinside.report.page import Artifact, Sheet
from deepinside.report.settings import Settings

_CUT = 60  # characters of a cell of a preview


def slug(text: str) -> str:
    """Text for an anchor: lower-case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def describe(folder: Folder, chosen: Mapping[str, str], settings: Settings, taken: set[str]) -> Artifact:
    """How the page names an artifact and where it links.

    `chosen` are the choices of the configuration behind it, see `trace`; the new anchor is added to `taken`.
    """
    anchor = base = f"artifact-{slug(folder.key)}"
    while anchor in taken:
        anchor = f"{base}-{len(taken)}"
    taken.add(anchor)
    href = f"../../{quote(folder.stage, safe='')}/{quote(folder.fingerprint, safe='')}/"
    return Artifact(
        key=folder.key,
        name=settings.words.get(folder.key) or _named(folder.key.split(".", maxsplit=2), settings),
        detail=_named([name for name in chosen.values() if name not in folder.key], settings),
        stage=folder.stage,
        fingerprint=folder.fingerprint,
        anchor=anchor,
        href=href,
        command=command(folder, settings),
        settings=_settings(folder),
        inputs=tuple(folder.inputs.items()),
        sheets=_sheets(folder, href),
        set_aside=tuple((folder.named(file), reason) for file, reason in folder.set_aside),
        problems=tuple(folder.problems),
    )


def _named(parts: Sequence[str], settings: Settings) -> str:
    return " · ".join(dict.fromkeys(settings.words.get(part, part) for part in parts))


def _settings(folder: Folder) -> tuple[tuple[str, str], ...]:
    leaves = sorted(flat({str(name): value for name, value in folder.config.items()}).items())
    return tuple((name, "null" if value is None else str(value)) for name, value in leaves)


def _sheets(folder: Folder, href: str) -> tuple[Sheet, ...]:
    return tuple(
        Sheet(
            file=one.file,
            href=href + quote(one.file),
            header=one.header,
            first=[[_short(folder.named(cell)) for cell in line] for line in one.first],
            count=f"{number.shown(one.count)} row{'' if one.count == 1 else 's'}",
        )
        for one in folder.sheets
    )


def _short(cell: str) -> str:
    if re.fullmatch(r"-?\d+\.\d{5,}(e-?\d+)?", cell):
        return f"{float(cell):.5g}"
    return cell if len(cell) <= _CUT else cell[: _CUT - 1] + "…"
