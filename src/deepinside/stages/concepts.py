"""Images with concept masks in the Broden format -> checked and counted.

Those of the synthetic data set are drawn first; a user's own masks and annotations are converted first.
"""

import csv
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from deepinside.data.broden.opening import open_broden
from deepinside.records import Row, Table, write_set_aside


def check(cfg: DictConfig) -> None:
    """Checks the folder to convert before any work.

    Raises:
        ValueError: if the folder is not named, or what is to be converted is outside of it.
    """
    convert = cfg.concepts.get("convert") or {}
    if convert and cfg.concepts.root is None:
        raise ValueError(
            f"concepts={cfg.concepts.name} converts a folder: name it, concepts.root=FOLDER (conf/concepts/"
            f"{cfg.concepts.name}.yaml describes its content)"
        )
    for key in ("images", "masks", "annotations"):  # only what is below the root enters the fingerprint
        path = Path(convert.get(key) or "")
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(
                f"concepts.convert.{key}={path}: expected a path below concepts.root={cfg.concepts.root}: name the "
                "folder that contains everything, or add a link to it"
            )


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes `concepts.csv`, `set_aside.csv`, `table.csv` and, if drawn or converted, the Broden folder."""
    if cfg.concepts.draw and cfg.concepts.root is None:
        instantiate(cfg.concepts.draw, out=out, workers=cfg.machine.workers)
    aside: list[tuple[str, str]] = []
    if cfg.concepts.get("convert"):
        aside = instantiate(cfg.concepts.convert, root=Path(cfg.concepts.root), out=out)
    broden = open_broden(cfg, out)
    aside += broden.set_aside
    with (out / "concepts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "name", "category", "frequency", "coverage"))
        writer.writerows((b.number, b.name, b.category, b.frequency, b.coverage) for b in broden.labels)
    write_set_aside(out, aside)
    counts = [Row(f"{c}_concepts", sum(b.category == c for b in broden.labels), "concepts") for c in broden.categories]
    rows = [Row("images", len(broden), "images"), Row("concepts", len(broden.labels), "concepts"), *counts]
    Table([*rows, Row("images_set_aside", len(aside), "images")]).write(out)
