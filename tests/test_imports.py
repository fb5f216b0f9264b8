"""Who may import whom, and what a notebook does not have to wait for."""

import ast
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepinside.pipeline.table import STAGES

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "deepinside"
FLOORS = (  # a module imports from its own room and from lower floors; docs/architecture.md draws them
    ("artifacts", "runtime"),
    ("records", "study", "network", "probe", "views", "statistics", "metrics", "spelling", "defaults"),
    ("data", "models", "miniature"),
    ("methods", "plots"),
    ("visualisation", "localisation", "dissection", "inversion", "diagnosis"),
    ("attribution",),
    ("claims", "report", "tracking"),
    ("stages",),
    ("pipeline",),
    ("api",),
    ("explore",),
    ("terminal", "__main__"),
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
NEIGHBOURS = {  # imports within a floor, besides those of the second, whose modules know one another
    ("models", "data"),  # reads Matlab files
    ("miniature", "data"),  # writes Broden's format
    ("__main__", "terminal"),
}
ONLY = {
    "hydra": ("pipeline", "stages"),
    "wandb": ("tracking",),
    "matplotlib": ("plots",),
    "panel": ("explore",),
    "pytorch_lightning": ("models", "data/datamodule.py", "inversion", "stages"),
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def scripts() -> list[Path]:
    folders = (ROOT / name for name in ("benchmarks", "experiments", "notebooks"))
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".ipynb"})


def source(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_room_has_its_floor() -> None:
    assert {room(path) for path in modules()} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_direction(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    for name in imports(path):
        there = name.split(".")[1] if name.startswith("deepinside.") else None
        if there not in FLOOR or there == here:
            continue
        allowed = FLOOR[there] < FLOOR[here] or FLOOR[here] == FLOOR[there] <= 1 or (here, there) in NEIGHBOURS
        assert allowed, f"{here} (floor {FLOOR[here]}) imports {name} (floor {FLOOR[there]})"


def test_the_architecture_is_as_its_page_says() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    levels = re.findall(r"^\| `(\w+)` \| (\d+) \| .+ \|$", page, re.MULTILINE)
    assert {name: int(level) - 1 for name, level in levels} == FLOOR
    assert len(levels) == len(FLOOR)
    figure = re.search(r"```mermaid\n(.*?)```", page, re.DOTALL)[1]
    assert set(STAGES) <= set(re.findall(r"\w+", figure))
    named = re.findall(r"`([\w/]+\.(?:py|yaml))`", page)
    assert len(named) > 20
    for name in named:
        assert any((folder / name).is_file() for folder in (ROOT, SOURCE)), name


def test_no_stage_imports_another() -> None:
    for path in (SOURCE / "stages").glob("*.py"):
        assert not [name for name in imports(path) if name.startswith("deepinside.stages")], path.name


@pytest.mark.parametrize("path", scripts(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_scripts_and_notebooks_import_what_exists(path: Path) -> None:
    for name in imports(path):
        if name.startswith("deepinside."):
            pkgutil.resolve_name(name)


@pytest.mark.parametrize("library", ONLY)
def test_libraries_stay_in_their_rooms(library: str) -> None:
    users = {
        path.relative_to(SOURCE).as_posix() for path in modules() for n in imports(path) if n.split(".")[0] == library
    }
    allowed = ONLY[library]
    assert users, f"nothing imports {library} any more: take it off the list"
    for user in users:
        assert user in allowed or user.split("/")[0].removesuffix(".py") in allowed, f"{user} imports {library}"


@pytest.mark.parametrize("name", ["methods.saliency", "localisation.segment", "dissection.score", "probe", "metrics"])
def test_numeric_code_loads_neither_hydra_nor_wandb_nor_lightning(name: str) -> None:
    code = f"import sys, deepinside.{name}; print(*{{m.split('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"hydra", "omegaconf", "wandb", "pytorch_lightning"} & set(loaded)


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; sys.argv = ['deepinside']; import deepinside.pipeline.configuration; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torchvision" not in loaded
    assert "wandb" not in loaded
