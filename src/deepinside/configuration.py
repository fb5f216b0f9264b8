"""Hydra's side of the command line: where the configuration lies, and what a misspelt word may have meant."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from deepinside import pipeline
from deepinside.artifact import flat
from deepinside.network import closest

__all__ = ["DictConfig", "HydraException", "check_overrides", "folder", "main", "planned"]

_PATHS = {key for stage in pipeline.STAGES.values() for key in (*stage.files, *stage.places)}
_PATHS = (_PATHS | {"judge.weights"}) - {"model.target"}
_VALUED = {"--cfg", "-c", "--package", "-p"}  # flags of Hydra's that take the word after them
_FIRST = [*(f"run={stage}" for stage in pipeline.STAGES), "verify", "diff"]


def folder() -> Path:
    """Where the configuration lies: inside the installed package, or beside `src` in a checkout.

    Returns:
        The folder `conf`.
    """
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "conf"


def _groups() -> dict[str, list[str]]:
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
        raise ValueError(f"expected key=value, got {wrong[0]!r}; {closest(wrong[0], _FIRST)}")
    parsed = OverridesParser.create().parse_overrides(words)
    groups = _groups()
    chosen = [override for override in parsed if override.key_or_group.split("@")[0] in groups]
    for override in chosen:
        _check_choice(override, groups[override.key_or_group.split("@")[0]])
    rest = [o for o in parsed if o not in chosen and not o.is_add() and not o.key_or_group.startswith("hydra")]
    if rest:
        _check_keys(rest, [str(o.input_line) for o in chosen], groups)


def _values(override: Override) -> Iterator[str]:
    value = override.value()
    yield from (str(part) for part in (value if isinstance(value, list) else [value]) if part is not None)


def _check_choice(override: Override, choices: list[str]) -> None:
    if override.is_sweep_override() or override.is_delete():
        return
    for choice in _values(override):
        if choice not in choices:
            raise KeyError(f"{override.key_or_group} has no choice {choice!r}; {closest(choice, choices)}")


def _check_keys(overrides: list[Override], chosen: list[str], groups: dict[str, list[str]]) -> None:
    with initialize_config_dir(str(folder()), version_base="1.3"):
        cfg = compose("config", overrides=chosen)
    known = _keys(cfg)
    for override in overrides:
        key = override.key_or_group
        if key not in known:
            raise KeyError(f"there is no key {key!r}; {closest(key, [*known, *groups])}")
        if key == "run" and not override.is_sweep_override() and override.value() not in pipeline.STAGES:
            raise KeyError(f"no stage {override.value()!r}; {closest(str(override.value()), pipeline.STAGES)}")


def _keys(cfg: DictConfig) -> set[str]:
    leaves = flat(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    parts = [key.split(".") for key in leaves]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


def main(work: Callable[[DictConfig, list[str]], None]) -> None:
    """Composes the configuration from the command line and works with it.

    Args:
        work: takes the configuration and the overrides that made it.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come through as they are; `__main__` words them

    @hydra.main(version_base="1.3", config_path=str(folder()), config_name="config")
    def entered(cfg: DictConfig) -> None:
        work(cfg, _portable(HydraConfig.get().overrides.task))

    entered()


def _portable(overrides: Sequence[str]) -> list[str]:
    # Paths are this machine's: the reader of a command fills in their own.
    portable = []
    for override in overrides:
        key = override.partition("=")[0].lstrip("+")
        if key not in {"outputs"} and not key.startswith(("machine", "wandb")):
            portable.append(f"{key}={key.replace('.', '_').upper()}" if key in _PATHS else override)
    return portable


def planned(planner: pipeline.Planner, cfg: DictConfig, command: Sequence[str]) -> pipeline.Plan:
    """The plan of the stage asked for; the report takes the stages of this configuration and of the further runs.

    Args:
        planner: plans single stages.
        cfg: the whole configuration.
        command: the overrides that made it.

    Returns:
        The plan.
    """
    shared = [word for word in command if not word.startswith("run=")]
    if cfg.run != "report":
        return planner.plan(cfg, cfg.run, (f"run={cfg.run}", *shared))
    plans = {name: planner.plan(cfg, name, (f"run={name}", *shared)) for name in cfg.report.stages}
    inputs: dict[str, pipeline.Plan] = {}
    for plan in plans.values():
        inputs |= {step.stage.name: step for step in plan.chain()}
    for overrides in cfg.report.also:
        further = _composed([str(word) for word in overrides], cfg)
        plan = planner.plan(further, further.run, tuple(overrides))
        suffix = f"{further.data.name}.{further.model.name}"
        inputs |= {f"{step.stage.name}.{suffix}": step for step in plan.chain()}
    return planner.plan(cfg, "report", tuple(command), inputs)


def _composed(overrides: list[str], like: DictConfig) -> DictConfig:
    if GlobalHydra.instance().is_initialized():
        cfg = compose("config", overrides=overrides)
    else:
        with initialize_config_dir(str(folder()), version_base="1.3"):
            cfg = compose("config", overrides=overrides)
    with open_dict(cfg):
        for key in ("name", "seed", "outputs", "machine", "wandb"):
            cfg[key] = like[key]
    return cfg
