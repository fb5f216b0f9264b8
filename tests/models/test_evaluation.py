import numpy as np
import pytest
import torch
from torch import nn

from deepinside.models.training import probabilities, wrong
from deepinside.network import Network, Preprocessing
from deepinside.views import crops_of

TOLD = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=8, resize=10)


class Corners(nn.Module):
    """Scores: ten times the red of the upper left and of the upper right pixel, and zero."""

    def forward(self, x):
        return torch.stack([10 * x[:, 0, 0, 0], 10 * x[:, 0, 0, -1], 0 * x[:, 0, 0, 0]], dim=1)


@pytest.fixture
def network():
    return Network(Corners(), TOLD, ("left", "right", "none"), "corners")


def picture(height=10, width=12):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_ten_crops_are_averaged_after_the_softmax_by_hand(network):
    image = picture()  # the canvas is the image itself: its shorter side is 10
    red = image[0].double().numpy() / 255
    tops, lefts = (0, 0, 2, 2, 1), (0, 4, 0, 4, 2)
    pairs = [(red[t, s], red[t, s + 7]) for t, s in zip(tops, lefts, strict=True)]
    pairs += [(right, left) for left, right in pairs]  # mirrored
    scores = np.array([[10 * a, 10 * b, 0] for a, b in pairs])
    expected = (np.exp(scores) / np.exp(scores).sum(1, keepdims=True)).mean(0)
    np.testing.assert_allclose(probabilities(network, [image], crops="ten")[0], expected, rtol=1e-5)


def test_centre_and_warp(network):
    image = picture()
    red = image[0].double().numpy() / 255
    scores = np.array([10 * red[1, 2], 10 * red[1, 9], 0])
    np.testing.assert_allclose(
        probabilities(network, [image], crops="centre")[0], np.exp(scores) / np.exp(scores).sum(), rtol=1e-5
    )
    assert crops_of(image, network.preprocessing, "warp").pixels.shape == (1, 3, 8, 8)
    square = picture(8, 8)
    assert torch.equal(crops_of(square, network.preprocessing, "warp").pixels[0], square.float() / 255)


@pytest.mark.parametrize("crops", ["centre", "ten", "warp"])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_pictures_of_any_size_in_batches_of_any_size(network, crops, batch):
    images = [picture(h, w) for h, w in ((3, 50), (10, 10), (40, 11), (1, 1), (9, 300))]
    values = probabilities(network, images, crops=crops, batch_size=batch)
    assert values.shape == (5, 3)
    for i, image in enumerate(images):
        torch.testing.assert_close(values[i], probabilities(network, [image], crops=crops)[0])
    assert probabilities(network, [], crops=crops).shape == (0, 3)


def test_wrong_by_hand():
    scores = torch.tensor([[6.0, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0], [9, 1, 1, 1, 1, 1]])
    labels = np.array([0, 0, 3, 5])
    assert wrong(scores, labels, 1).tolist() == [False, True, False, True]
    # image 1: class 0 is sixth of six; image 3: class 5 shares second to sixth place, which is in favour
    assert wrong(scores, labels, 5).tolist() == [False, True, False, False]


def test_unknown_views_are_refused(network):
    with pytest.raises(ValueError, match=r"centre, ten, warp, got 'five'"):
        probabilities(network, [picture()], crops="five")
