"""Names: suggestions for misspelt ones, and the objects of dotted ones."""

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

_LISTED = 24  # names in an error message


def closest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Suggests known names for a misspelt one.

    Args:
        name: the misspelt name.
        known: the valid names.
        count: number of suggestions.

    Returns:
        The end of an error message.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=count, cutoff=0.4)
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known[:_LISTED])}{more}"


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
