"""The words of the terminal, each answered by a module of this package."""

import argparse
import importlib
from collections.abc import Sequence
from typing import NamedTuple, NoReturn


class Command(NamedTuple):
    """A word of the terminal: what follows it, what it does, and the module that answers."""

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
    """Reads the words after a command.

    Args:
        command: one of `COMMANDS`.
    """

    def __init__(self, command: str) -> None:
        super().__init__(prog=f"deepinside {command}", usage=usage(command), description=COMMANDS[command].what)

    def error(self, message: str) -> NoReturn:
        """Says what was expected.

        Args:
            message: argparse's own words.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"expected {self.usage}: {message}")


def usage(command: str) -> str:
    """How a command is called.

    Args:
        command: one of `COMMANDS`.

    Returns:
        For instance `deepinside verify PATH`.
    """
    return f"deepinside {command} {COMMANDS[command].arguments}"


def answer(command: str, words: Sequence[str]) -> int:
    """Answers on standard output.

    Args:
        command: one of `COMMANDS`.
        words: that follow it on the command line.

    Returns:
        The exit status.
    """
    module = importlib.import_module(f"deepinside.terminal.{COMMANDS[command].module}")
    parser = Parser(command)
    module.expects(parser)
    return module.answer(parser.parse_args(list(words)))
