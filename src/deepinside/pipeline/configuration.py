"""Composes the configuration from the command line, and suggests corrections for misspelt words."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, InstantiationException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from yaml import YAMLError  # type: ignore[import-untyped]

from deepinside.artifacts.artifact import MANIFEST, flat
from deepinside.defaults import folder, register
from deepinside.pipeline import table
from deepinside.spelling import closest, renamed

__all__ = [
    "DictConfig", "HydraException", "beside", "check_overrides", "composed", "current", "folder", "groups",
    "main", "plain", "portable",
]  # fmt: skip

log = logging.getLogger(__name__)

_PATHS = {key for stage in table.STAGES.values() for key in (*stage.files, *stage.places)}
_PATHS |= {"judge.weights"}
_WORDS = {"random", "null"}  # what a path may be, too
_ABSOLUTE = re.compile(r"([\w.]+)=(['\"]?)[/~][^\s,'\"\]]*\2")  # any other key that names a place, also of another run
_FORMER = {  # words with a key that has been renamed -> the same of today
    re.compile(r"^(\+{0,2}(?:train|dissect|localise|invert)\.)batch="): r"\g<1>batch_size=",
    re.compile(r"^(localise\.map\.)activation="): r"\g<1>grad_cam=",
}
_WHOLE = re.compile(r"^((?:localise\.map|localise\.arguments|benchmark\.arguments)=\{.*)", re.DOTALL)
_OWN = ("--config-dir", "-cd")  # the flag of Hydra's that adds a folder of configuration files
_VALUED = {"--cfg", "-c", "--package", "-p", *_OWN}  # flags of Hydra's that take the word after them
_PLACES = {  # how a path is given that was typed as the choice of a group
    "data": "data=photos data.root", "concepts": "concepts=broden concepts.root", "model": "model=NAME model.weights",
}  # fmt: skip
_REQUIRED = {  # keys that every choice of a group states, and the choice to look at
    "data": ("folder", ("name", "root", "draw", "index._target_", "split", "limit", "digest")),
    "model": ("convnet", ("_target_", "name", "weights", "fit")),
}


class _Files(FileConfigSource):
    """Configuration files, those of methods without a `# @package` header: each method's keys go under its own name."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads one file.

        Args:
            config_path: relative to the folder, such as `method/saliency`.

        Returns:
            Its content.

        Raises:
            ConfigLoadError: if it is no YAML, or a method's and describes none.
        """
        try:
            result = super().load_config(config_path)
        except YAMLError as error:  # which names the file and the line
            raise ConfigLoadError(f"expected YAML, got {error}") from error
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        if group == "method" and isinstance(result.config, DictConfig):
            file = Path(self.path) / group / f"{name}.yaml"
            if not name.isidentifier():
                raise ConfigLoadError(f"{file}: expected letters, digits and underscores in the name of a method")
            if not (isinstance(result.config.get("_target_"), str) or "defaults" in result.config):
                raise ConfigLoadError(
                    f"{file}: expected `_target_: package.module.function`, or `defaults: [NAME]` of a method to vary"
                )
            result.header["package"] = result.header["package"] or f"method.{name}"
            if "defaults" in result.config:
                result.config.defaults = [_here(item) for item in result.config.defaults]
        return result


def _here(item: object) -> object:
    # What a method varies goes under the name of the variant, too.
    return f"{item}@_here_" if isinstance(item, str) and "@" not in item and item != "_self_" else item


register()
Plugins.instance()  # registers Hydra's own sources, of which the next line replaces one
SourcesRegistry.instance().types[_Files.scheme()] = _Files


def groups(own: Path | None = None) -> dict[str, list[str]]:
    """The groups of the configuration and their choices; `own` is a folder with further choices, by default the run's
    own.
    """
    names = sorted(path.name for path in folder().iterdir() if path.is_dir())
    roots = [root for root in (folder(), own or _running()) if root is not None]
    return {name: sorted({file.stem for root in roots for file in (root / name).glob("*.yaml")}) for name in names}


def _running() -> Path | None:
    if not GlobalHydra.instance().is_initialized():
        return None
    elements = GlobalHydra.instance().config_loader().get_search_path().get_path()
    own = [str(element.path) for element in elements if element.provider == "command-line"]
    return Path(own[0].removeprefix("file://")) if own else None


def _own_folder(arguments: Sequence[str]) -> Path | None:
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        flag, joined, value = word.partition("=")
        if flag in _OWN:
            own = Path(value if joined else following)
            files = [(name, file) for name in groups(own) for file in sorted((own / name).glob("*.yaml"))]
            if not files:
                expected = own / "method" / "NAME.yaml"
                raise FileNotFoundError(f"{flag} {own}: expected files in a folder per group, such as {expected}")
            for name, file in files:
                if (folder() / name / file.name).exists():  # which Hydra would read in its place
                    raise ValueError(f"{file}: {name} already has a choice of this name: rename the file")
            return own
    return None


def check_overrides(arguments: Sequence[str], commands: Iterable[str] = ()) -> None:
    """Checks groups, choices, keys and stages before Hydra does, and suggests the closest known names.

    Args:
        arguments: of the command line.
        commands: other words that it may begin with, to be suggested.

    Raises:
        FileNotFoundError: if the folder of `--config-dir` contains no configuration.
        KeyError: with the closest known names.
        ValueError: for a word that is no override, or a file in that folder whose name is taken.
    """
    own, overrides = _own_folder(arguments), _overrides(arguments)
    _check_flags(arguments)
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            raise ValueError(f"expected key=value, got {word!r}; {_meant(word, groups(own), commands)}")
    parsed = OverridesParser.create().parse_overrides(overrides)
    if any(override.key_or_group == "hydra.searchpath" for override in parsed):
        raise ValueError(f"hydra.searchpath cannot be set; {_OWN[0]} FOLDER adds FOLDER/method/NAME.yaml")
    known = groups(own)
    chosen = [override for override in parsed if override.key_or_group.split("@")[0] in known]
    for override in chosen:
        _check_choice(override, known[override.key_or_group.split("@")[0]])
    rest = [o for o in parsed if o not in chosen and not o.is_add() and not o.key_or_group.startswith("hydra")]
    if rest:
        _check_keys(rest, _keys(_compose([str(o.input_line) for o in chosen], own)), known)


def _check_flags(arguments: Sequence[str]) -> None:
    known = list(get_args_parser()._option_string_actions)
    for word in arguments:
        flag, assigned, _ = word.partition("=")
        if flag in known or not word.startswith("--" if not assigned else "-"):
            continue
        if assigned:
            raise ValueError(f"expected key=value, got {word!r}; did you mean {word.lstrip('-')!r}, without a dash?")
        raise ValueError(f"there is no flag {flag!r}; {closest(flag, known, count=1)}")


def _meant(word: str, known: Mapping[str, list[str]], commands: Iterable[str]) -> str:
    # What a word without a value was meant to be.
    homes = [group for group, names in known.items() if word in names]
    if word in table.STAGES:
        return f"did you mean 'run={word}'?"
    if homes:
        return f"did you mean {' or '.join(repr(f'{group}={word}') for group in homes)}?"
    if word in {*known, "run"} or word.partition(".")[0] in known:
        return f"write '{word}=VALUE', without spaces; `deepinside help` lists them"
    if (Path(word) / MANIFEST).is_file():
        return f"did you mean `deepinside show {word}`?"
    if Path(word).exists():
        return f"a path follows a key, as in 'data=photos data.root={word}'"
    return closest(word, [*(f"run={stage}" for stage in table.STAGES), *commands, "--help", "--version"], count=1)


def _overrides(arguments: Sequence[str]) -> list[str]:
    before = ["", *arguments]
    return [word for flag, word in zip(before, arguments, strict=False) if flag not in _VALUED and word[:1] != "-"]


def _values(override: Override) -> Iterator[str]:
    value = override.value()
    yield from (str(part) for part in (value if isinstance(value, list) else [value]) if part is not None)


def _check_choice(override: Override, choices: list[str]) -> None:
    if override.is_sweep_override() or override.is_delete():
        return
    for choice in _values(override):
        if choice not in choices:
            example = _PLACES.get(override.key_or_group) if Path(choice).exists() or "/" in choice else None
            hint = f"a path follows a key, as in '{example}={choice}'" if example else closest(choice, choices)
            raise KeyError(f"{override.key_or_group} has no choice {choice!r}; {hint}")


def _check_keys(overrides: list[Override], known: set[str], groups: Iterable[str]) -> None:
    for override in overrides:
        key = override.key_or_group
        if key not in known:
            raise KeyError(f"there is no key {key!r}; {closest(key, [*known, *groups])}")
        if key == "run" and not override.is_sweep_override() and override.value() not in table.STAGES:
            raise KeyError(f"no stage {override.value()!r}; {closest(str(override.value()), table.STAGES, 1)}")
        if key == "seed" and not override.is_sweep_override() and not isinstance(override.value(), int):
            raise ValueError(f"expected a whole number, got seed={override.value()}")


def _keys(cfg: DictConfig) -> set[str]:
    leaves = flat(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]
    parts = [key.split(".") for key in leaves]
    return {".".join(part[:end]) for part in parts for end in range(1, len(part) + 1)}


def main(work: Callable[[DictConfig, list[str]], None]) -> None:
    """Composes the configuration from the command line and calls `work(configuration, overrides)`."""
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
    """The original error behind one that Hydra raised when calling a target; the error itself if there is none."""
    cause = error.__cause__ if isinstance(error, InstantiationException) else None
    if isinstance(cause, TypeError | AttributeError):  # an argument or a function that is not there
        return ValueError(str(cause))
    return cause if isinstance(cause, Exception) else error


def portable(overrides: Sequence[str]) -> list[str]:
    """The overrides that matter on another machine, with paths replaced by their names in capitals."""
    kept = []
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key in {"outputs", "report.benchmarks", "report.networks", "report.register"} or key.startswith(
            ("machine", "wandb")
        ):
            continue
        if key in _PATHS and value not in _WORDS:
            kept.append(f"{key}={_name(key)}")
        else:
            kept.append(_ABSOLUTE.sub(lambda found: f"{found[1]}={_name(found[1])}", override))
    return kept


def _name(key: str) -> str:
    return key.replace(".", "_").upper()


def current(arguments: Sequence[str]) -> list[str]:
    """The arguments with the keys of stages that have been renamed under their names of today, with a warning.

    A mapping whose keys are free replaces the former one, to which Hydra would add it: `~KEY +KEY={...}`.
    """
    words = []
    for word in arguments:
        today = word
        for former, name in _FORMER.items():
            today = former.sub(name, today)
        if word != today:
            log.warning("%s has been renamed: %s", word, today)
        words += [f"~{today.partition('=')[0]}", f"+{today}"] if _WHOLE.match(today) else [today]
    return words


def _compose(overrides: list[str], own: Path | None = None) -> DictConfig:
    if GlobalHydra.instance().is_initialized():
        return _chosen(compose("config", overrides=overrides))
    place = json.dumps(f"file://{own and own.resolve()}", ensure_ascii=False)
    with initialize_config_dir(str(folder()), version_base="1.3"):
        return _chosen(compose("config", overrides=[*overrides, *([f"hydra.searchpath=[{place}]"] if own else [])]))


def _chosen(cfg: DictConfig) -> DictConfig:
    # An experiment sets keys of its methods; where the command line chose others, they are of no method.
    with open_dict(cfg):
        for name, keys in list(cfg.method.items()):
            if not isinstance(keys, DictConfig):
                raise ValueError(f"method.{name}: expected the settings of a method, got {keys!r}")
            if "_target_" not in keys:
                del cfg.method[name]
    _check_renamed(_keys(cfg))
    for group, (like, required) in _REQUIRED.items():
        known = _keys(cfg[group])
        if missing := [key for key in required if key not in known]:
            raise ValueError(
                f"{group}={cfg[group].get('name', 'NAME')}: expected the keys {', '.join(required)}, got no "
                f"{', '.join(missing)}: state them in its yaml, as conf/{group}/{like}.yaml does"
            )
    return cfg


def _check_renamed(keys: set[str]) -> None:
    # A file of the user's, or a word with a plus, may add a key under its former name, which nothing would read.
    for key in sorted(keys):
        if today := renamed(key, keys):
            raise KeyError(f"there is no key {key!r}; it has been renamed to {today!r}")


def composed(arguments: Sequence[str]) -> DictConfig:
    """The whole configuration for some command-line arguments, checked."""
    arguments = current(arguments)
    check_overrides(arguments)
    return _compose(_overrides(arguments), _own_folder(arguments))


def beside(overrides: list[str], like: DictConfig) -> DictConfig:
    """The whole configuration of another run on the same machine, with the same outputs, seed and name."""
    cfg = _compose(current(overrides))
    with open_dict(cfg):
        own = {word.partition("=")[0] for word in overrides} | ({"name"} if cfg.run == "sweep" else set())
        for key in {"name", "seed", "outputs", "machine", "wandb"} - own:
            cfg[key] = like[key]
    return cfg
