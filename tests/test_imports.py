"""Who may import whom, and what a notebook does not have to wait for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "deepinside"
FLOORS = {  # a module imports from its own floor and from those below
    0: (
        "defaults",
        "network",
        "records",
        "statistics",
        "reconstruction",
        "memory",
        "progress",
        "views",
        "probe",
        "study",
        "source",
        "artifact",
        "digests",
        "grid",
        "matlab",
    ),
    1: ("models", "data", "methods", "localisation", "dissection", "plots", "machine", "claims"),
    2: ("report", "results", "stages", "tracking", "ancestry", "excerpt", "difference"),
    3: ("pipeline",),
    4: ("api", "configuration", "estimate", "loading", "planning", "points", "terminal", "__main__"),
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
ROOMS = ("models", "data", "methods", "localisation", "dissection")  # these do not know one another
ONLY = {
    "hydra": ("configuration", "stages"),
    "omegaconf": (
        "api",
        "configuration",
        "defaults",
        "estimate.py",
        "loading",
        "planning",
        "stages",
        "pipeline",
        "claims/evidence.py",
    ),
    "wandb": ("tracking",),
    "matplotlib": ("plots",),
    "pytorch_lightning": ("models/classifier.py", "models/watch.py", "data/datamodule.py", "stages"),
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_direction(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    for name in imports(path):
        if not name.startswith("deepinside."):
            continue
        there = name.split(".")[1]
        if there in FLOOR:
            assert FLOOR[there] <= FLOOR[here], f"{path.name} is on floor {FLOOR[here]}, {name} above it"
            assert here == there or not (here in ROOMS and there in ROOMS), f"{path.name} imports {name}"


@pytest.mark.parametrize("library", ONLY)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    users = {
        path.relative_to(SOURCE).as_posix() for path in modules() for n in imports(path) if n.split(".")[0] == library
    }
    allowed = ONLY[library]
    assert users, f"nothing imports {library} any more: take it off the list"
    for user in users:
        assert user in allowed or user.split("/")[0].removesuffix(".py") in allowed, f"{user} imports {library}"


@pytest.mark.parametrize("name", ["methods.saliency", "localisation.segment", "dissection.score", "probe"])
def test_numeric_code_loads_neither_hydra_nor_wandb_nor_lightning(name: str) -> None:
    code = f"import sys, deepinside.{name}; print(*{{m.split('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"hydra", "omegaconf", "wandb", "pytorch_lightning"} & set(loaded)


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; sys.argv = ['deepinside']; import deepinside.configuration; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torchvision" not in loaded
    assert "wandb" not in loaded
