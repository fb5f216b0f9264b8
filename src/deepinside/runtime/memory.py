"""When a batch does not fit into memory: halve it, continue, and record it.

Images are independent of one another in a frozen network, so a batch in parts gives the same result up to the last
bits. A step of training or of gradient ascent would change with its batch: there the error names the key to lower.
"""

import logging
import sys
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

log = logging.getLogger(__name__)

Result = TypeVar("Result")
_SIGNS = ("out of memory", "DefaultCPUAllocator", "ALLOC_FAILED", "bad_alloc")  # of CUDA, torch, cuDNN and cuBLAS, C++


class OutOfMemory(MemoryError):
    """There is not enough memory; the message names what to lower."""


@dataclass
class _Account:
    # What ran in parts, a line per batch; and of each kind of work how many items at once did fit, where not all did.
    lines: list[str] = field(default_factory=list)
    most: dict[str, int] = field(default_factory=dict)


_account: ContextVar[_Account | None] = ContextVar("_account", default=None)


def short(error: BaseException) -> bool:
    """Whether an error of torch, numpy or Python means that there is not enough memory."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)


def halved(work: Callable[[slice], Result], count: int, what: str) -> list[Result]:
    """Processes a batch at once or, if memory is insufficient, in halves, and again in halves.

    A size that did not fit once is not tried again inside the same `accounted`.

    Args:
        work: slice -> result; has no side effects if it fails.
        count: number of items.
        what: kind of the work, such as `crops`.

    Returns:
        Results in order, one for each part.

    Raises:
        Exception: of `work`, for other reasons, or because a single item does not fit.
    """
    account = _account.get() or _Account()
    results: list[Result] = []
    sizes: list[int] = []
    while not results or sum(sizes) < count:
        start = sum(sizes)
        size = min(count - start, account.most.get(what, count))
        try:
            results.append(work(slice(start, start + size)))
        except Exception as error:
            if size < 2 or not short(error):
                raise
        else:
            sizes.append(size)
            continue
        account.most[what] = (size + 1) // 2  # outside the handler, whose error still holds what was computed
        log.warning("not enough memory for %d %s at once: continuing with %d", size, what, account.most[what])
        _release()
    if len(sizes) > 1:
        account.lines.append(f"{what} {'+'.join(map(str, sizes))}")
    return results


def _release() -> None:
    torch = sys.modules.get("torch")  # slow to import: not for who does without
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def accounted() -> Generator[list[str]]:
    """Collects which batches ran in parts during the block: lines such as `crops 5+5`, in order."""
    outer = _account.get()
    own = _Account(most=outer.most if outer else {})
    token = _account.set(own)
    try:
        yield own.lines
    finally:
        _account.reset(token)


def note(lines: Iterable[str]) -> None:
    """Adds lines of `accounted` from earlier or from another process to the present record."""
    if account := _account.get():
        account.lines.extend(lines)


def _died(error: BaseException) -> bool:
    # Of a worker process; torch has no type for it.
    return isinstance(error, BrokenExecutor) or str(error).startswith("DataLoader worker")


@contextmanager
def explained(what: str, lower: str) -> Generator[None]:
    """Replaces an out-of-memory error in the block by one that names the keys to lower.

    Raises:
        OutOfMemory: instead of the library's own error.
        ChildProcessError: if a worker process died; the system ends those that take too much memory.
    """
    try:
        yield
    except Exception as error:
        message = (str(error) or type(error).__name__).splitlines()[0][:200]
        if _died(error):
            mend = "run the same command again; if it happens again, lower machine.workers: memory may be insufficient"
            raise ChildProcessError(f"{what}: a worker process died ({message}); {mend}") from error
        if isinstance(error, OutOfMemory) or not short(error):
            raise
        raise OutOfMemory(f"{what}: not enough memory ({message}); lower {lower}, or use a larger machine") from error
