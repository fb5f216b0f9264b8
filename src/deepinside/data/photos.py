"""Images without labels: any folder of them, or the photographs that scikit-image ships."""

import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from deepinside.data.image import pictures, read_header, unread
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.data.layouts import instead
from deepinside.data.reading import check_name, survey

# The photographs of things in scikit-image's wheel (not its drawings, scans, textures and micrographs), with what its
# documentation says of their licence.
SHIPPED = {
    "astronaut": "astronaut.png",  # NASA, public domain
    "camera": "camera.png",  # Lav Varshney, CC0
    "cat": "chelsea.png",  # Stefan van der Walt, CC0
    "clock": "clock_motion.png",  # Stefan van der Walt, public domain
    "coffee": "coffee.png",  # Rachel Michetti, CC0
    "coins": "coins.png",  # Brooklyn Museum, no known copyright restrictions
    "galaxies": "hubble_deep_field.jpg",  # NASA, public domain
    "motorcycle": "motorcycle_left.png",  # Middlebury stereo benchmark 2014, no licence named
    "rocket": "rocket.jpg",  # SpaceX, public domain
}
HOW = "Add some, or keep data.root=null for the photographs of scikit-image"
COPIES = "scikit-image"  # folder that they are copied to


def index(root: Path | str | None = None, split: str = "all") -> Index:
    """The images of a folder and of the folders in it, without labels or boxes.

    Args:
        root: the folder; None for scikit-image's photographs. If the folder has copies of them by `copy_shipped`, only
            these are used.
        split: ignored; these images belong to every split.

    Returns:
        The index, of label -1 throughout; an image's name is its path relative to the root, without suffix if that
        is unique. Unusable files are skipped.

    Raises:
        FileNotFoundError: if the folder or images in it are missing.
        ValueError: if no image is usable.
    """
    folder = _package() if root is None else Path(root)
    copies = folder / COPIES
    own = root is not None and not copies.is_dir()
    paths = _shipped(folder) if root is None else _named(copies if copies.is_dir() else folder)
    others = unread(folder, folder) if own else ()
    if not paths and not others:
        came = "none" if folder.is_dir() else "no such folder"
        what = f"{folder}: expected a folder of images (jpg, jpeg, png), got {came}"
        raise FileNotFoundError(f"{what}{instead(folder, 'photos', HOW)}")
    listed = survey(folder, sorted(paths.items()), partial(_look, folder), "pictures")
    aside = listed.set_aside + others
    if not listed.found:
        file, reason = aside[0]
        raise ValueError(f"{folder}: expected usable images, got {len(aside)} unusable ones, such as {file}: {reason}")
    return Index(folder, (), (), listed.found, aside).split(split)


def copy_shipped(out: str | Path, workers: int = 1) -> None:  # ruff: ignore[unused-function-argument]
    """Copies scikit-image's photographs, so that artifacts do not depend on an installed package.

    Args:
        out: gets `scikit-image/<readable name>.<suffix>`.
        workers: ignored; for the common signature of generated data sets.
    """
    out = Path(out)
    folder = out / COPIES
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in _shipped(_package()).items():
        shutil.copyfile(path, folder / f"{name}{path.suffix}")


def _look(root: Path, task: tuple[str, Path]) -> Iterator[Entry]:
    name, path = task
    file = path.relative_to(root).as_posix()
    check_name(path, file)
    width, height = read_header(path)
    yield Entry(name, file, "all", -1, NO_BOXES, width, height)


def _named(folder: Path) -> dict[str, Path]:
    paths = [path.relative_to(folder) for path in (pictures(folder) if folder.is_dir() else [])]
    count = Counter(path.with_suffix("") for path in paths)
    return {
        (path if count[path.with_suffix("")] > 1 else path.with_suffix("")).as_posix(): folder / path for path in paths
    }


def _shipped(folder: Path) -> dict[str, Path]:
    return {name: folder / file for name, file in SHIPPED.items() if (folder / file).is_file()}


# Found without importing scikit-image, which would take a second.
def _package() -> Path:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "expected scikit-image, got none: pip install scikit-image, or name a folder: data.root=..."
        )
    return Path(spec.origin).parent / "data"
