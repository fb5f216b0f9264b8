"""Names: what a misspelt or former one may have meant, the object that a dotted one names, and file names as text."""

import difflib
import importlib
import re
from collections.abc import Iterable
from typing import Any

_BYTE = re.compile(r"[\udc80-\udcff]")  # of a file's name, where it is no UTF-8 (PEP 383)
_LISTED = 24  # names in an error message
_RENAMED = dict.fromkeys(("batch", "per_pass", "together", "passes"), "batch_size")  # former key -> key of today


def closest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Suggests known names for a misspelt one, or says what a former one is called today.

    Args:
        name: the unknown name.
        known: the valid names.
        count: number of suggestions.

    Returns:
        The end of an error message.
    """
    known = list(known)
    if today := renamed(name, known):
        return f"it has been renamed to {today!r}"
    near = difflib.get_close_matches(name, known, n=count, cutoff=0.4)
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known[:_LISTED])}{more}"


def renamed(name: str, known: Iterable[str]) -> str | None:
    """The name today of a key that has been renamed.

    Args:
        name: dotted, such as `train.batch`.
        known: the valid names.

    Returns:
        Such as `train.batch_size`, if it is known; None for a name that has not been renamed.
    """
    place, dot, last = name.rpartition(".")
    today = f"{place}{dot}{_RENAMED.get(last)}"
    return today if today in known else None


def resolved(name: str) -> Any:
    """The object of a dotted name, such as `_target_` in a yaml.

    Args:
        name: `package.module.name`.

    Returns:
        A function or class.

    Raises:
        ImportError: if there is no such module.
        KeyError: if the module has no such name, with the closest.
    """
    place, _, last = name.rpartition(".")
    module = importlib.import_module(place)
    if not hasattr(module, last):
        raise KeyError(f"{place} has no {last!r}; {closest(last, [key for key in vars(module) if key[0] != '_'])}")
    return getattr(module, last)


def readable(name: str) -> str:
    r"""The name of a file as text that tables and JSON can hold.

    Args:
        name: as Python decodes it.

    Returns:
        The same, but for bytes that are no UTF-8, which are written out: `caf\xe9.jpg`.
    """
    written = _BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", name)
    return written.encode("utf-8", "backslashreplace").decode()
