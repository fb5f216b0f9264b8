"""The gradient of a strided convolution at its input, beside PyTorch's own."""

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d

from deepinside.network import Network, Preprocessing
from deepinside.runtime.pixel_gradient import FastPixelGradient, input_gradient


def plain(images, weight, stride, padding):
    images = images.clone().requires_grad_()
    answer = conv2d(images, weight, None, stride, padding)
    signal = torch.randn(answer.shape, generator=torch.Generator().manual_seed(1), dtype=answer.dtype)
    return signal, torch.autograd.grad(answer, images, signal)[0]


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    more=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    stride=st.integers(1, 6),
    padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    channels=st.integers(1, 4),
)
def test_every_shape_has_the_gradient_of_pytorch(kernel, more, stride, padding, channels):
    random = torch.Generator().manual_seed(0)
    size = [side + extra for side, extra in zip(kernel, more, strict=True)]
    images = torch.randn(2, channels, *size, generator=random, dtype=torch.float64)
    weight = torch.randn(5, channels, *kernel, generator=random, dtype=torch.float64)
    signal, expected = plain(images, weight, stride, padding)
    found = input_gradient(signal, weight, size, (stride, stride), padding)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_another_stride_along_each_side_is_refused():
    with pytest.raises(ValueError, match="same stride along both sides"):
        input_gradient(torch.zeros(1, 2, 3, 3), torch.zeros(2, 3, 4, 4), (8, 8), (2, 1), (0, 0))


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_0", "resnet18"])
def test_networks_have_the_gradient_of_plain_autograd(name):
    torch.manual_seed(0)
    network = Network(torchvision.models.get_model(name, weights=None), Preprocessing(), range(1000), name)
    images = torch.rand(2, 3, 224, 224, requires_grad=True)
    ours = torch.autograd.grad(network(images)[:, 0].sum(), images)[0]
    theirs = torch.autograd.grad(network.module(network.normalise(images))[:, 0].sum(), images)[0]
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert not torch.equal(ours, theirs)  # by another order of summation: it is not PyTorch's kernel


def graph_of(module, images):
    with FastPixelGradient():
        return type(module(images).grad_fn).__name__


@pytest.mark.parametrize(
    ("module", "channels", "ours"),
    [
        (nn.Conv2d(3, 4, 7, stride=2), 3, True),
        (nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False), 3, True),
        (nn.Conv2d(3, 4, 7), 3, False),  # no stride
        (nn.Conv2d(3, 4, 3, stride=2), 3, False),  # a small kernel
        (nn.Conv2d(8, 4, 7, stride=2), 8, False),  # many channels
        (nn.Conv2d(3, 3, 7, stride=2, groups=3), 3, False),
        (nn.Conv2d(3, 4, 7, stride=2, dilation=2), 3, False),
        (nn.Conv2d(3, 4, 7, padding="same"), 3, False),
        (nn.Conv2d(3, 4, (7, 6), stride=(2, 3)), 3, False),
    ],
)
def test_only_where_it_is_faster(module, channels, ours):
    images = torch.rand(1, channels, 32, 32, requires_grad=True)
    assert (graph_of(module.requires_grad_(False), images) == "_ConvolutionBackward") is ours


def test_weights_that_learn_keep_their_gradient():
    module, images = nn.Conv2d(3, 4, 7, stride=2), torch.rand(1, 3, 32, 32, requires_grad=True)
    with FastPixelGradient():
        module(images).sum().backward()
    assert module.weight.grad is not None


def test_gradients_of_gradients():
    weight = torch.randn(4, 3, 5, 5, dtype=torch.float64)

    def work(images):
        with FastPixelGradient():
            return conv2d(images, weight, None, 2, 1).sin()

    images = torch.randn(1, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(work, (images,))
