"""Where batches are computed: in this process, or by the workers of a Dask scheduler.

Workers compute and return arrays or files, and only the driver (the process that the command started) writes. A batch
may therefore be computed more than once, but is stored once, and a worker that dies or stops costs its batch and no
more. Dask decides which worker computes what; the driver keeps as many batches in flight as there are workers.
"""

import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy import ndarray

from deepinside.artifacts import digest
from deepinside.artifacts.artifact import environment
from deepinside.runtime import memory

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

Arrays = dict[str, ndarray]
Compute = Callable[[range], Arrays]
Files = dict[str, bytes]  # by path inside an artifact

ENGINES = ("local", "dask")
SILENT = 20.0  # seconds without a sign of life after which a worker is given up
STARTING = 300.0  # the same before its first result: what it imports and opens may keep it busy
_PATIENCE = 60.0  # seconds between two lines while there is no worker
TRIES = 3  # times that all workers of a batch may be lost
_TICK = 0.5  # seconds between two looks at the workers


class PoisonBatch(ChildProcessError):
    """Every worker that computed a batch died."""


@dataclass(frozen=True)
class Conditions:
    """What a worker must have in common with the driver, so that it computes the same numbers.

    Args:
        fingerprint: of the artifact.
        machine: the group machine.
        seed: of the stage.
        modules: that the stage imports, directly or not.
        source: digest of their source.
        place: working directory, to which paths may be relative.
        paths: files and folders that the stage reads.
        record: device and threads, as `machine.settle` returns them.
        versions: of the libraries.
    """

    fingerprint: str
    machine: Mapping[str, Any]
    seed: int
    modules: frozenset[str]
    source: str
    place: Path
    paths: tuple[Path, ...]
    record: Mapping[str, Any]
    versions: Mapping[str, str]

    def unmet(self) -> str:
        """Why this process cannot take part; empty if it can, and then it is set up."""
        ours = environment()["versions"]
        for name, version in self.versions.items():
            if ours[name] != version:
                return f"{name} {ours[name]}, expected {version}: install the same version"
        if digest.digest(self.modules) != self.source:
            return "its source code of deepinside, or of modules that the configuration names, is different"
        for path in (self.place, *(self.place / path for path in self.paths)):
            if not path.exists():
                return f"no {path}: make it readable at the same path"
        record = _settled(self)
        for name, value in self.record.items():
            if record.get(name) != value:
                return f"{name} {record.get(name)}, expected {value}: use machines of one kind"
        return ""


class _Answer(NamedTuple):
    # Of a worker: arrays or files, or the reason why it does not meet the conditions.
    address: str
    content: Any
    unfit: str = ""


@dataclass
class _Task:
    # A function that a worker calls.
    name: str
    work: Callable
    arguments: tuple
    tries: int = 0  # how often all workers that could have computed it were lost


@dataclass
class Engine:
    """The workers of a Dask scheduler.

    Args:
        client: connected to it.
        conditions: of the artifact that is being computed.
    """

    client: "Client"
    conditions: Conditions | None = None
    _begun: dict[str, "Future"] = field(default_factory=dict)
    _refused: dict[tuple[str, str], str] = field(default_factory=dict)
    _proven: set[str] = field(default_factory=set)
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)
    _looked: float = -math.inf

    def batches(
        self, make: Callable[[], Compute], positions: Sequence[range], name: str
    ) -> Iterator[tuple[range, Any]]:
        """Computes batches on the workers.

        Args:
            make: returns the function that computes a batch; called once on each worker.
            positions: of the batches.
            name: of the loop.

        Yields:
            A batch and its arrays, in the order in which they are finished; `PoisonBatch` in place of the arrays of a
            batch that killed its workers.
        """
        assert self.conditions is not None
        arguments = (f"{self.conditions.fingerprint}.{name}", make, self.conditions)
        tasks = (_Task(f"{name} from {part.start}", _batch, (*arguments, part)) for part in positions)
        for task, result in self._finished(tasks, self.conditions):
            yield task.arguments[-1], result

    def begin(self, work: Callable[[Path], None], conditions: Conditions) -> None:
        """Sends the computation of a whole artifact to a worker, and does not wait for it.

        Args:
            work: fills a folder.
            conditions: of the artifact.
        """
        self._begun[conditions.fingerprint] = self.client.submit(_whole, work, conditions, pure=False)

    def whole(self, work: Callable[[Path], None], conditions: Conditions) -> Files:
        """The files of an artifact that a worker computes, or has begun to.

        Args:
            work: fills a folder.
            conditions: of the artifact.

        Returns:
            Path inside the artifact -> content.

        Raises:
            PoisonBatch: if it killed its workers.
        """
        task = _Task(conditions.fingerprint[:8], _whole, (work, conditions))
        begun = self._begun.pop(conditions.fingerprint, None)
        (_, result), *_ = self._finished([] if begun else [task], conditions, {begun: task} if begun else {})
        if isinstance(result, PoisonBatch):
            raise result
        return result

    def _finished(
        self, tasks: Iterable[_Task], conditions: Conditions, begun: Mapping["Future", _Task] | None = None
    ) -> Iterator[tuple[_Task, Any]]:
        # As many tasks at a time as there are workers, so that a death is the fault of the task at hand.
        ready, waiting, again = SimpleQueue["Future"](), iter(tasks), list[_Task]()
        running: dict[Future, tuple[_Task, set[str] | None]] = {
            one: (task, None) for one, task in (begun or {}).items()
        }
        for future in running:
            future.add_done_callback(ready.put)
        following = next(waiting, None)
        try:
            while running or again or following:
                workers = self._workers(conditions)
                while len(running) < len(workers) and (task := again.pop() if again else following):
                    following = next(waiting, None) if task is following else following
                    only = sorted(workers) if self._refused else None
                    future = self.client.submit(task.work, *task.arguments, workers=only, pure=False)
                    future.add_done_callback(ready.put)
                    running[future] = (task, workers if only else None)
                for future in self._ended(ready, running):
                    task, _ = running.pop(future)
                    result = _result(future, task)
                    if isinstance(result, PoisonBatch):
                        yield task, result
                    elif result is None:
                        again.append(task)
                    elif result.unfit:
                        log.warning("worker %s is not used: %s", result.address, result.unfit)
                        self._refused[conditions.fingerprint, result.address] = result.unfit
                        again.append(task)
                    else:
                        self._proven.add(result.address)
                        yield task, result.content
        finally:
            for future in running:
                future.cancel()

    def _ended(self, ready: "SimpleQueue[Future]", running: Mapping["Future", tuple[_Task, Any]]) -> list["Future"]:
        # Futures that are finished, or whose workers are gone; waits for a tick if there are none.
        with suppress(Empty):
            found = [ready.get(timeout=_TICK)]
            while not ready.empty():
                found.append(ready.get())
            return [future for future in dict.fromkeys(found) if future in running]
        alive = self._alive()
        return [future for future, (_, only) in running.items() if only is not None and not only & alive]

    def _workers(self, conditions: Conditions) -> set[str]:
        # Addresses of workers that are not known to be unfit; waits for the first one.
        started = told = time.monotonic()
        while True:
            alive = self._alive()
            refused = {address for one, address in self._refused if one == conditions.fingerprint}
            if alive - refused:
                return alive - refused
            if alive:
                reason = self._refused[conditions.fingerprint, next(iter(alive))]
                raise ValueError(f"no worker can compute this: {reason}")
            if time.monotonic() - told > _PATIENCE:
                told = time.monotonic()
                log.info("no worker for %.0f s: start some, or wait for the queue", told - started)
            time.sleep(_TICK)

    def _alive(self) -> set[str]:
        # Addresses, looked up once a tick; a silent worker is removed from the scheduler, whose clock may be another.
        now = time.monotonic()
        if now - self._looked < _TICK:
            return set(self._seen)
        self._looked, before = now, self._seen
        self._seen = {}
        for address, about in self.client.scheduler_info(n_workers=-1)["workers"].items():
            stamp, since = before.get(address, (None, now))
            since = since if stamp == about["last_seen"] else now
            if now - since > (limit := SILENT if address in self._proven else STARTING):
                log.warning("worker %s: no sign of life for %.0f s; continuing without it", address, limit)
                self.client.run_on_scheduler(_remove, address=address)
            else:
                self._seen[address] = (about["last_seen"], since)
        return set(self._seen)


def _result(future: "Future", task: _Task) -> _Answer | PoisonBatch | None:
    # None where nobody is left who could compute it, or who has the result.
    from distributed.scheduler import KilledWorker

    try:
        if future.done():
            return future.result(timeout=SILENT)
    except TimeoutError:
        pass
    except KilledWorker:
        return PoisonBatch(f"{task.name}: every worker that computed it died")
    future.cancel()
    task.tries += 1
    return PoisonBatch(f"{task.name}: every worker that computed it was lost") if task.tries == TRIES else None


async def _remove(dask_scheduler: Any, address: str) -> None:
    await dask_scheduler.remove_worker(address, stimulus_id="silent", expected=True)


_open: dict[str, Compute] = {}  # of a worker: what computes the batches of the current loop


def _settled(conditions: Conditions) -> dict[str, Any]:
    # Workers that share a machine with several graphics cards are numbered, and each takes its own.
    import torch
    from distributed import get_worker

    from deepinside.runtime import machine

    if (count := torch.cuda.device_count()) > 1 and str(get_worker().name).isdigit():
        torch.cuda.set_device(int(get_worker().name) % count)
    os.chdir(conditions.place)
    return machine.settle(conditions.machine, conditions.seed)


def _batch(key: str, make: Callable[[], Compute], conditions: Conditions, positions: range) -> _Answer:
    from distributed import get_worker

    address = get_worker().address
    if key not in _open:
        if reason := conditions.unmet():
            return _Answer(address, None, reason)
        _open.clear()
        _open[key] = make()
    return _Answer(address, accounted(_open[key], positions))


def _whole(work: Callable[[Path], None], conditions: Conditions) -> _Answer:
    from distributed import get_worker

    if reason := conditions.unmet():
        return _Answer(get_worker().address, None, reason)
    with tempfile.TemporaryDirectory() as folder:
        work(Path(folder))
        files = (path for path in Path(folder).rglob("*") if path.is_file())
        content: Files = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return _Answer(get_worker().address, content)


HALVED = "halved"  # what memory did not suffice for, beside the arrays of a batch


def accounted(compute: Compute, positions: range) -> Arrays:
    """The arrays of a batch, with what was halved for lack of memory."""
    import numpy as np

    with memory.accounted() as halved:
        arrays = compute(positions)
    return arrays | ({HALVED: np.array(halved)} if halved else {})


_current: ContextVar[Engine | None] = ContextVar("_current", default=None)


def current() -> Engine | None:
    """The engine of `opened`; None where this process computes everything."""
    return _current.get()


@contextmanager
def opened(options: Mapping[str, Any]) -> Generator[None]:
    """In this block batches are computed where the group machine says.

    Args:
        options: the group machine.

    Raises:
        ValueError: if the engine is unknown, or the scheduler does not answer.
        ModuleNotFoundError: without the extra `cluster`.
    """
    if options["engine"] not in ENGINES:
        raise ValueError(f"machine.engine: expected one of {', '.join(ENGINES)}, got {options['engine']!r}")
    with _connected(options) as client:
        log.info("engine: %s, dashboard %s", client.scheduler_info()["address"], client.dashboard_link)
        token = _current.set(Engine(client))
        try:
            yield
        finally:
            _current.reset(token)


@contextmanager
def _connected(options: Mapping[str, Any]) -> Generator["Client"]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("machine.engine=dask: pip install 'deepinside[cluster]'") from error
    scheduler, cluster = options["scheduler"], options["cluster"]
    # Workers are no daemons, for a training has processes that decode. A batch is given up at the third death.
    own = {"distributed.worker.daemon": False, "distributed.scheduler.allowed-failures": 2}
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with dask.config.set(own):
        if scheduler is not None:
            try:
                address = str(scheduler) if "://" in str(scheduler) else _address(Path(scheduler))
                client = Client(address, timeout=30)
            except (OSError, ValueError, KeyError) as error:
                raise ValueError(
                    f"machine.scheduler={scheduler}: no scheduler answers there ({error}); start one: dask scheduler"
                ) from error
            with client:
                yield client
        elif cluster is not None:
            import dask_jobqueue

            with getattr(dask_jobqueue, cluster["kind"])(**cluster["options"]) as jobs, Client(jobs) as client:
                jobs.adapt(minimum_jobs=cluster["minimum"], maximum_jobs=cluster["maximum"])
                yield client
        else:
            count = _devices(options)
            with (
                LocalCluster(count, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.ERROR) as jobs,
                Client(jobs) as client,
            ):
                yield client


def _address(file: Path) -> str:
    return json.loads(file.read_text(encoding="utf-8"))["address"]


def _devices(options: Mapping[str, Any]) -> int:
    # Workers of this machine: one for every graphics card, or as many as requested.
    import torch

    if options["device"] != "cpu" and torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, options["workers"])
