"""`deepinside show`: one artifact in readable form."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepinside.artifacts.artifact import MANIFEST, flat, read_manifest
from deepinside.report import summary
from deepinside.terminal.inventory import Inventory, artifact_folder, in_words
from deepinside.terminal.screen import aligned, say

FILES = 20  # shown of each artifact; the largest folder has thousands


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "path", type=artifact_folder, metavar="PATH", help="of an artifact, such as outputs/localise/latest"
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes an artifact's inputs, settings, numbers and files; returns 0."""
    manifest = read_manifest(arguments.path)
    folder = arguments.path.resolve()
    made_from = manifest["made_from"]
    say(f"{manifest['stage']} {manifest['fingerprint']}", *_made(manifest))
    _part("settings", [(key, str(value)) for key, value in flat(made_from["config"]).items()])
    raw = [(key, f"content {digest}") for key, digest in made_from["raw"].items()]
    _part("inputs", [*_inputs(folder, made_from["inputs"]), *raw])
    _part("taken by", _takers(folder))
    say("", "numbers", *(f"  {line}" for line in summary.lines(folder) or ["none"]))
    _part("files", list(_files(folder, manifest["files"])))
    return 0


def _part(title: str, rows: list[tuple[str, ...]]) -> None:
    if rows:
        say("", title, *(f"  {line}" for line in aligned(rows, [False] * len(rows[0]))))


def _made(manifest: Mapping[str, Any]) -> list[str]:
    record, made_from = manifest["record"], manifest["made_from"]
    rows = [
        ("made", f"{record.get('created', 'at an unknown time')}, in {record.get('seconds', '?')} s"),
        ("on", ", ".join(str(record[key]) for key in ("device", "platform") if key in record) or "?"),
        ("by", " ".join(["deepinside", *record.get("command", ())])),
        *(("in parts", line) for line in record.get("halved", ())),
        ("seed", str(made_from["seed"])),
        ("code", f"{made_from['source']}, commit {record.get('commit') or 'unknown'}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())),
    ]
    return [f"  {line}" for line in aligned(rows, [False, False])]


def _inputs(folder: Path, inputs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    outputs = folder.parent.parent
    for role, name in inputs.items():
        there = next((path.parent for path in sorted(outputs.glob(f"*/{name}/{MANIFEST}"))), None)
        yield role, f"{there.parent.name}/{name}" if there else f"{name} (missing)"


def _takers(folder: Path) -> list[tuple[str, ...]]:
    items = Inventory.of(folder.parent.parent).items
    taking = [item for item in items if folder.name in item.inputs.values()]
    return [(f"{item.path.parent.name}/{item.name}",) for item in taking]


def _files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    shown = sorted(files, key=lambda name: (name.count("/"), name))
    for name in shown[:FILES]:
        yield name, in_words(files[name]["bytes"]) if (folder / name).exists() else "missing"
    if len(files) > FILES:
        rest = in_words(sum(files[name]["bytes"] for name in shown[FILES:]))
        yield f"... and {len(files) - FILES} more", rest
