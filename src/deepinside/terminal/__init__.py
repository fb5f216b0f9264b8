"""Commands that compute nothing: list, show, compare, verify, publish and remove artifacts."""

from deepinside.terminal.commands import COMMANDS, answer, usage

__all__ = ["COMMANDS", "answer", "usage"]
