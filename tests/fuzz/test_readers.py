"""No file, whatever is in it, makes a reader crash, hang, run code, look elsewhere or take all memory."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.fuzz.corpus import KINDS, spoilt
from tests.fuzz.limits import limited

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it"),
    pytest.mark.filterwarnings("ignore"),
]
FEW = 20
MANY = 10_000 // len(KINDS) + 1


def fuzz(kind: str, folder: Path, examples: int, derandomize: bool) -> None:
    root, outside = folder / "root", folder / "outside"
    root.mkdir()
    outside.mkdir()
    for suffix in ("", ".png", ".JPEG", ".xml", ".csv"):
        (outside / f"secret{suffix}").write_text("secret")
    lay, read = KINDS[kind]
    path = lay(root)
    read(root, path)  # as it is it can be read

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    @given(spoilt(path.read_bytes()))
    def each(content: bytes) -> None:
        path.write_bytes(content)
        try:
            with limited(outside, Path("/etc/passwd")):
                read(root, path)
        except (ValueError, FileNotFoundError) as error:
            said = str(error)
        else:
            return
        assert path.name in said or str(root) in said, f"names no file: {said}"
        assert len(said) < 10_000, "a message nobody reads"

    each()


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_spoilt_files(kind: str, tmp_path: Path) -> None:
    fuzz(kind, tmp_path, FEW, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_spoilt_files(kind: str, tmp_path: Path) -> None:
    fuzz(kind, tmp_path, MANY, derandomize=False)
