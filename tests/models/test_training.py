import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.models import classifier as classifier_module
from deepinside.models.classifier import Classifier, read_history
from deepinside.models.convnet import convnet
from deepinside.models.training import classification_errors, fit

NET = {"widths": (4, 4, 6, 6, 6), "hidden": (8, 8), "kernel": 3, "stride": 1, "input": 24, "resize": 26}
TRAIN = {
    "epochs": 4,
    "batch_size": 8,
    "optimiser": {"optimiser": "adamw", "learning_rate": 0.02, "weight_decay": 0.01},
    "augmentation": {"flip": 0.5, "zero": 0.3, "light": 0.1},
    "trainer": {"devices": 1, "precision": "32-true"},
    "device": "cpu",
}


def write(root, count=40):
    """Left or right half bright: two classes that four epochs can tell apart."""
    entries = []
    for i in range(count):
        random = np.random.default_rng(i)
        pixels = random.integers(0, 120, (28, 36, 3), dtype=np.uint8)
        part = slice(None, 14) if i % 2 == 0 else slice(14, None)
        pixels[part] += 100
        Image.fromarray(pixels).save(root / f"p{i:02d}.png")
        split = "val" if i >= count - 12 else "train"
        entries.append(Entry(f"p{i:02d}", f"p{i:02d}.png", split, i % 2, NO_BOXES, 36, 28))
    return Index(root, ("u", "l"), ("upper", "lower"), tuple(entries))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write(tmp_path_factory.mktemp("pictures"))


def built(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return convnet(classes=("upper", "lower"), **(NET | {"normalisation": "batch"} | changes))


def fitted(index, out, network=None, limit=None, **changes):
    network = network or built()
    train = index.split("train").balanced(limit)
    history = fit(network, train, index.split("val"), out=out, seed=7, **(TRAIN | changes))
    return network, history


@pytest.fixture(scope="module")
def whole(index, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return out, *fitted(index, out)


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[key]) for key, value in first.items())


def test_it_learns_and_ends_with_the_weights_of_the_last_epoch(whole):
    out, network, history = whole
    assert [row.epoch for row in history] == [0, 1, 2, 3]
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].val_top1_error < 0.2
    assert min(row.val_top1_error for row in history[:-1]) <= history[-1].val_top1_error  # an earlier one was as good
    assert history[-1].val_top5_error is None  # of two classes
    last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 3
    weights = {key.removeprefix("network.module."): value for key, value in last["state_dict"].items()}
    assert same(network.module.state_dict(), {key: weights[key] for key in network.module.state_dict()})
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "checkpoints/last.ckpt",
        "history.csv",
    ]


def test_the_reported_errors_are_those_of_the_centre_crop(whole, index):
    _, network, history = whole
    errors = classification_errors(network, index.split("val"), crops="centre")
    assert errors.top1.mean() == pytest.approx(history[-1].val_top1_error)
    assert errors.images == tuple(entry.image for entry in index.split("val").entries)
    assert classification_errors(network, index.split("val"), crops="ten", limit=5).top5.tolist() == [False] * 5


@pytest.mark.parametrize(
    ("place", "call", "changes"),
    [
        ("training_step", 7, {}),
        ("training_step", 7, {"workers": 2, "cache_gb": 0.0}),  # they read ahead
        ("validation_step", 3, {}),
        ("write_history", 3, {}),
    ],
)
def test_a_run_that_was_killed_ends_with_the_same_bits(whole, index, tmp_path, monkeypatch, place, call, changes):
    out, uninterrupted, history = whole
    owner = classifier_module if place == "write_history" else Classifier
    original, calls = getattr(owner, place), []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise RuntimeError("killed")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, place, dying)
        with pytest.raises(RuntimeError, match="killed"):
            fitted(index, tmp_path, **changes)
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
    network, resumed = fitted(index, tmp_path, **changes)
    assert resumed == history
    assert (tmp_path / "history.csv").read_bytes() == (out / "history.csv").read_bytes()
    assert same(network.module.state_dict(), uninterrupted.module.state_dict())


def test_a_finished_run_is_only_read(whole, index, monkeypatch):
    out, uninterrupted, history = whole

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(Classifier, "training_step", never)
    network, again = fitted(index, out)
    assert again == history
    assert same(network.module.state_dict(), uninterrupted.module.state_dict())


def test_dropout_and_seed_matter_and_nothing_outside_is_touched(whole, index, tmp_path):
    _, _, history = whole
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    flags = torch.are_deterministic_algorithms_enabled()
    level = logging.getLogger("pytorch_lightning").level
    _, other = fitted(index, tmp_path / "a", network=built(dropout=0.1), epochs=1)
    assert torch.equal(torch.rand(3), expected)  # the caller's generator went on as if nothing had happened
    assert torch.are_deterministic_algorithms_enabled() == flags
    _, again = fitted(index, tmp_path / "b", network=built(dropout=0.1), epochs=1)
    assert again == other
    assert other[0].train_loss != history[0].train_loss
    assert logging.getLogger("pytorch_lightning").level == level


def test_it_says_nothing_where_there_is_no_terminal(index, tmp_path, capfd):
    fitted(index, tmp_path, epochs=1)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_response_normalisation_and_sgd_train_too(index, tmp_path):
    options = {"optimiser": "sgd", "learning_rate": 0.01, "weight_decay": 5e-4, "momentum": 0.9}
    _, history = fitted(index, tmp_path, network=built(normalisation="lrn"), optimiser=options, channels_last=False)
    assert history[-1].train_loss < history[0].train_loss


def test_a_limit_is_balanced(index, tmp_path, monkeypatch):
    seen = []
    original = Classifier.training_step
    monkeypatch.setattr(Classifier, "training_step", lambda *a: seen.extend(a[1][1].tolist()) or original(*a))
    fitted(index, tmp_path, epochs=1, limit=8)
    assert sorted(seen) == [0] * 4 + [1] * 4


def test_a_training_of_four_steps_rises_in_the_first(index, tmp_path):
    """A quarter of four steps is one, where torch's cycle would divide by zero."""
    optimiser = TRAIN["optimiser"] | {"warm_up": 0.25}
    assert len(fitted(index, tmp_path, limit=16, epochs=2, optimiser=optimiser)[1]) == 2


def test_a_learning_rate_that_explodes_is_told(index, tmp_path):
    options = {"optimiser": "sgd", "learning_rate": 1e30, "weight_decay": 0.0}
    with pytest.raises(FloatingPointError, match="learning_rate"):
        fitted(index, tmp_path, network=built(normalisation="none"), optimiser=options)


def test_broken_and_unlabelled_pictures_in_a_test(whole, tmp_path):
    _, network, _ = whole
    own = write(tmp_path, 6)
    (tmp_path / "p03.png").write_bytes(b"no image")
    errors = classification_errors(network, own)
    assert errors.images == ("p00", "p01", "p02", "p04", "p05")
    assert [file for file, _ in errors.set_aside] == ["p03.png"]
    assert len(errors.top1) == 5
    blind = Index(tmp_path, own.ids, own.classes, tuple(Entry(**(vars(e) | {"label": -1})) for e in own.entries))
    with pytest.raises(ValueError, match="6 of 6 images have no label"):
        classification_errors(network, blind)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.models import test_training as t
if __name__ == "__main__":
    import torch
    torch.set_num_threads(1)
    index = t.write(Path(sys.argv[1]))
    changes = {"trainer": {"devices": 2}, "epochs": 2} if sys.argv[4] == "2" else {"epochs": 400}
    network, _ = t.fitted(index, Path(sys.argv[2]), **changes)
    last = torch.load(Path(sys.argv[2]) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all((last[f"network.module.{key}"] == weights).all() for key, weights in network.module.state_dict().items())
"""


def started(tmp_path, devices):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "run.py").write_text(SCRIPT)
    root = Path(__file__).resolve().parents[2]
    words = [tmp_path / "run.py", tmp_path / "pictures", tmp_path / "out", root, devices]
    return subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_devices_learn_together(tmp_path):
    process = started(tmp_path, 2)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    history = read_history(tmp_path / "out")
    assert [row.epoch for row in history] == [0, 1]
    assert history[1].train_loss < history[0].train_loss


@pytest.mark.slow
def test_a_real_kill_leaves_a_checkpoint_to_go_on_from(tmp_path):
    process = started(tmp_path, 1)
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = torch.load(last, weights_only=True)
    assert len(read_history(tmp_path / "out")) >= kept["epoch"] + 1
