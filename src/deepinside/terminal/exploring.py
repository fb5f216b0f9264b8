"""`deepinside explore`: a page that shows what a network sees in a photograph, as choices are made."""

import argparse
import sys
import webbrowser

from deepinside.terminal.screen import say


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="as for a run: model=squeezenet model.weights=FILE, "
        "data.root=FOLDER of photographs, data.limit=N of them to search for patches, machine.device=cpu"
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=5006, metavar="N", help="of the page on this machine; 0: any")
    parser.add_argument("--no-browser", action="store_true", help="only write the address")


def run(arguments: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C, and returns 0; nothing is written to disk.

    Raises:
        ModuleNotFoundError: if Panel is not installed, with how to install it.
    """
    try:
        from deepinside.explore.server import serve
    except ModuleNotFoundError as error:
        if error.name != "panel":
            raise
        raise ModuleNotFoundError("explore needs the package panel: pip install 'deepinside[app]'") from error

    def ready(address: str) -> None:
        say(f"{address} (Ctrl-C ends it)")
        sys.stdout.flush()  # also to a file
        if not (arguments.no_browser or webbrowser.open(address)):
            say("no browser could be started: open this address in yours")

    serve(arguments.overrides, arguments.port, ready)
    return 0
