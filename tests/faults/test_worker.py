"""A worker process that dies: one clear message, nothing left over, and the same command finishes the work."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.faults.harness import OWN, RUNS, alive, ended, laid, same, start
from tests.own import HANGS

# Stops in the first forward pass after a part of the work is finished, for as long as there is a file `hold`.
HELD = """
import glob, os, time
import torch
from torch import nn

class Held(nn.Sequential):
    def forward(self, x):
        while os.path.exists("hold") and glob.glob(os.environ.get("BEGUN", "")):
            open("held", "w").close()
            time.sleep(0.01)
        return super().forward(x)

def net():
    torch.manual_seed(0)
    return Held(nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
LONG = {  # and a file that is there once a part is finished
    "localise": (RUNS["localise"], "localise/*.part/parts/*.npz"),
    "train": (
        [
            "run=train",
            *OWN,
            "model.fit=true",
            "train.epochs=3",
            "train.batch_size=4",
            "train.cache_gb=0",
            "machine.workers=2",
        ],
        "train/*.part/checkpoints/last.ckpt",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", LONG)
def test_all_workers_are_killed(tmp_path: Path, stage: str) -> None:
    place, (words, begun) = laid(tmp_path), LONG[stage]
    (place / "mine.py").write_text(HELD)
    (place / "hold").touch()
    process = start(words, "outputs", place, BEGUN=f"outputs/{begun}")
    while not (place / "held").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # so that it is still at work when they are gone
    others = alive(place) - {process.pid}
    workers = [one for one in others if b"resource_tracker" not in Path(f"/proc/{one}/cmdline").read_bytes()]
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    (place / "hold").unlink()
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=HANGS)
    assert process.returncode == 1, said
    assert f"deepinside: {stage}: a worker process died" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    assert ended(place)
    for outputs in ("outputs", "whole"):
        again = start(words, outputs, place)
        _, said = again.communicate()
        assert again.returncode == 0, said
    same(place / "whole", place / "outputs")
