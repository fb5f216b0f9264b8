"""Batches on the workers of a Dask scheduler, in real processes, some of which die, stop or come late."""

import gc
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.own import HANGS, searched

pytest.importorskip("distributed", reason="needs the extra `cluster`")

import psutil
from distributed import Client
from tests.runtime import work

from deepinside.artifacts import digest
from deepinside.artifacts.artifact import environment
from deepinside.runtime import engine, machine
from deepinside.runtime.engine import Conditions, Engine, PoisonBatch
from deepinside.runtime.progress import resumable

HERE, MODULES = Path(__file__).parent, frozenset({"deepinside.runtime.memory"})
SILENT = engine.SILENT
MACHINE = {"device": "cpu", "threads": None, "workers": 2, "engine": "dask", "scheduler": None, "cluster": None}
COUNT, SIZE = 14, 2


@dataclass
class Cluster:
    """A scheduler and workers, each in a process of its own."""

    place: Path
    processes: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen:
        paths = {"PYTHONPATH": searched(HERE.parents[1]), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "2"}
        command = [str(Path(sys.executable).with_name("dask")), *words, "--scheduler-file", str(self.file)]
        process = subprocess.Popen(
            command, env=os.environ | paths, cwd=self.place, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.processes.append(process)
        return process

    @property
    def file(self) -> Path:
        return self.place / "scheduler.json"

    def scheduler(self) -> None:
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")

    def worker(self, *words: str) -> subprocess.Popen:
        return self.start("worker", "--nthreads", "1", "--no-dashboard", *(words or ("--no-nanny",)))

    def close(self) -> None:
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a nanny and its worker
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster]:
    made = Cluster(tmp_path)
    made.scheduler()
    yield made
    made.close()


@pytest.fixture
def on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Generator[Engine]:
    deadline = time.monotonic() + HANGS
    while not cluster.file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    monkeypatch.setattr(engine, "SILENT", 4.0)
    with Client(scheduler_file=str(cluster.file)) as client:
        opened = Engine(client, conditions(cluster.place))
        token = engine._current.set(opened)
        yield opened
        engine._current.reset(token)
    gc.collect()  # finalisers of Dask import modules, which must not happen while Python compiles another one


def conditions(place: Path) -> Conditions:
    return Conditions(
        "a" * 16, MACHINE, 0, MODULES, digest.digest(MODULES), place, (), machine.settle(MACHINE, 0),
        environment()["versions"],
    )  # fmt: skip


def found(folder: Path, *made: object, **options: Callable) -> list[int]:
    make = partial(work.maker, *made)
    batches = resumable(folder / "parts", COUNT, SIZE, work.squares, "squares", worker=make, **options)
    return np.concatenate([batch["square"] for batch in batches]).tolist()


SQUARES = [n**2 for n in range(COUNT)]


def makers(folder: Path) -> set[int]:
    return {int(np.load(path)["made_by"]) for path in (folder / "parts").glob("*.npz")}


@pytest.mark.usefixtures("on")
def test_workers_compute_and_the_driver_writes(cluster: Cluster, tmp_path: Path) -> None:
    one, other = cluster.worker(), cluster.worker()
    assert found(tmp_path, work.slow) == SQUARES
    assert makers(tmp_path) == {one.pid, other.pid}
    assert sorted(path.suffix for path in (tmp_path / "parts").iterdir()) == [".npz"] * 7
    assert found(tmp_path, work.halves) == SQUARES  # finished batches are not computed again


@pytest.mark.usefixtures("on")
def test_a_worker_that_dies_costs_one_batch(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker(), cluster.worker()
    assert found(tmp_path, work.once, tmp_path, signal.SIGKILL) == SQUARES
    ended = [process.pid for process in cluster.processes if process.poll() is not None]
    assert ended == [int((tmp_path / "came").read_text())]


@pytest.mark.slow
@pytest.mark.usefixtures("on")
def test_a_node_that_dies_costs_one_batch(cluster: Cluster, tmp_path: Path) -> None:
    nodes = [cluster.worker("--nanny"), cluster.worker("--nanny")]
    assert found(tmp_path, work.node, tmp_path) == SQUARES
    worker, nanny = map(int, (tmp_path / "came").read_text().split())
    assert worker != nanny
    assert [node.pid for node in nodes if node.poll() is not None] == [nanny]
    # it was killed too; where the first process of a machine reaps no orphans, its entry stays
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_worker_that_stops_is_passed_over(
    cluster: Cluster, on: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "SILENT", SILENT)
    cluster.worker(), cluster.worker()
    on.client.wait_for_workers(2)  # so that the one that stops has returned a result before
    assert found(tmp_path, work.once, tmp_path, signal.SIGSTOP) == SQUARES
    written = (tmp_path / "parts" / "00000004.npz").stat().st_mtime
    assert SILENT - 1 < written - (tmp_path / "came").stat().st_mtime < 30
    assert "no sign of life for 20 s; continuing without it" in caplog.text
    assert int((tmp_path / "came").read_text()) in {process.pid for process in cluster.processes}
    assert all(process.poll() is None for process in cluster.processes)  # it is still there


@pytest.mark.slow
@pytest.mark.usefixtures("on")
def test_a_driver_that_is_killed_continues(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker(), cluster.worker()
    command = [sys.executable, "-m", "tests.runtime.driver", str(cluster.file), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": searched(HERE.parents[1])}
    begun = subprocess.Popen(command, env=environment)
    while len(list((tmp_path / "parts").glob("*.npz"))) < 3:
        assert begun.poll() is None
        time.sleep(0.01)
    begun.kill()
    begun.wait()
    written = list((tmp_path / "parts").glob("*.npz"))
    assert len(written) < COUNT / SIZE
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in written}
    time.sleep(1)  # batches at hand end without a driver
    done = (tmp_path / "computed").read_text().split()
    assert subprocess.run(command, env=environment, check=False, timeout=HANGS).returncode == 0
    again = (tmp_path / "computed").read_text().split()[len(done) :]
    assert sorted(again, key=int) == [
        str(n) for n in range(0, COUNT, SIZE) if tmp_path / "parts" / f"{n:08d}.npz" not in before
    ]
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    assert np.load(tmp_path / "squares.npy").tolist() == SQUARES


@pytest.mark.slow
def test_one_that_joins_late_takes_part(cluster: Cluster, on: Engine) -> None:
    first, late = cluster.worker(), []

    batches = on.batches(partial(work.maker, work.slow), [range(n, n + 1) for n in range(200)], "late")
    seen = set()
    for number, (_, arrays) in enumerate(batches):
        if number == 3:
            late.append(cluster.worker())
        seen.add(int(arrays["made_by"]))
        if len(seen) == 2:
            break
    batches.close()
    assert seen == {first.pid, late[0].pid}


@pytest.mark.slow
@pytest.mark.usefixtures("on")
def test_a_batch_that_kills_its_workers_is_skipped(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.worker("--nworkers", "2", "--nanny")

    def skipped(positions: range, reason: str) -> dict:
        assert "squares from 4: every worker that computed it died" in reason
        return {"square": np.full(len(positions), -1)}

    assert found(tmp_path, work.always, tmp_path, skipped=skipped) == [*SQUARES[:4], -1, -1, *SQUARES[6:]]
    assert len(set((tmp_path / "killed").read_text().split())) == 3
    assert "its 2 items are skipped" in caplog.text
    with pytest.raises(PoisonBatch, match="from 4"):
        found(tmp_path / "again", work.always, tmp_path)


@pytest.mark.usefixtures("on")
def test_an_error_of_a_batch_is_the_drivers(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker()
    with pytest.raises(ValueError, match="no batch from"):
        found(tmp_path, work.halves)


def test_a_worker_that_differs_is_refused_by_name(
    cluster: Cluster, on: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.worker()
    on.conditions = replace(conditions(tmp_path), paths=(Path("pictures"),))
    with pytest.raises(ValueError, match=f"no worker can compute this: no {tmp_path}/pictures"):
        found(tmp_path, work.squares)
    assert "worker tcp://127.0.0.1:" in caplog.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "0" * 16}, "source code of deepinside"),
        ({"versions": {"torch": "1.0"}}, "expected 1.0: install the same version"),
        ({"record": {"device": "cuda (H200)"}}, r"expected cuda \(H200\): use machines of one kind"),
        ({"record": {"threads": 7}}, "threads 1, expected 7"),
        ({"place": Path("/nowhere/at/all")}, "no /nowhere/at/all: make it readable"),
        ({}, "^$"),
    ],
)
def test_what_a_worker_must_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, reason: str) -> None:
    monkeypatch.setattr(engine, "_settled", lambda own: machine.settle(own.machine, own.seed))
    assert re.search(reason, replace(conditions(tmp_path), **changes).unmet())


def test_a_whole_artifact_is_one_task(cluster: Cluster, on: Engine, tmp_path: Path) -> None:
    cluster.worker()
    own = conditions(tmp_path)
    assert on.whole(work.files, own) == {"a/b.txt": b"b"}
    on.begin(work.files, own)
    assert on.whole(work.files, own) == {"a/b.txt": b"b"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "ray"}, "expected one of local, dask, got 'ray'"),
        ({"scheduler": "none.json"}, "none.json: no scheduler"),
    ],
)
def test_no_engine_there(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said), engine.opened(MACHINE | options):
        pytest.fail("opened")


logging.getLogger("distributed").setLevel(logging.CRITICAL)
