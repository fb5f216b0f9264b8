import math

import pytest
import torch
from torch import nn

from deepinside.models.classifier import Classifier, Epoch, read_history, tally, write_history
from deepinside.network import Network, Preprocessing

OPTIONS = {"learning_rate": 0.1, "weight_decay": 0.5}


def network():
    module = nn.Sequential(nn.Conv2d(3, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    return Network(module, Preprocessing(input=2, resize=2), ("a", "b"), "tiny").requires_grad_(True).train()


def test_tally_by_hand():
    scores = torch.tensor([[2.0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0], [7, 7, 7, 7, 7, 7]])
    loss, top1, top5, count = tally(scores, torch.tensor([0, 0, 2, -1])).tolist()
    first = math.log(math.e**2 + 5) - 2
    second = math.log(sum(math.exp(k) for k in range(6)))
    assert loss == pytest.approx(first + second + math.log(6))
    assert (top1, top5, count) == (1, 1, 3)  # the tie of the third counts for the network, the fourth has no label


def test_only_filters_and_matrices_decay(monkeypatch):
    classifier = Classifier(network(), **OPTIONS)
    monkeypatch.setattr(Classifier, "_steps", lambda _self: 10)
    optimiser = classifier.configure_optimizers()["optimizer"]
    decayed, free = optimiser.param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 3, 2, 2), (2, 2)]
    assert [tuple(p.shape) for p in free["params"]] == [(2,), (2,), (2,), (2,)]
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert type(optimiser).__name__ == "AdamW"
    classifier.optimiser = "sgd"
    assert type(classifier.configure_optimizers()["optimizer"]).__name__ == "SGD"


def test_the_loss_is_the_cross_entropy_of_bytes_over_255():
    classifier = Classifier(network(), **OPTIONS)
    classifier.network.module[1].eval()
    images, labels = torch.randint(0, 256, (5, 3, 2, 2), dtype=torch.uint8), torch.tensor([0, 1, 1, 0, 1])
    scores = classifier.network(images / 255).double()
    expected = -scores.log_softmax(1)[range(5), labels].mean()
    assert classifier.training_step((images, labels), 0).item() == pytest.approx(expected.item(), rel=1e-5)
    assert classifier.sums["train"][3] == 5


def test_a_loss_that_is_not_finite_stops_with_a_word():
    classifier = Classifier(network(), **OPTIONS)
    classifier.network.module[3].bias.data[0] = math.nan
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 0, step 4: lower .*learning_rate=0\.1"):
        classifier.training_step((torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([0, 1])), 4)


def test_scores_that_are_not_as_many_as_the_classes_are_refused():
    classifier = Classifier(network(), **OPTIONS)
    classifier.network.classes = ("a", "b", "c")
    with pytest.raises(ValueError, match=r"tiny gives 2 scores for 3 classes"):
        classifier.training_step((torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([0, 1])), 0)


def test_unknown_optimisers_are_refused():
    with pytest.raises(ValueError, match=r"sgd or adamw, got 'adam'"):
        Classifier(network(), optimiser="adam", **OPTIONS)


def test_history_comes_back(tmp_path):
    history = (Epoch(0, 1.5, 1.25, 0.5, 1e-3, 1 / 3), Epoch(1, 1.0, 0.5, 0.25, 0.0, 0.0))
    write_history(tmp_path, history)
    assert (tmp_path / "history.csv").read_text().splitlines()[:2] == [
        "epoch,train_loss,val_loss,val_top1_error,learning_rate,val_top5_error",
        "0,1.5,1.25,0.5,0.001,0.3333333333",
    ]
    assert [tuple(row) for row in read_history(tmp_path)] == [pytest.approx(tuple(row)) for row in history]
