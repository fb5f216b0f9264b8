"""Input times gradient: by hand, in pixels, against the score itself and captum."""

import pytest
import torch
from captum.attr import InputXGradient
from torch import nn

from deepinside.methods.input_x_gradient import input_x_gradient
from deepinside.network import Network, Preprocessing
from deepinside.probe import UndefinedRule
from deepinside.records import Batch

RECIPES = {
    "torchvision": Preprocessing(input=6, resize=8),
    "caffe": Preprocessing(mean=(104, 117, 123), std=(1, 1, 1), input=6, resize=8, bgr=True, scale=255.0),
}


def small(recipe: Preprocessing, *, bias: bool = True) -> Network:
    torch.manual_seed(1)
    parts = [nn.Conv2d(3, 5, 3, padding=1, bias=bias), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True)]
    parts += [
        nn.Conv2d(5, 4, 3, bias=bias),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3, bias=bias),
    ]
    return Network(nn.Sequential(*parts), recipe, "abc", "small")


class Weighted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kc->nk", x, torch.tensor([[1.0, -5, 2], [0.5, 0, 4]]))


def test_by_hand() -> None:
    # Normalised blue, green, red: (0.4·10 - 1)/2 = 1.5, (0.2·10 - 2)/1 = 0, (0.1·10 - 3)/4 = -0.5.
    recipe = Preprocessing(mean=(1, 2, 3), std=(2, 1, 4), input=6, resize=8, bgr=True, scale=10.0)
    images = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    found = input_x_gradient(
        Network(Weighted(), recipe, "ab", "n"), Batch(images, ("x",)), classes=torch.tensor([[0, 1]])
    )
    assert found.signed
    assert found.values.shape == (1, 2, 4, 5)
    assert torch.allclose(found.values[0, 0], torch.tensor(1.5 * 1 + 0 * -5 - 0.5 * 2))
    assert torch.allclose(found.values[0, 1], torch.tensor(1.5 * 0.5 + 0 - 0.5 * 4))


@pytest.mark.parametrize("name", RECIPES)
def test_equals_pixels_minus_mean_times_gradient_of_pixels(name: str) -> None:
    recipe = RECIPES[name]
    net = small(recipe).double()
    images = torch.rand(2, 3, 9, 12, dtype=torch.float64)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf)[[0, 1], [2, 0]].sum(), leaf)
    mean = torch.tensor(recipe.mean, dtype=torch.float64) / recipe.scale
    mean = (mean.flip(0) if recipe.bgr else mean).view(1, 3, 1, 1)
    found = input_x_gradient(net, Batch(images, ("x", "y"), torch.tensor([2, 0]))).values[:, 0]
    assert torch.allclose(found, ((images - mean) * gradient).sum(1), atol=1e-6 * float(found.abs().max()))


def test_adds_up_to_the_score_where_there_are_no_biases() -> None:
    net = small(RECIPES["torchvision"], bias=False).double()
    images = torch.rand(3, 3, 9, 12, dtype=torch.float64)
    classes = torch.tensor([[0, 1], [1, 2], [2, 0]])
    found = input_x_gradient(net, Batch(images, ("x", "y", "z")), classes=classes).values
    assert torch.allclose(found.sum((2, 3)), net(images).gather(1, classes))
    assert (found < 0).any()
    assert (found > 0).any()


@pytest.mark.parametrize("name", RECIPES)
def test_equal_to_captum(name: str) -> None:
    net = small(RECIPES[name])
    images, classes = torch.rand(2, 3, 9, 12), torch.tensor([1, 2])
    theirs = InputXGradient(net.module).attribute(net.normalise(images).requires_grad_(), target=classes).sum(1)
    ours = input_x_gradient(net, Batch(images, ("x", "y"), classes)).values[:, 0]
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()


def test_rules_and_what_is_missing() -> None:
    net = small(RECIPES["torchvision"])
    batch = Batch(torch.rand(1, 3, 9, 12), ("x",), torch.tensor([1]))
    assert not torch.allclose(input_x_gradient(net, batch, rule="guided").values, input_x_gradient(net, batch).values)
    assert all(weights.grad is None for weights in net.parameters())
    with pytest.raises(ValueError, match="name the class"):
        input_x_gradient(net, Batch(batch.images, ("x",)))
    with pytest.raises(ValueError, match=r"0\.\.2, got \[3\]"):
        input_x_gradient(net, Batch(batch.images, ("x",), torch.tensor([3])))
    unruled = Network(nn.Sequential(nn.SiLU(), nn.Flatten()), RECIPES["torchvision"], "ab", "n")
    with pytest.raises(UndefinedRule, match="Silu"):
        input_x_gradient(unruled, batch, rule="guided")
