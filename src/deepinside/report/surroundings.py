"""What the artifacts were computed with: machine and packages, as their manifests tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from deepinside.report.folder import Folder
from deepinside.report.page import Artifact, Surroundings

FACTS = ("platform", "device", "threads")


def surroundings(folders: Sequence[Folder], artifacts: Sequence[Artifact]) -> list[Surroundings]:
    """Groups the artifacts by what computed them; times are left out, so that the same work gives the same page.

    Args:
        folders: as read.
        artifacts: the same, as the page names them.

    Returns:
        Each environment with the artifacts made in it, in the order of the page.
    """
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for folder, artifact in zip(folders, artifacts, strict=True):
        facts = _facts(folder.record)
        if facts:
            groups.setdefault(facts, []).append(artifact.name)
    return [Surroundings(names, facts) for facts, names in groups.items()]


def _facts(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    versions = record.get("versions")
    packages = versions if isinstance(versions, Mapping) else {}
    own = [(name, str(record[name])) for name in FACTS if record.get(name) not in (None, "")]
    return (*own, *((str(name), str(version)) for name, version in packages.items()))
