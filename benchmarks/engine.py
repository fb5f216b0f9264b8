"""How driver and scheduler bear many batches and many workers: tasks that do nothing, or wait and return much.

    OMP_NUM_THREADS=1 python benchmarks/engine.py                                       # 100,000 tasks, 64 workers
    OMP_NUM_THREADS=1 python benchmarks/engine.py --tasks 2000 --seconds 2 --kilobytes 400

The workers are threads of one process, so that a laptop can have 64 of them; scheduler and driver are the real ones.
Half way the driver is started again. Printed are tasks a second, and the memory of the process before and after.
"""

import argparse
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster
from numpy import ndarray

from deepinside.artifacts import digest
from deepinside.artifacts.artifact import environment
from deepinside.runtime import engine, machine

MACHINE = {"device": "cpu", "threads": 1, "engine": "dask"}
MODULES = frozenset({"deepinside.runtime.memory"})


def answer(seconds: float, kilobytes: int, positions: range) -> dict[str, ndarray]:
    """What a worker does with a batch."""
    time.sleep(seconds)
    return {"x": np.full(kilobytes * 128, float(positions.start))}


def made(seconds: float, kilobytes: int) -> engine.Compute:
    """What a worker opens."""
    return partial(answer, seconds, kilobytes)


def memory() -> float:
    """Of this process at its highest, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Runs the simulation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.0, help="that a task takes")
    parser.add_argument("--kilobytes", type=int, default=0, help="that it returns")
    args = parser.parse_args()
    engine._settled = lambda own: machine.settle(own.machine, own.seed)  # threads share the process's directory
    conditions = engine.Conditions(
        "0" * 16, MACHINE, 0, MODULES, digest.digest(MODULES), Path.cwd(), (), machine.settle(MACHINE, 0),
        environment()["versions"],
    )  # fmt: skip
    pending = [range(start, start + 1) for start in range(args.tasks)]
    cluster = LocalCluster(args.workers, threads_per_worker=1, processes=False, dashboard_address=None)
    with tempfile.TemporaryDirectory(), cluster:
        for part in ("first half", "second half, by another driver"):
            with Client(cluster) as client:
                own, started, begun = engine.Engine(client, conditions), time.perf_counter(), memory()
                done = set()
                batches = own.batches(partial(made, args.seconds, args.kilobytes), pending, "simulation")
                for batch, _ in batches:
                    done.add(batch.start)
                    if part == "first half" and len(done) == args.tasks // 2:
                        batches.close()
                        break
                spent = time.perf_counter() - started
                pending = [batch for batch in pending if batch.start not in done]
                print(f"{part}: {len(done)} tasks in {spent:.1f} s, {len(done) / spent:.0f}/s, "
                      f"{begun:.0f} MB before, {memory():.0f} MB after, {len(pending)} left")  # fmt: skip


if __name__ == "__main__":
    main()
