"""What the README tells people to type is what the program takes."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import deepinside
from deepinside.pipeline import configuration
from deepinside.terminal import COMMANDS
from tests.own import OWN, lay

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
METHOD = re.search(r"## Adding a method\n(.*?)\n## ", TEXT, re.DOTALL)[1]
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT.replace(METHOD, ""), re.DOTALL))
LINES = [line for line in BLOCKS.splitlines() if line.startswith("deepinside ")]


def test_there_are_commands_to_check() -> None:
    assert len(LINES) > 25


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[0] in COMMANDS:
        return
    assert any(word.startswith(("run=", "experiment=")) for word in words)
    configuration.check_overrides(words)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`conf/([\w/]+\.yaml)`", TEXT))))
def test_a_file_of_the_readme_is_there(name: str) -> None:
    assert (configuration.folder() / name).is_file()


@pytest.mark.parametrize("row", re.findall(r"^\| (`\w+`.*?) \|", TEXT, re.MULTILINE))
def test_a_method_or_stage_of_the_readme_is_there(row: str) -> None:
    from deepinside.pipeline.table import STAGES

    known = {*STAGES, *configuration.groups()["method"]}
    assert set(re.findall(r"`([a-z]\w+)`", row)) <= known


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A checkout of one's own, with the files that the section tells to write.
    place = lay(tmp_path_factory.mktemp("extended"))
    shutil.copytree(
        Path(deepinside.__file__).parent,
        place / "src" / "deepinside",
        ignore=shutil.ignore_patterns("__pycache__", "conf"),
    )
    shutil.copytree(configuration.folder(), place / "conf")
    for name, text in re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", METHOD, re.DOTALL):
        (place / name).write_text(text, encoding="utf-8")
    return place


def test_a_method_added_as_the_readme_says_runs(extended: Path) -> None:
    (line,) = re.findall(r"```bash\ndeepinside (.*?)\n```", METHOD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(extended / "src"), str(extended)])}
    command = [sys.executable, "-m", "deepinside", *shlex.split(line), *OWN]
    done = subprocess.run(
        command, cwd=extended, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    artifact = extended / done.stdout.strip().splitlines()[-1].removeprefix("artifact: ")
    table = pd.read_csv(artifact / "per_image.csv")
    assert {"saliency.energy_ratio", "gradient_power.energy_ratio", "gradient_root.energy_ratio"} <= set(table)
    chosen = json.loads((artifact / "manifest.json").read_text())["made_from"]["config"]["method"]
    assert {name: keys.get("exponent") for name, keys in chosen.items()} == {
        "saliency": None,
        "gradient_power": 3.0,
        "gradient_root": 0.5,
    }
