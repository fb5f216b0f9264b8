"""The top images of every unit, cut from the sheets of a dissection, small enough for a page with hundreds."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from PIL import Image

from deepinside.report.embed import BadPicture, Embedded, encoded, opened
from deepinside.report.folder import Folder, lines

FILE = "atlas.csv"
NEEDED = ("layer", "unit", "file", "left", "top", "width", "height")
_SIZES = ((1.0, 66), (0.8, 55), (0.6, 50))  # share of the length, WebP quality in percent


class Strip(NamedTuple):
    """A unit's top images side by side, and the sheet of the artifact that contains them."""

    embedded: Embedded
    file: str


def strips(
    folder: Folder, units: Sequence[Mapping[str, str]], budget: float, workers: int = 1
) -> dict[tuple[str, str], Strip]:
    """The strips of units by (layer, unit), reduced to `budget` bytes; if they still exceed it, the first ones.

    `units` are the rows of `units.csv`, the most important first; unreadable sheets are added to the folder's problems.
    """
    places = {(one["layer"], one["unit"]): one for one in lines(folder, FILE, NEEDED)}
    wanted = [(key, places[key]) for one in units if (key := (one["layer"], one["unit"])) in places]
    sheets = _sheets(folder, sorted({place["file"] for _, place in wanted}))
    cuts = {key: (sheet, box) for key, place in wanted if (sheet := sheets.get(place["file"])) and (box := _box(place))}
    found: list[Embedded] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for size in _SIZES:
            found = list(pool.map(_cutter(*size), cuts.values()))
            if sum(len(one.uri) for one in found) <= budget:
                break
    kept: dict[tuple[str, str], Strip] = {}
    for key, embedded in zip(cuts, found, strict=True):
        budget -= len(embedded.uri)
        if budget < 0:
            break
        kept[key] = Strip(embedded, places[key]["file"])
    return kept


def _sheets(folder: Folder, files: Sequence[str]) -> dict[str, Image.Image]:
    sheets = {}
    for file in files:
        try:
            with opened(folder.path / file, folder.path) as sheet:
                sheets[file] = sheet.convert("RGB")
        except BadPicture as error:
            folder.problems.append(f"{file} {error}")
    return sheets


def _box(place: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    try:
        left, top, width, height = (int(place[name]) for name in NEEDED[3:])
    except ValueError:
        return None
    return (left, top, left + width, top + height) if min(left, top) >= 0 and min(width, height) > 0 else None


def _cutter(share: float, quality: int) -> Callable[[tuple[Image.Image, tuple[int, int, int, int]]], Embedded]:
    def cut(what: tuple[Image.Image, tuple[int, int, int, int]]) -> Embedded:
        sheet, (left, top, right, bottom) = what
        strip = sheet.crop((left, top, min(right, max(left + 1, sheet.width)), min(bottom, max(top + 1, sheet.height))))
        size = (max(1, round(strip.width * share)), max(1, round(strip.height * share)))
        return encoded(strip.resize(size, Image.Resampling.LANCZOS) if share < 1 else strip, quality)

    return cut
