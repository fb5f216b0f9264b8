"""Images on disk, in any supported layout -> one list of them; the synthetic data set is drawn first."""

import csv
from collections import Counter
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from deepinside.data import ilsvrc
from deepinside.data.index import Index
from deepinside.records import Row, Table
from deepinside.spelling import readable, resolved


def check(cfg: DictConfig) -> None:
    """Looks up the function that lists the data set; a KeyError names the closest if there is none of that name."""
    resolved(cfg.data.index["_target_"])


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes the tables of the data set, and the images of the synthetic one."""
    root = out if cfg.data.root is None else Path(cfg.data.root)
    if cfg.data.draw and cfg.data.root is None:
        instantiate(cfg.data.draw, out=out, workers=cfg.machine.workers)
    arguments = {"boxes": cfg.data.boxes} if cfg.data.get("boxes") else {}
    arguments |= {"out": out} if "out" in cfg.data.index else {}
    found = instantiate(cfg.data.index, root=root, **arguments)
    if not isinstance(found, Index):
        what = cfg.data.index["_target_"]
        raise ValueError(f"{what} must return a deepinside.data.index.Index, not {type(found).__name__}")
    index = found.tabular()
    index.write(out)
    excluded = ilsvrc.blacklist(root, cfg.data.blacklist) if cfg.data.name == "ilsvrc" else frozenset()
    with (out / "blacklist.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["image"], *([readable(name)] for name in sorted(excluded))])
    Table([*_counts(index), Row("images_blacklisted", len(excluded), "images")]).write(out)


def _counts(index: Index) -> list[Row]:
    splits = Counter(entry.split for entry in index.entries)
    return [
        Row("classes", len(index.classes), "classes"),
        *(Row(f"{split}_images", count, "images") for split, count in sorted(splits.items())),
        Row("images_with_boxes", sum(len(entry.boxes) > 0 for entry in index.entries), "images"),
        Row("boxes", sum(len(entry.boxes) for entry in index.entries), "boxes"),
        Row("images_set_aside", len(index.set_aside), "images"),
    ]
