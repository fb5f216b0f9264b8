"""Methods as the configuration chooses them.

The signature of a method determines its inputs: one that returns `Maps` is called per image, one that returns `Images`
per class, and one that returns a `Study` once, with what its parameters name: `pictures`, `segments` (images with
outlined concepts) or `checkpoints` (the network during training).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from deepinside.defaults import choices, unresolved
from deepinside.records import Images, Maps
from deepinside.spelling import closest, resolved
from deepinside.study import Study

_OURS = ("_target_", "plot", "needs", "files")  # keys of a method's yaml that are not its parameters
# Filled in by the stage.
_FILLED = {"network", "batch", "pictures", "segments", "checkpoints", "inverters", "detectors", "judge", "seed"}


_TYPES: dict[Any, tuple[Any, str]] = {  # annotation -> type of the values that it accepts, and its name in messages
    bool: (bool, "true or false"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    NoneType: (NoneType, "null"),
    Sequence: (Sequence, "a list"),
    Mapping: (Mapping, "a mapping"),
}


class Method(NamedTuple):
    """A method with its settings.

    Attributes:
        name: of its yaml.
        work: the function.
        settings: its hyper-parameters.
        returns: `Maps`, `Images` or `Study`.
        plot: dotted name of what draws its study, if anything does.
    """

    name: str
    work: Callable[..., Any]
    settings: dict[str, Any]
    returns: type
    plot: str | None

    def __call__(self, *inputs: Any, **material: Any) -> Any:
        """The result of the method with its settings, which take precedence over `material`.

        Raises:
            ValueError: if the method raises one, or returns another type than it is annotated with; with its name.
        """
        try:
            result = self.work(*inputs, **(material | self.settings))
        except ValueError as error:
            if type(error) is not ValueError or str(error).startswith((f"{self.name}.", f"method {self.name}")):
                raise
            raise ValueError(f"method {self.name}: {error}") from error
        if not isinstance(result, self.returns):
            kind, came = self.returns.__name__, type(result).__name__
            raise ValueError(f"method {self.name}: expected {kind}, as it is annotated, got {came}: return {kind}(...)")
        return result


def methods(chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Method]:
    """The chosen methods by name, from the content of their yaml files.

    Raises:
        ValueError: if a method is annotated with something else, lacks a parameter, or a setting has another type.
    """
    found = {}
    for name, keys in chosen.items():
        work = resolved(keys["_target_"])
        signature = inspect.signature(work)
        if signature.return_annotation not in {Maps, Images, Study}:
            stated = signature.return_annotation
            came = "no annotation" if stated is signature.empty else getattr(stated, "__name__", stated)
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
        for key, value in settings.items():
            _check_type(f"method.{name}.{key}", value, signature.parameters[key].annotation)
        found[name] = Method(name, work, settings, signature.return_annotation, keys.get("plot"))
    return found


def map_method(key: str, name: str, settings: Mapping[str, Mapping[str, Any]], others: Sequence[str] = ()) -> Method:
    """A method of this package that returns maps.

    Args:
        key: of the configuration that names it.
        name: of its yaml.
        settings: content of the yaml files of the chosen methods, by name.
        others: further names that the key accepts, for the message.

    Raises:
        KeyError: if there is no such method, with those that there are.
        ValueError: if it returns something else, or a setting is wrong.
    """
    if name not in settings:
        raise KeyError(f"{key}: no method {name!r}; expected one of {', '.join([*returning_maps(), *others])}")
    method = methods({name: settings[name]})[name]
    if method.returns is not Maps:
        expected = f"expected a method that returns Maps: {', '.join(returning_maps())}"
        raise ValueError(f"{key}: {name} returns {method.returns.__name__}; {expected}")
    return method


def returning_maps() -> list[str]:
    """The names of this package's methods that return maps."""
    targets = {name: unresolved("method", name)["_target_"] for name in choices("method")}
    return [name for name, target in targets.items() if inspect.signature(resolved(target)).return_annotation is Maps]


def _check_type(key: str, value: Any, annotation: Any) -> None:
    if not _fits(value, annotation):
        raise ValueError(f"{key}: expected {_described(annotation)}, got {value!r}")


def _fits(value: Any, annotation: Any) -> bool:
    # What is not in the table (`Any`, tensors, classes of the user's) is left to the method.
    origin, parts = get_origin(annotation) or annotation, get_args(annotation)
    if isinstance(value, str) and value.startswith("${"):  # refers to another key
        return True
    if origin in {Union, UnionType}:
        return any(_fits(value, part) for part in parts)
    if origin not in _TYPES:
        return True
    if isinstance(value, bool | str) and origin not in {bool, str}:
        return False
    if not isinstance(value, _TYPES[origin][0]):
        return False
    return origin is not Sequence or not parts or all(_fits(one, parts[0]) for one in value)


def _described(annotation: Any) -> str:
    origin, parts = get_origin(annotation) or annotation, get_args(annotation)
    if origin in {Union, UnionType}:
        return " or ".join(map(_described, parts))
    named = _TYPES[origin][1] if origin in _TYPES else getattr(origin, "__name__", str(origin))
    return named + (f" (each {_described(parts[0])})" if origin is Sequence and parts else "")
