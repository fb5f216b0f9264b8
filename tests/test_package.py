"""What is shipped: the wheel with its configuration, and pins that agree."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^([\w.-]+)==(\S+)(?: ; [^\\\n]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def pins(*locks: str) -> dict[str, str]:
    texts = ((ROOT / lock).read_text() for lock in locks)
    return {normal(name): version for text in texts for name, version, _ in PIN.findall(text)}


def wanted(dev: bool) -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + (project["optional-dependencies"]["dev"] if dev else [])
    parts = (re.match(r"([\w-]+)(.*)", line) for line in lines)
    return {normal(part[1]): part[2] for part in parts if part}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_names_versions_and_hashes_and_nothing_else(lock: str) -> None:
    text = (ROOT / lock).read_text()
    rest = [line for line in PIN.sub("", text).splitlines() if line and not line.lstrip().startswith("#")]
    assert rest == []  # no pin without a hash, no index, no option
    assert "://" not in text


def test_what_runs_is_in_one_lock_and_the_tools_in_the_other() -> None:
    running, tools = (pins(lock) for lock in LOCKS)
    assert wanted(dev=False).keys() <= running.keys()
    on_windows = set(re.findall(r"^(\S+)==\S+ ; sys_platform == 'win32'", (ROOT / LOCKS[0]).read_text(), re.MULTILINE))
    assert running.keys() & tools.keys() <= on_windows  # of which the tools need some everywhere
    assert not {"pytest", "ruff", "mypy"} & running.keys()


def test_locks_pin_every_dependency_within_its_range() -> None:
    locked = pins(*LOCKS)
    for name, span in wanted(dev=True).items():
        version = tuple(int(n) for n in re.findall(r"\d+", locked[name])[:3])
        least = tuple(int(n) for n in re.findall(r"\d+", span))
        assert version[: len(least)] >= least, f"{name} {locked[name]} is not {span}"


def test_environment_agrees_with_the_lock() -> None:
    content = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = next(part["pip"] for part in content["dependencies"] if isinstance(part, dict))
    pairs = dict(line.split("==") for line in listed)
    locked = pins(*LOCKS)
    assert {normal(name) for name in pairs} == set(wanted(dev=True))
    assert {name: version for name, version in pairs.items() if locked[normal(name)] != version} == {}


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version
    (entry,) = re.findall(r"```bibtex\n(@software.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    fields = dict(re.findall(r"(\w+) = \{+(.*?)\}", entry))
    assert (fields["version"], fields["title"]) == (version, citation["title"])
    assert fields["author"] == citation["authors"][0]["name"]
    assert re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_ships_configuration_templates_types_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"deepinside/py.typed", "deepinside/__init__.pyi"} <= set(names)
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        assert f"deepinside/conf/{path.relative_to(ROOT / 'conf').as_posix()}" in names
    for path in sorted((ROOT / "src" / "deepinside" / "report" / "templates").rglob("*")):
        assert path.is_dir() or path.relative_to(ROOT / "src").as_posix() in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests", "conf")) for name in names)


def test_help_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['deepinside', 'help', 'model'];"
    code += "import deepinside.__main__ as m; assert m.__file__.startswith(sys.path[0]), m.__file__; m.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("model=CHOICE, by default convnet_mini.")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["site"]  # nothing else was written


def test_no_large_or_private_file_is_tracked() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    paths = [ROOT / name for name in listed if name]
    assert [p.name for p in paths if p.exists() and p.stat().st_size > 1_000_000] == []
