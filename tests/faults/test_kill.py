"""`kill -9` at any moment of a stage: run again, it leaves what it would have left undisturbed."""

import random
import subprocess
import time
from collections.abc import Generator

import pytest
from tests.faults.harness import KILLED, RUNS, Warm, artifacts, ended, laid, same, start, warmed

from deepinside.artifacts.artifact import verify

ROUNDS, KILLS = 4, 3  # per stage: rounds from nothing, kills in a row in each; with the timed ones, 52 kills in all
SEED = 20261125


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Generator[Warm]:
    with warmed(laid(tmp_path_factory.mktemp("place")), "prepare", "load", "localise") as process:
        yield process


def undisturbed(warm: Warm, stage: str) -> int:
    done = warm.run(RUNS[stage], f"{stage}_whole")
    assert done.status == 0, done.said
    return done.looks


def killed(warm: Warm, stage: str, moments: list[int], outputs: str) -> int:
    fell = 0
    for moment in moments:
        done = warm.run(RUNS[stage], outputs, die_at=moment)
        assert done.status in {KILLED, 0}, done.said  # what is left to do may be less than that
        fell += done.status == KILLED
        assert all(verify(folder) == [] for folder in artifacts(warm.place / outputs).values())  # whole or not there
    done = warm.run(RUNS[stage], outputs)
    assert done.status == 0, done.said
    same(warm.place / f"{stage}_whole", warm.place / outputs)
    return fell


def test_killed_twice_while_it_localises(warm: Warm) -> None:
    looks = undisturbed(warm, "localise")
    assert killed(warm, "localise", [looks // 2, looks // 4], "localise_twice") == 2
    assert ended(warm.place, but=1), "workers of a killed run are left"  # the warm process stays


@pytest.mark.slow
@pytest.mark.parametrize("stage", RUNS)
def test_killed_at_random_looks_at_the_outputs(warm: Warm, stage: str) -> None:
    looks = undisturbed(warm, stage)
    fell = 0
    for turn in range(ROUNDS):
        seed = SEED + turn
        draw = random.Random(f"{stage} {seed}")
        moments = [draw.randint(1, looks) if not k else draw.randint(1, max(2, looks // 3)) for k in range(KILLS)]
        print(f"{stage}: seed {seed}, killed at looks {moments} of {looks}")  # ruff: ignore[print]
        fell += killed(warm, stage, moments, f"{stage}_{turn}")
    assert fell >= ROUNDS * KILLS - ROUNDS


@pytest.mark.slow
def test_killed_around_the_end(warm: Warm) -> None:
    # the last looks are the manifest, the renaming, the lock and `latest`
    looks = undisturbed(warm, "localise")
    for before in range(12):
        killed(warm, "localise", [looks - before], f"localise_end_{before}")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["localise", "train"])
def test_killed_from_outside_at_a_random_time(warm: Warm, stage: str) -> None:
    undisturbed(warm, stage)
    outputs = f"{stage}_timed"
    begun = time.monotonic()
    done = start(RUNS[stage], f"{stage}_clock", warm.place)
    assert done.wait() == 0, done.communicate()
    whole = time.monotonic() - begun
    for seed in (SEED, SEED + 1):
        seconds = random.Random(seed).uniform(0.4, 0.95) * whole
        print(f"{stage}: seed {seed}, killed after {seconds:.1f} s of {whole:.1f} s")  # ruff: ignore[print]
        process = start(RUNS[stage], outputs, warm.place)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert warm.run(RUNS[stage], outputs).status == 0
    same(warm.place / f"{stage}_whole", warm.place / outputs)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["localise", "train"])
def test_two_at_once(warm: Warm, stage: str) -> None:
    undisturbed(warm, stage)
    both = [start(RUNS[stage], f"{stage}_both", warm.place) for _ in range(2)]
    for process in both:
        said = process.communicate()
        assert process.returncode == 0, said
    same(warm.place / f"{stage}_whole", warm.place / f"{stage}_both")


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "begun"), [("localise", "parts/*"), ("train", "checkpoints/*")])
def test_two_at_once_and_one_is_killed(warm: Warm, stage: str, begun: str) -> None:
    # the other helps where the stage can be shared, and waits where not; which of them works is not determined
    undisturbed(warm, stage)
    outputs = warm.place / f"{stage}_one_of_two"
    one, other = (start(RUNS[stage], outputs.name, warm.place) for _ in range(2))
    while not list(outputs.glob(f"{stage}/*.part/{begun}")) and one.poll() is None:
        time.sleep(0.01)
    one.kill()
    one.communicate()
    said = other.communicate()
    assert other.returncode == 0, said
    same(warm.place / f"{stage}_whole", outputs)
