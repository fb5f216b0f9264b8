"""Writes the synthetic data set as an ILSVRC CLS-LOC tree (the layout of Kaggle's competition)."""

import csv
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from deepinside.miniature.compose import World, compose
from deepinside.miniature.objects import KINDS
from deepinside.miniature.scenes import SCENES
from deepinside.runtime.progress import track

Result = TypeVar("Result")
_CHUNK = 32  # images that a process takes at a time


def _several(draw: Callable[[int], Result], indices: range) -> list[Result]:
    return [draw(index) for index in indices]


def drawn(draw: Callable[[int], Result], count: int, workers: int, description: str) -> Iterator[Result]:
    """Yields `draw(0)` to `draw(count - 1)` in order, from several processes if `workers` exceeds 1."""
    chunks: Sequence[range] = [range(a, min(a + _CHUNK, count)) for a in range(0, count, _CHUNK)]
    if workers <= 1 or len(chunks) <= 1:
        for chunk in track(chunks, description):
            yield from _several(draw, chunk)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        for results in track(pool.map(partial(_several, draw), chunks), description, total=len(chunks)):
            yield from results


_TRAIN, _VAL = 1, 2  # what tells the streams of random numbers apart
ASPECTS = (1.0, 1.0, 1.25, 4 / 3, 1.5)  # longer over shorter side
_QUALITY = 93  # of the JPEG files
MASKS = "ILSVRC/Masks/CLS-LOC/val"  # the layout's own place for what ILSVRC itself does not have
FOREGROUND, BACKGROUND = 1, 2  # of a trimap, as in `data.index`, which loads torch
LABELS = {  # what an image's class may be -> (number, names) of each class
    "objects": tuple((kind.wnid, kind.names) for kind in KINDS),
    "scenes": tuple((f"n91{place:06d}", name) for place, name in enumerate(SCENES, start=1)),
    "turns": tuple((f"n92{turn:06d}", f"turned by {90 * turn} degrees") for turn in range(4)),
}
_XML = """<annotation>
	<folder>{folder}</folder>
	<filename>{name}</filename>
	<source>
		<database>miniature</database>
	</source>
	<size>
		<width>{width}</width>
		<height>{height}</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
{objects}</annotation>
"""
_OBJECT = """	<object>
		<name>{wnid}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{0}</xmin>
			<ymin>{1}</ymin>
			<xmax>{2}</xmax>
			<ymax>{3}</ymax>
		</bndbox>
	</object>
"""


class Drawn(NamedTuple):
    """Content of the lists and annotations for one image; its boxes are half-open."""

    name: str
    folder: str
    wnid: str
    shape: tuple[int, int]
    boxes: tuple[tuple[int, int, int, int], ...]


def train_kind(index: int) -> int:
    """The class of a training image, an index into `KINDS`: classes in turn."""
    return index % len(KINDS)


def val_kind(seed: int, index: int) -> int:
    """The class of a validation image, an index into `KINDS`: classes in turn, shuffled in every cycle."""
    block, place = divmod(index, len(KINDS))
    return int(np.random.default_rng([seed, _VAL, block, 0]).permutation(len(KINDS))[place])


def size(seed: tuple[int, ...], side: int) -> tuple[int, int]:
    """Height and width of an image in pixels, landscape, portrait or square; the shorter side is up to an eighth
    longer.
    """
    rng = np.random.default_rng([*seed, 2])
    short = int(rng.integers(side, side + side // 8 + 1))
    long = round(short * ASPECTS[rng.integers(len(ASPECTS))])
    return (short, long) if rng.random() < 0.7 else (long, short)


def _draw(out: Path, seed: int, side: int, world: World, labels: str, train: int, index: int) -> Drawn:
    # Draws and saves image `index`; the first `train` are training images, the others validation images.
    split, k = ("train", index) if index < train else ("val", index - train)
    kind = train_kind(k) if split == "train" else val_kind(seed, k)
    stream = (seed, _TRAIN if split == "train" else _VAL, k)
    picture = compose(stream, kind, size(stream, side), world)
    turn = k // len(KINDS) % 4 if labels == "turns" else 0  # each class as often in each
    pixels = np.rot90(picture.pixels, turn)
    height, width = pixels.shape[:2]
    boxes = tuple(tuple(box) for box in picture.boxes.tolist())
    place = {"objects": kind, "scenes": list(SCENES).index(picture.scene), "turns": turn}[labels]
    if labels != "objects":  # of the whole image
        boxes = ((0, 0, width, height),)
    wnid, _ = LABELS[labels][place]
    number = k // len(KINDS) if labels == "objects" else k
    name = f"{wnid}_{number + 1}" if split == "train" else f"ILSVRC2012_val_{k + 1:08d}"
    folder = f"train/{wnid}" if split == "train" else "val"
    file = out / "ILSVRC/Data/CLS-LOC" / folder / f"{name}.JPEG"
    Image.fromarray(pixels).save(file, format="JPEG", quality=_QUALITY)
    if split == "val" and labels == "objects":
        object_ = picture.maps["instance"] > 0
        trimap = np.where(object_, FOREGROUND, BACKGROUND).astype(np.uint8)
        Image.fromarray(trimap).save(out / MASKS / f"{name}.png")
    return Drawn(name, folder, wnid, (height, width), boxes)


def _inclusive(row: Drawn) -> list[list[int]]:
    from deepinside.records import Boxes  # not above: it loads torch, which the drawing processes do without

    return Boxes(np.array(row.boxes)).to_inclusive().astype(int).tolist()


def annotation(row: Drawn) -> str:
    """The XML annotation of an image in the form of PASCAL VOC, with inclusive boxes."""
    objects = "".join(_OBJECT.format(*corners, wnid=row.wnid) for corners in _inclusive(row))
    folder, (height, width) = row.folder.rpartition("/")[-1], row.shape
    return _XML.format(folder=folder, name=row.name, width=width, height=height, objects=objects)


def write_ilsvrc(
    out: str | Path,
    *,
    seed: int,
    train: int,
    val: int,
    side: int,
    workers: int,
    labels: str = "objects",
    world: World | None = None,
) -> None:
    """Writes the synthetic data set as an ILSVRC CLS-LOC tree, with a trimap of each validation image's objects.

    The first images of a larger data set are those of a smaller one.

    Args:
        out: an existing folder; `ILSVRC/` and the lists are written into it.
        seed: of the data set.
        train: number of training images, classes in turn.
        val: number of validation images, classes in turn but shuffled.
        side: least length of the shorter side in pixels.
        workers: processes that draw.
        labels: definition of the class of an image: its `objects`, its `scenes`, or, for self-supervised learning, its
            rotation (`turns`; Gidaris et al. 2018). The images are the same otherwise.
        world: variation of the images.

    Raises:
        KeyError: if the labels are unknown, with the known ones.
    """
    out = Path(out)
    if labels not in LABELS:
        raise KeyError(f"data.draw.labels={labels}: expected one of {', '.join(LABELS)}")
    world = world or World()
    for tree in ("Data", "Annotations"):
        (out / "ILSVRC" / tree / "CLS-LOC/val").mkdir(parents=True, exist_ok=True)
        for wnid, _ in LABELS[labels]:
            (out / "ILSVRC" / tree / "CLS-LOC/train" / wnid).mkdir(parents=True, exist_ok=True)
    if labels == "objects":
        (out / MASKS).mkdir(parents=True, exist_ok=True)
    draw = partial(_draw, out, seed, side, world, labels, train)
    rows = []
    for row in drawn(draw, train + val, workers, "drawing the synthetic data set"):
        text = annotation(row)
        (out / "ILSVRC/Annotations/CLS-LOC" / row.folder / f"{row.name}.xml").write_text(text, encoding="utf-8")
        rows.append(row)
    _lists(out, "train", "train_cls.txt", sorted(rows[:train]))
    _lists(out, "val", "val.txt", sorted(rows[train:]))
    mapping = "".join(f"{wnid} {names}\n" for wnid, names in LABELS[labels])
    (out / "LOC_synset_mapping.txt").write_text(mapping, encoding="utf-8")


def _lists(out: Path, split: str, file: str, rows: Sequence[Drawn]) -> None:
    """Writes the list of images of a split and its solution."""
    sets = out / "ILSVRC/ImageSets/CLS-LOC"
    sets.mkdir(parents=True, exist_ok=True)
    names = [f"{row.wnid}/{row.name}" if split == "train" else row.name for row in rows]
    lines = [f"{name} {k}\n" for k, name in enumerate(names, start=1)]
    (sets / file).write_text("".join(lines), encoding="utf-8")
    with (out / f"LOC_{split}_solution.csv").open("w", newline="", encoding="utf-8") as solution:
        writer = csv.writer(solution, lineterminator="\n")
        writer.writerow(("ImageId", "PredictionString"))
        for row in rows:
            boxes = (f"{row.wnid} {a} {b} {c} {d}" for a, b, c, d in _inclusive(row))
            writer.writerow((row.name, " ".join(boxes)))
