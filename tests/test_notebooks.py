"""Every notebook runs as it stands, is stored without what it put out, and keeps what its text promises."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
SECONDS = 60  # of one processor, each, in its small settings
# What Jupyter does, but for showing; then the names that hold numbers, words and tables of them.
RUNNER = """
import json, sys, warnings
import matplotlib

matplotlib.use("Agg")
warnings.filterwarnings("ignore", message=".*non-interactive.*")
names = {"__name__": "__main__"}
with open(sys.argv[1], encoding="utf-8") as file:
    cells = json.load(file)["cells"]
for number, cell in enumerate(cells):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number} of {sys.argv[1]}", "exec"), names)
tables = {k: {" ".join(key): v for key, v in value.items()} for k, value in names.items() if k == "found"}
plain = {key: value for key, value in names.items() if isinstance(value, str | int | float)}
print("names: " + json.dumps(plain | tables))
"""


def other_networks(names: dict[str, Any]) -> None:
    """Of 07: the maps lie where the answer is, and no rule is made up."""
    found = names["found"]
    assert names["error"] < 0.3  # guessing: 0.75
    assert found["occlusion trained"] > 2
    assert found["gradient trained"] > 1.3
    assert found["occlusion random weights"] < 1.3
    assert found["gradient random weights"] < 1.3
    assert "Gelu" in names["refusal"]
    assert names["right"] > 0.95
    assert names["hits"] > 0.8
    assert names["hits_easy"] < 0.5 < 0.95 < names["hits_covered"]


PROMISES: dict[str, Callable[[dict[str, Any]], None]] = {"07_other_networks": other_networks}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_as_it_stands(path: Path, tmp_path: Path) -> None:
    environment = os.environ | {"DEEPINSIDE_SMALL": "1", "OMP_NUM_THREADS": "1"}
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=5 * SECONDS,
    )  # fmt: skip
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert after.children_user - before.children_user < SECONDS
    last = done.stdout.splitlines()[-1]
    PROMISES.get(path.stem, lambda _: None)(json.loads(last.removeprefix("names: ")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_what_it_put_out(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    assert content["cells"][0]["source"][0].startswith("# ")  # it says what it is about
    assert (content["nbformat"], content["nbformat_minor"]) >= (4, 5)  # cells have names, so that changes can be read
    names = [cell["id"] for cell in content["cells"]]
    assert len(set(names)) == len(names)


def test_their_numbers_are_unique() -> None:
    numbers = [path.stem.partition("_")[0] for path in NOTEBOOKS]
    assert all(len(number) == 2 and number.isdigit() for number in numbers), numbers
    assert len(set(numbers)) == len(numbers)
    assert set(PROMISES) <= {path.stem for path in NOTEBOOKS}
