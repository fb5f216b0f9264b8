"""What the README tells people to type is what the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from deepinside import configuration
from deepinside.terminal import COMMANDS

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL))
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
    from deepinside.pipeline import STAGES

    known = {*STAGES, *configuration.groups()["method"]}
    assert set(re.findall(r"`([a-z]\w+)`", row)) <= known
