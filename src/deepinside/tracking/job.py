"""What a run is about: one stage, its artifact, and where it is mirrored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepinside.artifacts import ancestry

_NAMING = ("data", "concepts", "model")


@dataclass(frozen=True)
class Limits:
    """How much is shown and how long is waited; as in `conf/wandb/offline.yaml`.

    Args:
        upload_mb: a dataset above this size, in megabytes, is mirrored without its deeper folders;
        upload_files: likewise one of more files.
        pictures: shown per run, spread evenly over the groups.
        rows: shown per table, from the top.
        start_s: patience for the server at the start, in seconds.
        finish_s: patience for the upload at the end, in seconds.
    """

    upload_mb: float = 200
    upload_files: int = 5000
    pictures: int = 100
    rows: int = 1000
    start_s: float = 30
    finish_s: float = 600


@dataclass(frozen=True)
class Job:
    """One stage and its artifact, and how they are mirrored.

    Args:
        stage: its name.
        kind: type of its artifact.
        fingerprint: of its artifact.
        config: its own configuration.
        inputs: role -> folder of an artifact that it takes.
        mode: `online`, `offline` or `disabled`.
        project: of W&B.
        entity: user or team of W&B.
        group: the experiment.
        root: the outputs folder.
        limits: how much is shown.
        replay: whether the artifact was finished before: what W&B has of the run is then replaced, and counts as whole
            only if all of it went through.
    """

    stage: str
    kind: str
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, Path]
    mode: str
    project: str
    entity: str | None
    group: str
    root: Path
    limits: Limits
    replay: bool = False

    @property
    def id(self) -> str:
        """Id of the run: the same computation is the same run."""
        return f"{self.stage}-{self.fingerprint}"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the artifact and of everything that it was made from."""
        return ancestry.settings(self.config, self.inputs.values())

    @property
    def lineage(self) -> dict[str, Any]:
        """Stage, fingerprint, and the fingerprints of its inputs."""
        inputs = {role: folder.resolve().name for role, folder in sorted(self.inputs.items())}
        return {"stage": self.stage, "fingerprint": self.fingerprint, "inputs": inputs}


def artifact_name(stage: str, settings: Mapping[str, Any]) -> str:
    """The name of a stage's artifact in W&B: stage, data and network, for instance `train-miniature-convnet_mini`."""
    groups = [settings.get(group) for group in _NAMING]
    names = [group.get("name") for group in groups if isinstance(group, Mapping)]
    names = [settings["name"]] if "name" in settings else names
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "-".join([stage, *(str(name) for name in names if name)]))[:128]
