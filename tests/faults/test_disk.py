"""A full disk and a read-only one: one clear message, and the next run goes on from what is there."""

import csv
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from itertools import product
from pathlib import Path

import pytest
from tests import own
from tests.data.trees import shard
from tests.faults.harness import RUNS, Warm, laid, same, warmed

from deepinside.artifacts import artifact
from deepinside.artifacts.digest import RawDigests

MADE = {"stage": "toy", "seed": 0, "config": {}, "inputs": {}, "raw": {}, "source": "s"}


def _mount(folder: Path, *options: str) -> bool:
    command = ["mount", "-t", "tmpfs", *options, "none", str(folder)]
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Generator[Warm]:
    with warmed(laid(tmp_path_factory.mktemp("place")), "prepare", "load", "localise") as process:
        yield process


@pytest.fixture
def disk(warm: Warm) -> Generator[Callable[[str], None]]:
    """A small disk of its own as `outputs`, and a way to change it."""
    folder = warm.place / "outputs"
    folder.mkdir()
    if not _mount(folder, "-o", "size=60k"):
        folder.rmdir()
        pytest.skip("this account may not mount a disk")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


@pytest.mark.slow
def test_full_then_with_room(warm: Warm, disk: Callable[[str], None]) -> None:
    full = warm.run(RUNS["localise"], "outputs")
    assert full.status == 1, full.said
    assert "the disk is full" in full.said
    assert "Traceback" not in full.said
    disk("size=100m")
    assert warm.run(RUNS["localise"], "outputs").status == 0
    assert warm.run(RUNS["localise"], "whole").status == 0
    same(warm.place / "whole", warm.place / "outputs")


@pytest.mark.slow
def test_read_only_then_writable_then_read_only(warm: Warm, disk: Callable[[str], None]) -> None:
    disk("size=100m,ro")
    closed = warm.run(RUNS["localise"], "outputs")
    assert closed.status == 1, closed.said
    assert "not writable" in closed.said
    assert "Traceback" not in closed.said
    disk("rw")
    made = warm.run(RUNS["localise"], "outputs")
    assert made.status == 0, made.said
    disk("ro")
    again = warm.run(RUNS["localise"], "outputs")  # what is finished can be used
    assert again.status == 0, again.said
    assert again.said.splitlines()[-1] == made.said.splitlines()[-1]


def _packed(pictures: Path, root: Path) -> None:
    """The same images, classes and boxes in two shards, in the same order."""
    with (pictures / "boxes.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["image"])
    for number, half in enumerate((rows[:3], rows[3:])):
        files: dict[str, bytes | dict] = {}
        for row in half:
            box = [float(row[key]) for key in ("x0", "y0", "x1", "y1")]
            files[row["image"]] = (pictures / row["image"]).read_bytes()
            files[row["image"].replace(".png", ".json")] = {"label": row["image"].split("/")[0], "boxes": [box]}
        shard(root / f"{number}.tar", files)


def _state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


@pytest.mark.slow
def test_files_and_shards_on_a_read_only_disk_give_the_same(tmp_path: Path) -> None:
    place, tables = laid(tmp_path), {}
    (place / "disk").mkdir()
    mounted = _mount(place / "disk")  # else it is only looked whether anything has changed
    try:
        shutil.copytree(place / "pictures", place / "disk/folder")
        _packed(place / "pictures", place / "disk/shards")
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", str(place / "disk")], check=True)
        before = _state(place / "disk")
        for data, stage in product(("folder", "shards"), ("localise", "visualise", "train")):
            words = [f"data={data}", f"data.root=disk/{data}", f"outputs={data}", "wandb=disabled", "machine.threads=1"]
            done = own.program(*RUNS[stage], *words, "machine.workers=0", cwd=place)
            assert done.returncode == 0, done.stderr
            tables[data, stage] = (place / data / stage / "latest/table.csv").read_text()
        assert _state(place / "disk") == before
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place / "disk")], check=True)
    for stage in ("localise", "visualise", "train"):
        assert len(tables["folder", stage].splitlines()) > 3
        assert tables["folder", stage] == tables["shards", stage]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write failed")])
def test_a_writer_without_room_is_explained_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def write(out: Path) -> None:
        (out / "half.txt").write_text("half")
        raise error

    if isinstance(error, RuntimeError):  # a library that does not say why; the disk does
        monkeypatch.setattr(artifact.shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(OSError, match=r"the disk is full; the finished part remains in toy/\w+\.part: free some space"):
        artifact.make(tmp_path / "toy", MADE, write, dict)
    seen = []
    path, fresh = artifact.make(tmp_path / "toy", MADE, lambda out: seen.append((out / "half.txt").read_text()), dict)
    assert (seen, fresh) == (["half"], True)
    assert [file.name for file in (tmp_path / "toy").iterdir()] == [path.name]


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    def deny(_out: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/data/photo.jpg")

    with pytest.raises(PermissionError, match=r"photo\.jpg"):
        artifact.make(tmp_path / "toy", MADE, deny, dict)


def test_what_a_dead_process_left_half_written_goes(tmp_path: Path) -> None:
    part = tmp_path / "toy" / f"{artifact.fingerprint(MADE)}.part"
    part.mkdir(parents=True)
    (part / "manifest.json.123.tmp").write_text("{")
    path, _ = artifact.make(tmp_path / "toy", MADE, lambda out: (out / "x").write_text("x"), dict)
    assert sorted(file.name for file in path.iterdir()) == ["manifest.json", "x"]
    lock = tmp_path / "toy" / f"{path.name}.lock"
    lock.touch()  # killed between the renaming and this
    artifact.point_latest(path.parent, path.name)
    assert not lock.exists()
    stale = tmp_path / "toy" / "latest.123.tmp"
    stale.symlink_to("nowhere")
    os.utime(stale, (0, 0), follow_symlinks=False)
    artifact.sweep(tmp_path / "toy")
    assert not stale.is_symlink()


def test_digests_need_no_room_and_tell_no_path(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("1")
    (tmp_path / "file").write_text("in the way of a folder")
    digest = RawDigests(tmp_path / "file" / "memory.json")(tmp_path / "data")
    assert digest == RawDigests(tmp_path / "memory.json")(tmp_path / "data")
    assert str(tmp_path) not in (tmp_path / "memory.json").read_text()
