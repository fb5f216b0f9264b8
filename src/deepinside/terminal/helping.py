"""`deepinside help`: what can be typed; the settings of a stage, group or choice, with the comments of their files."""

import argparse
import re
import shutil
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from textwrap import indent, wrap
from typing import Any

from omegaconf import OmegaConf

from deepinside.defaults import choices, defaults, folder
from deepinside.pipeline.table import STAGES
from deepinside.spelling import closest
from deepinside.terminal.screen import aligned, say

WHAT = {
    "prepare": "list the images, labels and boxes of a data set, or draw the synthetic one",
    "concepts": "check images with concept masks, or convert masks, COCO or VOC",
    "train": "train the network",
    "load": "load pretrained weights instead",
    "invert": "train networks that reconstruct images from features",
    "visualise": "run every requested method=[...]",
    "localise": "find boxes by saliency and GraphCut, and measure the errors",
    "benchmark": "compare attribution methods, also those of other libraries",
    "dissect": "find the concept that each unit detects",
    "diagnose": "measure the layers of a network, and propose changes of its design",
    "score": "measure the errors of predictions=FILE",
    "claims": "test the claims of the papers",
    "sweep": "run a grid of any of these, sweep=NAME",
    "report": "show all results on one page",
}
_PLACES = {"recipe": "train"}  # groups whose keys go under those of another
_EXAMPLES = (
    "deepinside experiment=reproduce                          # everything, as `make reproduce` does",
    "deepinside run=visualise data=photos data.root=FOLDER model=efficientnet_lite0",
    "deepinside run=localise localise=best estimate=true      # only says what it would cost",
)


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("word", nargs="?", metavar="WORD", help="a stage, a group, GROUP/CHOICE, or a command")


def run(arguments: argparse.Namespace) -> int:
    """Writes the help on a word, or the overview; returns 0.

    Raises:
        KeyError: for an unknown word, with the closest.
    """
    say(*(overview() if arguments.word is None else about(arguments.word)))
    return 0


def overview() -> Iterator[str]:
    """All that can be typed, on one screen."""
    from deepinside.terminal.commands import COMMANDS

    yield "deepinside - see what is inside convolutional networks, reproducibly"
    yield ""
    yield "  deepinside run=STAGE [group=choice ...] [key=value ...]"
    yield ""
    yield "Stages; each computes its inputs first unless they are cached. Settings: deepinside help STAGE"
    yield from _rows(WHAT.items())
    yield "Groups; those named as a stage belong to it. Choices: deepinside help GROUP"
    yield "  " + ", ".join(group for group in _groups() if group not in STAGES)
    yield "Commands. Their arguments: deepinside help COMMAND"
    yield from _rows((f"{name} {command.arguments}", command.what) for name, command in COMMANDS.items())
    yield "Examples"
    yield from (f"  {example}" for example in _EXAMPLES)
    yield ""
    yield "All keys with their values: deepinside --cfg job. The last line that a run prints is `artifact: PATH`."


def about(word: str) -> Iterator[str]:
    """The help on one word.

    Args:
        word: a stage, a group, `GROUP/CHOICE`, a choice of any group, a key of a group, or a command.

    Returns:
        Lines.

    Raises:
        KeyError: for an unknown word, with the closest.
    """
    from deepinside.terminal.commands import COMMANDS, described

    groups = _groups()
    group, _, choice = word.replace("=", "/").partition("/")
    homes = [name for name in groups if word in choices(name)]
    if group == "run" and choice in STAGES:
        return about(choice)
    if choice and group in groups:
        _check(choice, choices(group), f"{group} has no choice")
        return _choice(group, choice)
    if word in STAGES:
        return _stage(word)
    if word in groups:
        return _group(word)
    if homes:
        return (line for home in homes for line in (*_choice(home, word), ""))
    if word in COMMANDS:
        return iter(described(word))
    if (above := word.partition(".")[0]) != word:
        return about(above)
    names = [*STAGES, *groups, *COMMANDS, *(name for one in groups for name in choices(one))]
    _check(word, list(dict.fromkeys(names)), "no help on")
    return iter(())


def _check(name: str, known: list[str], message: str) -> None:
    if name not in known:
        raise KeyError(f"{message} {name!r}; {closest(name, known)}")


def _stage(name: str) -> Iterator[str]:
    needed, groups = _needed(name)
    yield f"deepinside run={name} [group=choice ...] [key=value ...]"
    yield f"  {WHAT[name]}"
    if needed:
        yield f"  from {', '.join(needed)} (with the default choices): computed first unless cached"
    others = [group for group in groups if group != name]
    if others:
        yield ""
        yield "Groups that it takes a choice of (deepinside help GROUP)"
        yield from _rows(_offered(group) for group in others)
    if name in _groups():
        yield ""
        yield from _group(name)


def _needed(name: str) -> tuple[list[str], list[str]]:
    # The stages that a stage comes after with the default choices, and the groups that it and these may see.
    cfg = OmegaConf.create({
        "model": defaults("model", str(_default("model"))), "dissect": defaults("dissect", "default"),
        "judge": None, "method": {},
    })  # fmt: skip
    needed = list(STAGES[name].inputs(cfg).values())
    seen = (key for stage in (name, *needed) for key in (*STAGES[stage].config, *STAGES[stage].files))
    return needed, list(dict.fromkeys(group for key in seen if (group := key.partition(".")[0]) in _groups()))


def _offered(group: str, most: int = 8) -> tuple[str, str]:
    # The default of a group, and what there is instead.
    default = _default(group)
    several = isinstance(default, list)
    others = [choice for choice in choices(group) if choice not in (default if several else [default])]
    shown = f"{len(others)} others" if len(others) > most else ", ".join(others)
    return f"{group}=" + (f"[{','.join(default)}]" if several else str(default)), shown and f"or {shown}"


def _group(group: str) -> Iterator[str]:
    known = choices(group)
    default = _default(group)
    if known == [default]:
        yield from _choice(group, default)
        return
    several = isinstance(default, list)
    by_default = f", by default {','.join(default) if several else default}" if default else ""
    word = f"'{group}=[CHOICE,...]'" if several else f"{_typed(group)}=CHOICE"
    yield f"{word}{by_default}. The settings of one: deepinside help {group}/CHOICE"
    yield ""
    width = max(map(len, known)) + 4
    for choice in known:
        yield from _listed(f"  {choice}".ljust(width), _title(folder() / group / f"{choice}.yaml").split(" "), " ")
    if isinstance(default, str):
        yield ""
        yield from _choice(group, default)


def _choice(group: str, choice: str) -> Iterator[str]:
    text = (folder() / group / f"{choice}.yaml").read_text(encoding="utf-8")
    place = "" if "# @package _global_" in text else f"{_PLACES.get(group, group)}."
    place = f"{place}{choice}." if group == "method" else place
    yield f"{_typed(group)}={choice}. To change a setting: {place}KEY=VALUE, a nested one {place}KEY.KEY=VALUE"
    yield ""
    yield from indent(text.rstrip(), "  ").splitlines()
    for base in _bases(text):
        if base in choices(group):
            yield ""
            yield from _choice(group, base)


def _typed(group: str) -> str:
    return f"{group}@{_PLACES[group]}" if group in _PLACES else group


def _bases(text: str) -> list[str]:
    content: Any = OmegaConf.create(text)
    return [item for item in content.get("defaults", []) if isinstance(item, str)]


def _title(file: Path) -> str:
    # The first sentence of the comment that a file begins with, up to what is indented in it.
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    comment = takewhile(lambda line: re.match(r"# \S", line), lines)
    words = " ".join(line.removeprefix("# ") for line in comment)
    return re.split(r"(?<=[a-z)\d])[.:] (?=[A-Z]|deepinside)", words)[0].rstrip(".:")


def _groups() -> list[str]:
    return sorted(path.name for path in folder().iterdir() if path.is_dir())


def _default(group: str) -> Any:
    listed: Any = OmegaConf.to_container(OmegaConf.load(folder() / "config.yaml"), resolve=False)
    return next((item[group] for item in listed["defaults"] if isinstance(item, dict) and group in item), None)


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {line}" for line in aligned([*rows], [False, False])]


def _listed(start: str, words: list[str], between: str = ", ") -> list[str]:
    # A start and words behind it, in lines of the terminal's width.
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 120))
    return wrap(
        between.join(words),
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start]
