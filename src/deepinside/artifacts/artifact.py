"""A result is a folder, named by its inputs, and complete if and only if it contains `manifest.json`."""

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from deepinside.artifacts.digest import commit, file_digest, walk, write_text

MANIFEST = "manifest.json"
_DAY = 86400.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_POLL = 0.2  # seconds between two checks of what another process is doing
_LEAST = 2**20  # bytes free below which a library that gives no reason is believed to have run out of disk
_VERSIONS = (
    "deepinside",
    "torch",
    "torchvision",
    "numpy",
    "scikit-image",
    "scikit-learn",
    "ortools",
    "pillow",
    "pandas",
)

Content = dict[str, Any]


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(made_from: Mapping[str, Any]) -> str:
    """The name of the artifact with these inputs: 16 hexadecimal digits."""
    return hashlib.sha256(_canonical(made_from).encode()).hexdigest()[:16]


def make(
    folder: Path,
    made_from: Content,
    compute: Callable[[Path], None],
    record: Callable[[], Content],
    waiting: Callable[[], None] = lambda: None,
) -> tuple[Path, bool]:
    """The artifact with these inputs: an existing one, or computed under a lock and then renamed into place.

    Unfinished work is in `<fingerprint>.part` and is resumed from there. The manifest is written last; of two processes
    that compute the same artifact, the first to rename it wins and the other uses its result.

    Args:
        folder: of the stage, `outputs/<stage>`.
        made_from: see `fingerprint`.
        compute: fills the folder that it receives.
        record: device, threads and the like, which are recorded but do not name the artifact.
        waiting: is called if another process is computing the artifact, before this one waits for it.

    Returns:
        The artifact's folder, and whether it was computed by this call.

    Raises:
        OSError: if the disk is full, the folder read-only, or the finished folder cannot be renamed into place; the
            unfinished work remains as `.part`.
    """
    name = fingerprint(made_from)
    final, part, lock = folder / name, folder / f"{name}.part", folder / f"{name}.lock"
    if (final / MANIFEST).exists():
        return final, False
    with _explained(folder, part):
        folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, spared=name)
    with _explained(folder, part), _locked(FileLock(lock), waiting):
        if (final / MANIFEST).exists():
            return final, False
        part.mkdir(exist_ok=True)
        started = time.monotonic()
        compute(part)
        times = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started, 1),
        }
        _write_manifest(part, made_from, times | record())
        try:
            part.rename(final)
        except OSError:
            if not (final / MANIFEST).exists():
                raise
            shutil.rmtree(part)
    lock.unlink(missing_ok=True)  # only now: after a failure it still guards the unfinished folder
    return final, True


def follow(folder: Path, made_from: Content, begun: Callable[[], bool], join: Callable[[Path], None]) -> Path:
    """The artifact that another process is computing with the help of this one, which itself writes nothing.

    Waits without a timeout: for the other process to begin, and, after having joined it, to finish.

    Args:
        folder: of the stage, `outputs/<stage>`.
        made_from: see `fingerprint`.
        begun: whether the other process has begun to compute; it then holds the lock.
        join: this process's part, for the unfinished folder.

    Raises:
        OSError: if the other process ended without an artifact.
    """
    name = fingerprint(made_from)
    final, part = folder / name, folder / f"{name}.part"
    while not begun():
        if (final / MANIFEST).exists():
            return final
        time.sleep(_POLL)
    join(part)
    while not (final / MANIFEST).exists():
        with suppress(Timeout), FileLock(folder / f"{name}.lock", timeout=_POLL):
            if not (final / MANIFEST).exists():
                raise OSError(f"{part}: the process that was computing it has failed; see its own error message")
    return final


@contextmanager
def _explained(folder: Path, part: Path) -> Generator[None]:
    try:
        yield
    except Exception as error:  # not every library says that the disk is full
        code = error.errno if isinstance(error, OSError) else None
        where, again = folder.parent, "run the same command again, or choose another place: outputs=FOLDER"
        if code in _FULL or (folder.exists() and shutil.disk_usage(folder).free < _LEAST):
            state = f"the finished part remains in {folder.name}/{part.name}"
            raise OSError(f"{where}: the disk is full; {state}: free some space and {again} ({error})") from error
        if code in _CLOSED and str(error.filename).startswith(str(where)):  # type: ignore[attr-defined]
            raise OSError(f"{where}: not writable ({error}): make it writable and {again}") from error
        raise


@contextmanager
def _locked(lock: FileLock, meanwhile: Callable[[], None]) -> Generator[None]:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        meanwhile()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write_manifest(part: Path, made_from: Content, record: Content) -> None:
    for stale in part.glob(f"{MANIFEST}.*.tmp"):  # of a process that died right here
        stale.unlink()
    files = {
        name: {"sha256": file_digest(path), "bytes": path.stat().st_size}
        for name, path in sorted(walk(part))
        if name != MANIFEST
    }
    manifest = {
        "stage": made_from["stage"],
        "fingerprint": fingerprint(made_from),
        "made_from": made_from,
        "files": files,
        "record": record,
    }
    write_text(part / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def environment() -> Content:
    """What else determines the last bits: commit, versions, and processor; nothing names a machine or a person."""
    versions = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    return {"platform": f"{platform.system()} {platform.machine()}", "commit": commit(), "versions": versions}


def point_latest(folder: Path, name: str) -> None:
    """Points `<folder>/latest` to a finished artifact; removes the lock of a process that died while doing so."""
    if (lock := folder / f"{name}.lock").exists():
        lock.unlink(missing_ok=True)
    latest, temporary = folder / "latest", folder / f"latest.{os.getpid()}.tmp"
    for stale in folder.glob("latest.*.tmp"):  # of a process that died right here
        with suppress(OSError):
            stale.unlink()
    if latest.is_symlink() and os.readlink(latest) == name:  # nothing to write, perhaps on a read-only disk
        return
    temporary.symlink_to(name)
    with suppress(FileNotFoundError):  # another process took it for stale, and lets `latest` point to its own
        temporary.replace(latest)


def sweep(folder: Path, older_than: float = _DAY, spared: str = "") -> list[Path]:
    """Removes abandoned `.part` folders: unlocked, and unchanged for `older_than` seconds, except `spared`."""
    removed = []
    for stale in (*folder.glob("*.tmp"), *folder.parent.glob(".*.tmp")):  # half-written `latest` and digests
        with suppress(FileNotFoundError):
            if time.time() - stale.lstat().st_mtime >= older_than:
                stale.unlink()
    for part in folder.glob("*.part"):
        if part.stem == spared:
            continue
        newest = max((path.stat().st_mtime for path in (part, *part.rglob("*")) if path.exists()), default=0.0)
        if time.time() - newest < older_than:
            continue
        try:
            with FileLock(part.with_suffix(".lock"), timeout=0):
                shutil.rmtree(part, ignore_errors=True)
                part.with_suffix(".lock").unlink(missing_ok=True)  # still locked: nobody else guards the name with it
                removed.append(part)
        except Timeout:
            continue
    return removed


def read_manifest(path: str | Path) -> Content:
    """The manifest of a finished artifact: stage, fingerprint, made_from, files, record.

    Raises:
        FileNotFoundError: if there is none: not an artifact, or not finished.
        ValueError: if it is no JSON.
    """
    path = Path(path)
    file = path / MANIFEST
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing, so {path} is not a finished artifact; run its stage again")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}); remove {path} and run its stage again") from error


def verify(path: Path) -> list[str]:
    """Checks all hashes of an artifact; one line per difference."""
    manifest = read_manifest(path)
    problems = []
    if fingerprint(manifest["made_from"]) != manifest["fingerprint"]:
        problems.append("manifest.json: the fingerprint does not match its inputs")
    if path.resolve().name != manifest["fingerprint"]:
        problems.append(f"the folder is named {path.resolve().name}, its fingerprint is {manifest['fingerprint']}")
    present = dict(walk(path))
    present.pop(MANIFEST, None)
    for name, expected in manifest["files"].items():
        if name not in present:
            problems.append(f"{name}: missing")
        elif (came := file_digest(present[name])) != expected["sha256"]:
            problems.append(f"{name}: sha256 {came[:16]}, expected {expected['sha256'][:16]}")
    problems += [f"{name}: not in the manifest" for name in sorted(present.keys() - manifest["files"].keys())]
    return problems


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
