"""Digests of files and of raw data, and files that are written at once or not at all."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_BYTE = re.compile(r"[\udc80-\udcff]")  # of a file's name, where it is no UTF-8 (PEP 383)
WAYS = ("content", "stat")


def file_digest(path: Path) -> str:
    """The sha256 of a file.

    Args:
        path: of the file.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class RawDigests:
    """Digests of raw files, remembered by size and time of change so that 50,000 photographs are read once.

    Args:
        memory: a JSON file to remember them in.
    """

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.known: dict[str, list] = {}
        self._fresh = False
        if memory.exists():
            try:
                self.known = json.loads(memory.read_text(encoding="utf-8"))
            except ValueError:
                self.known = {}  # cut off while it was written; everything in it can be computed again
            if not isinstance(self.known, dict):
                self.known = {}

    def __call__(self, path: Path, how: str = "content") -> str:
        """The digest of a file, or of a folder with the names in it.

        Args:
            path: of a file or folder.
            how: `content` reads everything; `stat` trusts names, sizes and times of change, for folders of a million
                files: a copy with other times is then something else.

        Returns:
            16 hexadecimal digits.

        Raises:
            FileNotFoundError: if nothing is there.
            ValueError: if `how` is neither.
        """
        if how not in WAYS:
            raise ValueError(f"expected data.digest of {' or '.join(WAYS)}, got {how!r}")
        if path.is_file():
            digest = self._file(path, how)
        elif path.is_dir():
            total = hashlib.sha256()
            for name, file in sorted(walk(path)):
                total.update(os.fsencode(name) + f"\0{self._file(file, how)}\n".encode())  # a name need not be UTF-8
            digest = total.hexdigest()
        else:
            raise FileNotFoundError(f"nothing is at {path}; give the path of what is there")
        self._remember()
        return digest[:16]

    def _file(self, path: Path, how: str) -> str:
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
        if how == "stat":
            return hashlib.sha256(str(state).encode()).hexdigest()
        key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]  # the path would tell a home folder
        if self.known.get(key, [None])[:2] != state:
            self.known[key] = [*state, file_digest(path)]
            self._fresh = True
        return self.known[key][2]

    def _remember(self) -> None:
        if self._fresh:
            with suppress(OSError):  # a full or read-only disk: they are computed again, and what is there can be used
                self.memory.parent.mkdir(parents=True, exist_ok=True)
                write_text(self.memory, json.dumps(self.known))
                self._fresh = False


def readable(name: str) -> str:
    r"""The name of a file as text that tables and JSON can hold.

    Args:
        name: as Python decodes it.

    Returns:
        The same, but for bytes that are no UTF-8, which are written out: `caf\xe9.jpg`.
    """
    written = _BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", name)
    return written.encode("utf-8", "backslashreplace").decode()


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files below a folder, in an order of their own.

    Args:
        folder: to look through; links are followed.

    Yields:
        Name from the folder, and path.
    """
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for file in files:
            path = Path(place, file)
            yield path.relative_to(folder).as_posix(), path


def write_text(path: Path, text: str) -> None:
    """Writes a file at once or not at all.

    Args:
        path: of the file.
        text: its content.

    Raises:
        OSError: if it cannot be written; nothing is left of the try.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
