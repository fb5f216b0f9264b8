"""What an artifact was made from: its data, its network, and what that network has learnt."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deepinside.artifacts.artifact import MANIFEST, read_manifest
from deepinside.records import Table

STUCK = 0.5  # cosine with its random start above which a layer has not learnt
_COSINE = ".cosine_with_start"
_NETWORKS = ("train", "load")


class Origin(NamedTuple):
    """Names of data and network, empty where unknown; layer -> cosine with its random start, if trained here."""

    data: str
    network: str
    cosines: dict[str, float]


def origin(folder: Path) -> Origin:
    """The origin of an artifact, from its manifest and those of its inputs beside it."""
    if not (folder / MANIFEST).exists():
        return Origin("", "", {})
    manifest = read_manifest(folder)
    inputs = _inputs(folder, manifest)
    data = [
        _config(inputs[role], group)
        for role, group in (("prepare", "data"), ("concepts", "concepts"))
        if role in inputs
    ]
    network = folder if manifest["stage"] in _NETWORKS else inputs.get("network")
    if network is None:
        return Origin(", ".join(data), "", {})
    rows = Table.read(network).rows if (network / "table.csv").exists() else ()
    cosines = {row.metric.removesuffix(_COSINE): row.value for row in rows if row.metric.endswith(_COSINE)}
    return Origin(", ".join(data), _config(network, "model"), cosines)


def _inputs(folder: Path, manifest: dict) -> dict[str, Path]:
    # Role -> folder, of the inputs that are among the outputs.
    found = {}
    for role, name in manifest["made_from"]["inputs"].items():
        for place in folder.parent.parent.glob(f"*/{name}"):
            found[role] = place
    return found


def _config(folder: Path, group: str) -> str:
    return str(read_manifest(folder)["made_from"]["config"][group]["name"])


def stuck(folders: Sequence[Path], layers: Sequence[str]) -> str:
    """Which of the layers, or of all, have not left their random start in a network trained here; empty if none.

    A network that came with its weights has learnt. Random weights that were asked for are not meant to have.

    Raises:
        KeyError: if the training did not note a layer.
    """
    for folder in folders:
        cosines = origin(folder).cosines
        wanted = list(cosines) if "all" in layers else layers
        if cosines and (missing := [name for name in wanted if name not in cosines]):
            raise KeyError(f"no layer {missing[0]!r} in the training of {folder.name}; there are {list(cosines)}")
        still = {name: cosines[name] for name in wanted if cosines.get(name, 0.0) > STUCK}
        if still:
            listed = ", ".join(f"{name} {value:.2f}" for name, value in still.items())
            return f"not learnt: cosine with the random start above {STUCK}: {listed}"
    return ""
