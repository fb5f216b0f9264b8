"""The digest of code: what counts and what does not."""

import subprocess
from pathlib import Path

import pytest

from deepinside import source


def test_comments_and_docstrings_do_not_count_but_code_does(tmp_path: Path) -> None:
    def stripped(text: str) -> str:
        path = tmp_path / "m.py"
        path.write_text(text)
        return source.stripped(path)

    plain = stripped("def f(x):\n    return x + 1\n")
    assert stripped('"""Doc."""\n\ndef f(x):  # why\n    """What."""\n    return (x + 1)\n') == plain
    assert stripped("def f(x):\n    return x + 2\n") != plain
    assert stripped('def f(x):\n    """Only a docstring."""\n') == stripped("def f(x):\n    pass\n")


def test_the_commit_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m one"):
        subprocess.run(["git", "-C", str(tmp_path), *command.split()], check=True)
    place = tmp_path / "src" / "package"
    place.mkdir(parents=True)
    monkeypatch.setattr(source, "_ROOT", place)
    head = subprocess.check_output(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], text=True)
    assert source.commit.__wrapped__() == head[:12]
    monkeypatch.setattr(source, "_ROOT", place / "site" / "package")  # installed, inside somebody else's repository
    assert source.commit.__wrapped__() is None


def test_closure_follows_imports_also_inside_functions() -> None:
    found = source.closure({"deepinside.stages.localise"})
    assert {"deepinside.localisation.graph_cut", "deepinside.methods.saliency", "deepinside.probe.rule"} <= found
    assert "deepinside.pipeline" not in found  # the engine does not change results
    assert "deepinside.dissection.tally" not in found


def test_digest_changes_with_an_imported_module(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source.digest({"deepinside.stages.localise"})
    original = source.stripped
    other = source._file("deepinside.localisation.graph_cut")
    monkeypatch.setattr(source, "stripped", lambda path: original(path) + ("#" if path == other else ""))
    source._acting.cache_clear()
    after = source.digest({"deepinside.stages.localise"})
    source._acting.cache_clear()
    assert after != before


def test_unknown_module_says_what_to_do() -> None:
    with pytest.raises(ModuleNotFoundError, match="PYTHONPATH"):
        source.digest({"no_such_module_here"})
