"""Digests of files, raw data and source code, and atomic writing."""

import ast
import hashlib
import importlib.util
import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from functools import cache
from itertools import accumulate
from pathlib import Path

WAYS = ("content", "stat")


def file_digest(path: Path) -> str:
    """The sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class RawDigests:
    """Digests of raw files, cached by size and modification time in the JSON file `memory`."""

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.known: dict[str, list] = {}
        self._fresh = False
        if memory.exists():
            try:
                self.known = json.loads(memory.read_text(encoding="utf-8"))
            except ValueError:
                self.known = {}  # cut off while it was written; everything in it can be computed again
            if not isinstance(self.known, dict):
                self.known = {}

    def __call__(self, path: Path, how: str = "content") -> str:
        """The digest of a file, or of a folder including file names: 16 hexadecimal digits.

        Args:
            path: of a file or folder; links are followed.
            how: `content` reads everything; `stat` uses names, sizes and modification times, for folders of a million
                files: a copy with other times then has another digest.

        Raises:
            FileNotFoundError: if it does not exist.
            ValueError: if `how` is neither.
        """
        if how not in WAYS:
            raise ValueError(f"expected data.digest of {' or '.join(WAYS)}, got {how!r}")
        if path.is_file():
            digest = self._file(path, how)
        elif path.is_dir():
            total = hashlib.sha256()
            for name, file in sorted(walk(path)):
                total.update(os.fsencode(name) + f"\0{self._file(file, how)}\n".encode())  # a name need not be UTF-8
            digest = total.hexdigest()
        else:
            raise FileNotFoundError(f"{path} does not exist; name an existing file or folder")
        self._remember()
        return digest[:16]

    def _file(self, path: Path, how: str) -> str:
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns]
        if how == "stat":
            return hashlib.sha256(str(state).encode()).hexdigest()
        key = hashlib.sha256(os.fsencode(_resolved(path))).hexdigest()[:32]  # the path would tell a home folder
        if self.known.get(key, [None])[:2] != state:
            self.known[key] = [*state, file_digest(path)]
            self._fresh = True
        return self.known[key][2]

    def _remember(self) -> None:
        if self._fresh:
            with suppress(OSError):  # a full or read-only disk: they are computed again, and the others can be used
                self.memory.parent.mkdir(parents=True, exist_ok=True)
                for left in self.memory.parent.glob(f"{self.memory.name}.*.tmp"):  # by a process that was killed
                    left.unlink(missing_ok=True)  # one that is alive computes its digests again
                write_text(self.memory, json.dumps(self.known))
                self._fresh = False


def _resolved(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else _folder(path.parent.absolute()) / path.name


@cache
def _folder(path: Path) -> Path:
    return path.resolve()


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of all files below a folder, in a fixed order; links are followed."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for file in files:
            path = Path(place, file)
            yield path.relative_to(folder).as_posix(), path


def write_text(path: Path, text: str) -> None:
    """Writes a file atomically.

    Raises:
        OSError: if it cannot be written; no partial file remains.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


PACKAGE = "deepinside"
_ROOT = Path(__file__).resolve().parents[1]  # of the package
_LIBRARIES = {"site-packages", "dist-packages"}  # folders that they are installed to


@cache
def commit() -> str | None:
    """The checked-out commit, with a `+` if files have changed since; None outside a checkout or without git."""
    if not (_ROOT.parents[1] / ".git").exists():
        return None
    ask = ("git", "-C", str(_ROOT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")
    try:
        return subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def _file(module: str) -> Path | None:
    # Without importing anything, as importlib would do with the parents of a dotted name.
    first, *rest = module.split(".")
    places: Sequence[str | Path] = [_ROOT]
    if first != PACKAGE:
        try:
            spec = importlib.util.find_spec(first)
        except (ModuleNotFoundError, ValueError):
            return None
        if spec is None or not rest:
            return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
        places = spec.submodule_search_locations or []
    known = [Path(place, *rest) for place in places]
    files = (file for path in known for file in (path / "__init__.py", path.with_suffix(".py")))
    return next((file for file in files if file.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imported(module: str) -> frozenset[str]:
    """Modules that a module of this package or the user's imports, without installed libraries."""
    path = _file(module)
    if path is None or _installed(path):
        return frozenset()
    names = {module}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, package=path.name == "__init__.py")
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    around = {package for one in names for package in _packages(one)}
    files = {name: _file(name) for name in (names | around) - {module}}
    return frozenset(name for name, file in files.items() if file and not _installed(file))


def _origin(node: ast.ImportFrom, module: str, *, package: bool) -> str:
    # `from .blocks import x` in nets.deep, or in nets/__init__.py, is from nets.blocks.
    if not node.level:
        return node.module or ""
    parts = module.split(".") if package else module.split(".")[:-1]
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _packages(module: str) -> Iterator[str]:
    if module.partition(".")[0] != PACKAGE:  # ours hold nothing but docstrings and names
        yield from accumulate(module.split(".")[:-1], "{}.{}".format)


def _installed(path: Path) -> bool:
    return not path.is_relative_to(_ROOT) and (
        bool(_LIBRARIES & set(path.parts)) or path.is_relative_to(sysconfig.get_path("stdlib"))
    )


def _library(module: str, path: Path) -> bytes:
    # All code of an installed library, which is too much to parse: timm would take 20 seconds.
    levels = module.count(".") + (path.name == "__init__.py")
    files = sorted(path.parents[levels - 1].rglob("*.py")) if levels else [path]
    return b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)


def closure(modules: Set[str]) -> set[str]:
    """The modules and everything that they import, directly or not, without installed libraries."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        found |= waiting
        waiting = set().union(*(imported(module) for module in waiting)) - found
    return found


def stripped(path: Path) -> str:
    """The code of a file without comments and docstrings, in one format."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def _acting(path: Path, _changed: int) -> str:
    return stripped(path)  # once: the digests of one run share most of their files


def digest(modules: Set[str]) -> str:
    """One digest of the modules, of what they import except installed libraries, and of the templates beside them.

    Raises:
        ModuleNotFoundError: if one of them does not exist.
    """
    total = hashlib.sha256()
    for module in sorted(closure(modules)):
        path = _file(module)
        if path is None:
            raise ModuleNotFoundError(f"no module {module!r}; is its folder on PYTHONPATH?")
        code = _library(module, path) if _installed(path) else _acting(path, path.stat().st_mtime_ns).encode()
        total.update(module.encode() + b"\n" + code + b"\n")
        templates = path.parent / "templates"
        for template in sorted(templates.rglob("*")) if path.name == "__init__.py" else ():
            if template.is_file():
                total.update(template.relative_to(templates).as_posix().encode() + template.read_bytes())
    return total.hexdigest()[:16]
