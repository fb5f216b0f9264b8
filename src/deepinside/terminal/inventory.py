"""The artifacts in an outputs folder and their inputs."""

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deepinside.artifacts.artifact import MANIFEST, Content, flat

_NAME = re.compile(r"[0-9a-f]{16}")
_UNFINISHED = re.compile(r"[0-9a-f]{16}\.(part|removed)")
_GROUPS = ("data", "concepts", "model")


@dataclass(frozen=True)
class Item:
    """A finished artifact.

    Args:
        path: of its folder, `<outputs>/<stage>/<fingerprint>`.
        manifest: as it was written; None if it is damaged.
        latest: whether `<stage>/latest` points to it.
    """

    path: Path
    manifest: Content | None
    latest: bool

    @property
    def name(self) -> str:
        """The fingerprint."""
        return self.path.name

    @property
    def inputs(self) -> dict[str, str]:
        """Role -> fingerprint of the input."""
        return self.manifest["made_from"]["inputs"] if self.manifest else {}

    @property
    def size(self) -> int:
        """Of all its files, in bytes."""
        files = self.manifest["files"].values() if self.manifest else ()
        return sum(file["bytes"] for file in files)

    @property
    def made(self) -> str:
        """Day and minute, UTC; empty if unknown."""
        created = self.manifest["record"].get("created", "") if self.manifest else ""
        return created[:16].replace("T", " ")


@dataclass(frozen=True)
class Inventory:
    """All artifacts of an outputs folder, and unfinished work.

    Args:
        outputs: the folder.
        items: by stage, then by age, oldest first.
        unfinished: folders `<fingerprint>.part`, in progress or interrupted, and `.removed`, removed in part.
    """

    outputs: Path
    items: tuple[Item, ...]
    unfinished: tuple[Path, ...]

    @classmethod
    def of(cls, outputs: Path) -> "Inventory":
        """The content of an outputs folder; links are not followed.

        Raises:
            FileNotFoundError: if there is no such folder.
        """
        if not outputs.is_dir():
            raise FileNotFoundError(f"{outputs}: expected the folder that runs write into (outputs=...), got no folder")
        folders = [folder for stage in sorted(_folders(outputs)) for folder in _folders(stage)]
        items = (_item(folder) for folder in folders if _NAME.fullmatch(folder.name) and (folder / MANIFEST).is_file())
        unfinished = sorted(folder for folder in folders if _UNFINISHED.fullmatch(folder.name))
        return cls(outputs, tuple(sorted(items, key=lambda i: (i.path.parent, i.made, i.name))), tuple(unfinished))

    @cached_property
    def by_name(self) -> dict[str, Item]:
        """Fingerprint -> artifact."""
        return {item.name: item for item in self.items}

    @cached_property
    def kept(self) -> frozenset[str]:
        """Fingerprints of the artifacts that a `latest` points to, and of all their direct and indirect inputs."""
        found: set[str] = set()
        waiting = {item.name for item in self.items if item.latest}
        while waiting:
            found |= waiting
            waiting = {name for one in waiting & self.by_name.keys() for name in self.by_name[one].inputs.values()}
            waiting -= found
        return frozenset(found)

    def made_of(self, item: Item) -> str:
        """In short, what an artifact was made from: data, network and methods, then further overrides."""
        if item.manifest is None:
            return "its manifest.json is damaged"
        made_from = item.manifest["made_from"]
        names = [name for group in _GROUPS for name in sorted(self._names(item, group))]
        methods = list(made_from["config"].get("method") or ())
        overrides = [word for word in item.manifest["record"].get("command", ()) if _telling(word, made_from["config"])]
        return " ".join([*names, *_few(methods), *overrides] or made_from["raw"])

    def _names(self, item: Item, group: str) -> set[str]:
        config = (item.manifest or {}).get("made_from", {}).get("config", {})
        own = config.get(group)
        if isinstance(own, dict) and own.get("name"):
            return {str(own["name"])}
        inputs = (self.by_name[name] for name in item.inputs.values() if name in self.by_name)
        return set().union(*(self._names(needed, group) for needed in inputs))


def _telling(word: str, config: dict[str, Any]) -> bool:
    # Whether a word of the command concerns this artifact, and its names do not say it already.
    key, _, value = word.lstrip("+~").partition("=")
    if key in {"method", *_GROUPS} or value == key.replace(".", "_").upper():
        return False
    parts = {".".join(leaf.split(".")[:end]) for leaf in flat(config) for end in range(1, leaf.count(".") + 2)}
    return key in parts | {"experiment", "seed"}


def _few(words: list[str], most: int = 3) -> list[str]:
    return words if len(words) <= most + 1 else [*words[:most], f"+{len(words) - most}"]


def artifact_folder(text: str) -> Path:
    """The path of an artifact that was typed.

    Raises:
        ArgumentTypeError: if there is no such folder.
    """
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(
            f"{text} is not a finished artifact, there is no such folder; `deepinside list` names those that exist"
        )
    return Path(text)


def _folders(place: Path) -> Iterator[Path]:
    return (path for path in place.iterdir() if path.is_dir() and not path.is_symlink())


def _item(folder: Path) -> Item:
    latest = folder.parent / "latest"
    return Item(folder, manifest(folder), latest.is_symlink() and latest.resolve() == folder.resolve())


def manifest(folder: Path) -> Content | None:
    """An artifact's manifest; None if it is damaged, or belongs to another artifact."""
    try:
        content: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        its_own = (content["fingerprint"], content["stage"]) == (folder.name, folder.parent.name)
        return content if its_own and content.keys() >= {"made_from", "files", "record"} else None
    except (ValueError, KeyError, TypeError):
        return None


def in_words(size: int) -> str:
    """A size in bytes as text, for instance `3.4 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def total(items: Iterable[Item]) -> str:
    """The total size of several artifacts, as text."""
    return in_words(sum(item.size for item in items))
