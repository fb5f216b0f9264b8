"""Whether W&B has an artifact already."""

from collections.abc import Collection
from pathlib import Path

from deepinside.tracking.run import COMPLETE


def published(
    *, stage: str, fingerprint: str, name: str, inputs: Collection[str], mode: str, project: str, entity: str | None,
    root: Path,
) -> bool:  # fmt: skip
    """Whether W&B has an artifact whole: its run ended well, the artifact is there, its inputs are declared.

    Args:
        stage: that made it.
        fingerprint: its alias.
        name: its name on W&B, see `artifact_name`.
        inputs: fingerprints of the artifacts that its run must have declared.
        mode: `online` asks the server, `offline` looks into `<root>/wandb`.
        project: of W&B.
        entity: user or team of W&B; None for the account's own.
        root: the outputs folder.

    Returns:
        False also where it is there in part.

    Raises:
        OSError: if the server does not answer, or lets nobody in.
    """
    if mode == "offline":
        return any((root / "wandb").glob(f"offline-run-*-{stage}-{fingerprint}/{COMPLETE}"))
    import wandb

    owner = {"entity": entity} if entity else {}
    place = "/".join([*owner.values(), project, name])
    try:
        api = wandb.Api(overrides={"project": project} | owner)
        run = api.run(f"{stage}-{fingerprint}")
        declared = {alias for used in run.used_artifacts() for alias in used.aliases}
        whole = run.state == "finished" and set(inputs) <= declared
        return whole and bool(api.artifact_exists(f"{place}:{fingerprint}"))
    except wandb.Error as error:
        if "could not find" in str(error).lower():
            return False
        raise OSError(
            f"W&B does not answer ({' '.join(str(error).split())}): check the network and `wandb login`"
        ) from error
