"""Class activation by hand, against CAM written out, and over crops."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn import functional

from deepinside import views
from deepinside.localisation.crops import viewed
from deepinside.methods.grad_cam import evidence, grad_cam, spatial_layer
from deepinside.network import Network, Preprocessing
from deepinside.records import Batch


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
        self.scores = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(self.features(x).mean(dim=(2, 3)))


def network(module: nn.Module | None = None) -> Network:
    recipe = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=12, resize=16)
    return Network(module or Pooled(), recipe, list("abcde"), "pooled")


def test_evidence_by_hand() -> None:
    """Two units on 1 x 2 positions, mean gradients 2 and -1: 2 x (1, 3) - (4, 1) = (-2, 5), rectified (0, 5)."""
    answer = torch.tensor([[[[1.0, 3]], [[4, 1]]]])
    gradient = torch.tensor([[[[1.0, 3]], [[-2, 0]]]])
    assert evidence(answer, gradient, (1, 2)).tolist() == [[[0, 5]]]


def test_a_network_that_ends_in_a_mean_has_cam() -> None:
    net, images = network(), torch.rand(2, 3, 12, 14)
    found = grad_cam(net, Batch(images, ("x", "y")), classes=torch.tensor([[1, 3], [0, 4]]))
    maps = net.module.features(images)
    for n, t, label in ((0, 0, 1), (0, 1, 3), (1, 0, 0), (1, 1, 4)):
        cam = torch.einsum("u,uyx->yx", net.module.scores.weight[label], maps[n]).relu() / maps[n, 0].numel()
        large = functional.interpolate(cam[None, None], size=(12, 14), mode="bilinear", align_corners=False)
        assert torch.allclose(found.values[n, t], large[0, 0], atol=1e-6)


def test_captum_answers_the_same_in_a_network_with_hidden_layers() -> None:
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 10 * 10, 6), nn.ReLU(), nn.Linear(6, 5)]
    net, images = network(nn.Sequential(*layers)), torch.rand(2, 3, 12, 12)
    assert spatial_layer(net, images) == "1"
    found = grad_cam(net, Batch(images, ("x", "y"), torch.tensor([2, 4]))).values
    theirs = LayerGradCam(net.module, net.module[1]).attribute(images, target=torch.tensor([2, 4])).relu()
    large = functional.interpolate(theirs, size=(12, 12), mode="bilinear", align_corners=False)
    assert torch.allclose(found, large.detach(), atol=1e-6)


def test_over_crops_as_one_crop_at_a_time_and_saliency_is_the_same_without() -> None:
    net = network()
    image = torch.randint(0, 256, (3, 16, 20), dtype=torch.uint8)
    seen, without = viewed(net, image, top=2, also=4, layer="features.1"), viewed(net, image, top=2, also=4)
    assert torch.equal(seen.maps["saliency"], without.maps["saliency"])
    assert list(without.maps) == ["saliency"]
    canvas = views.canvas(image, net.preprocessing)
    places = views.placements(*canvas.shape[1:], 12, "ten")
    asked = seen.classes.expand(10, -1)
    alone = grad_cam(net, Batch(views.cut(canvas, places, 12), tuple("0123456789")), classes=asked)
    expected, _ = views.merged(alone.values, places, *canvas.shape[1:])
    assert torch.allclose(seen.maps["grad_cam"], expected, atol=1e-6)


def test_classes_may_be_given() -> None:
    net, image = network(), torch.randint(0, 256, (3, 16, 20), dtype=torch.uint8)
    asked, all_ = viewed(net, image, classes=[3, 0]), viewed(net, image, top=5)
    for label, map_ in zip([3, 0], asked.maps["saliency"], strict=True):
        assert torch.allclose(map_, all_.maps["saliency"][all_.classes.tolist().index(label)])


def test_a_layer_without_positions_and_an_unknown_class_are_named() -> None:
    batch = Batch(torch.rand(1, 3, 12, 12), ("x",), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"expected maps .* of layer 'scores'"):
        grad_cam(network(), batch, layer="scores")
    with pytest.raises(ValueError, match=r"classes in 0\.\.4"):
        grad_cam(network(), batch, classes=torch.tensor([[5]]))
