"""Errors of single input files, with the name of the file and the fix."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from deepinside.runtime.progress import track
from deepinside.spelling import readable

_LONGEST = 300  # characters of a file's own words in a message; csv readers give up at 131,072


class BadFile(ValueError):
    """An unusable file; a long run skips it and continues.

    Args:
        path: of the file.
        expected: valid content.
        came: actual content.
        mend: the fix.
    """

    def __init__(self, path: Path, expected: str, came: str, mend: str) -> None:
        self.path, self.came = path, brief(came)
        # without the path: artifacts name no machine's folders
        self.reason = readable(f"expected {expected}, got {self.came}: {mend}")
        super().__init__(f"{readable(str(path))}: {self.reason}")

    def row(self, root: Path) -> tuple[str, str]:
        """The row of `set_aside.csv`.

        Args:
            root: of the data, which contains the file.

        Returns:
            The file as a posix path relative to the root, and the reason.
        """
        path = self.path.relative_to(root) if self.path.is_relative_to(root) else Path(self.path.name)
        return readable(path.as_posix()), self.reason


class BadSource(ValueError):
    """A file about many images that cannot be trusted for any of them; a long run stops."""


class _Failed(BadFile):
    # A file on which its reader raised an error, whose message is the reason.
    def __init__(self, path: Path, error: ValueError) -> None:
        self.path, self.came = path, brief(str(error))
        self.reason = readable(self.came)
        ValueError.__init__(self, f"{readable(str(path))}: {self.reason}")


def brief(text: str) -> str:
    """Abbreviates the content of a file for a message.

    Args:
        text: of any length.

    Returns:
        The text, or its beginning and its length.
    """
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def check_name(path: Path, name: str) -> None:
    """Refuses a file that tables and JSON could not name.

    Args:
        path: of the file.
        name: that it would get there.

    Raises:
        BadFile: if the name is not UTF-8.
    """
    if readable(name) != name:
        raise BadFile(path, "a file name in UTF-8", name, "rename it")


MAX_BYTES = 2**26  # three times the index of Broden at 384 pixels, the largest table of a known data set


def read_text(path: Path, errors: str = "strict", mend: str = "fetch the file again") -> str:
    """A text file in UTF-8.

    Args:
        path: of the file.
        errors: treatment of bytes that are no UTF-8, as in `bytes.decode`.
        mend: the fix for a bad one.

    Returns:
        Its text, with unchanged line ends.

    Raises:
        BadFile: if it has more than `MAX_BYTES` bytes or is no text.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise BadFile(path, f"a text of at most {MAX_BYTES} bytes", f"{size}", mend)
    try:
        return path.read_bytes().decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise BadFile(path, "text in UTF-8", f"{error.reason} at byte {error.start}", mend) from error


def read_table(
    path: Path, columns: Sequence[str], errors: str = "strict", mend: str = "fetch the file again"
) -> list[dict[str, str]]:
    """The rows of a table, by the names in its header.

    Args:
        path: of the csv file.
        columns: required ones.
        errors: treatment of bytes that are no UTF-8, as in `bytes.decode`.
        mend: the fix for a bad one.

    Returns:
        One dictionary per row; a short row has empty cells.

    Raises:
        BadFile: if it is no table in UTF-8, or a column is missing.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, errors, mend), newline=""), restval="")
    expected = f"columns {','.join(columns)}"
    try:
        known = list(reader.fieldnames or ())
        if missing := [column for column in columns if column not in known]:
            raise BadFile(path, expected, f"{known}: {','.join(missing)} missing", mend)
        return list(reader)
    except csv.Error as error:
        raise BadFile(path, expected, f"line {reader.line_num}: {error}", mend) from error


Task = TypeVar("Task")
Found = TypeVar("Found")

# Threads hide the latency of a disk or a network folder; parsing itself holds the interpreter's lock.
_THREADS = 8
_CHUNK = 64  # handing tasks over one by one would cost as much as reading a header


@dataclass(frozen=True)
class Survey(Generic[Found]):
    """Results in the order of the tasks, and skipped files: (file, reason)."""

    found: tuple[Found, ...]
    set_aside: tuple[tuple[str, str], ...]


def _read_each(read: Callable[[Task], Iterable[Found | BadFile]], tasks: Sequence[Task]) -> list[Found | BadFile]:
    results: list[Found | BadFile] = []
    for task in tasks:
        try:
            results.extend(read(task))
        except BadFile as error:
            results.append(error)
        except ValueError as error:
            path = _file(task)
            if path is None or isinstance(error, BadSource):
                raise
            results.append(_Failed(path, error))
    return results


def _file(task: object) -> Path | None:
    parts = task if isinstance(task, tuple) else (task,)
    return next((part for part in parts if isinstance(part, Path)), None)


def survey(
    root: Path, tasks: Sequence[Task], read: Callable[[Task], Iterable[Found | BadFile]], description: str
) -> Survey[Found]:
    """Reads many files in parallel.

    Args:
        root: of the data; reasons name files relative to it.
        tasks: inputs of `read`.
        read: task -> results and bad files; raises `BadFile` if nothing is usable. Any other ValueError is the reason
            to skip the file of the task (a path, or a tuple with one).
        description: of the progress bar.

    Returns:
        Results and skipped files, in the order of the tasks.

    Raises:
        BadSource: if `read` raises it.
    """
    chunks = [tasks[start : start + _CHUNK] for start in range(0, len(tasks), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(_flat(track(pool.map(partial(_read_each, read), chunks), description, total=len(chunks))))
    found = tuple(result for result in results if not isinstance(result, BadFile))
    return Survey(found, tuple(result.row(root) for result in results if isinstance(result, BadFile)))


def _flat(lists: Iterable[list[Found | BadFile]]) -> Iterator[Found | BadFile]:
    for results in lists:
        yield from results
