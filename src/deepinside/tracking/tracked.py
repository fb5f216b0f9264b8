"""A W&B run around a stage that computes."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepinside.tracking.job import Job, Limits
from deepinside.tracking.run import Run

MODES = ("online", "offline", "disabled")
KINDS = ("dataset", "model", "maps", "table", "report")


@contextmanager
def tracked(
    *,
    stage: str,
    kind: str,
    fingerprint: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Path],
    mode: str,
    project: str,
    entity: str | None,
    group: str,
    root: Path,
    replay: bool = False,
    **limits: Any,
) -> Generator["Run"]:
    """A W&B run around a stage that computes. Whatever W&B does, the stage continues and keeps its result.

    Args:
        stage: name of the stage, the run's job type.
        kind: type of its artifact: dataset, model, maps, table or report.
        fingerprint: of the artifact, which becomes its alias.
        config: the stage's own configuration, as in its manifest; plain values.
        inputs: role -> finished artifact folder, beside the others of `root`.
        mode: `online`, `offline` (no account needed) or `disabled` (wandb is not even imported).
        project: of W&B.
        entity: user or team of W&B; None for the account's own.
        group: the experiment.
        root: the outputs folder; W&B writes only into its `wandb`.
        replay: whether the artifact was finished before; W&B's record of the run is then replaced.
        **limits: fields of `Limits`.

    Yields:
        The run, which takes curves during the computation, and the artifact folder when that is complete.

    Raises:
        ValueError: for an unknown mode or kind.
    """
    for word, known in ((mode, MODES), (kind, KINDS)):
        if word not in known:
            raise ValueError(f"expected one of {', '.join(known)}, got {word!r}")
    own, outputs, bounds = dict(config), root.absolute(), Limits(**limits)
    run = Run(Job(stage, kind, fingerprint, own, dict(inputs), mode, project, entity, group, outputs, bounds, replay))
    if mode == "disabled":
        yield run
        return
    with _environment(mode, run.scratch):
        failed = True
        try:
            run.begin()
            yield run
            failed = False
        finally:
            run.end(failed)


@contextmanager
def _environment(mode: str, scratch: Path) -> Generator[None]:
    # W&B's variables for the time of the run. Offline, the user's own (account, tags, host) are hidden; online they
    # are needed, and so is the user's configuration folder, which may have the address of one's own server.
    ours = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    folders = ["WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_ARTIFACT_DIR"]
    folders += ["WANDB_CONFIG_DIR"] if mode == "offline" else []
    before = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    try:
        for name in before if mode == "offline" else ():
            del os.environ[name]
        os.environ.update(ours | dict.fromkeys(folders, str(scratch)))
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            del os.environ[name]
        os.environ.update(before)
