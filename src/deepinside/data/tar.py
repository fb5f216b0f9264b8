"""Tar archives without unpacking: the positions of their files. Nothing in an archive is trusted."""

import re
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from deepinside.data.reading import BadFile, brief

MARK = ".tar/"  # in the name of a packed file, between the archive and the file's own name
MAX_BYTES = 2**28  # of one packed file: the largest image that is decoded takes no more, even if it is not compressed
_MAX_EXTRA = 2**14  # bytes of a long name or of pax attributes; Linux knows no path of more than 4096
_MAX_NAME = 4096
_CONTROL = "[\\0-\\x1f]"
_EXTRA = {*b"xgXLK"}  # entries that describe the next one: tarfile takes all of them into memory and searches them
_WHOLE = "a complete, uncompressed tar archive"
_PACK = "pack it again; the entries before are used"
# What tarfile raises for bytes that it cannot make sense of.
_BROKEN = (tarfile.TarError, ValueError, LookupError, OverflowError, RecursionError)


class Span(NamedTuple):
    """Position of the bytes of a packed file in its archive."""

    start: int
    length: int

    def opener(self, root: Path, file: str) -> Callable[[Path], IO[bytes]]:
        """A function that reads a packed file.

        Args:
            root: folder of the archive.
            file: the archive's relative path and that of the packed file, joined by `MARK`.

        Returns:
            A function of a path, which it ignores.
        """
        return partial(self._bytes, root / f"{file.partition(MARK)[0]}.tar")

    def _bytes(self, archive: Path, _named: Path) -> IO[bytes]:
        with archive.open("rb") as file:
            file.seek(self.start)
            return BytesIO(file.read(self.length))


class Packed(NamedTuple):
    """One packed file: its name, its position, and its bytes, to be read before the next one is requested."""

    name: str
    span: Span
    content: IO[bytes]


class _Info(tarfile.TarInfo):
    # The method that the library's source names as the entry point for subclasses.
    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type[0] in _EXTRA and self.size > _MAX_EXTRA):
            raise tarfile.ReadError(f"an entry of {self.size} bytes that describes another, of {_MAX_EXTRA} allowed")
        return super()._proc_member(archive)  # type: ignore[misc]


def packed(path: Path) -> Iterator[Packed | BadFile]:
    """The files in an archive, in their order, without folders and hidden files.

    Args:
        path: of the archive, which is only read.

    Yields:
        Each file, or its error (a link, a name outside of the archive, truncation); and, last, the error of a truncated
        archive.
    """
    try:
        with tarfile.open(path, "r:", tarinfo=_Info) as archive:
            yield from _walked(path, archive)
            _check_end(path, archive.offset)
    except _BROKEN as error:
        yield BadFile(path, _WHOLE, str(error), _PACK)


def _walked(path: Path, archive: tarfile.TarFile) -> Iterator[Packed | BadFile]:
    total, before = path.stat().st_size, -1
    while (entry := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # the library would keep all of them
        if entry.offset_data <= before or entry.size < 0:
            raise tarfile.ReadError(f"an entry at byte {entry.offset_data} that points backwards")
        before = entry.offset_data
        if entry.isdir():
            continue
        name = PurePosixPath(entry.name).as_posix()  # many archives begin every name with ./
        if fault := _fault(entry, name):
            yield BadFile(Path(f"{path}/{brief(re.sub(_CONTROL, '?', name))}"), *fault)
        elif entry.offset_data + entry.size > total:
            yield BadFile(Path(f"{path}/{name}"), f"{entry.size} bytes", "the end of the archive", _PACK)
        elif not any(part.startswith((".", "__")) for part in name.split("/")):
            content = archive.extractfile(entry)
            assert content
            yield Packed(name, Span(entry.offset_data, entry.size), content)


def _fault(entry: tarfile.TarInfo, name: str) -> tuple[str, str, str] | None:
    pack = "pack regular files with relative paths"
    if name.startswith("/") or ".." in name.split("/") or len(name) > _MAX_NAME or re.search(_CONTROL, name):
        return f"a path inside the archive, of at most {_MAX_NAME} characters", brief(repr(entry.name)), pack
    if not entry.isreg() or entry.issparse():
        return "a file", "a link, a device or a sparse file", pack
    if entry.size > MAX_BYTES:
        return f"at most {MAX_BYTES} bytes", str(entry.size), pack
    return None


def _check_end(path: Path, offset: int) -> None:
    # The library takes a spoilt header, and a file that was cut between two entries, for the end.
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        came = "a spoilt header" if block else "the end of the file before the end of the archive"
        raise tarfile.ReadError(f"{came} at byte {offset}")
