"""The documentation site: every guide is in its navigation, every function in its reference. `make docs` builds it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import deepinside

ROOT = Path(__file__).resolve().parents[1]


def _listed(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for item in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _listed(item)


def test_every_guide_is_in_the_navigation() -> None:
    listed = set(_listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert [name for name in listed if not (ROOT / name).is_file()] == []
    guides = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert guides | {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= listed


def test_the_reference_has_every_function_of_the_package() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text()
    described = dict(re.findall(r"^::: (\S+)\n    options: \{heading: di\.(\w+),", text, re.MULTILINE))
    homes = {f"{home}.{name}": name for name, home in deepinside._HOMES.items()}
    assert described == homes


def test_it_needs_nothing_from_elsewhere() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert [name for name in settings["plugins"] if name == "offline"] == []  # which names a script of a CDN
    for path in (ROOT / "docs").glob("*.css"):
        assert "://" not in path.read_text()


def test_every_figure_of_a_notebook_belongs_to_a_cell() -> None:
    for path in (ROOT / "notebooks" / "figures").glob("*.webp"):
        name, _, number = path.stem.rpartition("_")
        cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
        assert cells[int(number)]["cell_type"] == "code", f"{path.name}: run notebooks/figures.py {name} again"
