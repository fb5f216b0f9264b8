"""Custom images in tar shards in WebDataset's layout: key.jpg beside key.cls or key.json.

Shards are read by Python's tarfile: `prepare` reads each once and lists the position of every image, which is then read
by position like a file. The libraries `webdataset` and `wids` do not fit: the first only streams, while batches here
are fixed by position; the second lists a shard again in each process.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from deepinside.data.image import SUFFIXES, UNREAD, read_header
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.data.layouts import instead
from deepinside.data.reading import BadFile, check_name, read_text, survey
from deepinside.data.tar import MARK, Packed, Span, packed
from deepinside.records import Boxes

MAX_BYTES = 2**20  # of a file: ten thousand boxes
_MAX_CLASSES = 100_000  # four times ImageNet's 21,841
_MAX_NAME = 300  # characters
_MEND = "correct it or remove the image"

Label = int | str  # number of a class, or its name


class Sidecar(NamedTuple):
    """A class and boxes, either of which may be unknown."""

    label: Label | None
    boxes: Boxes = NO_BOXES


def read_sidecar(kind: str, content: bytes, path: Path) -> Sidecar:
    """Reads the annotation beside an image.

    Args:
        kind: `cls`, the number of its class; or `json`, an object with `label`, a number or a name, and `boxes`
            `[[x0, y0, x1, y1], ...]`, half-open, in pixels; both may be missing.
        content: of the file.
        path: for messages.

    Returns:
        Class and boxes.

    Raises:
        BadFile: if it is no such text.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise BadFile(path, "text in UTF-8", f"{error.reason} at byte {error.start}", _MEND) from error
    if kind == "cls":
        return Sidecar(_number(text.strip(), path))
    known = _object(text, path)
    label = known.get("label")
    return Sidecar(None if label is None else _label(label, path), _boxes(known.get("boxes"), path))


def _number(text: str, path: Path) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) >= _MAX_CLASSES:
        raise BadFile(path, f"the number of a class, 0 to {_MAX_CLASSES - 1}", repr(text), _MEND)
    return int(text)


def _object(text: str, path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFile(path, "JSON", str(error), _MEND) from error
    if not isinstance(content, Mapping):
        raise BadFile(path, "a JSON object", type(content).__name__, _MEND)
    return content


def _label(value: Any, path: Path) -> Label:
    if isinstance(value, int) and not isinstance(value, bool):
        return _number(str(value), path)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _MAX_NAME or not value.isprintable():
        raise BadFile(path, "a label that is a number or a name", repr(value), _MEND)
    return value.strip()


def _boxes(value: Any, path: Path) -> Boxes:
    if value is None or value == []:
        return NO_BOXES
    try:
        return Boxes(np.array([(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in value]))
    except (TypeError, ValueError, OverflowError) as error:
        expected = "boxes [[x0, y0, x1, y1], ...] with x0 < x1, y0 < y1 in pixels"
        raise BadFile(path, expected, repr(value), _MEND) from error


HOW = """Pack the images as WebDataset does, without compression:
    {root}/train-000000.tar, {root}/val-000000.tar, ...   (without these words training holds out a tenth)
    in them: key.jpg (or jpeg, png), and beside it key.cls (the number of its class, from 0) or
    key.json, such as {{"label": 3, "boxes": [[x0, y0, x1, y1]]}} (a number or a name; boxes half-open, in pixels)
{root}/classes.txt may name the classes, a line each. Then name the folder: data.root={root}"""
_WORDS = {"train": "train", "val": "val", "validation": "val"}
_NOTHING = Sidecar(None)


@dataclass
class _Sample:
    # What is under one key of a shard, as far as it has been read.
    split: str
    kinds: set[str] = field(default_factory=set)
    bad: bool = False
    file: str = ""
    span: Span | None = None
    size: tuple[int, int] = (0, 0)
    cls: Sidecar = _NOTHING
    json: Sidecar = _NOTHING

    @property
    def label(self) -> Label | None:
        return self.json.label if self.cls.label is None else self.cls.label


def index(root: Path | str, split: str = "all", shards: str = "**/*.tar") -> Index:
    """The images in a folder of tar shards.

    Args:
        root: of the shards; it is only read.
        split: `train`, `val` or `all`. A shard belongs to the split that is named in its path; if any is named, shards
            without one are ignored.
        shards: pattern of paths below the root.

    Returns:
        The index; an image's name is the path of its shard and its own in it. `key.cls` has precedence over `key.json`.
        Unusable files are skipped.

    Raises:
        FileNotFoundError: if there are no such shards or no images in them.
        ValueError: if the pattern leads out of the folder, a shard's name or the labels are ambiguous, `classes.txt` is
            broken, or nothing is usable.
    """
    root = Path(root)
    found = [(path, _split(path.relative_to(root))) for path in _found(root, shards)]
    splits = {split for _, split in found} - {"all"}
    tasks = [(path, split) for path, split in found if not splits or split in splits]
    listed = survey(root, tasks, partial(_samples, root), "shards")
    if not listed.found and not listed.set_aside:
        raise FileNotFoundError(f"{root}: expected images in {len(tasks)} shards, got none.\n{HOW.format(root=root)}")
    ids = _classes(root, [sample.label for sample in listed.found])
    entries, aside = _labelled(root, ids, listed.found)
    aside += listed.set_aside
    if not entries:
        file, reason = aside[0]
        raise ValueError(f"{root}: expected usable images, got none; such as {file}: {reason}")
    return Index(root, ids, tuple(name.replace("_", " ") for name in ids), entries, aside).split(split)


def _found(root: Path, pattern: str) -> list[Path]:
    parts = PurePosixPath(pattern).parts
    if not parts or ".." in parts or PurePosixPath(pattern).is_absolute():
        raise ValueError(f"expected a pattern of paths below {root}, got {pattern!r}: such as train-*.tar")
    paths = [path for path in sorted(root.glob(pattern)) if path.name.endswith(".tar") and path.is_file()]
    paths = [path for path in paths if not path.name.startswith(".")]
    if not paths:
        raise FileNotFoundError(f"{root}: expected tar shards ({pattern}), got none{instead(root, 'shards', HOW)}")
    odd = [path.parent for path in paths if MARK in f"{path.relative_to(root).parent}/"]
    if odd:
        raise ValueError(f"{odd[0]}: expected a folder not named like a shard: rename it")
    return paths


def _split(path: Path) -> str:
    words = {_WORDS[word] for word in re.split(r"[^a-z0-9]+", path.as_posix().lower()) if word in _WORDS}
    if len(words) > 1:
        raise ValueError(f"{path}: expected a shard of train or of val by its path, got both: rename it")
    return words.pop() if words else "all"


def _samples(root: Path, task: tuple[Path, str]) -> Iterator[_Sample | BadFile]:
    path, split = task
    samples: dict[str, _Sample] = {}
    for item in packed(path):
        if isinstance(item, BadFile):
            yield item
            continue
        folder, _, base = item.name.rpartition("/")
        stem, _, suffix = base.partition(".")  # as WebDataset has it: the key ends at the first dot
        kind = "image" if f".{suffix.lower()}" in SUFFIXES else suffix.lower()
        if f".{kind}" in UNREAD:
            path_inside = Path(f"{path}/{item.name}")
            yield BadFile(path_inside, "a JPEG or PNG image", f"a .{kind} file", "save it as one of these")
        if kind in {"image", "cls", "json"}:
            sample = samples.setdefault(f"{folder}/{stem}", _Sample(split))
            try:
                _take(sample, kind, item, Path(f"{path}/{item.name}"), root)
            except BadFile as error:
                sample.bad = True
                yield error
    yield from (sample for sample in samples.values() if sample.span and not sample.bad)


def _take(sample: _Sample, kind: str, item: Packed, path: Path, root: Path) -> None:
    if kind in sample.kinds:
        raise BadFile(path, f"one {kind} of each key in a shard", "another", "rename or remove one")
    sample.kinds.add(kind)
    if kind == "image":
        sample.file, sample.span = path.relative_to(root).as_posix(), item.span
        check_name(path, sample.file)
        sample.size = read_header(path, lambda _path: item.content)
    elif item.span.length > MAX_BYTES:
        raise BadFile(path, f"at most {MAX_BYTES} bytes", str(item.span.length), _MEND)
    else:
        setattr(sample, kind, read_sidecar(kind, item.content.read(), path))


def _classes(root: Path, labels: Sequence[Label | None]) -> tuple[str, ...]:
    listed = root / "classes.txt"
    if listed.exists():
        names = tuple(line.strip() for line in read_text(listed, mend="save it as UTF-8").splitlines() if line.strip())
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"{listed}: expected a line for each class, got {len(names)}, some twice: correct it")
        return names
    named = sorted({label for label in labels if isinstance(label, str)})
    numbered = [label for label in labels if isinstance(label, int)]
    if named and numbered:
        came = f"both, such as {numbered[0]} and {named[0]!r}"
        raise ValueError(f"{root}: expected either numbers or names as labels, got {came}: add {listed.name}")
    return tuple(named) if named else tuple(str(number) for number in range(max(numbered, default=-1) + 1))


def _labelled(
    root: Path, ids: tuple[str, ...], samples: Sequence[_Sample]
) -> tuple[tuple[Entry, ...], tuple[tuple[str, str], ...]]:
    # Without any label all images are used; otherwise those without are skipped, by file and reason.
    numbers: dict[Label | None, int] = {name: number for number, name in enumerate(ids)}
    numbers |= {number: number for number in range(len(ids))}
    entries, aside = [], []
    for one in samples:
        if ids and one.label not in numbers:
            expected = f"a label of the {len(ids)} classes"
            aside.append(BadFile(root / one.file, expected, repr(one.label), _MEND).row(root))
        else:
            label = numbers.get(one.label, -1)
            try:
                entries.append(Entry(one.file, one.file, one.split, label, one.json.boxes, *one.size, span=one.span))
            except ValueError as error:  # a box outside the image
                aside.append((one.file, str(error)))
    return tuple(entries), tuple(aside)
