"""`deepinside verify`: whether an artifact is as it was made."""

import argparse
from pathlib import Path

from deepinside.artifacts import artifact
from deepinside.terminal.screen import say


def expects(parser: argparse.ArgumentParser) -> None:
    """Says what follows the command.

    Args:
        parser: of its words.
    """
    parser.add_argument("path", type=Path, metavar="PATH", help="of an artifact")


def answer(given: argparse.Namespace) -> int:
    """Writes a line for whatever differs.

    Args:
        given: `path`.

    Returns:
        0 where all is as made, else 1.
    """
    problems = artifact.verify(given.path)
    good = f"{given.path}: {len(artifact.read_manifest(given.path)['files'])} files, all as made"
    say(*(problems or [good]))
    return int(bool(problems))
