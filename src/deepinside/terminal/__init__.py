"""Commands that leave no artifact: help, open, explore, list, show, compare, verify, publish and remove artifacts."""

from deepinside.terminal.commands import COMMANDS, run, usage

__all__ = ["COMMANDS", "run", "usage"]
