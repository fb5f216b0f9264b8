"""`deepinside clean`: removes artifacts that no result refers to."""

import argparse
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout

from deepinside.terminal.inventory import Inventory, in_words
from deepinside.terminal.screen import say, table

_DAY = 86400.0  # for so long a stopped run can be taken up again, as in `artifact.sweep`


def expects(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "outputs", nargs="?", type=Path, default=Path("outputs"), help="the folder that runs write into"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Lists what can be removed, asks, and removes it.

    Artifacts that a `latest` points to remain, with everything that they were made from, and unfinished work of less
    than a day. What is no artifact of this program is not touched.

    Returns:
        0 if nothing is left to remove, 1 if the user declined.

    Raises:
        ValueError: while a run is in progress, because it may need what would be removed.
    """
    waste = _waste(arguments.outputs)
    if not waste:
        say(f"{arguments.outputs}: nothing to remove; every artifact is a latest one or an input of one")
        return 0
    table(("artifact", "made (UTC)", "size", "from"), [(str(path), *cells) for path, cells in waste.items()], ("size",))
    if not (arguments.yes or _agreed(len(waste))):
        say("nothing was removed")
        return 1
    still = _waste(arguments.outputs).keys()  # a run may have begun or ended since the question was asked
    gone = [path for path in waste if path in still]
    _remove(gone)
    say(f"removed {len(gone)} folders")
    if (arguments.outputs / "wandb").is_dir():
        say(f"offline W&B runs share their files: WANDB_DIR={arguments.outputs} wandb clean removes uploaded ones")
    return 0


def _waste(outputs: Path) -> dict[Path, tuple[str, str, str]]:
    # What can go: when it was made, its size and what made it.
    found = Inventory.of(outputs)
    working = [part for part in found.unfinished if _locked(part)]
    if working:
        raise ValueError(f"a run is writing {working[0]} and may need what would be removed: clean when it has ended")
    unused = [item for item in found.items if item.name not in found.kept and item.manifest is not None]
    stale = [folder for folder in found.unfinished if _stale(folder)]
    return {item.path: (item.made, in_words(item.size), found.made_of(item)) for item in unused} | {
        folder: ("unfinished", in_words(_size(folder)), "") for folder in stale
    }


def _locked(folder: Path) -> bool:
    lock = folder.with_suffix(".lock")
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _stale(folder: Path) -> bool:
    if folder.suffix == ".removed":
        return True
    times = (path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists())
    return time.time() - max(times) >= _DAY


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _agreed(count: int) -> bool:
    say(f"Remove these {count}? [y/N]")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        # Renamed first: a folder that is half removed must not look like a finished or resumable artifact.
        gone = (
            folder if folder.suffix == ".removed" else folder.with_name(f"{folder.name.removesuffix('.part')}.removed")
        )
        if gone != folder:
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)
        shutil.rmtree(gone)
        gone.with_suffix(".lock").unlink(missing_ok=True)
