"""The commands of the terminal, each implemented by a module of this package."""

import argparse
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple, NoReturn


class Command(NamedTuple):
    """A command: its arguments, its description, and its module."""

    arguments: str
    what: str
    module: str


COMMANDS = {
    "help": Command("[WORD]", "explains a stage, a group, a choice or a command", "helping"),
    "open": Command("[REPORT]", "shows the newest report, or one of this name or fingerprint", "opening"),
    "explore": Command("[KEY=VALUE ...]", "shows live what a network sees in a photograph of yours", "exploring"),
    "list": Command("[OUTPUTS]", "lists the artifacts with their inputs, dates and sizes", "listing"),
    "show": Command("PATH", "shows an artifact: inputs, settings, numbers and files", "showing"),
    "diff": Command("PATH PATH", "compares two artifacts", "comparing"),
    "verify": Command("PATH", "checks the hashes of an artifact", "verifying"),
    "clean": Command("[OUTPUTS] [--yes]", "removes artifacts that no result refers to, after confirmation", "cleaning"),
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


def described(command: str) -> list[str]:
    """The help of a command, in lines."""
    return _parser(command)[0].format_help().splitlines()


def run(command: str, arguments: Sequence[str]) -> int:
    """Runs a command and returns its exit status."""
    parser, module = _parser(command)
    return module.run(parser.parse_intermixed_args(list(arguments)))


def _parser(command: str) -> tuple[Parser, ModuleType]:
    module = importlib.import_module(f"deepinside.terminal.{COMMANDS[command].module}")
    parser = Parser(command)
    module.expects(parser)
    return parser, module
