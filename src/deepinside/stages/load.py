"""A pretrained network -> the same artifact as `train` makes."""

from pathlib import Path

from omegaconf import DictConfig

from deepinside.models.saved import build, described, save
from deepinside.records import Table


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes `network.json`, `model.safetensors` and `table.csv`."""
    network = build(cfg.model, None)
    save(network, cfg.model, out)
    Table(described(network)).write(out)
