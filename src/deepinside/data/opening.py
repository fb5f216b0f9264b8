"""Opens data sets and concepts where the configuration says that they are."""

import csv
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepinside.data.broden.reader import Broden
from deepinside.data.index import PICTURES, Index
from deepinside.spelling import resolved


def fetch(group: DictConfig) -> None:
    """Downloads a public data set where that is asked for and it is not there.

    Args:
        group: data or concepts, with `fetch` (what knows how), `root` and `download`.

    Raises:
        FileNotFoundError: if it is not there and is not to be, or cannot be, downloaded.
    """
    keys: dict[str, Any] = OmegaConf.to_container(group.fetch, resolve=True)  # type: ignore[assignment]
    work = resolved(keys.pop("_target_"))
    work(Path(group.root), download=group.download, **keys)


def open_index(cfg: DictConfig, prepared: Path, network: Path | None = None) -> Index:
    """The images that a data set's `prepare` listed.

    Args:
        cfg: with `data.root`.
        prepared: artifact of `prepare`; drawn images and those of arrays lie in it, all others stay where they are.
        network: artifact of the network that looks at them. Where `train` made it, images without a split of their
            own are divided as they were for that training, so that the network never saw those of `val`.

    Returns:
        All splits.
    """
    inside = cfg.data.root is None or (prepared / PICTURES).is_dir()
    index = Index.read(prepared, prepared if inside else Path(cfg.data.root))
    return index.divided() if network is not None and network.parent.name == "train" else index


def open_broden(cfg: DictConfig, concepts: Path) -> Broden:
    """The images with concept masks.

    Args:
        cfg: with `concepts.root`.
        concepts: artifact of `concepts`; drawn and converted images lie in it, Broden's stay where they are.

    Returns:
        All rows.
    """
    inside = cfg.concepts.root is None or (concepts / "index.csv").exists()
    return Broden.open(concepts if inside else Path(cfg.concepts.root))


def blacklisted(prepared: Path) -> frozenset[str]:
    """The images that localisation does not count.

    Args:
        prepared: artifact of `prepare`.

    Returns:
        Their names; none where the data have no such list.
    """
    path = prepared / "blacklist.csv"
    if not path.exists():
        return frozenset()
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return frozenset(line["image"] for line in csv.DictReader(file))
