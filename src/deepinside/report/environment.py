"""The environment of the artifacts: machine and packages, from their manifests."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from deepinside.report.folder import Folder
from deepinside.report.page import Artifact, RunEnvironment
from deepinside.report.settings import Settings

FACTS = ("platform", "device", "threads")


def environments(folders: Sequence[Folder], artifacts: Sequence[Artifact]) -> list[RunEnvironment]:
    """Groups the artifacts by environment, in the order of the page; times are left out."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for folder, artifact in zip(folders, artifacts, strict=True):
        facts = _facts(folder.record)
        if facts:
            groups.setdefault(facts, []).append(artifact.name)
    return [RunEnvironment(names, facts) for facts, names in groups.items()]


def _facts(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    versions = record.get("versions")
    packages = versions if isinstance(versions, Mapping) else {}
    own = [(name, str(record[name])) for name in FACTS if record.get(name) not in (None, "")]
    return (*own, *((str(name), str(version)) for name, version in packages.items()))


GROUPS = ("data", "concepts", "model")


def trace(folders: Sequence[Folder]) -> dict[str, dict[str, str]]:
    """The names of the data, concepts and network behind each artifact, from the manifests of its inputs.

    Key of the artifact -> group -> name of its choice. A stage records only its own keys.
    """
    known = {folder.fingerprint: folder for folder in folders}
    return {folder.key: _chosen(folder, known, set()) for folder in folders}


def _chosen(folder: Folder, known: Mapping[str, Folder], passed: set[str]) -> dict[str, str]:
    passed.add(folder.fingerprint)
    names: dict[str, str] = {}
    for fingerprint in folder.inputs.values():
        if fingerprint in known and fingerprint not in passed:  # a damaged manifest may name itself
            names = _chosen(known[fingerprint], known, passed) | names
    own = {group: folder.chosen(group) for group in GROUPS}
    names |= {group: name for group, name in own.items() if name}
    return {group: names[group] for group in GROUPS if group in names}


def command(folder: Folder, settings: Settings) -> str:
    """The shell command that makes an artifact; empty if unknown."""
    if folder.command:
        return folder.command
    overrides = settings.command if "." not in folder.key else _further(folder.key, settings.also)
    if overrides is None:
        overrides = _recorded(folder)
    if overrides is None:
        return ""
    seed = [f"seed={folder.seed}"] if folder.seed not in {"", "0"} and "." in folder.key else []
    others = ("run=",) if folder.stage == "report" else ("run=", "report.")
    rest = [word for word in overrides if not word.startswith(others)]
    return shlex.join(["deepinside", f"run={folder.stage}", *rest, *seed])


def _recorded(folder: Folder) -> Sequence[str] | None:
    recorded = folder.record.get("command")
    return [str(word) for word in recorded] if isinstance(recorded, list) and recorded else None


def _further(key: str, runs: Sequence[Sequence[str]]) -> Sequence[str] | None:
    chosen = key.split(".", maxsplit=2)[1:]
    for overrides in runs:
        choices = dict(word.split("=", maxsplit=1) for word in overrides if "=" in word)
        named = [choices.get(group) for group in ("data", "model")]
        if all(name in (None, one) for name, one in zip(named, chosen, strict=False)):
            return overrides
    return None
