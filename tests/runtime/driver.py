"""A driver in a process of its own, to be killed: `python -m tests.runtime.driver SCHEDULER_FILE FOLDER`."""

import sys
from pathlib import Path

import numpy as np
from distributed import Client
from tests.runtime import work
from tests.runtime.test_engine import conditions, found

from deepinside.runtime import engine
from deepinside.runtime.engine import Engine

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    with Client(scheduler_file=sys.argv[1]) as client:
        engine._current.set(Engine(client, conditions(folder)))
        np.save(folder / "squares.npy", found(folder, work.noted, folder))
