"""Saliency by hand, over crops, and for several classes from one forward pass."""

import pytest
import torch
from torch import nn

from deepinside import views
from deepinside.methods.saliency import saliency, viewed
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch


class Linear(nn.Module):
    """S_c = sum over channels and pixels of w_c,ch · x: the gradient is w, everywhere."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kc->nk", x, self.weights)


def linear(std: tuple[float, float, float] = (1, 1, 1), **recipe: object) -> Network:
    weights = torch.tensor([[1.0, -5, 2], [0.5, 0.25, -0.125]])  # class x RGB
    settings = {"mean": (0, 0, 0), "std": std, "input": 6, "resize": 8} | recipe
    return Network(Linear(weights), Preprocessing(**settings), ["a", "b"], "linear")


def test_maximum_over_channels_of_the_magnitude_by_hand() -> None:
    batch = Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([0]))
    assert torch.equal(saliency(linear(), batch).values, torch.full((1, 1, 4, 5), 5.0))


def test_gradient_is_with_respect_to_pixels_in_0_1() -> None:
    # dS/dx = w / std per channel: |1/0.1|, |-5/1|, |2/1| -> 10 wins over 5.
    batch = Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([0]))
    assert saliency(linear(std=(0.1, 1, 1)), batch).values.unique().tolist() == pytest.approx([10])
    # BGR networks see blue first: the weight 1 belongs to blue, and bytes are 255 times larger.
    assert saliency(linear(bgr=True, scale=255.0), batch).values.unique().tolist() == pytest.approx([5 * 255])


def test_several_classes_equal_one_at_a_time() -> None:
    net = Network(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 5, 3)),
        Preprocessing(input=6, resize=8),
        "abc",
        "n",
    )
    images = torch.rand(2, 3, 6, 7)
    together = saliency(net, Batch(images, ("x", "y")), classes=torch.tensor([[0, 2], [1, 0]])).values
    for column in range(2):
        labels = torch.tensor([[0, 2], [1, 0]])[:, column]
        assert torch.allclose(together[:, column], saliency(net, Batch(images, ("x", "y"), labels)).values[:, 0])


def test_bad_classes_say_the_range() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        saliency(linear(), Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([2])))
    with pytest.raises(ValueError, match="which class"):
        saliency(linear(), Batch(torch.rand(1, 3, 4, 5), ("x",)))


def test_viewed_averages_magnitudes_and_not_gradients() -> None:
    # A score that is odd under mirroring: gradients of mirrored crops cancel, magnitudes do not.
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ramp = torch.linspace(-1, 1, x.shape[-1])
            return torch.stack([(x * ramp).sum((1, 2, 3)), x.sum((1, 2, 3)) * 0], 1)

    net = Network(Odd(), Preprocessing((0, 0, 0), (1, 1, 1), 6, 6), ["odd", "zero"], "odd")
    seen = viewed(net, torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8), top=2)
    odd = seen.maps[seen.classes.tolist().index(0)]
    assert torch.allclose(odd[0], torch.linspace(-1, 1, 6).abs())


def test_viewed_equals_a_loop_over_crops() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))
    net = Network(module, Preprocessing(input=6, resize=8), [*"abcdefg"], "n")
    image = torch.randint(0, 256, (3, 16, 22), dtype=torch.uint8)
    seen = viewed(net, image, top=5, also=6)
    canvas = views.canvas(image, net.preprocessing)
    height, width = canvas.shape[1:]
    total, count = torch.zeros(height, width), torch.zeros(height, width)
    probabilities = []
    for place in views.placements(height, width, 6, "ten"):
        crop = canvas[:, place.top : place.top + 6, place.left : place.left + 6]
        crop = crop.flip(2) if place.mirrored else crop
        probabilities.append(net(crop[None]).softmax(1)[0])
        map_ = saliency(net, Batch(crop[None], ("x",), seen.classes[:1])).values[0, 0]
        total[place.top : place.top + 6, place.left : place.left + 6] += map_.flip(1) if place.mirrored else map_
        count[place.top : place.top + 6, place.left : place.left + 6] += 1
    assert torch.allclose(seen.probabilities, torch.stack(probabilities).mean(0), atol=1e-6)
    assert torch.equal(seen.covered, count > 0)
    assert torch.allclose(seen.maps[0], total / count.clamp(min=1), atol=1e-6)
    ranked = seen.probabilities.argsort(descending=True)[:5].tolist()
    assert seen.classes.tolist() == (ranked if 6 in ranked else [*ranked, 6])


def test_weights_gradients_and_modes_stay_as_they_were() -> None:
    net = linear()
    before = net.module.weights.clone()
    saliency(net, Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([0])), rule="guided")
    assert torch.equal(net.module.weights, before)
    assert net.module.weights.grad is None
    assert not net.training
