"""Where to get data that are missing."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from deepinside.data.broden.reader import Broden
from deepinside.spelling import resolved


def instructions(group: DictConfig) -> str:
    """What the reader of a data set says of a missing folder, such as where to get it.

    Args:
        group: data or concepts, with `root`, which does not exist.

    Returns:
        The message of its error; empty if it has none.
    """
    keys: dict[str, Any] = OmegaConf.to_container(group, resolve=True)  # type: ignore[assignment]
    reader = keys.get("index", {})
    try:
        if "_target_" in reader and "out" not in reader:
            resolved(reader.pop("_target_"))(Path(group.root), **reader)
        elif "index" not in keys and not keys.get("convert"):
            Broden.open(Path(group.root))
    except FileNotFoundError as error:
        return str(error)
    return ""
