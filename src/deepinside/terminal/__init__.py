"""What the program answers without computing: which artifacts there are, what they hold, what may go."""

from deepinside.terminal.commands import COMMANDS, answer, usage

__all__ = ["COMMANDS", "answer", "usage"]
