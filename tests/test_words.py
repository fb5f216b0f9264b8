"""Plain words: phrases of a private vocabulary that must not come back, neither in the code nor in what it prints."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BANNED = (
    "luck", "by luck", "beyond luck", "strangers", "told apart", "climbed", "coat", "dress", "by heart", "drawn world",
    "miniature world", "all worlds", "by descent", "codes still tell", "looks at nothing", "look at nothing",
    "forgets layer by layer", "own class comes first", "own chance", "there already", "layer's answer", "layer answers",
    "mean answer", "laid back", "laid over", "laid onto", "likes best",
)  # fmt: skip
PATTERN = re.compile(
    r"\b(" + "|".join(re.escape(phrase).replace(r"\ ", r"[\s_]+") for phrase in sorted(BANNED, key=len)[::-1]) + r")\b",
    re.IGNORECASE,
)
FOLDERS = ("src", "conf", "docs", "experiments", "notebooks", "benchmarks")
CLASS_NAMES = ROOT / "src/deepinside/data/imagenet_synsets.csv"  # ImageNet's, which has a lab coat
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "Makefile")
KINDS = {".py", ".pyi", ".yaml", ".toml", ".html", ".css", ".js", ".md", ".cff", ".csv", ".ipynb"}
PROSE = {".md", ".cff"}  # elsewhere an underscore separates words


def banned(text: str, kind: str) -> list[tuple[int, str]]:
    """Line and phrase of every hit."""
    # A phrase may continue in the next line of a comment or of a string in parentheses.
    text = re.sub(r"[\"'#]*(\n[ \t]*)(?:#|f?[\"'])?", r"\1", text)
    text = text if kind in PROSE else text.replace("_", " ")
    return [(text.count("\n", 0, match.start()) + 1, match[0]) for match in PATTERN.finditer(text)]


def texts() -> list[Path]:
    files = [path for name in FOLDERS for path in (ROOT / name).rglob("*")] + [ROOT / name for name in FILES]
    files = [path for path in files if path.is_file() and "__pycache__" not in path.parts and path != CLASS_NAMES]
    return sorted(path for path in files if path.suffix in KINDS or path.name == "Makefile")


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_banned_phrase(path: Path) -> None:
    found = banned(path.read_text(encoding="utf-8"), path.suffix)
    assert not found, f"{path.relative_to(ROOT)}: {found[:5]}"


@pytest.mark.parametrize(
    ("text", "kind", "lines"),
    [
        ("def told_apart():", ".py", [1]),
        ('("in the drawn "\n    "world")', ".py", [1]),
        ("# the drawn\n# world\nx = luck", ".py", [1, 3]),
        ("a coating, an address", ".md", []),
        ('columns = ["luck_score"]', ".py", [1]),
    ],
)
def test_what_is_found(text: str, kind: str, lines: list[int]) -> None:
    assert [line for line, _ in banned(text, kind)] == lines
