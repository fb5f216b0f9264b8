"""`deepinside list`: the artifacts in an outputs folder."""

import argparse
import sys
from pathlib import Path

from deepinside.terminal.inventory import Inventory, in_words, total
from deepinside.terminal.screen import say, table

COLUMNS = ("stage", "fingerprint", "made (UTC)", "size", "state", "from")


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "outputs", nargs="?", type=Path, default=Path("outputs"), help="the folder that runs write into"
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes a row per artifact, and the sums on a terminal; returns 0."""
    found = Inventory.of(arguments.outputs)
    rows = []
    for item in found.items:
        state = "latest" if item.latest else "kept" if item.name in found.kept else "unused"
        rows.append((item.path.parent.name, item.name, item.made, in_words(item.size), state, found.made_of(item)))
    table(COLUMNS, rows, right=("size",))
    if sys.stdout.isatty():
        unused = [item for item in found.items if item.name not in found.kept]
        say(
            f"{len(rows)} artifacts, {total(found.items)}; {len(unused)} of them unused, {total(unused)}; "
            f"{len(found.unfinished)} unfinished. Details: deepinside show {arguments.outputs}/STAGE/FINGERPRINT"
        )
    return 0
