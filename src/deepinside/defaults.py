"""The defaults in `conf`, read without Hydra, so that Python and the command line share them."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deepinside
from deepinside.spelling import closest

if TYPE_CHECKING:
    from omegaconf import DictConfig

_SELF = "_self_"  # where a file's own keys come in its list of defaults; last, if it does not say


def folder() -> Path:
    """The folder of the configuration: inside the installed package, or beside `src` in a checkout.

    Returns:
        The folder `conf`.
    """
    package = Path(deepinside.__file__).parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parents[1] / "conf"


def choices(group: str) -> list[str]:
    """The choices of a group.

    Args:
        group: such as `model` or `method`.

    Returns:
        Names of its files, sorted.
    """
    return sorted(file.stem for file in (folder() / group).glob("*.yaml"))


def defaults(group: str, choice: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of one choice of a group, with overrides.

    Args:
        group: such as `model` or `method`.
        choice: name of its file.
        overrides: setting -> value to use instead; nested ones are merged.

    Returns:
        Setting -> value, in Python's own types.

    Raises:
        KeyError: if there is no such choice or no such setting, with the closest names.
    """
    from omegaconf import OmegaConf  # not for what only imports this module

    register()
    _check(choice, choices(group), f"{group} has no choice")
    settings = unresolved(group, choice)
    for key in overrides or {}:
        _check(key, [str(name) for name in settings], f"{group}={choice} has no setting")
    merged = OmegaConf.merge(settings, dict(overrides or {}))
    whole = OmegaConf.create({group: merged})  # settings refer to one another by the group
    return OmegaConf.to_container(whole, resolve=True)[group]  # type: ignore[call-overload,index,return-value]


def register() -> None:
    """Lets yaml files refer to the settings of methods: `${method_settings:NAMES,WITHOUT}`."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("method_settings", _method_settings, replace=True)


def _method_settings(names: Iterable[str], without: Iterable[str] = ()) -> dict[str, Any]:
    own = set(choices("method")) - set(without)
    return {name: defaults("method", name) for name in names if name in own}


def _check(name: str, known: list[str], message: str) -> None:
    if name not in known:
        raise KeyError(f"{message} {name!r}; {closest(name, known)}")


@cache
def unresolved(group: str, choice: str) -> "DictConfig":
    """The content of one file on top of those that it builds upon, with its references to other settings.

    Args:
        group: such as `method`.
        choice: name of its file.

    Returns:
        Setting -> value; shared, not to be changed.
    """
    from omegaconf import OmegaConf

    own: Any = OmegaConf.load(folder() / group / f"{choice}.yaml")
    listed = [str(item) for item in own.pop("defaults", [])]
    order = listed if _SELF in listed else [*listed, _SELF]
    return OmegaConf.merge(*(own if item == _SELF else _base(group, choice, item) for item in order))  # type: ignore[return-value]


def _base(group: str, choice: str, item: str) -> Any:
    # What a file builds upon: `name`, or `name@key` for what goes under a key of it.
    name, _, place = item.partition("@")
    for here in ("_here_", f"_global_.{group}.{choice}."):
        place = place.removeprefix(here)
    return {place: unresolved(group, name)} if place else unresolved(group, name)
