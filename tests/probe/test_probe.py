"""Activations and receptive fields."""

import pytest
import torch
import torchvision
from torch import nn

from deepinside.network import Network, Preprocessing
from deepinside.probe import activations, capture, receptive_fields


def wrap(module: nn.Module) -> Network:
    return Network(module, Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=8, resize=8), ["a"], "net")


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.last = nn.Conv2d(2, 1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu_(self.conv(x))).mean((2, 3))


def test_capture_keeps_and_leaves_nothing() -> None:
    net = wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(inplace=True), nn.Flatten()))
    x = torch.rand(1, 3, 5, 6)  # h != w
    with capture(net, ["0", "1"]) as kept:
        net(x)
    assert kept["0"].shape == (1, 2, 3, 4)
    assert torch.equal(kept["1"], kept["0"].relu())  # the in-place ReLU did not overwrite the convolution
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_capture_notices_what_is_overwritten_in_place() -> None:
    with pytest.raises(ValueError, match="overwritten in place"), capture(net := wrap(Functional()), ["conv"]):
        net(torch.rand(1, 3, 8, 9))


def test_capture_refuses_a_layer_that_runs_twice() -> None:
    relu = nn.ReLU()
    with pytest.raises(ValueError, match="2 times"), capture(net := wrap(nn.Sequential(relu, relu)), ["0"]):
        net(torch.rand(1, 3, 4, 5))


def test_misspelt_layer_names_the_closest() -> None:
    net = wrap(torchvision.models.squeezenet1_0(weights=None))
    with pytest.raises(KeyError, match=r"features\.12"), capture(net, ["featurs.12"]):
        pass


def test_activations_stop_at_the_last_layer_asked_for() -> None:
    net = wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1, 1)))  # Linear does not fit
    kept = activations(net, torch.rand(2, 3, 5, 6), ["0", "1"])
    assert {name: tuple(t.shape) for name, t in kept.items()} == {"0": (2, 2, 3, 4), "1": (2, 2, 3, 4)}
    assert not any(part._forward_hooks for part in net.modules())


def test_activations_survive_in_place_functions() -> None:
    net = wrap(Functional())
    x = torch.rand(1, 3, 8, 9)
    kept = activations(net, x, ["conv", "last"])
    assert torch.equal(kept["conv"], net.module.conv(x))


def test_receptive_fields_equal_the_published_table() -> None:
    # PyTorch's VGG-16 as in NetDissect: size, stride, offset of conv3_3, conv4_3, conv5_3.
    net = wrap(torchvision.models.vgg16(weights=None))
    fields = receptive_fields(net, ["features.15", "features.22", "features.29"], (64, 96))
    found = {name: (f.size[0], f.stride[1], f.offset[0]) for name, f in fields.items()}
    assert found == {"features.15": (40, 4, -18), "features.22": (92, 8, -42), "features.29": (196, 16, -90)}


def test_receptive_field_of_caffes_alexnet() -> None:
    # conv1 11x11/4 without padding, two pools 3x3/2, conv2 5x5 pad 2, three 3x3 pad 1: 163, 16, -64.
    pool = nn.MaxPool2d(3, 2)
    convs = [nn.Conv2d(3, 1, 11, 4), pool, nn.Conv2d(1, 1, 5, padding=2), nn.MaxPool2d(3, 2)]
    convs += [nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)]
    field = receptive_fields(wrap(nn.Sequential(*convs)), ["6"], (227, 227))["6"]
    assert (field.size, field.stride, field.offset) == ((163, 163), (16, 16), (-64, -64))


def test_receptive_field_by_brute_force_with_two_paths_and_unequal_axes() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = nn.Conv2d(3, 1, 1, stride=2), nn.Conv2d(3, 1, (3, 5), 2, padding=(1, 2))
            self.join = nn.Conv2d(1, 1, 3, dilation=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.join(self.small(x) + self.large(x))

    net = wrap(Two())
    field = receptive_fields(net, ["join"], (40, 50))["join"]
    x = torch.rand(1, 3, 40, 50, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[0, 0, 3, 4], x)
    ys, xs = gradient[0].abs().sum(0).nonzero().T
    assert (int(ys.min()), int(xs.min())) == tuple(
        o + i * t for o, i, t in zip(field.offset, (3, 4), field.stride, strict=True)
    )
    assert (int(ys.max() - ys.min()) + 1, int(xs.max() - xs.min()) + 1) == field.size


def test_receptive_field_needs_a_spatial_layer() -> None:
    net = wrap(nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten()))
    with pytest.raises(ValueError, match="receptive field"):
        receptive_fields(net, ["1"], (8, 9))
