"""A network that others trained -> the same artifact as training leaves."""

from pathlib import Path

from omegaconf import DictConfig

from deepinside.models.saved import build, described, save
from deepinside.records import Table


def run(cfg: DictConfig, _inputs: dict[str, Path], out: Path) -> None:
    """Writes `network.json`, `model.safetensors` and `table.csv`.

    Args:
        cfg: group model.
        _inputs: none.
        out: the work folder.
    """
    network = build(cfg.model, None)
    save(network, cfg.model, out)
    Table(described(network)).write(out)
