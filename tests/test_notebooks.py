"""Every notebook runs as it stands, is stored without what it put out, and keeps what its text promises."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.own import HANGS

SLOW = {"02_atlas", "07_other_networks", "08_robust_networks", "11_methods_together"}  # over 20 s
NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def _timed(path: Path):
    return pytest.param(path, marks=pytest.mark.slow) if path.stem in SLOW else path


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


def quick_start(names: dict[str, Any]) -> None:
    """Of 01: the cat is a cat, and maps of two cats are much alike, as the text warns."""
    assert 281 <= names["label"] <= 285  # ImageNet's five cats
    assert 0.3 < names["alike"] < 1


def atlas(names: dict[str, Any]) -> None:
    """Of 02: some units detect something, none all; the page is one file of a size that can be sent."""
    assert 0 < names["share"] < 1
    assert names["concept"]
    assert 0 < names["size"] < 25


def inversion(names: dict[str, Any]) -> None:
    """Of 03: an early layer keeps detail that a late one does not."""
    assert names["detail_first"] > names["detail_last"] + 0.2


def localisation(names: dict[str, Any]) -> None:
    """Of 04: the steps by hand are the steps of the library."""
    assert names["same"] is True
    assert names["label"] in {"espresso", "cup"}
    assert 0.3 < names["from_saliency"] < 1  # the saucer comes along


def register(names: dict[str, Any]) -> None:
    """Of 05: the number is measured, and its verdict is the rule's."""
    assert names["low"] <= names["value"] <= names["high"]
    excluded = "contradicted" if names["low"] > 0 and names["high"] > 0.05 else "negligible"
    expected = "supported" if names["high"] < -0.05 else excluded if names["low"] >= -0.05 else "undecided"
    assert names["decision"] == expected


def your_own_model(names: dict[str, Any]) -> None:
    """Of 06: what cannot be done is named, and the command draws."""
    assert "Gelu" in names["refusal"]
    assert names["drawn"] == 1


def robust_networks(names: dict[str, Any]) -> None:
    """Of 08: the plain network rests on the stripes, the robust one on the colour; edges do not differ."""
    found = names["found"]
    assert found["plain stripes of another class"] > 0.5
    assert found["robust stripes of another class"] < 0.3
    assert found["plain stripes of the class"] < found["robust stripes of the class"]  # the price
    assert found["plain pgd"] > 0.75  # guessing
    assert found["robust pgd"] < 0.4
    assert found["plain random"] < 0.3
    assert found["robust in the box"] > found["plain in the box"] + 0.1
    assert abs(found["plain in the box"] - found["random weights in the box"]) < 0.25
    assert abs(found["robust edges"] - found["random weights edges"]) < 0.1
    assert found["robust own colour"] >= 3
    assert found["plain own colour"] <= 2


def design_by_looking(names: dict[str, Any]) -> None:
    """Of 09: filters were learnt, the stride comes first, and all designs cost the same; no better one is promised."""
    found = names["found"]
    assert names["error"] < 0.4  # guessing: 0.75
    assert names["folded"] < names["folded_at_random"] - 0.15
    assert names["first"] == "stride 4 to 2"
    assert names["aliased"] > 0.25
    assert abs(found["proposal operations"] - 1) < 0.031
    assert abs(found["control operations"] - 1) < 0.031
    assert found["proposal units"] < 0.5  # what its operations cost
    assert max(found["proposal error"], found["control error"]) < 0.6


def size(names: dict[str, Any]) -> None:
    """Of 10: memory is as counted, and time grows more slowly than the multiply-adds."""
    found = names["found"]
    assert abs(found["weights, MiB parameters"] - 1) < 0.03
    assert abs(found["activations, MiB parameters"] - 0.5) < 0.1
    assert found["weights, MiB side"] == 0
    assert 2.1 < found["activations, MiB side"] < 2.6
    for what in ("saliency", "class model", "inversion"):
        assert 0.1 < found[f"{what} parameters"] < found["multiply-adds parameters"]
        assert 0.5 < found[f"{what} side"] < found["multiply-adds side"]


def methods_together(names: dict[str, Any]) -> None:
    """Of 11: agreement is seen where it was planted, and is near chance in the trained network."""
    found = names["found"]
    assert names["error"] < 0.3  # guessing: 0.92
    assert found["planted pairs"] == 8
    assert found["planted detectors.agreement"] > 0.75  # chance: 0.5
    assert found["planted random_units.agreement"] > 0.6
    assert found["trained pairs"] >= 4
    assert abs(found["trained detectors.agreement"] - 0.5) < 0.2
    assert abs(found["trained random_units.agreement"] - 0.5) < 0.2
    assert found["planted detectors.concept_agreement"] < found["planted detectors.agreement"] - 0.1


PROMISES: dict[str, Callable[[dict[str, Any]], None]] = {
    "01_quick_start": quick_start,
    "02_atlas": atlas,
    "03_inversion": inversion,
    "04_localisation": localisation,
    "05_register": register,
    "06_your_own_model": your_own_model,
    "07_other_networks": other_networks,
    "08_robust_networks": robust_networks,
    "09_design_by_looking": design_by_looking,
    "10_size": size,
    "11_methods_together": methods_together,
}


@pytest.mark.parametrize("path", [_timed(path) for path in NOTEBOOKS], ids=lambda path: path.stem)
def test_it_runs_as_it_stands(path: Path, tmp_path: Path) -> None:
    environment = os.environ | {"DEEPINSIDE_SMALL": "1", "OMP_NUM_THREADS": "1"}
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=HANGS,
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
    assert set(PROMISES) == {path.stem for path in NOTEBOOKS}
