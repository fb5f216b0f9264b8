"""What is sent to the workers of an engine as a whole."""

from pathlib import Path

import pytest

from deepinside.pipeline import execution
from deepinside.pipeline.configuration import composed
from deepinside.pipeline.plan import Planner


class Workers:
    """Takes note of what is begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, work: object, _conditions: object) -> None:
        self.begun.append(work.args[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        (["run=visualise"], ["train"]),
        (["run=invert"], ["train"]),  # what inverts a network waits for it
        (["run=localise", "model=convnet_micro", "model.weights=random"], []),
        (["run=visualise", "train.trainer.devices=2"], []),  # whose processes compute together
    ],
)
def test_trainings_are_begun_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], begun: list[str]
) -> None:
    workers = Workers()
    monkeypatch.setattr(execution, "_engine", lambda: workers)
    monkeypatch.setattr(execution, "_executed", lambda plan: plan.folder)
    cfg = composed([*words, f"outputs={tmp_path}"])
    execution.begin_trainings([Planner(tmp_path).plan(cfg, cfg.run)])
    assert workers.begun == begun
