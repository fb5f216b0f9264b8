"""Hydra's side of the command line: where the configuration lies, and what a misspelt word may have meant."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from deepinside import pipeline
from deepinside.artifact import flat
from deepinside.defaults import folder
from deepinside.terminal import COMMANDS

__all__ = [
    "DictConfig", "HydraException", "beside", "check_overrides", "composed", "folder", "groups", "main", "plain",
    "portable",
]  # fmt: skip

_PATHS = {key for stage in pipeline.STAGES.values() for key in (*stage.files, *stage.places)}
_PATHS |= {"judge.weights"}
_WORDS = {"random", "null"}  # what a path may be, too
_ABSOLUTE = re.compile(r"([\w.]+)=(['\"]?)[/~][^\s,'\"\]]*\2")  # any other key that names a place, also of another run
_VALUED = {"--cfg", "-c", "--package", "-p"}  # flags of Hydra's that take the word after them
_FIRST = [*(f"run={stage}" for stage in pipeline.STAGES), *COMMANDS]


def _closest(name: str, known: Iterable[str]) -> str:
    from deepinside.network import closest  # torch is slow to import: only for who misspelt something

    return closest(name, known)


def groups() -> dict[str, list[str]]:
    """The groups of the configuration.

    Returns:
        Group -> its choices.
    """
    places = sorted(path for path in folder().iterdir() if path.is_dir())
    return {place.name: sorted(file.stem for file in place.glob("*.yaml")) for place in places}


def check_overrides(arguments: Sequence[str]) -> None:
    """Finds misspelt groups, choices, keys and stages before Hydra does, and says what was meant.

    Args:
        arguments: of the command line.

    Raises:
        KeyError: with the closest known names.
        ValueError: for a word that is no override.
    """
    before = ["", *arguments]
    words = [word for flag, word in zip(before, arguments, strict=False) if flag not in _VALUED and word[:1] != "-"]
    wrong = [word for word in words if "=" not in word and not word.startswith("~")]
    if wrong:
        raise ValueError(f"expected key=value, got {wrong[0]!r}; {_closest(wrong[0], _FIRST)}")
    parsed = OverridesParser.create().parse_overrides(words)
    known = groups()
    chosen = [override for override in parsed if override.key_or_group.split("@")[0] in known]
    for override in chosen:
        _check_choice(override, known[override.key_or_group.split("@")[0]])
    rest = [o for o in parsed if o not in chosen and not o.is_add() and not o.key_or_group.startswith("hydra")]
    if rest:
        _check_keys(rest, [str(o.input_line) for o in chosen], known)


def _values(override: Override) -> Iterator[str]:
    value = override.value()
    yield from (str(part) for part in (value if isinstance(value, list) else [value]) if part is not None)


def _check_choice(override: Override, choices: list[str]) -> None:
    if override.is_sweep_override() or override.is_delete():
        return
    for choice in _values(override):
        if choice not in choices:
            raise KeyError(f"{override.key_or_group} has no choice {choice!r}; {_closest(choice, choices)}")


def _check_keys(overrides: list[Override], chosen: list[str], groups: dict[str, list[str]]) -> None:
    known = _keys(_compose(chosen))
    for override in overrides:
        key = override.key_or_group
        if key not in known:
            raise KeyError(f"there is no key {key!r}; {_closest(key, [*known, *groups])}")
        if key == "run" and not override.is_sweep_override() and override.value() not in pipeline.STAGES:
            raise KeyError(f"no stage {override.value()!r}; {_closest(str(override.value()), pipeline.STAGES)}")
        if key == "seed" and not override.is_sweep_override() and not isinstance(override.value(), int):
            raise ValueError(f"expected a whole number, got seed={override.value()}")


def _keys(cfg: DictConfig) -> set[str]:
    leaves = flat(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    parts = [key.split(".") for key in leaves]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


def main(work: Callable[[DictConfig, list[str]], None]) -> None:
    """Composes the configuration from the command line and works with it.

    Args:
        work: takes the configuration and the overrides that made it.

    Raises:
        Exception: what `work` raises, without the frame that Hydra puts around it.
    """
    failed: list[Exception] = []
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come through as they are; `__main__` words them

    @hydra.main(version_base="1.3", config_path=str(folder()), config_name="config")
    def entered(cfg: DictConfig) -> None:
        try:
            work(_chosen(cfg), list(HydraConfig.get().overrides.task))
        except Exception as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # the launcher tells which of the jobs it was
            failed.append(error)

    entered()
    if failed:
        error = plain(failed[0])
        raise error


def plain(error: Exception) -> Exception:
    """What went wrong when Hydra called something, in the words of what it called.

    Args:
        error: any.

    Returns:
        The error behind it; itself where there is none.
    """
    cause = error.__cause__ if isinstance(error, InstantiationException) else None
    if isinstance(cause, TypeError | AttributeError):  # an argument or a function that is not there
        return ValueError(str(cause))
    return cause if isinstance(cause, Exception) else error


def portable(overrides: Sequence[str]) -> list[str]:
    """The overrides without what is this machine's: the reader of a command fills in their own paths.

    Args:
        overrides: of the command line.

    Returns:
        Those that matter elsewhere, paths replaced by their names in capitals.
    """
    kept = []
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key in {"outputs", "report.benchmarks", "report.networks"} or key.startswith(("machine", "wandb")):
            continue
        if key in _PATHS and value not in _WORDS:
            kept.append(f"{key}={_name(key)}")
        else:
            kept.append(_ABSOLUTE.sub(lambda found: f"{found[1]}={_name(found[1])}", override))
    return kept


def _name(key: str) -> str:
    return key.replace(".", "_").upper()


def _compose(overrides: list[str]) -> DictConfig:
    if GlobalHydra.instance().is_initialized():
        return _chosen(compose("config", overrides=overrides))
    with initialize_config_dir(str(folder()), version_base="1.3"):
        return _chosen(compose("config", overrides=overrides))


def _chosen(cfg: DictConfig) -> DictConfig:
    # An experiment sets keys of its methods; where the command line chose others, they are of no method.
    with open_dict(cfg):
        for name in [name for name, keys in cfg.method.items() if "_target_" not in keys]:
            del cfg.method[name]
    return cfg


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration that some words make, checked.

    Args:
        overrides: as on the command line.

    Returns:
        The whole configuration.
    """
    check_overrides(overrides)
    return _compose(list(overrides))


def beside(overrides: list[str], like: DictConfig) -> DictConfig:
    """The configuration of another run, on the same machine and with the same outputs, seed and name.

    Args:
        overrides: of that run.
        like: the configuration at hand.

    Returns:
        The whole configuration.
    """
    cfg = _compose(overrides)
    with open_dict(cfg):
        own = {word.partition("=")[0] for word in overrides} | ({"name"} if cfg.run == "sweep" else set())
        for key in {"name", "seed", "outputs", "machine", "wandb"} - own:
            cfg[key] = like[key]
    return cfg
