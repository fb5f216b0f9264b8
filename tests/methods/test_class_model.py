"""Class models: against the closed form, step by step, and what must not matter."""

import pytest
import torch
from torch import nn

from deepinside.methods.class_model import class_model
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch

SETTINGS = {"objective": "score", "l2": 0.0, "steps": 4, "grey_levels": 2.0, "momentum": 0.0}


def network(classes: int = 3) -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, classes))
    recipe = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), input=9, resize=9)
    return Network(module, recipe, [f"class {i}" for i in range(classes)], "toy")


def batch(*classes: int) -> Batch:
    return Batch(torch.zeros(len(classes), 3, 1, 1), tuple(map(str, classes)), torch.tensor(classes))


def test_the_zero_picture_shows_the_mean() -> None:
    picture = class_model(network(), batch(1), **SETTINGS | {"grey_levels": 0.0}).values
    expected = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1).expand(1, 3, 9, 9)
    assert torch.allclose(picture, expected)


def test_steps_by_hand() -> None:
    net = network()
    mean = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)
    grey = torch.zeros(1, 3, 9, 9, dtype=torch.float32)
    velocity = torch.zeros_like(grey)
    for step in range(3):
        x = grey.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(mean + x / 255)[0, 2] - 1e-3 * x.square().sum(), x)
        velocity = 0.9 * velocity + 2.0 * (1 - step / 3) * gradient / gradient.abs().mean()
        grey = grey + velocity
    ours = class_model(net, batch(2), **SETTINGS | {"l2": 1e-3, "steps": 3, "momentum": 0.9}).values
    assert torch.allclose(ours, (mean + grey / 255).clamp(0, 1), atol=1e-5)


def test_norm_term_pulls_towards_the_closed_form() -> None:
    # S = w·I with gradient g per grey level: argmax of g·I - l2·I² is g / (2·l2).
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x.sum((1, 2, 3)) * 255, -x.sum((1, 2, 3))], 1)

    net = Network(Sum(), Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 4, 4), ["a", "b"], "sum")
    made = class_model(net, batch(0), **SETTINGS | {"l2": 0.05, "steps": 400, "grey_levels": 0.2})
    assert made.traces["norm"][-1].item() == pytest.approx(1 / (2 * 0.05), rel=0.02)


def test_a_picture_does_not_depend_on_its_batch() -> None:
    net = network()
    together = class_model(net, batch(0, 1, 2), **SETTINGS).values
    alone = torch.cat([class_model(net, batch(c), **SETTINGS).values for c in range(3)])
    assert (together - alone).abs().max() <= 1e-4


def test_score_rises_and_the_network_stays_as_it_was() -> None:
    net = network()
    before = [p.clone() for p in net.parameters()]
    made = class_model(net, batch(0, 2), **SETTINGS | {"steps": 20})
    assert (made.traces["score"][-1] > made.traces["score"][0]).all()
    assert made.traces["score"].shape == (20, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())


def test_softmax_variant_raises_the_probability() -> None:
    made = class_model(network(), batch(0), **SETTINGS | {"objective": "softmax", "steps": 20})
    assert made.traces["probability"][-1] > made.traces["probability"][0]


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="'logit'"):
        class_model(network(), batch(0), **SETTINGS | {"objective": "logit"})

    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum((1, 2, 3))[:, None] * torch.tensor([[1.0, 0.0]])

    net = Network(Constant(), Preprocessing((0, 0, 0), (1, 1, 1), 4, 4), ["a", "dead"], "c")
    with pytest.raises(ValueError, match="dead"):
        class_model(net, batch(1), **SETTINGS)


def test_a_network_that_is_silent_on_a_blank_picture_is_woken_by_noise() -> None:
    class Late(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([(x - 0.03).relu().sum((1, 2, 3)), (x - 0.02).relu().sum((1, 2, 3))], dim=1)

    net = Network(Late(), Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 4, 4), ["a", "b"], "late")
    settings = SETTINGS | {"steps": 30, "l2": 1e-6, "momentum": 0.9}  # the pull to zero is no sign of life
    made = class_model(net, batch(0, 1), **settings)
    assert (made.traces["score"][0] == 0).all()
    assert (made.traces["score"][-1] > 1).all()
    assert torch.equal(made.values[:1], class_model(net, batch(0), **settings).values)
