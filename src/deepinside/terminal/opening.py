"""`deepinside open`: a report in the browser."""

import argparse
import webbrowser
from pathlib import Path

from deepinside.spelling import closest
from deepinside.terminal.inventory import Inventory, Item
from deepinside.terminal.screen import say

_PAGE = "index.html"
_MAKE = "`deepinside run=report` makes one, `make reproduce` that of everything"


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "report",
        nargs="?",
        metavar="REPORT",
        help="its name (name=... of the run that made it), the first digits of its fingerprint, or its folder; "
        "by default the newest",
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="the folder that runs write into")


def run(arguments: argparse.Namespace) -> int:
    """Shows the page and writes where it is.

    Returns:
        0, or 1 if no browser could be started.

    Raises:
        FileNotFoundError: if there is no report, with how to make one.
        KeyError: if there is none of this name, with the closest.
    """
    page = _page(arguments.report, arguments.outputs)
    say(str(page))
    if webbrowser.open(page.resolve().as_uri()):
        return 0
    say("no browser could be started: open this file in yours")
    return 1


def _page(wanted: str | None, outputs: Path) -> Path:
    if wanted and Path(wanted).is_dir():
        page = Path(wanted) / _PAGE
        if not page.is_file():
            raise FileNotFoundError(f"{wanted}: expected the folder of a report, got no {_PAGE}: {_MAKE}")
        return page
    reports = (
        [item for item in Inventory.of(outputs).items if (item.path / _PAGE).is_file()] if outputs.is_dir() else []
    )
    if not reports:
        raise FileNotFoundError(f"{outputs / 'report'}: no report yet: {_MAKE}")
    if wanted is None:
        latest = outputs / "report" / "latest" / _PAGE
        return latest if latest.is_file() else reports[-1].path / _PAGE
    found = [item for item in reports if item.name.startswith(wanted) or _named(item) == wanted]
    if not found:
        known = dict.fromkeys(name for item in reports[::-1] for name in (_named(item), item.name))
        raise KeyError(f"no report {wanted!r} in {outputs}; {closest(wanted, known)}")
    return found[-1].path / _PAGE  # the newest


def _named(item: Item) -> str:
    return str(item.manifest["made_from"]["config"].get("name", "")) if item.manifest else ""
