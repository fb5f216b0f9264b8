"""A clock that is wrong, each time differently: work is taken up again; locks, links and durations do not suffer."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.faults.harness import KILLED, RUNS, Warm, artifacts, laid, same, warmed

from deepinside.artifacts import artifact

YEARS = 365.0 * 86400
WRONG = (0.0, 10 * YEARS, -10 * YEARS, -3600.0, 3600.0)
MADE = {"stage": "toy", "seed": 0, "config": {}, "inputs": {}, "raw": {}, "source": "s"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Generator[Warm]:
    with warmed(laid(tmp_path_factory.mktemp("place")), "prepare", "load", "localise") as process:
        yield process


def dated(outputs: Path, seconds: float) -> None:
    for path in outputs.rglob("*"):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


@pytest.mark.parametrize("date", [0.0, 100 * YEARS], ids=["long ago", "in the future"])
def test_unfinished_work_of_any_date_is_taken_up_again(tmp_path: Path, date: float) -> None:
    def interrupted(out: Path) -> None:
        (out / "half").write_text("done")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifact.make(tmp_path / "toy", MADE, interrupted, dict)
    dated(tmp_path, date)
    seen = []
    path, _ = artifact.make(tmp_path / "toy", MADE, lambda out: seen.append((out / "half").read_text()), dict)
    assert seen == ["done"]
    assert [file.name for file in (tmp_path / "toy").iterdir()] == [path.name]


@pytest.mark.slow
@pytest.mark.parametrize("date", [0.0, 100 * YEARS], ids=["forward", "back"])
def test_killed_and_the_clock_jumps(warm: Warm, date: float) -> None:
    whole, jumped = "whole", f"jumped_{date:.0f}"
    undisturbed = warm.run(RUNS["localise"], whole)
    assert undisturbed.status == 0, undisturbed.said
    for moment in (undisturbed.looks // 3, undisturbed.looks // 3):
        assert warm.run(RUNS["localise"], jumped, die_at=moment, clock=WRONG).status == KILLED
        dated(warm.place / jumped, date)
    done = warm.run(RUNS["localise"], jumped, clock=WRONG)
    assert done.status == 0, done.said
    same(warm.place / whole, warm.place / jumped)
    for folder in artifacts(warm.place / jumped).values():
        assert artifact.read_manifest(folder)["record"]["seconds"] >= 0
        assert (folder.parent / "latest").resolve() == folder
    again = warm.run(RUNS["localise"], jumped, clock=WRONG)  # what is finished is found, whatever the date
    assert again.said.splitlines()[-1] == done.said.splitlines()[-1]
    assert "load" not in again.said
