"""Every notebook runs as it stands, on its small settings, and is kept without its outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# The cells as one module; the value of a cell's last line is dropped, as it would only be shown.
RUNNER = """
import json, sys
import matplotlib
matplotlib.use("Agg")
space = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), space)
"""


def cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks_and_each_has_its_own_number() -> None:
    numbers = [path.name.split("_")[0] for path in NOTEBOOKS]
    assert numbers
    assert len(set(numbers)) == len(numbers)
    assert all(len(number) == 2 and number.isdigit() for number in numbers)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    for cell in cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_as_it_stands(path: Path, tmp_path: Path) -> None:
    told = os.environ | {"DEEPINSIDE_SMALL": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(path)], cwd=tmp_path, env=told, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
