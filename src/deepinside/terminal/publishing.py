"""`deepinside publish`: replays finished artifacts and their inputs to Weights & Biases."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepinside.artifacts import ancestry
from deepinside.artifacts.artifact import MANIFEST, read_manifest
from deepinside.terminal.screen import say
from deepinside.tracking import artifact_name, published, tracked

PUBLISHED, SENT, FAILED = "already published", "sent", "failed"
_PLACE = ("mode", "project", "entity")


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("targets", nargs="+", metavar="PATH", help="of an artifact, such as outputs/report/latest")
    parser.epilog = (
        "wandb.project=NAME, wandb.entity=NAME and name=GROUP set the target; with wandb=offline the runs are written "
        "for a later `wandb sync`."
    )


def run(arguments: argparse.Namespace) -> int:
    """Publishes every artifact that W&B does not have completely, inputs first; can be interrupted and repeated.

    Returns:
        0 if W&B has everything now, otherwise 1.

    Raises:
        ValueError: if W&B is disabled.
    """
    from deepinside.pipeline.configuration import composed  # Hydra is slow to import: not for the other commands

    paths = [Path(word) for word in arguments.targets if "=" not in word]
    overrides = [word for word in arguments.targets if "=" in word]
    online = [] if any(word.startswith("wandb=") for word in overrides) else ["wandb=online"]
    cfg = composed([*online, *overrides])
    wandb = {str(key): value for key, value in cfg.wandb.items()}
    if wandb["mode"] == "disabled":
        raise ValueError("expected wandb=online or wandb=offline, got disabled")
    folders = {folder: None for path in paths for folder in _chain(path.resolve())}
    for position, folder in enumerate(folders, start=1):
        done = _publish(folder, wandb, cfg.name)
        say(f"{position}/{len(folders)}  {folder.parent.name}/{folder.name}  {done}")
        if done == FAILED:
            say("W&B did not receive everything; the same command continues from here")
            return 1
    return 0


def _chain(folder: Path) -> Iterator[Path]:
    # An artifact and all its inputs, inputs first.
    inputs = read_manifest(folder)["made_from"]["inputs"]
    for needed in _folders(folder, inputs).values():
        if (needed / MANIFEST).exists():
            yield from _chain(needed)
    yield folder


def _folders(folder: Path, inputs: Mapping[str, str]) -> dict[str, Path]:
    # Role -> folder; of one that was removed what would be its folder, so that its fingerprint is still stated.
    outputs = folder.parent.parent
    there = {role: sorted(outputs.glob(f"*/{name}/{MANIFEST}")) for role, name in inputs.items()}
    return {role: found[0].parent if found else outputs / "removed" / inputs[role] for role, found in there.items()}


def _publish(folder: Path, wandb: Mapping[str, Any], group: str) -> str:
    from deepinside.pipeline.table import STAGES

    manifest = read_manifest(folder)
    stage, config = manifest["stage"], manifest["made_from"]["config"]
    inputs = _folders(folder, manifest["made_from"]["inputs"])
    place = {key: wandb[key] for key in _PLACE} | {"root": folder.parent.parent}
    here = [needed.name for needed in inputs.values() if (needed / MANIFEST).exists()]
    about = {"stage": stage, "fingerprint": folder.name}
    name = artifact_name(stage, ancestry.inherit(folder))
    if published(**about, **place, name=name, inputs=here):
        return PUBLISHED
    limits = {key: value for key, value in wandb.items() if key not in _PLACE}
    described = {
        "kind": STAGES[stage].kind,
        "config": config,
        "inputs": inputs,
        "group": str(config.get("name", group)),
    }
    with tracked(**about, **place, **described, **limits, replay=True) as run:
        run.log(folder)
    return SENT if run.whole else FAILED
