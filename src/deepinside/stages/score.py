"""A prediction file in ILSVRC's format -> its errors by the rules of ILSVRC's evaluation code."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from omegaconf import DictConfig

from deepinside.data.imagenet import synsets
from deepinside.data.index import Index
from deepinside.data.opening import blacklisted, open_index
from deepinside.data.synsets import Synsets
from deepinside.localisation import error, submission
from deepinside.records import Row, Table
from deepinside.spelling import closest

LABELS = ("wnid_rank", "ilsvrc_id", "imagenet")


def run(cfg: DictConfig, inputs: dict[str, Path], out: Path) -> None:
    """Writes `table.csv` and `per_image.csv`: image, cls_error_1, loc_error_1, cls_error_5, loc_error_5.

    Raises:
        ValueError: if the file does not have one line per image.
    """
    index = open_index(cfg, inputs["prepare"]).split(cfg.data.split)
    path = Path(cfg.predictions)
    guesses = submission.read(path)
    if len(guesses.labels) != len(index):
        raise ValueError(
            f"{path}: expected one line for each of the {len(index)} images of split {cfg.data.split}, in sorted "
            f"order, got {len(guesses.labels)}; {len(index.set_aside)} files of the data were skipped by prepare"
        )
    counted = ~skipped(cfg, inputs["prepare"], index)
    classes = np.array([entry.label for entry in index.entries], dtype=np.int64)
    overlaps = error.best_overlaps(guesses.boxes, [entry.boxes.xyxy for entry in index.entries])
    errors = error.errors(numbered(cfg, index, guesses.labels), overlaps, classes, counted)
    counts = [Row("images", len(index), "images"), Row("images_blacklisted", int((~counted).sum()), "images")]
    Table([*(error.row(column, wrong) for column, wrong in errors.items()), *counts]).write(out)
    _write(index, errors, out)


def check(cfg: DictConfig) -> None:
    """Checks the configuration before any work.

    Raises:
        ValueError: if no prediction file is named, or `score.labels` is unknown.
        FileNotFoundError: if the file does not exist.
    """
    if cfg.predictions is None:
        raise ValueError("run=score needs predictions=FILE, five groups `label xmin ymin xmax ymax` a line")
    if not Path(cfg.predictions).is_file():
        raise FileNotFoundError(f"{cfg.predictions}: expected a prediction file, got none: predictions=FILE names it")
    if cfg.score.labels not in LABELS:
        raise ValueError(f"score.labels: no choice {cfg.score.labels!r}; {closest(str(cfg.score.labels), LABELS)}")


def skipped(cfg: DictConfig, prepared: Path, index: Index) -> Bool[ndarray, " n"]:
    """Whether localisation excludes each image, (n,): those of `score.blacklist`, or of the data's own list."""
    if cfg.score.blacklist:
        return submission.read_blacklist(Path(cfg.score.blacklist), len(index))
    names = blacklisted(prepared)
    return np.array([entry.image in names for entry in index.entries], dtype=bool)


def numbered(cfg: DictConfig, index: Index, labels: Int[ndarray, "n g"]) -> Int[ndarray, "n g"]:
    """The labels of the file as positions among the classes of the index, -1 for a number that is no class.

    Args:
        cfg: with `score.labels`: `wnid_rank`, 1 + rank among the sorted WordNet ids of the data; `ilsvrc_id`, the
            numbers of the development kit; or `imagenet`, 1 + rank among the WordNet ids of all 1000 classes, for data
            with some of them.
        index: with the classes.
        labels: as in the file, 0 for no guess.

    Raises:
        ValueError: if the data do not define the numbers.
    """
    if cfg.score.labels == "wnid_rank":
        return np.where((labels >= 1) & (labels <= len(index.classes)), labels - 1, -1)
    if cfg.score.labels == "imagenet":
        return _positions(labels, _imagenet(index), index)
    names = Synsets.find(index.root).numbered
    if not names:
        raise ValueError(
            f"{index.root}: expected the development kit's meta.mat, got a tree without it: put it there, or write "
            "labels as 1 + row in LOC_synset_mapping.txt and set score.labels=wnid_rank"
        )
    return _positions(labels, names, index)


def _imagenet(index: Index) -> dict[int, str]:
    names = dict(enumerate(synsets(), start=1))
    if unknown := sorted(set(index.ids) - set(names.values())):
        raise ValueError(
            f"{index.root}: expected classes of ImageNet, got {unknown[0]!r}: set score.labels=wnid_rank, and write "
            "labels as 1 + number of the class"
        )
    return names


def _positions(labels: Int[ndarray, "n g"], names: Mapping[int, str], index: Index) -> Int[ndarray, "n g"]:
    # The class ids of the numbers -> their positions in the index.
    ranks = {wnid: rank for rank, wnid in enumerate(index.ids)}
    classes = {number: ranks.get(wnid, -1) for number, wnid in names.items()}
    return np.array([classes.get(int(label), -1) for label in labels.flat]).reshape(labels.shape)


def _write(index: Index, errors: dict[str, Float[ndarray, " n"]], out: Path) -> None:
    with (out / "per_image.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", *errors))
        for position, entry in enumerate(index.entries):
            numbers = (wrong[position] for wrong in errors.values())
            writer.writerow((entry.image, *("" if np.isnan(number) else int(number) for number in numbers)))
