"""The digest of code: what a stage computes with, without comments and docstrings."""

import ast
import hashlib
import importlib.util
import subprocess
from collections.abc import Set
from functools import cache
from pathlib import Path

PACKAGE = "deepinside"
_ROOT = Path(__file__).resolve().parent


@cache
def commit() -> str | None:
    """The commit that this package was checked out at.

    Returns:
        Its hash, shortened, with a `+` where files were changed since; None where this is no checkout, or without git.
    """
    if not (_ROOT.parents[1] / ".git").exists():
        return None
    ask = ("git", "-C", str(_ROOT), "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+")
    try:
        return subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def _file(module: str) -> Path | None:
    first, *rest = module.split(".")
    if first == PACKAGE:  # without importing anything, as finding a specification would
        place = _ROOT.joinpath(*rest)
        known = (place / "__init__.py", place.with_suffix(".py"))
        return next((path for path in known if path.is_file()), None)
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imported(module: str) -> frozenset[str]:
    """Modules of this package that a module imports, at the top or inside a function.

    Args:
        module: dotted name.

    Returns:
        Dotted names.
    """
    path = _file(module)
    names = set()
    for node in ast.walk(_tree(path)) if path else ():
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name for name in names if name.split(".")[0] == PACKAGE and _file(name))


def closure(modules: Set[str]) -> set[str]:
    """The modules, and all of this package that they import, directly or not.

    Args:
        modules: dotted names.

    Returns:
        Dotted names.
    """
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        found |= waiting
        waiting = set().union(*(imported(module) for module in waiting)) - found
    return found


def stripped(path: Path) -> str:
    """The code of a file as it acts: no comments, no docstrings, one formatting.

    Args:
        path: of a Python file.

    Returns:
        Python source.
    """
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
    """One digest of the modules, what they import from this package, and the templates beside them.

    Args:
        modules: dotted names, of this package or not.

    Returns:
        16 hexadecimal digits.

    Raises:
        ModuleNotFoundError: if one of them is not to be found.
    """
    total = hashlib.sha256()
    for module in sorted(closure(modules)):
        path = _file(module)
        if path is None:
            raise ModuleNotFoundError(f"no module {module!r} to import; is its folder on PYTHONPATH?")
        total.update(f"{module}\n{_acting(path, path.stat().st_mtime_ns)}\n".encode())
        templates = path.parent / "templates"
        for template in sorted(templates.rglob("*")) if path.name == "__init__.py" else ():
            if template.is_file():
                total.update(template.relative_to(templates).as_posix().encode() + template.read_bytes())
    return total.hexdigest()[:16]
