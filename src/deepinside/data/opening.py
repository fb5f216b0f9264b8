"""Opens the data sets of the configuration."""

import csv
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepinside.data.index import PICTURES, Index
from deepinside.spelling import resolved


def fetch(group: DictConfig) -> None:
    """Downloads a public data set if that is requested and it is missing.

    Args:
        group: data or concepts, with `fetch` (the function to call), `root` and `download`.

    Raises:
        FileNotFoundError: if it is missing, and the download is not requested or fails.
    """
    keys: dict[str, Any] = OmegaConf.to_container(group.fetch, resolve=True)  # type: ignore[assignment]
    work = resolved(keys.pop("_target_"))
    work(Path(group.root), download=group.download, **keys)


def open_index(cfg: DictConfig, prepared: Path, network: Path | None = None) -> Index:
    """The index of a data set from its artifact of `prepare`.

    Args:
        cfg: with `data.root`.
        prepared: artifact of `prepare`; it contains generated images and those of arrays, but no others.
        network: artifact of the network to be applied. If `train` made it, images without a split are divided as for
            that training, so that the network was not trained on those of `val`.

    Returns:
        All splits.
    """
    inside = cfg.data.root is None or (prepared / PICTURES).is_dir()
    index = Index.read(prepared, prepared if inside else Path(cfg.data.root))
    return index.divided() if network is not None and network.parent.name == "train" else index


def blacklisted(prepared: Path) -> frozenset[str]:
    """The images excluded from localisation.

    Args:
        prepared: artifact of `prepare`.

    Returns:
        Their names; none if the data have no such list.
    """
    path = prepared / "blacklist.csv"
    if not path.exists():
        return frozenset()
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return frozenset(line["image"] for line in csv.DictReader(file))
