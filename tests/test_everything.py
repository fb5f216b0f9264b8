"""`make experiments`: what there is to do, taken up again, and commands that are understood."""

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

from deepinside.pipeline import configuration

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "experiments"))
everything = import_module("everything")
PARTS = everything.PARTS


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Runs the script on three parts: one that works, one that fails until a file is there, one that needs data."""
    (tmp_path / "data").mkdir()
    parts = {
        "one": everything.Part(60, "one.txt", ("echo ran >> one.txt",)),
        "two": everything.Part(30, "two.txt", ("test -e mended", 'echo "$ILSVRC $WORDS" > two.txt')),
        "three": everything.Part(90, "three.txt", ('ls "$IMAGENETTE" > three.txt',), ("data.root",)),
    }
    monkeypatch.setattr(everything, "ROOT", tmp_path)
    monkeypatch.setattr(everything, "PARTS", parts)

    def called(*words):
        monkeypatch.setattr(sys, "argv", ["everything.py", *words])
        everything.main()
        return capsys.readouterr().out

    return called


def test_a_plan_says_how_long_and_does_nothing(call, tmp_path):
    said = call("--plan")
    assert "missing: data.root=PATH, Imagenette" in said
    assert "to do: 1.5 hours" in said
    assert "to do: 3.0 hours" in call("--plan", f"data.root={tmp_path / 'data'}")
    assert not (tmp_path / "one.txt").exists()


def test_what_failed_is_taken_up_again_and_nothing_twice(call, tmp_path):
    with pytest.raises(SystemExit, match="failed: two; the same command goes on"):
        call(f"data.root={tmp_path / 'data'}")
    assert (tmp_path / "three.txt").exists()  # the parts after it went on
    (tmp_path / "mended").touch()
    said = call(f"data.root={tmp_path / 'data'}")
    assert re.search(r"^one +finished", said, re.MULTILINE)
    assert "to do: 0.5 hours" in said
    assert (tmp_path / "one.txt").read_text() == "ran\n"
    assert (tmp_path / "two.txt").read_text() == f" data.root={tmp_path / 'data'}\n"
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "new.py").write_text("1")
    assert "to do: 3.0 hours" in call("--plan", f"data.root={tmp_path / 'data'}")  # other code


def test_wrong_words_are_named(call, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call("data.rot=x")
    assert "unknown: data.rot; expected data.root" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call(f"data.root={tmp_path / 'nowhere'}")
    assert "expected Imagenette" in capsys.readouterr().err


def test_a_path_may_have_spaces(call, tmp_path, monkeypatch):
    (tmp_path / "my data").mkdir()
    given = everything.Part(1, "given.txt", ("printf '%s\\n' $WORDS > given.txt",), ("data.root",))
    monkeypatch.setattr(everything, "PARTS", {"one": given})
    call("--only", "one", "--", f"data.root={tmp_path / 'my data'}")
    assert (tmp_path / "given.txt").read_text() == f"data.root={tmp_path / 'my data'}\n"


@pytest.mark.parametrize("name", PARTS)
def test_commands_of_a_part_are_understood(name):
    targets = (ROOT / "Makefile").read_text()
    for command in PARTS[name].commands:
        words = shlex.split(command.replace("$WORDS", " ".join(f"{word}=PATH" for word in everything.DATA)))
        if words[0] == "python":
            assert (ROOT / words[1]).is_file()
        elif words[0] == "cp":
            assert (ROOT / words[2]).parent.is_dir()
        elif words[0] == "make":
            assert f"\n{words[1]}:" in targets
        else:
            assert words[0] == "deepinside"
            configuration.check_overrides([word for word in words[1:] if "/latest" not in word])
