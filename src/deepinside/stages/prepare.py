"""Pictures on disk, in whatever layout -> one list of them; the miniature world is drawn first."""

from collections import Counter
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from deepinside.data.index import Index
from deepinside.records import Row, Table


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes `images.csv`, `boxes.csv`, `classes.csv`, `set_aside.csv` and, for a drawn world, the pictures.

    Args:
        cfg: groups data and machine.
        _inputs: none.
        out: the work folder.
    """
    root = out if cfg.data.root is None else Path(cfg.data.root)
    if cfg.data.draw and cfg.data.root is None:
        instantiate(cfg.data.draw, out=out, workers=cfg.machine.workers)
    index: Index = instantiate(cfg.data.index, root=root)
    index.write(out)
    _table(index).write(out)


def _table(index: Index) -> Table:
    splits = Counter(entry.split for entry in index.entries)
    rows = [
        Row("classes", len(index.classes), "classes"),
        *(Row(f"{split}_images", count, "images") for split, count in sorted(splits.items())),
        Row("images_with_boxes", sum(len(entry.boxes) > 0 for entry in index.entries), "images"),
        Row("boxes", sum(len(entry.boxes) for entry in index.entries), "boxes"),
        Row("images_set_aside", len(index.set_aside), "images"),
    ]
    return Table(rows)
