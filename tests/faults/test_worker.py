"""A worker process that dies: one clear message, nothing left over, and the same command finishes the work."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.faults.harness import RUNS, alive, laid, same, start

LONG = {  # long enough to be caught at it; and a file that is there once workers are
    "localise": ([*RUNS["localise"], "localise.crops=ten", "data.limit=null"], "localise/*.part/parts/*.npz"),
    "train": (
        [*RUNS["train"], "train.epochs=40", "train.cache_gb=0", "machine.workers=2"],
        "train/*.part/checkpoints/last.ckpt",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", LONG)
def test_all_workers_are_killed(tmp_path: Path, stage: str) -> None:
    place, (words, begun) = laid(tmp_path), LONG[stage]
    process = start(words, "outputs", place)
    while not list((place / "outputs").glob(begun)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # so that it is still at work when they are gone
    others = alive(place) - {process.pid}
    workers = [one for one in others if b"resource_tracker" not in Path(f"/proc/{one}/cmdline").read_bytes()]
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert f"deepinside: {stage}: a worker process died" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    until = time.monotonic() + 20
    while alive(place) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive(place)
    for outputs in ("outputs", "whole"):
        again = start(words, outputs, place)
        _, said = again.communicate()
        assert again.returncode == 0, said
    same(place / "whole", place / "outputs")
