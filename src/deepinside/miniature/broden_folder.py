"""Writes images of the synthetic data set with their masks as a Broden folder."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray
from PIL import Image

from deepinside.data.broden.writer import Label, Probe, index_rows, numbered, write_tables
from deepinside.metrics import iou_ceiling
from deepinside.miniature.compose import World, compose
from deepinside.miniature.ilsvrc_tree import drawn
from deepinside.miniature.objects import KINDS
from deepinside.miniature.palette import COLOURS, named, swatch

QUANTILE = 0.005  # share of all positions on which a unit fires (Bau et al. 2017, sec. 2.2)


def read_ceilings(folder: Path, quantile: float = QUANTILE) -> list[tuple[int, str, str, int, float]]:
    """The highest IoU that a unit can reach with every concept of a Broden folder, see `metrics.iou_ceiling`.

    Columns: number, name, category, truth (covered positions of the label maps) and ceiling, in order of number; a
    label of several categories has a row in each.
    """
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        index = list(csv.DictReader(file))
    area = int(index[0]["sh"]) * int(index[0]["sw"])
    with (folder / "category.csv").open(newline="", encoding="utf-8") as file:
        categories = [row["name"] for row in csv.DictReader(file)]
    found = []
    for category in categories:
        carrying = sum(bool(row[category].strip(";")) for row in index)
        with (folder / f"c_{category}.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                covered = float(row["coverage"])
                most = float(iou_ceiling(np.array(covered), np.array(carrying), len(index), quantile))
                found.append((int(row["number"]), row["name"], category, round(covered * area), most))
    return sorted(found)


_BRODEN = 3  # what tells the stream of random numbers from those of the ILSVRC tree
_QUALITY = 95  # of the JPEG files


class Source(NamedTuple):
    """Images of one kind: their folder, their share of all, and their categories."""

    name: str
    share: float
    categories: tuple[str, ...]


SOURCES = (
    Source("places", 0.2, ("color", "object", "part", "scene")),
    Source("things", 0.4, ("object", "part")),
    Source("surfaces", 0.2, ("material",)),
    Source("patterns", 0.2, ("texture",)),
)
_LAYERS = {"object": ("object",), "part": ("part", "part of part"), "material": ("material",)}


def source(index: int, images: int) -> Source:
    """The source of an image: the first images are of the first source, and so on."""
    ends = np.round(np.cumsum([s.share for s in SOURCES]) * images)
    return SOURCES[int(np.searchsorted(ends, index, side="right"))]


def halved(values: Int[ndarray, "*l h w"], side: int) -> Int[ndarray, "*l side side"]:
    """A label map (..., h, w) at another size: the label nearest to the centre of each pixel."""
    nearest = ((np.arange(side) + 0.5) * values.shape[-1] / side).astype(int)
    return values[..., nearest[:, None], nearest]


def _colours(pixels: UInt8[ndarray, "h w 3"], side: int) -> UInt8[ndarray, "1 side side"]:
    small = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX))
    return (named(small) + 1).astype(np.uint8)[None]


def _draw(out: Path, seed: int, images: int, side: int, world: World, index: int) -> Probe:
    # Draws and saves image `index`.
    origin, stream = source(index, images), (seed, _BRODEN, index)
    file = f"{origin.name}/{origin.name[0]}_{index:05d}.jpg"
    maps, names, whole = {}, {}, {}
    if "texture" in origin.categories:
        pixels, whole["texture"] = swatch(stream, side)
    else:
        if "material" in origin.categories:
            world = replace(world, textured=0)  # a printed pattern would hide what a thing is made of
        picture = compose(stream, index % len(KINDS), (side, side), world)
        pixels = picture.pixels
        for category in (c for c in origin.categories if c in _LAYERS):
            known = sorted({name for layer in _LAYERS[category] for name in picture.names[layer]})
            tables = [np.array([known.index(n) for n in picture.names[layer]], np.uint8) for layer in _LAYERS[category]]
            full = [table[picture.maps[layer]] for table, layer in zip(tables, _LAYERS[category], strict=True)]
            maps[category], names[category] = halved(np.stack(full), side // 2), tuple(known)
        if "scene" in origin.categories:
            whole["scene"] = (f"{picture.scene}-s",)
    if "color" in origin.categories:
        maps["color"], names["color"] = _colours(pixels, side // 2), ("", *(f"{name}-c" for name in COLOURS))
    Image.fromarray(pixels).save(out / "images" / file, format="JPEG", quality=_QUALITY)
    return Probe(file, maps, names, whole)


def write_broden(
    out: str | Path,
    *,
    seed: int,
    images: int,
    side: int,
    workers: int,
    world: World | None = None,
    least_frequency: int = 10,
    least_coverage: float = 0.5,
    quantile: float = QUANTILE,
) -> None:
    """Writes the synthetic data set as a Broden folder.

    Args:
        out: an existing folder; `images/` and the tables are written into it.
        seed: of the data set.
        images: number of images, all sources together.
        side: of the images in pixels; label maps have half of it.
        workers: processes that draw.
        world: variation of the images.
        least_frequency: a label of fewer images is dropped.
        least_coverage: a label that covers less, in whole images, is dropped.
        quantile: share of positions above a unit's threshold, for `ceilings.csv`.

    Source: Bau et al. 2017, sec. 2.1; layout of the released broden1_224.
    """
    out = Path(out)
    for origin in SOURCES:
        (out / "images" / origin.name).mkdir(parents=True, exist_ok=True)
    draw = partial(_draw, out, seed, images, side, world or World())
    probes = list(drawn(draw, images, workers, "drawing the probe images"))
    labels = numbered(probes, least_frequency, least_coverage)
    cells = [_cells(out / "images", probe, labels) for probe in probes]
    write_tables(out, labels, index_rows(probes, cells, labels, side))
    with (out / "ceilings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "name", "category", "truth", "ceiling"))
        writer.writerows((*row[:-1], f"{row[-1]:.6f}") for row in read_ceilings(out, quantile))


def _cells(folder: Path, probe: Probe, labels: Sequence[Label]) -> dict[str, str]:
    # Writes an image's label maps; returns what its row of the index says of each category.
    numbers = {(label.category, label.name): label.number for label in labels}
    cells = {}
    for category, names in probe.whole.items():
        known = [numbers[category, name] for name in names if (category, name) in numbers]
        cells[category] = ";".join(map(str, known))
    for category, maps in probe.maps.items():
        table = np.array([numbers.get((category, name), 0) for name in probe.names[category]])
        levels = [level for level in table[maps] if level.any()]
        stem, several = probe.file.rpartition(".")[0], category == "part"
        files = [f"{stem}_{category}{f'_{k}' if several else ''}.png" for k in range(1, len(levels) + 1)]
        for file, level in zip(files, levels, strict=True):
            Image.fromarray(encoded(level)).save(folder / file)
        cells[category] = ";".join(files)
    return cells


def encoded(numbers: Int[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """Label numbers, 0 to 65535, (h, w), as RGB bytes: R + 256 G, B unused."""
    return np.stack([numbers % 256, numbers // 256, np.zeros_like(numbers)], axis=-1).astype(np.uint8)
