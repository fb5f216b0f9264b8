"""Methods as the configuration chooses them.

The signature of a method determines its inputs: one that returns `Maps` is called per image, one that returns `Images`
per class, and one that returns a `Study` once, with what its parameters name: `pictures`, `segments` (images with
outlined concepts) or `checkpoints` (the network during training).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deepinside.records import Images, Maps
from deepinside.spelling import closest, resolved
from deepinside.study import Study

_OURS = ("_target_", "plot", "needs", "files")  # keys of a method's yaml that are not its parameters
_FILLED = {"network", "batch", "pictures", "segments", "checkpoints", "inverters", "detectors", "seed"}  # by the stage


class Method(NamedTuple):
    """A method with its settings.

    Attributes:
        work: the function.
        settings: its hyper-parameters.
        returns: `Maps`, `Images` or `Study`.
        plot: dotted name of what draws its study, if anything does.
    """

    work: Callable[..., Any]
    settings: dict[str, Any]
    returns: type
    plot: str | None


def methods(chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Method]:
    """The chosen methods by name, from the content of their yaml files.

    Raises:
        ValueError: if a method returns something else, or lacks a parameter.
    """
    found = {}
    for name, keys in chosen.items():
        work = resolved(keys["_target_"])
        signature = inspect.signature(work)
        if signature.return_annotation not in {Maps, Images, Study}:
            came = getattr(signature.return_annotation, "__name__", signature.return_annotation)
            raise ValueError(
                f"method {name}: {keys['_target_']} must be annotated `-> Maps`, `-> Images` or `-> Study`, got {came}"
            )
        settings = {key: value for key, value in keys.items() if key not in _OURS}
        unknown = settings.keys() - signature.parameters.keys()
        if unknown:
            known = [key for key in signature.parameters if key not in _FILLED]
            message = closest(min(unknown), known)
            raise ValueError(f"method {name}: {keys['_target_']} has no parameter {sorted(unknown)}; {message}")
        required = {key for key, parameter in signature.parameters.items() if parameter.default is parameter.empty}
        missing = sorted(required - settings.keys() - _FILLED)
        if missing:
            raise ValueError(f"method {name}: {keys['_target_']} needs the settings {missing}: add them to its yaml")
        found[name] = Method(work, settings, signature.return_annotation, keys.get("plot"))
    return found
