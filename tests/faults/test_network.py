"""A server of W&B that is not there, or never answers: a warning per stage, and the result is complete without it."""

import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.faults.harness import RUNS, laid, same, start
from tests.own import HANGS

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(params=["nobody listens", "nobody answers"])
def server(request: pytest.FixtureRequest) -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if request.param == "nobody listens":
            listening.close()
        yield f"http://127.0.0.1:{port}"


@pytest.mark.slow
def test_nobody_at_the_other_end(tmp_path: Path, server: str) -> None:
    place = laid(tmp_path)
    variables = {"WANDB_BASE_URL": server, "WANDB_API_KEY": KEY, "HOME": str(tmp_path)}
    online = start([*RUNS["localise"], "wandb.start_s=2", "wandb.finish_s=2"], "outputs", place, "online", **variables)
    _, said = online.communicate(timeout=HANGS)
    assert online.returncode == 0, said
    assert said.count("W&B failed at") == 3, said  # prepare, load, localise
    assert "wandb=disabled" in said
    assert "Traceback" not in said
    assert KEY not in said
    away = start(RUNS["localise"], "whole", place)
    assert away.wait() == 0, away.communicate()
    same(place / "whole", place / "outputs")
