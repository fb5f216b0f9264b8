"""Several processes that `torchrun` starts and that train one network together."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.faults.harness import artifacts, same
from tests.own import NET, searched

from deepinside.artifacts.artifact import read_manifest, verify
from deepinside.models.checkpoint import read_weights
from deepinside.models.classifier import read_history

PATIENCE = 240  # seconds until a run counts as hung; one takes about 20 on two idle cores
# No batch normalisation, whose statistics are those of a process's own share of the batch, and no dropout, which
# differs by process: the rest of what they compute together is what one process computes alone.
WORDS = ["run=train", "data=folder", "data.root=pictures", "wandb=disabled", "machine.device=cpu", "machine.workers=0"]
WORDS += [
    "machine.threads=1",
    "train.batch_size=8",
    "train.epochs=2",
    "train.keep=[1]",
    "train.optimiser.optimiser=sgd",
]
MICRO = ["model=convnet_micro", "model.input=24", "model.resize=26", "model.kernel=3", "model.stride=1"]
MICRO += ["model.widths=[4,4,6,6,6]", "model.hidden=[8,8]", "model.normalisation=none", "model.dropout=0"]
OWN = ["model=custom", "model.target=mine:net", "model.fit=true", "model.input=32", "model.resize=36"]
TOGETHER = ["train.trainer.devices=2", "train.trainer.strategy=ddp"]
DYING = """
import os

class Dying(nn.Module):
    def forward(self, x):
        if self.training and os.environ.get("RANK") == "0":
            raise ValueError("rank 0 has had enough")
        return x


whole = net


def net():
    return nn.Sequential(Dying(), *whole())
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with 3 images to test on and 23 to train on, no multiple of the processes or the batch."""
    for split, count in (("train", 23), ("val", 3)):
        for i in range(count):
            pixels = np.random.default_rng((len(split), i)).integers(0, 256, (38, 42, 3), dtype=np.uint8)
            path = tmp_path / "pictures" / split / f"class_{i % 2}" / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (tmp_path / "mine.py").write_text(NET)
    return tmp_path


def ran(place: Path, *words: str, processes: int = 0) -> tuple[int, str]:
    """The program under `torchrun`, or without it where `processes` is 0; its exit status and what it said."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"] if processes else []
    command = [sys.executable, "-m", *launcher, "deepinside", *WORDS, *words]
    environment = os.environ | {"PYTHONPATH": searched(place), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=place, env=environment, **pipes)
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.terminate()  # `torchrun` then ends its processes
        said, _ = process.communicate()
        pytest.fail(f"no end after {PATIENCE} s: {said}")
    return process.returncode, said


def made(outputs: Path, stage: str = "train") -> Path:
    """The one artifact of a stage; nothing unfinished lies beside it."""
    (folder,) = (path for name, path in artifacts(outputs).items() if name.startswith(stage))
    assert not [path for path in outputs.rglob("*") if path.suffix in {".part", ".lock", ".tmp"}]
    return folder


def test_two_processes_train_what_one_trains(place: Path) -> None:
    status, said = ran(place, *MICRO, *TOGETHER, "outputs=both", processes=2)
    assert status == 0, said
    status, said = ran(place, *MICRO, "outputs=one")
    assert status == 0, said
    both, one = made(place / "both"), made(place / "one")
    assert verify(both) == []
    assert [row.epoch for row in read_history(both)] == [0, 1]
    assert read_manifest(both)["files"].keys() == read_manifest(one)["files"].keys()
    for name in ("model.safetensors", "epochs/0001.safetensors"):
        ours, alone = read_weights(both / name), read_weights(one / name)
        for key, weights in alone.items():
            np.testing.assert_allclose(ours[key], weights, rtol=0, atol=1e-5, err_msg=key)
    early, final = read_weights(one / "epochs/0001.safetensors"), read_weights(one / "model.safetensors")
    assert max(float((early[key] - final[key]).abs().max()) for key in final) > 1e-3  # or this would test nothing
    for ours, alone in zip(read_history(both), read_history(one), strict=True):
        assert tuple(ours)[:4] == pytest.approx(tuple(alone)[:4], abs=1e-5)


@pytest.mark.slow
def test_where_the_first_process_fails_the_others_end_too(place: Path) -> None:
    (place / "mine.py").write_text(NET + DYING)
    status, said = ran(place, *OWN, *TOGETHER, processes=2)
    assert status != 0
    assert "rank 0 has had enough" in said
    assert not list((place / "outputs/train").glob("*/manifest.json"))
    (place / "mine.py").write_text(NET)
    status, said = ran(place, *OWN, *TOGETHER, processes=2)  # and what they left does no harm
    assert status == 0, said


@pytest.mark.slow
def test_a_training_for_one_device_is_made_by_one_of_the_processes(place: Path) -> None:
    for outputs, processes in (("both", 2), ("one", 0)):
        status, said = ran(place, *MICRO, f"outputs={outputs}", processes=processes)
        assert status == 0, said
    same(place / "both", place / "one")
