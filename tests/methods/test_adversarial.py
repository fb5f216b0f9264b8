"""Attacks on linear networks, where the answer is known by hand, and what is said of images that do not count."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.adversarial import adversarial, boxed, gradient_sign, stepped
from deepinside.methods.box_descent import box_descent
from deepinside.network import Network, Preprocessing, chosen_class, chosen_classes
from deepinside.plots.adversarial import attacked
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

SETTINGS = {"weight": 0.01, "steps": 30, "bisections": 6, "images": 3, "batch_size": 2, "boxed_images": 1}


class Linear(nn.Module):
    """Scores w_k · x of three classes over 3 x 4 x 5 pixels; `conv` passes the image on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.conv.weight = nn.Parameter(torch.eye(3).view(3, 3, 1, 1))
        self.relu = nn.ReLU()
        self.head = nn.Linear(60, 3)
        weights = torch.randn(3, 60, generator=torch.Generator().manual_seed(3))
        self.head.weight = nn.Parameter(weights)
        self.head.bias = nn.Parameter(torch.tensor([0.5, 0.0, -0.5]) - weights.sum(1) / 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.conv(x)).flatten(1))


def linear() -> Network:
    return Network(Linear(), Preprocessing((0, 0, 0), (1, 1, 1), 4, 4), ["tench", "goldfish, gold", "shark"], "linear")


def some(count: int = 3, labels: tuple[int, ...] | None = None) -> Pictures:
    images = 0.45 + 0.1 * torch.rand(count, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(f"p{i}" for i in range(count)), labels or (-1,) * count, empty, lambda i: images[i])


def seen(network: Network, pictures: Pictures) -> list[int]:
    return [int(network(pictures.read(i)[None]).argmax()) for i in range(len(pictures))]


def test_gradient_sign_of_a_linear_network_by_hand() -> None:
    network = linear()
    image = some().read(0)[None]
    chances = network(image).softmax(1)[0]
    weights = network.layer("head").weight
    # dJ/dx of class 1 = sum_k p_k w_k - w_1
    expected = ((chances[:, None] * weights).sum(0) - weights[1]).sign().view(1, 3, 4, 5)
    assert torch.equal(gradient_sign(network, image, torch.tensor([1])), expected)
    moved = stepped(image, expected, 51)  # 0.2
    assert torch.allclose(moved - image, 0.2 * expected)
    assert stepped(torch.full((1, 3, 2, 2), 0.99), torch.ones(1, 3, 2, 2), 8).max() == 1


def test_descent_within_the_box_ends_at_its_wall() -> None:
    aim = torch.tensor([0.25, 1.5, -0.5]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    found = box_descent(lambda x: (x - aim).square().sum(), torch.full((1, 3, 4, 5), 0.5), steps=50)
    assert torch.allclose(found, aim.clamp(0, 1), atol=1e-5)
    with pytest.raises(ValueError, match="finite loss"):
        box_descent(lambda x: x.sum() * math.nan, torch.rand(1, 3, 4, 5), steps=2)


def test_nearest_picture_is_the_projection_onto_the_boundary() -> None:
    # Of two classes whose scores differ by a·x + b the nearest image of the other class lies |a·x + b| / |a| away.
    network = linear()
    with torch.no_grad():
        network.layer("head").bias[2] = -1e4  # never seen
    image = some().read(0)[None]
    scores = network(image)[0]
    first = int(scores.argmax())
    other = 1 - first
    weights = network.layer("head").weight
    distance = float((scores[first] - scores[other]) / (weights[first] - weights[other]).norm())
    found = boxed(network, image, other, weight=0.01, steps=60, bisections=12)
    assert found.success
    assert int(network(found.image).argmax()) == other
    length = float((found.image - image).norm())
    assert distance <= length < 1.02 * distance
    assert found.image.min() >= 0
    assert found.image.max() <= 1
    lost = boxed(network, image, 2, weight=0.01, steps=3, bisections=2)
    assert not lost.success
    assert math.isnan(lost.weight)


def test_rows_are_what_they_say() -> None:
    network, pictures = linear(), some()
    study = adversarial(network, pictures, eps=[1, 20], layers=["conv"], **SETTINGS)
    table = study.table
    assert len(table) == 3 * 2 * 2 + 1  # images x eps x (fgsm, random), and one by lbfgs
    classes = seen(network, pictures)
    row = table[(table["picture"] == "p2") & (table["attack"] == "fgsm") & (table["eps"] == 20)].iloc[0]
    image = pictures.read(2)[None]
    moved = stepped(image, gradient_sign(network, image, torch.tensor([classes[2]])), 20)
    chances = network(moved).softmax(1)[0]
    assert row["seen_before"] == classes[2]
    assert row["seen_after"] == int(chances.argmax())
    assert bool(row["success"]) == (row["seen_after"] != classes[2])
    assert row["probability_after"] == pytest.approx(float(chances[classes[2]]), rel=1e-5)
    assert row["l2"] == pytest.approx(float((moved - image).norm()), rel=1e-5)
    assert row["linf"] == pytest.approx(20 / 255, rel=1e-4)
    assert row["distance.conv"] == pytest.approx(float((moved - image).norm() / image.norm()), rel=1e-4)
    assert row["saliency_same"] == pytest.approx(1)  # a linear score has the same gradient everywhere
    random = table[(table["attack"] == "random") & (table["eps"] == 20)]
    assert (random["linf"] - 20 / 255).abs().max() < 1e-6
    assert (random["l2"] - 20 / 255 * 60**0.5).abs().max() < 1e-5
    assert table[table["attack"] == "lbfgs"]["success"].item() == 1


def test_only_pictures_that_are_got_right_count() -> None:
    network = linear()
    right = seen(network, some())
    labels = (right[0], (right[1] + 1) % 3, -1)
    study = adversarial(network, some(labels=labels), eps=[8], layers=["conv"], **SETTINGS)
    rows = {row.metric: row for row in study.numbers}
    assert rows["counted"].value == 2
    assert rows["fgsm.eps_8.success_rate"].n == 2
    wrong = study.table[study.table["picture"] == "p1"]
    assert wrong["success"].isna().all()
    assert not wrong["counted"].any()


def test_nothing_right_is_not_zero(tmp_path: Path) -> None:
    network = linear()
    labels = tuple((label + 1) % 3 for label in seen(network, some()))
    study = adversarial(network, some(labels=labels), eps=[1, 8], layers=["conv"], **SETTINGS)
    rows = {row.metric: row for row in study.numbers}
    assert rows["counted"].value == 0
    assert math.isnan(rows["fgsm.eps_8.success_rate"].value)
    assert rows["fgsm.eps_8.success_rate"].n == 0
    study.write(tmp_path, "adversarial")
    first, *_ = attacked(Study.read(tmp_path, "adversarial"))
    assert "0 of 3 images" in first.caption
    first.picture.savefig(tmp_path / "curves.png")


def test_a_picture_that_is_the_target_already_does_not_count() -> None:
    network = linear()
    goal = seen(network, some())[0]
    study = adversarial(network, some(), eps=[1], target=goal, layers=["conv"], **SETTINGS)
    row = study.table[study.table["attack"] == "lbfgs"].iloc[0]
    assert not row["counted"]
    assert math.isnan(row["success"])


def test_the_same_seed_gives_the_same_noise() -> None:
    def noisy(seed: int) -> list[float]:
        study = adversarial(linear(), some(), eps=[4], layers=["conv"], seed=seed, **SETTINGS | {"boxed_images": 0})
        assert "lbfgs" not in set(study.table["attack"])
        return study.table[study.table["attack"] == "random"]["probability_after"].tolist()

    assert noisy(0) == noisy(0)
    assert noisy(0) != noisy(1)


def test_bad_input_is_said() -> None:
    for eps in ([], [-1], [0, 1]):
        with pytest.raises(ValueError, match="eps above 0"):
            adversarial(linear(), some(), eps=eps, **SETTINGS)
    with pytest.raises(KeyError, match="did you mean 'conv'"):
        adversarial(linear(), some(), eps=[1], layers=["cnov"], **SETTINGS)
    with pytest.raises(KeyError, match="did you mean 'goldfish'"):
        adversarial(linear(), some(), eps=[1], target="goldfihs", **SETTINGS)
    with pytest.raises(ValueError, match=r"class of 0\.\.2, got 7"):
        adversarial(linear(), some(), eps=[1], target=7, **SETTINGS)


def test_classes_by_number_word_and_count() -> None:
    network = linear()
    assert [chosen_class(network, word) for word in (1, "goldfish, gold", "gold", "shark")] == [1, 1, 1, 2]
    assert chosen_classes(network, 2) == (0, 1)
    assert chosen_classes(network, ["shark", 0]) == (2, 0)
    for wanted in ([], ["shark", 2], 4, 0):
        with pytest.raises(ValueError, match="class"):
            chosen_classes(network, wanted)


def test_drawn(tmp_path: Path) -> None:
    study = adversarial(linear(), some(), eps=[1, 8], layers=["conv", "relu"], **SETTINGS)
    study.write(tmp_path, "adversarial")
    drawn = list(attacked(Study.read(tmp_path, "adversarial")))
    assert [one.name for one in drawn] == ["curves", "01", "02", "03"]
    assert [len(one.picture.axes) for one in drawn] == [3, 12, 9, 9]  # lbfgs was tried on the first alone
    for one in drawn:
        one.picture.savefig(tmp_path / f"{one.name}.png")
