"""The digest of code: what a stage computes with, without comments and docstrings."""

import ast
import hashlib
import importlib.util
from collections.abc import Set
from functools import cache
from pathlib import Path

PACKAGE = "deepinside"


@cache
def _file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(module: str) -> set[str]:
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
    return {name for name in names if name.split(".")[0] == PACKAGE and _file(name)}


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
        total.update(f"{module}\n{stripped(path)}\n".encode())
        templates = path.parent / "templates"
        for template in sorted(templates.rglob("*")) if path.name == "__init__.py" else ():
            if template.is_file():
                total.update(template.relative_to(templates).as_posix().encode() + template.read_bytes())
    return total.hexdigest()[:16]
