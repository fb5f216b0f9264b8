"""Projections of single activations, by hand: axes are (n, c, h, w), h != w."""

import pytest
import torch
from torch import nn

from deepinside.methods.deconvnet import project, strongest
from deepinside.network import Network, Preprocessing
from deepinside.probe import contrast_rule


def network(**parts: nn.Module) -> Network:
    module = nn.Sequential()
    for name, part in parts.items():
        module.add_module(name, part)
    return Network(module, Preprocessing((0, 0, 0), (1, 1, 1), 8, 8), ["a", "b"], "net")


@pytest.fixture
def small() -> Network:
    torch.manual_seed(0)
    return network(
        conv1=nn.Conv2d(3, 4, 3, 2, 1),
        relu1=nn.ReLU(inplace=True),
        norm1=nn.LocalResponseNorm(3, 1.0, 0.75, 2.0),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=nn.Conv2d(4, 6, 3, 1, 1, groups=2),
        relu2=nn.ReLU(inplace=True),
    )


def test_one_filter_at_one_place_is_the_filter_times_the_activation() -> None:
    conv = nn.Conv2d(3, 2, (2, 3), bias=False)
    torch.manual_seed(1)
    images = torch.rand(1, 3, 5, 7)
    net = network(conv=conv)
    found = project(net, images, layer="conv", units=[1], positions=torch.tensor([[2, 3]]))
    expected = torch.zeros(1, 3, 5, 7)
    expected[0, :, 2:4, 3:6] = conv.weight[1] * found.values[0]
    assert torch.allclose(found.pixels, expected)
    assert found.values[0] == pytest.approx(float((images[0, :, 2:4, 3:6] * conv.weight[1]).sum()), rel=1e-5)


def test_without_a_position_the_strongest_of_each_image(small: Network) -> None:
    images = torch.rand(3, 3, 13, 17)
    found = project(small, images, layer="relu2", units=[0, 5, 2])
    alone = [project(small, images[i : i + 1], layer="relu2", units=[unit]) for i, unit in enumerate([0, 5, 2])]
    assert torch.allclose(found.pixels, torch.cat([one.pixels for one in alone]), atol=1e-7)
    maps = small.module(images)[range(3), [0, 5, 2]]
    assert torch.equal(found.values, maps.amax(dim=(1, 2)))
    assert torch.equal(found.positions, strongest(maps))


def test_strongest_by_hand() -> None:
    maps = torch.tensor([[[0.0, 1, 2], [5, 4, 3]], [[7.0, 1, 7], [0, 0, 0]]])  # (n, y, x) = (2, 2, 3)
    assert strongest(maps).tolist() == [[1, 0], [0, 0]]  # the first of equals


def test_nothing_comes_back_outside_the_receptive_field(small: Network) -> None:
    # conv1 3/2 pad 1, pool1 3/2, conv2 3/1 pad 1: field 15, stride 4, offset -5 (y, x).
    images = torch.rand(1, 3, 40, 44)
    found = project(small, images, layer="relu2", units=[3], positions=torch.tensor([[5, 6]]))
    seen = found.pixels.abs().sum(1)[0] > 0
    outside = torch.ones(40, 44, dtype=torch.bool)
    outside[15:30, 19:34] = False
    assert not (seen & outside).any()


def test_the_identity_through_contrast_normalisation_changes_only_the_way_back(small: Network) -> None:
    images = torch.rand(2, 3, 13, 17)
    passed = project(small, images, layer="pool1", units=[1, 1], rule="gradient", contrast="identity")
    exact = project(small, images, layer="pool1", units=[1, 1], rule="gradient", contrast="gradient")
    assert torch.equal(passed.values, exact.values)
    assert not torch.allclose(passed.pixels, exact.pixels, rtol=1e-2)
    plain = network(**{name: part for name, part in small.module.named_children() if name[:4] != "norm"})
    x = images.clone().requires_grad_()
    with contrast_rule("identity"):
        answer = nn.functional.local_response_norm(x, 3, 1.0)
    (signal,) = torch.autograd.grad(answer.sum(), x)
    assert torch.equal(signal, torch.ones_like(x))
    assert plain.layers == ("conv1", "relu1", "pool1", "conv2", "relu2")


def test_the_end_of_a_fully_connected_network_projects_too() -> None:
    torch.manual_seed(2)
    net = network(conv=nn.Conv2d(3, 4, 3), relu=nn.ReLU(), flat=nn.Flatten(), fc=nn.Linear(4 * 3 * 5, 2))
    found = project(net, torch.rand(1, 3, 5, 7), layer="fc", units=[1])
    assert found.positions.tolist() == [[0, 0]]
    assert found.pixels.abs().sum() > 0


def test_a_nonlinearity_without_a_rule_below_the_layer_is_named() -> None:
    net = network(conv=nn.Conv2d(3, 4, 3), gelu=nn.GELU(), last=nn.Conv2d(4, 2, 3))
    with pytest.raises(ValueError, match="Gelu"):
        project(net, torch.rand(1, 3, 8, 9), layer="last", units=[0])
    assert project(net, torch.rand(1, 3, 8, 9), layer="last", units=[0], rule="gradient").pixels.abs().sum() > 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"layer": "relu3"}, KeyError, "did you mean 'relu"),
        ({"units": [6]}, ValueError, r"units 0\.\.5, not 6"),
        ({"units": [1, 2]}, ValueError, "one unit per image"),
        ({"positions": torch.tensor([[9, 0]])}, ValueError, r"0\.\.3"),
        ({"rule": "deconv"}, ValueError, "'deconvnet'"),
        ({"contrast": "none"}, ValueError, "contrast rule"),
    ],
)
def test_what_does_not_exist_is_named(small: Network, changes: dict, error: type, message: str) -> None:
    settings = {"layer": "relu2", "units": [0]} | changes
    with pytest.raises(error, match=message):
        project(small, torch.rand(1, 3, 13, 17), **settings)
