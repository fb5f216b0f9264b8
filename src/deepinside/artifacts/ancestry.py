"""What an artifact rests on: a stage sees only its own settings, so the rest is in the manifests of its inputs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deepinside.artifacts.artifact import MANIFEST, read_manifest

SEVERAL = "several"


def settings(config: Mapping[str, Any], inputs: Iterable[Path]) -> dict[str, Any]:
    """The settings of an artifact and of all that it rests on, as one configuration.

    Args:
        config: the artifact's own.
        inputs: folders of the artifacts that it takes; those that are gone are passed over.

    Returns:
        Merged; `several` stands where two inputs, as those of a report, differ. Its own settings win.
    """
    inherited: dict[str, Any] = {}
    for folder in inputs:
        inherited = _merged(inherited, inherit(folder))
    return _merged(inherited, config, own=True)


def inherit(folder: Path) -> dict[str, Any]:
    """The same, of a finished artifact.

    Args:
        folder: of the artifact, beside the others of its outputs folder.

    Returns:
        Merged settings; empty if it is gone.
    """
    if not (folder / MANIFEST).exists():
        return {}
    made_from = read_manifest(folder)["made_from"]
    outputs = folder.resolve().parent.parent
    parents = (parent for name in made_from["inputs"].values() for parent in sorted(outputs.glob(f"*/{name}")))
    return settings(made_from["config"], parents)


def _merged(first: Mapping[str, Any], second: Mapping[str, Any], own: bool = False) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        known = merged.get(key, value)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(known, value, own)
        else:
            merged[key] = value if own or known == value else SEVERAL
    return merged
