"""Adversarial training on the two classes of `test_training`: what it resists, how it resumes and when it ends."""

from functools import partial
from pathlib import Path

import pytest
import torch
from tests.models.test_classifier import network
from tests.models.test_training import NET, fitted, same, write

from deepinside.data.index import Index
from deepinside.models.adversarial_training import RobustClassifier, robust_errors
from deepinside.models.convnet import convnet
from deepinside.models.training import read_history
from deepinside.network import Network

SETTINGS = {"radius": 24, "step": 30, "check_batches": 2, "check_steps": 3, "tolerance": 0.9}
robust = partial(RobustClassifier, **SETTINGS)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return write(tmp_path_factory.mktemp("pictures"), 60)


@pytest.fixture(scope="module")
def whole(index: Index, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    out = tmp_path_factory.mktemp("robust")
    return out, *fitted(index, out, kind=robust, epochs=6)


def error(network: Network, index: Index, radius: float = 24) -> float:
    entries = index.split("val").entries
    images = torch.stack([index.picture(entry)[:, 2:26, 6:30] for entry in entries]).float() / 255
    batches = [(images, torch.tensor([entry.label for entry in entries]))]
    return float(robust_errors(network, batches, radii=[radius], steps=10)["pgd", radius].mean())


def test_it_resists_attacks_that_defeat_the_plain_network(index: Index, tmp_path: Path) -> None:
    # Over three starts, and long enough for either to have learnt: after six epochs the kind of processor decided.
    plain, hardened = [], []
    for start in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(start)
            networks = [convnet(classes=("upper", "lower"), **NET, normalisation="batch") for _ in range(2)]
        for made, kind, errors in zip(networks, (None, robust), (plain, hardened), strict=True):
            changes = {} if kind is None else {"kind": kind}
            fitted(index, tmp_path / f"{start}_{kind is None}", network=made, epochs=30, **changes)
            errors.append(error(made, index))
    assert sum(hardened) / 3 <= sum(plain) / 3 - 0.2


def test_its_history_has_the_errors_under_attack(whole: tuple) -> None:
    out, _, history = whole
    assert (out / "history.csv").read_text().splitlines()[0].endswith(",train_fgsm_error,train_pgd_error")
    assert all(0 <= row.train_pgd_error <= 1 and 0 <= row.train_fgsm_error <= 1 for row in history)


def test_a_training_that_was_killed_ends_with_the_same_bits(
    whole: tuple, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = RobustClassifier.training_step, []

    def dying(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 16:
            raise RuntimeError("killed")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(RobustClassifier, "training_step", dying)
        with pytest.raises(RuntimeError, match="killed"):
            fitted(index, tmp_path, kind=robust, epochs=6)
    assert 1 <= len(read_history(tmp_path)) < 6
    resumed, history = fitted(index, tmp_path, kind=robust, epochs=6)
    assert history == whole[2]
    assert same(resumed.module.state_dict(), whole[1].module.state_dict())


def test_catastrophic_overfitting_ends_at_the_best_epoch_also_when_resumed(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    planned = [0.4, 0.3, 0.35, 0.8, 0.1]
    weights: list[dict] = []

    def pgd_error(self: RobustClassifier) -> float:
        weights.append({name: value.clone() for name, value in self.network.module.state_dict().items()})
        return planned[self.current_epoch]

    monkeypatch.setattr(RobustClassifier, "_pgd_error", pgd_error)
    kind = partial(RobustClassifier, **SETTINGS | {"tolerance": 0.2})
    ended, history = fitted(index, tmp_path, kind=kind, epochs=5)
    assert [row.train_pgd_error for row in history] == planned[:4]
    assert same(ended.module.state_dict(), weights[1])
    assert not same(ended.module.state_dict(), weights[3])
    assert "catastrophic overfitting in epoch 3" in caplog.text
    again, resumed = fitted(index, tmp_path, kind=kind, epochs=5)
    assert resumed == history
    assert same(again.module.state_dict(), weights[1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"radius": 0}, r"train\.classifier\.radius above 0"),
        ({"step": -1}, r"train\.classifier\.step above 0"),
        ({"check_batches": 0}, "check_batches from 1 on"),
        ({"tolerance": 0}, "tolerance between 0 and 1"),
    ],
)
def test_impossible_settings_are_named(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RobustClassifier(network(), **SETTINGS | changes, learning_rate=0.1, weight_decay=0.0)
