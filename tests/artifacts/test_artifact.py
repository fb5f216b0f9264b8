"""Artifacts: complete or absent, resumed, verified, swept."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from tests.own import HANGS

from deepinside.artifacts import artifact
from deepinside.artifacts.digest import RawDigests
from deepinside.artifacts.excerpt import difference
from deepinside.records import Row, Table

MADE = {"stage": "toy", "seed": 0, "config": {"a": {"b": 1}}, "inputs": {}, "raw": {}, "source": "s"}


def make(folder: Path, value: str = "x", made: dict | None = None) -> tuple[Path, bool]:
    def compute(out: Path) -> None:
        (out / "sub").mkdir(exist_ok=True)
        (out / "sub" / "file.txt").write_text(value)
        Table([Row("number", float(len(value)))]).write(out)

    return artifact.make(folder, made or MADE, compute, dict)


def test_made_once_and_found_again(tmp_path: Path) -> None:
    path, fresh = make(tmp_path)
    again, second = make(tmp_path, "never used")
    assert (fresh, second) == (True, False)
    assert path == again
    assert path.name == artifact.fingerprint(MADE)
    assert artifact.verify(path) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]  # neither lock nor work folder is left


def test_fingerprint_depends_on_content_not_on_order() -> None:
    swapped = dict(reversed(MADE.items()))
    assert artifact.fingerprint(MADE) == artifact.fingerprint(swapped)
    assert artifact.fingerprint(MADE) != artifact.fingerprint(MADE | {"seed": 1})
    assert artifact.fingerprint(MADE | {"seed": 0}) != artifact.fingerprint(MADE | {"seed": None})


def test_a_failure_leaves_no_artifact_and_is_taken_up_again(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        (out / "half.txt").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        artifact.make(tmp_path, MADE, fail, dict)
    final = tmp_path / artifact.fingerprint(MADE)
    assert not final.exists()
    seen = []
    artifact.make(tmp_path, MADE, lambda out: seen.append((out / "half.txt").read_text()), dict)
    assert seen == ["half"]
    assert (final / "manifest.json").exists()


def test_kill_nine_leaves_no_artifact(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys; from deepinside.artifacts import artifact; made = eval(sys.argv[2]);"
        "artifact.make(pathlib.Path(sys.argv[1]), made, lambda out: os.kill(os.getpid(), signal.SIGKILL), dict)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), repr(MADE)], check=False)
    assert done.returncode == -9
    assert not (tmp_path / artifact.fingerprint(MADE)).exists()
    path, fresh = make(tmp_path)  # the lock went with the process
    assert fresh
    assert artifact.verify(path) == []


def test_three_at_once_compute_once(tmp_path: Path) -> None:
    computed = []
    met = threading.Barrier(3, timeout=HANGS)  # one computes while the others have found it at work

    def compute(out: Path) -> None:
        computed.append(out)
        met.wait()

    others = {"waiting": met.wait}
    threads = [
        threading.Thread(target=artifact.make, args=(tmp_path, MADE, compute, dict), kwargs=others) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(computed) == 1


def test_who_follows_joins_what_another_has_begun_and_writes_nothing(tmp_path: Path) -> None:
    begun, joined = threading.Event(), threading.Event()

    def compute(out: Path) -> None:
        (out / "half.txt").write_text("half")
        begun.set()
        assert joined.wait(30)

    def join(part: Path) -> None:
        assert [path.name for path in part.iterdir()] == ["half.txt"]
        joined.set()

    with ThreadPoolExecutor() as pool:
        followed = pool.submit(artifact.follow, tmp_path, MADE, begun.is_set, join)
        time.sleep(3 * artifact._POLL)
        assert not followed.done()  # it waits for the other to begin, and is not the one to make it
        assert list(tmp_path.iterdir()) == []
        made, _ = artifact.make(tmp_path, MADE, compute, dict)
        assert followed.result(30) == made
    assert artifact.verify(made) == []


def test_who_follows_takes_what_is_finished(tmp_path: Path) -> None:
    made, _ = make(tmp_path)
    assert artifact.follow(tmp_path, MADE, lambda: False, pytest.fail) == made


def test_who_follows_one_that_fails_ends_with_an_error(tmp_path: Path) -> None:
    begun, joined = threading.Event(), threading.Event()

    def fail(_out: Path) -> None:
        begun.set()
        assert joined.wait(30)
        raise RuntimeError("killed")

    with ThreadPoolExecutor() as pool:
        failed = pool.submit(artifact.make, tmp_path, MADE, fail, dict)
        with pytest.raises(OSError, match=r"\.part: the process that was computing it has failed"):
            artifact.follow(tmp_path, MADE, begun.is_set, lambda _part: joined.set())
        assert isinstance(failed.exception(30), RuntimeError)
    assert make(tmp_path)[1]  # and the next run makes it


def test_verify_sees_every_kind_of_damage(tmp_path: Path) -> None:
    path, _ = make(tmp_path)
    (path / "sub" / "file.txt").write_text("y")
    (path / "extra.txt").write_text("?")
    (path / "table.csv").unlink()
    said = "\n".join(artifact.verify(path))
    for word in ("sub/file.txt: sha256", "extra.txt: not in", "table.csv: missing"):
        assert word in said
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["made_from"]["seed"] = 7
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert "does not match its inputs" in "\n".join(artifact.verify(path))


def test_manifest_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a finished artifact"):
        artifact.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        artifact.read_manifest(tmp_path)


def test_difference_names_configuration_numbers_and_files(tmp_path: Path) -> None:
    left, _ = make(tmp_path, "x")
    right, _ = make(tmp_path, "longer", MADE | {"config": {"a": {"b": 2}}})
    rows = difference(left, right)
    assert ("made from", "config.a.b", "1", "2") in rows
    assert ("number", "number", "1.0", "6.0") in rows
    assert any(kind == "file" and key == "sub/file.txt" for kind, key, *_ in rows)
    assert difference(left, left) == []


def test_sweep_takes_only_old_and_unlocked_leftovers(tmp_path: Path) -> None:
    old, young, locked = (tmp_path / f"{name}.part" for name in ("old", "young", "locked"))
    for part in (old, young, locked):
        part.mkdir()
        (part / "f").write_text("x")
    past = time.time() - 2 * 86400
    for part in (old, locked):
        for path in (part / "f", part):
            os.utime(path, (past, past))
    with FileLock(tmp_path / "locked.lock"):
        assert artifact.sweep(tmp_path) == [old]
    assert young.exists()
    assert locked.exists()


@pytest.mark.parametrize("before", [None, "a", "b"])
def test_latest_leaves_nothing_of_a_process_that_died_over_it(tmp_path: Path, before: str | None) -> None:
    (tmp_path / "latest.12345.tmp").symlink_to("b")
    if before:
        (tmp_path / "latest").symlink_to(before)
    artifact.point_latest(tmp_path, "b")
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]
    assert os.readlink(tmp_path / "latest") == "b"


def test_latest_points_to_the_newest(tmp_path: Path) -> None:
    path, _ = make(tmp_path)
    for name in ("other", path.name):
        artifact.point_latest(tmp_path, name)
    assert (tmp_path / "latest").resolve() == path.resolve()


def test_raw_digest_sees_content_and_names_and_remembers(tmp_path: Path) -> None:
    data, memory = tmp_path / "data", tmp_path / "memory.json"
    data.mkdir()
    (data / "a").write_text("1")
    first = RawDigests(memory)(data)
    assert RawDigests(memory)(data) == first
    (data / "a").rename(data / "b")
    renamed = RawDigests(memory)(data)
    (data / "b").write_text("22")
    assert len({first, renamed, RawDigests(memory)(data)}) == 3
    memory.write_text("{ cut off")
    assert RawDigests(memory)(data)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        RawDigests(memory)(tmp_path / "absent")
