"""The digest of code: what counts and what does not."""

import subprocess
from pathlib import Path

import pytest

from deepinside.artifacts import digest


def test_comments_and_docstrings_do_not_count_but_code_does(tmp_path: Path) -> None:
    def stripped(text: str) -> str:
        path = tmp_path / "m.py"
        path.write_text(text)
        return digest.stripped(path)

    plain = stripped("def f(x):\n    return x + 1\n")
    assert stripped('"""Doc."""\n\ndef f(x):  # why\n    """What."""\n    return (x + 1)\n') == plain
    assert stripped("def f(x):\n    return x + 2\n") != plain
    assert stripped('def f(x):\n    """Only a docstring."""\n') == stripped("def f(x):\n    pass\n")


def test_the_commit_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m one"):
        subprocess.run(["git", "-C", str(tmp_path), *command.split()], check=True)
    place = tmp_path / "src" / "package"
    place.mkdir(parents=True)
    monkeypatch.setattr(digest, "_ROOT", place)
    head = subprocess.check_output(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], text=True)
    assert digest.commit.__wrapped__() == head[:12]
    monkeypatch.setattr(digest, "_ROOT", place / "site" / "package")  # installed, inside somebody else's repository
    assert digest.commit.__wrapped__() is None


def test_closure_follows_imports_also_inside_functions() -> None:
    found = digest.closure({"deepinside.stages.localise"})
    assert {"deepinside.localisation.graph_cut", "deepinside.methods.saliency", "deepinside.probe.rule"} <= found
    assert "deepinside.pipeline.table" not in found  # the engine does not change results
    assert "deepinside.dissection.tally" not in found


def test_scores_of_a_file_depend_on_no_network_and_no_concepts() -> None:
    found = digest.closure({"deepinside.stages.score"})
    assert {"deepinside.localisation.error", "deepinside.localisation.submission"} <= found
    packages = {name.split(".")[1] for name in found}
    assert not packages & {"models", "network", "methods", "probe", "plots"}
    assert not [name for name in found if name.startswith("deepinside.data.broden")]


def test_digest_changes_with_an_imported_module(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest.digest({"deepinside.stages.localise"})
    original = digest.stripped
    other = digest._file("deepinside.localisation.graph_cut")
    monkeypatch.setattr(digest, "stripped", lambda path: original(path) + ("#" if path == other else ""))
    digest._acting.cache_clear()
    after = digest.digest({"deepinside.stages.localise"})
    digest._acting.cache_clear()
    assert after != before


def test_unknown_module_says_what_to_do() -> None:
    with pytest.raises(ModuleNotFoundError, match="PYTHONPATH"):
        digest.digest({"no_such_module_here"})


def test_an_installed_library_counts_as_a_whole_and_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages" / "bought"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("")
    (place / "nets.py").write_text("from bought import blocks\n")
    (place / "blocks.py").write_text("WIDTH = 4\n")
    (tmp_path / "site-packages" / "single.py").write_text("X = 1\n")
    (tmp_path / "mine.py").write_text("import bought.nets\n")
    for folder in (tmp_path, place.parent):
        monkeypatch.syspath_prepend(folder)
    assert digest.closure({"bought.nets"}) == {"bought.nets"}
    assert digest.closure({"mine"}) == {"mine"}  # its own versions stand in the manifest
    before = [digest.digest({one}) for one in ("bought.nets", "bought", "single", "mine")]
    (place / "blocks.py").write_text("WIDTH = 8\n")
    after = [digest.digest({one}) for one in ("bought.nets", "bought", "single", "mine")]
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True, False, False]


def test_relative_imports_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "outer" / "inner"
    deep.mkdir(parents=True)
    for file in ("outer/__init__", "outer/base", "outer/inner/other"):
        (tmp_path / f"{file}.py").write_text("x = 1\n")
    (deep / "__init__.py").write_text("from .other import x\n")
    (deep / "net.py").write_text("def net():\n    from ..base import x\n    from . import missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    packages = {"outer", "outer.inner"}
    assert digest.closure({"outer.inner.net"}) == packages | {"outer.inner.net", "outer.base", "outer.inner.other"}
