"""SmoothGrad: moments by hand, a slow loop, and what the noise may not depend on."""

import hashlib
import math

import pytest
import torch
from torch import nn

from deepinside.methods.saliency import saliency
from deepinside.methods.smooth_grad import AVERAGES, smooth_grad
from deepinside.network import Network, Preprocessing
from deepinside.probe import RULES
from deepinside.records import Batch

SETTINGS = {"copies": 6, "sigma": 0.2, "average": "signed", "batch_size": 4}


def small() -> Network:
    torch.manual_seed(2)
    parts = [nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)]
    parts += [nn.Conv2d(5, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    return Network(nn.Sequential(*parts), Preprocessing(input=6, resize=8), "abc", "small")


def batch(*names: str) -> Batch:
    made = [torch.rand(3, 9, 12, generator=torch.Generator().manual_seed(sum(map(ord, name)))) for name in names]
    return Batch(torch.stack(made), names, torch.tensor([ord(name) % 3 for name in names]))


class Squares(nn.Module):
    """S = half the sum of a_c·x² over channels and pixels: the gradient is a_c·x, noise and all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.square() * torch.tensor([1.0, -3.0, 0.0]).view(3, 1, 1)).sum((1, 2, 3), keepdim=True)[:, :, 0, 0] / 2


def squares(average: str, images: torch.Tensor) -> torch.Tensor:
    net = Network(Squares(), Preprocessing((0, 0, 0), (1, 1, 1), 6, 6), ["a"], "squares")
    settings = {"copies": 4000, "sigma": 0.1, "average": average, "batch_size": 500}
    return smooth_grad(net, Batch(images, ("x",), torch.tensor([0])), **settings).values[0, 0]


def test_moments_by_hand() -> None:
    # Pixels from 0.2 to 0.7: the noise has 0.1 · 0.5 = 0.05. Green's gradient -3x wins over red's x; no noisy pixel
    # changes its sign, for even the darkest lies four standard deviations above zero.
    images = torch.full((1, 3, 2, 3), 0.7)
    images[0, :, 0, 0] = 0.2
    expected = 3 * images[0, 1]
    assert torch.allclose(squares("signed", images), expected, atol=0.012)  # 3 · 0.05 / sqrt(4000) = 0.0024
    assert torch.allclose(squares("magnitude", images), expected, atol=0.012)
    assert torch.allclose(squares("square", images), (expected.square() + 0.15**2).sqrt(), atol=0.012)


def test_averages_differ_where_the_sign_of_the_gradient_does() -> None:
    # A black image with one white pixel: range 1, noise 0.1, gradients -3e around zero.
    images = torch.zeros(1, 3, 2, 3)
    images[0, :, 0, 0] = 1.0
    dark = {average: squares(average, images)[1] for average in AVERAGES}
    assert dark["signed"].max() < 0.03
    assert torch.allclose(dark["magnitude"], torch.tensor(0.3 * math.sqrt(2 / math.pi)), atol=0.015)
    assert torch.allclose(dark["square"], torch.tensor(0.3), atol=0.015)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("rule", RULES)
def test_without_noise_it_is_saliency(average: str, rule: str) -> None:
    net, pictures = small(), batch("a", "b")
    found = smooth_grad(net, pictures, **SETTINGS | {"sigma": 0.0, "average": average}, rule=rule).values
    expected = saliency(net, pictures, rule=rule).values
    assert (found - expected).abs().max() <= 1e-6 * expected.max()


def test_a_picture_of_one_colour_has_no_range_and_no_noise() -> None:
    net, pictures = small(), Batch(torch.full((1, 3, 9, 12), 0.3), ("flat",), torch.tensor([1]))
    assert torch.allclose(smooth_grad(net, pictures, **SETTINGS).values, saliency(net, pictures).values, atol=1e-7)


@pytest.mark.parametrize("average", AVERAGES)
def test_slow_and_plain(average: str) -> None:
    net, pictures = small(), batch("a", "b")
    classes = torch.tensor([[2, 0], [1, 1]])
    found = smooth_grad(net, pictures, **SETTINGS | {"average": average}, classes=classes).values
    slow = small().double()
    for row, name in enumerate(pictures.names):
        image = pictures.images[row].double()
        for column in range(2):
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
            generator = torch.Generator().manual_seed(seed)
            gradients = []
            for _ in range(6):
                noisy = image + 0.2 * (image.max() - image.min()) * torch.randn(3, 9, 12, generator=generator)
                leaf = noisy[None].requires_grad_()
                slow(leaf)[0, classes[row, column]].backward()
                gradients.append(leaf.grad[0])
            stacked = torch.stack(gradients)
            averaged = {
                "signed": stacked.mean(0).abs(),
                "magnitude": stacked.abs().mean(0),
                "square": stacked.square().mean(0).sqrt(),
            }[average]
            expected = averaged.amax(0).float()
            assert (found[row, column] - expected).abs().max() <= 1e-5 * expected.max()


def test_neither_batch_nor_order_nor_passes_matter() -> None:
    net = small()
    together = smooth_grad(net, batch("a", "b", "c"), **SETTINGS).values
    turned = smooth_grad(net, batch("c", "a", "b"), **SETTINGS).values
    assert torch.equal(together, turned[[1, 2, 0]])
    for row, name in enumerate("abc"):
        assert torch.equal(smooth_grad(net, batch(name), **SETTINGS).values[0], together[row])
    for batch_size in (1, 3, 100):
        assert torch.allclose(
            smooth_grad(net, batch("a"), **SETTINGS | {"batch_size": batch_size}).values[0], together[0]
        )


def test_noise_is_the_names_own_and_the_global_generator_stays() -> None:
    net, pictures = small(), batch("a")
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = smooth_grad(net, pictures, **SETTINGS).values
    assert torch.equal(torch.get_rng_state(), state)
    renamed = Batch(pictures.images, ("another",), pictures.labels)
    assert not torch.equal(smooth_grad(net, renamed, **SETTINGS).values, first)
    odd = Batch(pictures.images, ("caf\udce9.jpg",), pictures.labels)  # a file name that is not UTF-8
    assert smooth_grad(net, odd, **SETTINGS).values.isfinite().all()


def test_no_pass_is_larger_than_allowed() -> None:
    net = small()
    sizes: list[int] = []
    net.module.register_forward_pre_hook(lambda _module, args: sizes.append(len(args[0])))
    smooth_grad(net, batch("a", "b"), **SETTINGS)
    assert sizes == [4, 2, 4, 2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"average": "sigend"}, "'signed'"),
        ({"copies": 0}, "copies=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"sigma": -0.1}, "sigma=-0.1"),
        ({"classes": torch.tensor([[3]])}, r"0\.\.2, got \[3\]"),
    ],
)
def test_bad_settings_are_named(changed: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        smooth_grad(small(), batch("a"), **SETTINGS | changed)
