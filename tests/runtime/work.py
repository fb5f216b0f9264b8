"""What workers of the tests compute: squares, and on request trouble."""

import os
import signal
import time
from functools import partial

import numpy as np


def squares(positions):
    return {"square": np.array([n**2 for n in positions]), "made_by": np.array(os.getpid())}


def slow(positions):
    time.sleep(0.2)
    return squares(positions)


def once(place, sign, positions):
    """The process that comes first to the batch from 4 gets a signal."""
    time.sleep(0.1)
    if positions.start == 4:
        try:
            (place / "came").touch(exist_ok=False)
        except FileExistsError:
            return squares(positions)
        (place / "came").write_text(str(os.getpid()))
        os.kill(os.getpid(), sign)
        time.sleep(1)
    return squares(positions)


def node(place, positions):
    """The process that comes first to the batch from 4 is killed with its nanny, as where a machine is lost."""
    time.sleep(0.1)
    if positions.start == 4 and not (place / "came").exists():
        (place / "came").write_text(f"{os.getpid()} {os.getpgrp()}")
        os.killpg(os.getpgrp(), signal.SIGKILL)
    return squares(positions)


def noted(place, positions):
    """Slow squares; names the batch in a file before it is returned."""
    time.sleep(0.3)
    with (place / "computed").open("a") as file:
        file.write(f"{positions.start}\n")
    return squares(positions)


def always(place, positions):
    if positions.start == 4:
        with (place / "killed").open("a") as file:
            file.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(positions)


def maker(work, *arguments):
    return partial(work, *arguments) if arguments else work


def halves(positions):
    raise ValueError(f"no batch from {positions.start}")


def files(out):
    (out / "a").mkdir()
    (out / "a" / "b.txt").write_text("b")
