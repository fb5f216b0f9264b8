"""The same seed and number of threads: the same bytes with any number of workers."""

from collections.abc import Generator

import pytest
from tests.faults.harness import RUNS, Warm, laid, same, warmed

MORE = {"localise": ["localise.baselines=all"], "train": ["train.cache_gb=0"]}  # workers have something to do


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Generator[Warm]:
    with warmed(laid(tmp_path_factory.mktemp("place")), "prepare", "concepts", "load", *RUNS) as process:
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("stage", RUNS)
def test_workers_change_no_byte(warm: Warm, stage: str) -> None:
    for workers in (0, 2):
        words = [*RUNS[stage], *MORE.get(stage, []), f"machine.workers={workers}"]
        done = warm.run(words, f"{stage}_{workers}")
        assert done.status == 0, done.said
    same(warm.place / f"{stage}_0", warm.place / f"{stage}_2")
