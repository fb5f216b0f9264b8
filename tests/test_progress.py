"""Batches that survive a kill, and that several processes share."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deepinside.progress import helping, resumable
from tests.own import searched

BATCHES, HERE = 8, Path(__file__).parent


def slow(positions):
    time.sleep(0.1)
    return {"square": np.array([n**2 for n in positions]), "made_by": np.array(os.getpid())}


def helper(folder):
    with helping():
        list(resumable(folder, 2 * BATCHES - 1, 2, slow, "helping"))


def dying(folder):
    resumed = resumable(folder, 4, 2, lambda _positions: os._exit(1), "dying")
    next(resumed)


def run(work, folder):
    words = f"import test_progress as t; t.{work.__name__}(t.Path({str(folder)!r}))"
    return subprocess.Popen([sys.executable, "-c", words], env=os.environ | {"PYTHONPATH": searched(HERE)})


def test_processes_share_the_batches_and_each_is_computed_once(tmp_path):
    other = run(helper, tmp_path)
    for _ in range(6000):
        if list(tmp_path.glob("*.npz")):
            break
        assert other.poll() is None  # it has begun, or is about to
        time.sleep(0.01)
    answers = list(resumable(tmp_path, 2 * BATCHES - 1, 2, slow, "making"))
    assert other.wait(timeout=60) == 0
    assert np.concatenate([answer["square"] for answer in answers]).tolist() == [n**2 for n in range(2 * BATCHES - 1)]
    assert {int(answer["made_by"]) for answer in answers} == {os.getpid(), other.pid}
    assert len(list(tmp_path.iterdir())) == BATCHES


def test_the_batch_of_a_process_that_died_is_free(tmp_path):
    other = run(dying, tmp_path)
    assert other.wait(timeout=60) == 1
    answers = list(resumable(tmp_path, 4, 2, slow, "again"))
    assert [answer["square"].tolist() for answer in answers] == [[0, 1], [4, 9]]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npz", ".npz"]


def test_finished_batches_are_not_computed_again(tmp_path):
    list(resumable(tmp_path, 3, 2, slow, "first"))
    with pytest.raises(ZeroDivisionError):
        list(resumable(tmp_path, 5, 2, lambda positions: {"x": np.array(1 // (positions.start - 4))}, "second"))
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_a_helper_that_comes_when_all_is_done_leaves_at_once(tmp_path):
    list(resumable(tmp_path, 4, 2, slow, "made"))
    with helping():
        list(resumable(tmp_path, 4, 2, lambda _positions: pytest.fail("computed again"), "late"))
        pytest.fail("went on")
