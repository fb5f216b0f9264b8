"""`deepinside verify`: checks the hashes of an artifact."""

import argparse

from deepinside.artifacts import artifact
from deepinside.terminal.inventory import artifact_folder
from deepinside.terminal.screen import say


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("path", type=artifact_folder, metavar="PATH", help="of an artifact")


def run(arguments: argparse.Namespace) -> int:
    """Writes a line per difference; returns 0 if there is none, otherwise 1."""
    problems = artifact.verify(arguments.path)
    good = f"{arguments.path}: {len(artifact.read_manifest(arguments.path)['files'])} files, all unchanged"
    say(*(problems or [good]))
    return int(bool(problems))
