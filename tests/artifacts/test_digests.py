"""The digests of raw data: what an edit changes, and what it does not."""

import os
from pathlib import Path

import pytest

from deepinside.artifacts.digest import RawDigests


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.jpg").write_bytes(b"one")
    (tmp_path / "data" / "y.jpg").write_bytes(b"two")
    return tmp_path / "data"


def digest(data: Path, how: str) -> str:
    return RawDigests(data.parent / "memory.json")(data, how)


@pytest.mark.parametrize("path", ["", "y.jpg"])  # a folder, a file
@pytest.mark.parametrize("how", ["content", "stat"])
def test_an_edit_that_keeps_the_size_changes_the_digest(data: Path, how: str, path: str) -> None:
    before = digest(data / path, how)
    state = (data / "y.jpg").stat()
    (data / "y.jpg").write_bytes(b"new")
    os.utime(data / "y.jpg", ns=(state.st_atime_ns, state.st_mtime_ns + 1))  # one nanosecond later
    assert digest(data / path, how) != before


@pytest.mark.parametrize("how", ["content", "stat"])
def test_names_and_sizes_count(data: Path, how: str) -> None:
    first = digest(data, how)
    (data / "y.jpg").rename(data / "z.jpg")
    second = digest(data, how)
    state = (data / "z.jpg").stat()
    (data / "z.jpg").write_bytes(b"longer")
    os.utime(data / "z.jpg", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert len({first, second, digest(data, how)}) == 3


def test_a_new_time_alone_counts_for_stat_only(data: Path) -> None:
    before = {how: digest(data, how) for how in ("content", "stat")}
    os.utime(data / "y.jpg", ns=(1, 1))
    assert digest(data, "content") == before["content"]
    assert digest(data, "stat") != before["stat"]


def test_an_unknown_way_is_refused(data: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.digest of content or stat, got 'stats'"):
        digest(data, "stats")


def test_nothing_there_is_said(data: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none does not exist"):
        digest(data / "none", "content")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("raw")
    left = tmp_path / ".digests.json.12345.tmp"
    left.write_text("{")
    RawDigests(tmp_path / ".digests.json")(tmp_path / "raw.txt")
    assert not left.exists()
    assert (tmp_path / ".digests.json").exists()
