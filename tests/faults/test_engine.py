"""Workers of a Dask scheduler leave the same bytes as one process."""

from pathlib import Path

import pytest
from tests.faults.harness import RUNS, laid, same, start
from tests.own import HANGS

pytest.importorskip("distributed", reason="needs the extra `cluster`")


@pytest.mark.slow
@pytest.mark.parametrize("stage", RUNS)
def test_the_same_bytes(tmp_path: Path, stage: str) -> None:
    place = laid(tmp_path)
    for outputs, words in (("one", []), ("several", ["machine.engine=dask", "machine.workers=2"])):
        process = start([*RUNS[stage], *words], outputs, place)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 0, said
        assert ("engine: tcp://" in said) == (outputs == "several")
        assert "Traceback" not in said
    same(place / "one", place / "several")
