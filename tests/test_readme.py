"""What README and guides tell people to type is what the program takes."""

import ast
import inspect
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

import deepinside as di
from deepinside.api import results
from deepinside.pipeline import configuration
from deepinside.terminal import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in PAGES if path.name != "architecture.md")
GUIDES = "\n".join((TEXT, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where things go")[0]))
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", GUIDES, re.DOTALL)).replace("\\\n", " ")
COMMAND_LINES = [line for line in BLOCKS.splitlines() if line and not line.startswith("#")]
# Also those in a sentence, unless they have a place for more (`deepinside show PATH`, `wandb.project=...`).
INLINE = [text.replace("\n", " ") for text in re.findall(r"`(deepinside [^`]*)`", GUIDES) if "..." not in text]
NOT_CHECKED = {  # what a line may begin with, too, and why it is not tried here
    "make ": "a target of the Makefile: the next test",
    "pytest ": "a file of tests: the next test",
    "pip install ": "needs a registry; the next test looks for the extras",
    "deepinside --config-dir FOLDER ": "needs such a folder; tests/pipeline/test_command_line.py has one",
    "deepinside --config-dir outputs/diagnose/": "needs what run=diagnose writes; tests/stages/test_diagnose.py has it",
    "source .venv/bin/activate": "changes the shell",
    "export PYTHONPATH=.": "changes the shell",
    "dask scheduler ": "runs until it is stopped; tests/runtime/test_engine.py starts one",
    "srun ": "needs a cluster",
}
LINES = [
    line
    for line in (*COMMAND_LINES, *INLINE)
    if re.match(r"deepinside |torchrun .* -m deepinside ", line) and not line.startswith(tuple(NOT_CHECKED))
]


def test_there_are_commands_to_check() -> None:
    assert len(LINES) > 45
    assert [line for line in COMMAND_LINES if line not in LINES and not line.startswith(tuple(NOT_CHECKED))] == []


def test_what_is_made_and_tested_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [line.split()[1] for line in COMMAND_LINES if line.startswith("make ")]
    assert {*named, *re.findall(r"`make ([a-z-]+)", GUIDES)} <= targets
    files = [line.split()[1] for line in COMMAND_LINES if line.startswith("pytest ")]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"deepinside\[(\w+)\]", GUIDES)) <= extras.keys()


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_guides_is_understood(line: str) -> None:
    line = re.sub(r"^torchrun .* -m deepinside ", "deepinside ", line)
    words = shlex.split(line, comments=True)[1:]
    if words[0] in {*COMMANDS, "--help", "--version"}:
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


PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_that_the_readme_opens_with_runs(capsys: pytest.CaptureFixture) -> None:
    before = README[: README.index("```python")]
    assert "##" not in before
    assert len(PYTHON[0].splitlines()) <= 10
    names: dict = {}
    exec(PYTHON[0], names)
    cup, box = names["cup"], names["box"]
    assert isinstance(cup, results.Saliency)
    assert cup.probabilities[0] > 0.5
    height, width = cup.maps.shape[1:]
    middle = cup.maps[0, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]  # where the cup is
    assert middle.sum() > 0.5 * cup.maps.sum()
    ((x0, y0, x1, y1),) = box.boxes
    assert x0 < box.image.shape[1] / 2 < x1
    assert y0 < box.image.shape[0] / 2 < y1
    assert str(np.round(cup.probabilities[0], 3))[:4] in capsys.readouterr().out


CALLS = [
    node
    for block in PYTHON
    for node in ast.walk(ast.parse(block))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "di"
]


@pytest.mark.parametrize("call", CALLS, ids=ast.unparse)
def test_a_call_of_the_readme_fits_the_function(call: ast.Call) -> None:
    assert isinstance(call.func, ast.Attribute)
    words = {str(keyword.arg): None for keyword in call.keywords}
    bound = inspect.signature(getattr(di, call.func.attr)).bind(*call.args, **words)
    further = {"load": {"input", "mean", "std"}, "maximise": {"steps"}}.get(call.func.attr, set())
    assert set(bound.arguments.get("settings", {})) <= further


LINKS = [
    (path, link)
    for path in (*PAGES, ROOT / "CONTRIBUTING.md")
    for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("path", "link"), LINKS, ids=lambda one: str(getattr(one, "name", one)))
def test_a_link_leads_to_a_file(path: Path, link: str) -> None:
    assert (path.parent / link).exists()


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_every_function_is_in_the_readme() -> None:
    named = {call.func.attr for call in CALLS if isinstance(call.func, ast.Attribute)}
    assert named == set(di.__all__) - {"__version__"}
