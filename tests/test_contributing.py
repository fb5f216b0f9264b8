"""The recipes of CONTRIBUTING.md, followed by their own text: the files that they show, the commands that they name."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import deepinside
from deepinside.claims.register import Measure
from deepinside.pipeline import configuration
from deepinside.records import Table

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (Add a .*?)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE))


def followed(recipe: str, place: Path) -> str:
    """Does what a recipe says in a checkout of its own.

    Args:
        recipe: its title.
        place: an empty folder.

    Returns:
        What its commands printed.
    """
    shipped = shutil.ignore_patterns("__pycache__", "conf")
    shutil.copytree(Path(deepinside.__file__).parent, place / "src" / "deepinside", ignore=shipped)
    shutil.copytree(configuration.folder(), place / "conf")
    for name in ("pyproject.toml", "tests/__init__.py", "tests/shared.py", "tests/models/test_both_ways.py"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place / name)
    files = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", RECIPES[recipe], re.DOTALL))
    for name, text in files.items():
        assert not (ROOT / name).exists(), f"{name} is taken: the recipe needs another name"
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"# {name}\n{text}", encoding="utf-8")
    code = [name for name in files if name.endswith(".py")]
    for check in (["format", "--check"], ["check"]) if code else ():
        ran(["ruff", *check, *code], place)
    (commands,) = re.findall(r"```bash\n(.*?)```", RECIPES[recipe], re.DOTALL)
    quiet = commands.replace("deepinside run=", "deepinside wandb=disabled run=")  # the mirror costs seconds a stage
    return ran(["bash", "-euo", "pipefail", "-c", quiet], place)


def ran(command: list[str], place: Path) -> str:
    """Runs a command with the tools of this environment and the code of that checkout, and returns what it printed."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    searched = os.pathsep.join([str(place / "src"), str(place)])
    environment = os.environ | {"PATH": tools, "PYTHONPATH": searched}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_are_four_recipes() -> None:
    assert list(RECIPES) == ["Add a method", "Add a data set", "Add a model", "Add a claim"]


def test_the_measures_shown_are_understood() -> None:
    shown = re.findall(r"^  measure: (.*)$", RECIPES["Add a claim"], re.MULTILINE)
    nulls = re.findall(r"^  null: (.*)$", RECIPES["Add a claim"], re.MULTILINE)
    assert (len(shown), len(nulls)) == (3, 3)
    column = yaml.safe_load(shown[1])
    for text in shown:
        assert Measure.read(yaml.safe_load(text), yaml.safe_load(nulls[0])).of is not None
    for text in nulls:
        assert Measure.read(column, yaml.safe_load(text)).null.name


def test_a_method(tmp_path: Path) -> None:
    said = followed("Add a method", tmp_path)
    artifact = tmp_path / said.strip().splitlines()[-1].removeprefix("artifact: ")
    made_from = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))["made_from"]
    exponents = {name: settings.get("exponent") for name, settings in made_from["config"]["method"].items()}
    assert exponents == {"saliency": None, "gradient_power": 3.0, "gradient_root": 0.5}
    assert len(list((artifact / "pictures").glob("*.png"))) == 2


def test_a_data_set(tmp_path: Path) -> None:
    said = followed("Add a data set", tmp_path)
    assert "images_set_aside" in said  # as the last command shows
    prepared = tmp_path / "outputs" / "prepare" / "latest"
    assert [row["name"] for row in rows(prepared / "classes.csv")] == ["cup", "rocket", "tabby cat"]
    assert [row["label"] for row in rows(prepared / "images.csv")] == ["0", "1", "2"]
    assert [row["file"] for row in rows(prepared / "set_aside.csv")] == ["astronaut.png"]


def test_a_model(tmp_path: Path) -> None:
    followed("Add a model", tmp_path)
    trained = tmp_path / "outputs" / "train" / "latest"
    network = json.loads((trained / "network.json").read_text(encoding="utf-8"))
    assert "conv2" in network["layers"]
    assert Table.read(trained)["training_images"].value == 200
    assert len(list((tmp_path / "outputs" / "visualise" / "latest" / "pictures").glob("*.png"))) == 4


def test_a_claim(tmp_path: Path) -> None:
    said = followed("Add a claim", tmp_path)
    assert re.search(r"^X01 on real  (supported|negligible|contradicted|undecided|needs data) ", said, re.MULTILINE)
    measured = rows(tmp_path / "outputs" / "claims" / "latest" / "claims.csv")
    assert {row["id"] for row in measured} == {"X01"}
    (real,) = [row for row in measured if row["world"] == "real"]
    assert real["null"] == "the gradient's map of the same image"
    assert float(real["ci_low"]) < float(real["value"]) < float(real["ci_high"])
    assert real["n"] == "4"
