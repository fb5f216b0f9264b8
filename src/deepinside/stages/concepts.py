"""Pictures with concept masks in the Broden format -> checked and counted; the miniature world's are drawn first."""

import csv
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from deepinside.records import Row, Table
from deepinside.stages.inputs import open_broden


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes `concepts.csv`, `set_aside.csv`, `table.csv` and, for a drawn world, the Broden folder itself.

    Args:
        cfg: groups concepts and machine.
        _inputs: none.
        out: the work folder.
    """
    if cfg.concepts.draw and cfg.concepts.root is None:
        instantiate(cfg.concepts.draw, out=out, workers=cfg.machine.workers)
    broden = open_broden(cfg, out)
    with (out / "concepts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "name", "category", "frequency", "coverage"))
        writer.writerows((b.number, b.name, b.category, b.frequency, b.coverage) for b in broden.labels)
    with (out / "set_aside.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "reason"))
        writer.writerows(broden.set_aside)
    counts = [Row(f"{c}_concepts", sum(b.category == c for b in broden.labels), "concepts") for c in broden.categories]
    rows = [Row("images", len(broden), "images"), Row("concepts", len(broden.labels), "concepts"), *counts]
    Table([*rows, Row("images_set_aside", len(broden.set_aside), "images")]).write(out)
