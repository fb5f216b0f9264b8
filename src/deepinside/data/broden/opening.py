"""Opens the concepts of the configuration."""

from pathlib import Path

from omegaconf import DictConfig

from deepinside.data.broden.reader import Broden


def open_broden(cfg: DictConfig, concepts: Path) -> Broden:
    """The images with concept masks.

    Args:
        cfg: with `concepts.root`.
        concepts: artifact of `concepts`; it contains generated and converted images, but not Broden's.

    Returns:
        All rows.
    """
    inside = cfg.concepts.root is None or (concepts / "index.csv").exists()
    return Broden.open(concepts if inside else Path(cfg.concepts.root))
