"""`deepinside diff`: the differences of two artifacts."""

import argparse

from deepinside.artifacts.excerpt import difference
from deepinside.terminal.inventory import artifact_folder
from deepinside.terminal.screen import say


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("left", type=artifact_folder, metavar="PATH", help="of an artifact")
    parser.add_argument("right", type=artifact_folder, metavar="PATH", help="of another")


def run(arguments: argparse.Namespace) -> int:
    """Writes a line per difference, and their number; returns 0."""
    rows = difference(arguments.left, arguments.right)
    say(*(f"{kind:10}  {key:44}  {left}  |  {right}" for kind, key, left, right in rows))
    say(f"{len(rows)} differences")
    return 0
