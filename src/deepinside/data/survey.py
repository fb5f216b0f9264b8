"""Looking at every file of a data set before any work: what can be used, and what is set aside and why."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from deepinside.data.bad_file import BadFile
from deepinside.progress import track

Task = TypeVar("Task")
Found = TypeVar("Found")

# Threads hide the latency of a disk or a network folder; parsing itself holds the interpreter's lock.
_THREADS = 8
_CHUNK = 64  # handing tasks over one by one would cost as much as reading a header


@dataclass(frozen=True)
class Survey(Generic[Found]):
    """What was found, in the order of the tasks, and what was set aside: (file, reason)."""

    found: tuple[Found, ...]
    set_aside: tuple[tuple[str, str], ...]


def _looked_at(look: Callable[[Task], Iterable[Found | BadFile]], tasks: Sequence[Task]) -> list[Found | BadFile]:
    answers: list[Found | BadFile] = []
    for task in tasks:
        try:
            answers.extend(look(task))
        except BadFile as error:
            answers.append(error)
    return answers


def survey(
    root: Path, tasks: Sequence[Task], look: Callable[[Task], Iterable[Found | BadFile]], description: str
) -> Survey[Found]:
    """Looks at many files, several at a time.

    Args:
        root: of the data; reasons name files relative to it.
        tasks: what to look at.
        look: task -> what was found and what was bad beside it; raises `BadFile` where nothing can be used.
        description: said beside the progress bar.

    Returns:
        What was found and what was set aside, in the order of the tasks.
    """
    chunks = [tasks[start : start + _CHUNK] for start in range(0, len(tasks), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(_flat(track(pool.map(partial(_looked_at, look), chunks), description, total=len(chunks))))
    found = tuple(answer for answer in answers if not isinstance(answer, BadFile))
    return Survey(found, tuple(answer.row(root) for answer in answers if isinstance(answer, BadFile)))


def _flat(lists: Iterable[list[Found | BadFile]]) -> Iterator[Found | BadFile]:
    for answers in lists:
        yield from answers
