"""The commands of the terminal, each implemented by a module of this package."""

import argparse
import importlib
from collections.abc import Sequence
from typing import NamedTuple, NoReturn


class Command(NamedTuple):
    """A command: its arguments, its description, and its module."""

    arguments: str
    what: str
    module: str


COMMANDS = {
    "list": Command("[OUTPUTS]", "the artifacts: what made them, when, and how large they are", "listing"),
    "show": Command("PATH", "one artifact: what made it, its inputs, numbers and files", "showing"),
    "diff": Command("PATH PATH", "what differs between two artifacts", "comparing"),
    "verify": Command("PATH", "hashes an artifact again and says what differs", "verifying"),
    "clean": Command("[OUTPUTS] [--yes]", "removes what no result refers to; lists it and asks first", "cleaning"),
    "publish": Command("PATH ... [wandb.KEY=VALUE ...]", "replays artifacts to Weights & Biases", "publishing"),
}


class Parser(argparse.ArgumentParser):
    """Parses the arguments of a command, one of `COMMANDS`."""

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"deepinside {command}", usage=usage(command), description=COMMANDS[command].what)

    def error(self, message: str) -> NoReturn:
        """Raises ValueError with the usage of the command."""
        raise ValueError(f"expected {self.usage}: {message}")


def usage(command: str) -> str:
    """The usage of a command, for instance `deepinside verify PATH`."""
    return f"deepinside {command} {COMMANDS[command].arguments}"


def answer(command: str, words: Sequence[str]) -> int:
    """Runs a command and returns its exit status."""
    module = importlib.import_module(f"deepinside.terminal.{COMMANDS[command].module}")
    parser = Parser(command)
    module.expects(parser)
    return module.answer(parser.parse_args(list(words)))
