"""Classes that a person names, by number or by word."""

import operator
from collections.abc import Sequence

from deepinside.network import Network
from deepinside.spelling import closest


def chosen_class(network: Network, wanted: int | str) -> int:
    """The number of a class.

    Args:
        network: whose classes.
        wanted: number from 0, or name in any case; of several synonyms divided by commas any one will do.

    Returns:
        Its number; the first, where several classes go by that name.

    Raises:
        KeyError: if no class has that name, with the closest names.
        ValueError: if the number lies outside the network's classes.
    """
    if not isinstance(wanted, str):
        wanted = operator.index(wanted)  # numpy's and torch's whole numbers, too
        if not 0 <= wanted < len(network.classes):
            raise ValueError(
                f"expected a class of 0..{len(network.classes) - 1}, got {wanted}: {network.name} has none"
            )
        return wanted
    if wanted in network.classes:
        return network.classes.index(wanted)
    names = [(word, number) for number, name in enumerate(network.classes) for word in (name, *name.split(", "))]
    known = {word.casefold(): number for word, number in reversed(names)}
    if wanted.casefold() not in known:
        raise KeyError(f"{network.name} has no class {wanted!r}; {closest(wanted, dict(names))}")
    return known[wanted.casefold()]


def chosen_classes(network: Network, wanted: Sequence[int | str] | int) -> tuple[int, ...]:
    """The numbers of several classes.

    Args:
        network: whose classes.
        wanted: numbers or names, each once; or how many, spread evenly over all.

    Returns:
        Their numbers.

    Raises:
        KeyError: if no class has that name, with the closest names.
        ValueError: if a number lies outside the network's classes, one comes twice, or there is none.
    """
    total = len(network.classes)
    if isinstance(wanted, int):
        if not 1 <= wanted <= total:
            raise ValueError(f"expected 1 to {total} classes of {network.name}, got {wanted}")
        return tuple(i * total // wanted for i in range(wanted))
    found = tuple(chosen_class(network, one) for one in wanted)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"expected classes, each once, got {list(wanted)}: name one or more")
    return found
