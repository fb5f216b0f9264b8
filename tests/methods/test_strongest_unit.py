"""The strongest unit of a layer, found and carried back by hand."""

import pytest
import torch
from torch import nn

from deepinside.methods.strongest_unit import strongest_unit
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch


def network() -> Network:
    """Two units of 1x1 filters: red - 2 green, and blue / 2."""
    module = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    module[0].weight.data = torch.tensor([[1.0, -2, 0], [0, 0, 0.5]])[..., None, None]
    return Network(module, Preprocessing((0, 0, 0), (1, 1, 1), 4, 4), ("a", "b"), "two units")


def test_one_activation_by_hand() -> None:
    images = torch.zeros(2, 3, 2, 3)
    images[0, :, 1, 2] = torch.tensor([0.9, 0.1, 1.0])  # red - 2 green = 0.7, blue / 2 = 0.5: the first unit
    images[0, 2, 0] = 1  # more blue in all, but nowhere more than 0.5
    images[1, :, 0, 1] = torch.tensor([0.6, 0.1, 1.0])  # 0.4 and 0.5: the second
    maps = strongest_unit(network(), Batch(images, ("x", "y")), layer="1")
    expected = torch.zeros(2, 1, 2, 3)
    expected[0, 0, 1, 2] = -2 * 0.7  # of 0.7 * (1, -2, 0) the largest magnitude, with its sign
    expected[1, 0, 0, 1] = 0.5 * 0.5
    assert maps.signed
    assert torch.allclose(maps.values, expected)


def test_a_layer_without_maps() -> None:
    net = network()
    images = torch.rand(2, 3, 2, 3)
    scores = net(images).detach()
    maps = strongest_unit(net, Batch(images, ("x", "y")), layer="3", rule="gradient").values
    for image, score, map_ in zip(images, scores, maps, strict=True):
        x = image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(x)[0, score.argmax()] * score.max(), x)
        best = gradient[0].abs().argmax(dim=0, keepdim=True)
        assert torch.allclose(map_, gradient[0].gather(0, best), atol=1e-6)


def test_unknown_layers_name_the_closest() -> None:
    with pytest.raises(KeyError, match="no layer '1x'"):
        strongest_unit(network(), Batch(torch.rand(1, 3, 2, 3), ("x",)), layer="1x")


def test_tokens_are_no_units() -> None:
    net = Network(
        nn.Sequential(nn.Flatten(2), nn.Linear(6, 4), nn.Flatten(), nn.Linear(12, 2)),
        Preprocessing(input=4, resize=4),
        ("a", "b"),
        "tokens",
    )
    with pytest.raises(ValueError, match=r"'1' has activations of shape \(1, 3, 4\)"):
        strongest_unit(net, Batch(torch.rand(1, 3, 2, 3), ("x",)), layer="1")
