"""How driver and scheduler bear many batches and many workers: tasks that do nothing, or wait and return much.

    OMP_NUM_THREADS=1 python benchmarks/engine.py                                       # 100,000 tasks, 64 workers
    OMP_NUM_THREADS=1 python benchmarks/engine.py --tasks 2000 --seconds 10 --kilobytes 5

Driver and scheduler are the real ones, a process each, and the driver stores every batch as a stage does. The workers
are threads of one process more, so that a laptop can have 64 of them. Half way the driver is killed and another one
continues. A line says, of the tasks since the line before: tasks a second, milliseconds of processor time that each
process spent on a task, and, of that moment, the memory of driver and scheduler and the tasks that the scheduler holds.
"""

import argparse
import asyncio
import importlib
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
from distributed import Client, Worker
from numpy import ndarray

from deepinside.artifacts import digest
from deepinside.artifacts.artifact import environment
from deepinside.runtime import engine, machine
from deepinside.runtime.progress import resumable

MACHINE = {"device": "cpu", "threads": 1, "engine": "dask"}
MODULES = frozenset({"deepinside.runtime.memory"})
LINES = 10
PROCESSES = ("driver", "scheduler", "workers")


def answer(log: Path, seconds: float, kilobytes: float, positions: range) -> dict[str, ndarray]:
    """What a worker does with a batch."""
    time.sleep(seconds)
    with log.open("a") as file:
        file.write(f"{positions.start}\n")
    return {"x": np.full(int(kilobytes * 128), float(positions.start))}


def made(log: Path, seconds: float, kilobytes: float) -> engine.Compute:
    """What a worker opens."""
    return partial(answer, log, seconds, kilobytes)


def work(scheduler: Path, count: int) -> None:
    """The process of the workers."""

    logging.getLogger("distributed").setLevel(logging.ERROR)

    async def serve() -> None:
        fake = {"nthreads": 1, "memory_limit": 0}
        await asyncio.gather(*(Worker(scheduler_file=str(scheduler), **fake) for _ in range(count)))
        await asyncio.Event().wait()

    engine._settled = lambda own: machine.settle(own.machine, own.seed)  # threads share the process's directory
    digest.digest(MODULES)  # and must not parse source code at once, which Python 3.11 does not bear
    # Neither memory nor profile is measured: each worker would do so every few milliseconds, for the same process.
    with dask.config.set(
        {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "1h"}
    ):
        asyncio.run(serve())


def drive(scheduler: Path, folder: Path, options: argparse.Namespace) -> None:
    """The process of the driver."""
    conditions = engine.Conditions(
        "0" * 16, MACHINE, 0, MODULES, digest.digest(MODULES), Path.cwd(), (), machine.settle(MACHINE, 0),
        environment()["versions"],
    )  # fmt: skip
    named = importlib.import_module(Path(__file__).stem)  # not __main__, which is another module elsewhere
    make = partial(named.made, folder / "log", options.seconds, options.kilobytes)
    with Client(scheduler_file=str(scheduler)) as client:
        engine._current.set(engine.Engine(client, conditions))
        for _ in resumable(folder / "parts", options.tasks, 1, made, "simulation", worker=make):
            pass


class Watch:
    """Tasks, processor time and memory since the last look.

    Args:
        client: of the scheduler.
        folder: where the driver stores batches.
        workers: their process.
    """

    def __init__(self, client: Client, folder: Path, workers: int) -> None:
        self.client, self.log = client, folder / "log"
        found = client.run_on_scheduler(os.getpid)
        self.processes = {"scheduler": psutil.Process(found), "workers": psutil.Process(workers)}
        self.done, self.at, self.spent = 0, time.perf_counter(), dict[str, float]()

    def of(self, driver: int) -> None:
        """Watches another driver."""
        self.processes["driver"] = psutil.Process(driver)
        self.at, self.spent = time.perf_counter(), {name: self._seconds(name) for name in PROCESSES}

    def _seconds(self, name: str) -> float:
        times = self.processes[name].cpu_times()
        return times.user + times.system

    def count(self) -> int:
        """Tasks computed so far."""
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def line(self, done: int) -> str:
        """A row of the table."""
        now, spent = time.perf_counter(), {name: self._seconds(name) for name in PROCESSES}
        tasks, seconds = done - self.done, now - self.at
        each = [f"{1000 * (spent[name] - self.spent[name]) / tasks:.1f}" for name in PROCESSES]
        memory = [f"{self.processes[name].memory_info().rss / 2**20:.0f}" for name in ("driver", "scheduler")]
        held = self.client.run_on_scheduler(_held)
        self.done, self.at, self.spent = done, now, spent
        return f"| {done} | {tasks / seconds:.0f} | {' | '.join([*each, *memory])} | {held} |"


def _held(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def main() -> None:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.0, help="that a task takes")
    parser.add_argument("--kilobytes", type=float, default=0.0, help="that it returns")
    options = parser.parse_args()
    server = multiprocessing.get_context("forkserver")  # imports once for all processes
    with tempfile.TemporaryDirectory() as place:
        folder, file = Path(place), Path(place) / "scheduler.json"
        command = [Path(sys.executable).with_name("dask"), "scheduler", "--no-dashboard", "--host", "127.0.0.1"]
        scheduler = subprocess.Popen(
            [*command, "--port", "0", "--scheduler-file", file], stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        workers = server.Process(target=work, args=(file, options.workers), daemon=True)
        driver = partial(server.Process, target=drive, args=(file, folder, options), daemon=True)
        try:
            while not file.exists():
                time.sleep(0.1)
            workers.start()
            with Client(scheduler_file=str(file)) as client:
                client.wait_for_workers(options.workers)
                simulate(options.tasks, Watch(client, folder, workers.pid), driver)
            times = Counter(Counter((folder / "log").read_text().split()).values())
            print(f"computed once: {times[1]} tasks, more often: {times.total() - times[1]}")
            assert len(list((folder / "parts").iterdir())) == times.total() == options.tasks
        finally:
            workers.kill()
            scheduler.kill()
            scheduler.wait()


def simulate(tasks: int, watch: Watch, driver: Any) -> None:
    print("| tasks | a second | driver, ms | scheduler, ms | workers, ms | driver, MB | scheduler, MB | held |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for last in (tasks // 2, tasks):
        process = driver()
        process.start()
        while watch.count() == watch.done and process.is_alive():  # until it has connected
            time.sleep(0.1)
        watch.of(process.pid)
        while (done := watch.count()) < last and process.is_alive():
            if done - watch.done >= tasks / LINES:
                print(watch.line(done), flush=True)
            time.sleep(0.2)
        if last < tasks:
            print(watch.line(done) + " the driver is killed")
            process.kill()
        process.join()


if __name__ == "__main__":
    main()
