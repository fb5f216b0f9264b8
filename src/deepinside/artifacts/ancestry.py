"""Settings of an artifact and its inputs: a stage records only its own, the rest is in the manifests of its inputs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deepinside.artifacts.artifact import MANIFEST, read_manifest

SEVERAL = "several"


def settings(config: Mapping[str, Any], inputs: Iterable[Path]) -> dict[str, Any]:
    """The settings of an artifact and of everything that it was made from, merged; its own have precedence.

    A setting that differs between inputs, as those of a report may, is `several`. Missing inputs are ignored.
    """
    inherited: dict[str, Any] = {}
    for folder in inputs:
        inherited = _merged(inherited, inherit(folder))
    return _merged(inherited, config, own=True)


def inherit(folder: Path) -> dict[str, Any]:
    """The merged settings of a finished artifact and everything that it was made from; empty if it is missing."""
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
