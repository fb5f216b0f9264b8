"""Serves the page to this machine only."""

import socket
from collections.abc import Callable, Sequence

import panel as pn

from deepinside.explore.explorer import MOST_BYTES, Explorer
from deepinside.explore.page import DARK, Look, Page
from deepinside.explore.worker import Worker

ADDRESS = "127.0.0.1"
PORT = 5006
_AROUND = 2**20  # bytes of a message beside the photograph in it


def serve(overrides: Sequence[str], port: int, ready: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C.

    Args:
        overrides: of the command line, for `Explorer`.
        port: to listen on; 0: any that is free.
        ready: is called with the address once the page can be opened.

    Raises:
        OSError: if the port is in use.
    """
    port = _free(port)
    explorer, worker = Explorer(overrides), Worker()
    explorer.watched(worker.watch)
    pn.extension("filedropper", design=Look, raw_css=[DARK])
    server = pn.serve(
        {"/": lambda: Page(explorer, worker).view()}, port=port, address=ADDRESS, title="deepinside explore",
        websocket_origin=[f"{host}:{port}" for host in (ADDRESS, "localhost")],
        websocket_max_message_size=MOST_BYTES + _AROUND, start=False, show=False, verbose=False,
    )  # fmt: skip
    server.start()
    ready(f"http://{ADDRESS}:{port}/")
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        server.stop()


def _free(port: int) -> int:
    # The origins that the server accepts name the port, which must be known before.
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except OSError as error:
            raise OSError(f"port {port} of {ADDRESS} is not free: --port N names another, --port 0 any") from error
        return int(trial.getsockname()[1])
