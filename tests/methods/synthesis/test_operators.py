"""Operators by hand and against scipy; h != w."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from deepinside.methods.synthesis.canvas import Generators
from deepinside.methods.synthesis.operators import (
    blur,
    box,
    bregman,
    clip,
    decay,
    norm_box,
    patches,
    small_contribution,
    small_norm,
    sphere,
)


def pictures(n: int = 2) -> Tensor:
    return 40 * torch.randn(n, 3, 9, 13, generator=torch.Generator().manual_seed(3))


def test_decay_and_sphere() -> None:
    x = pictures()
    assert torch.allclose(decay(x, x, amount=0.25), 0.75 * x)
    assert sphere(x, x, radius=7.0).square().mean(dim=(1, 2, 3)).sqrt().tolist() == pytest.approx([7, 7])
    assert torch.equal(sphere(x * 0, x, radius=7.0), x * 0)


def test_blur_is_scipys_gaussian_mirrored_at_the_border() -> None:
    x = pictures()
    expected = gaussian_filter(x.numpy(), (0, 0, 1.2, 1.2), mode="mirror", truncate=4.2)
    assert np.abs(blur(x, x, sigma=1.2).numpy() - expected).max() < 1e-4
    assert torch.equal(blur(x, x, sigma=0.2), x)


def test_clipping_leaves_the_share_that_it_should() -> None:
    x = pictures()
    kept = small_norm(x, x, percentile=40.0).abs().sum(dim=1) > 0
    assert kept.double().mean(dim=(1, 2)).tolist() == pytest.approx([0.6, 0.6], abs=0.02)
    lost = x.norm(dim=1)[~kept]
    assert lost.max() <= x.norm(dim=1)[kept].min() + 40  # each image has its own limit
    assert torch.equal(small_norm(x[:1], x, percentile=40.0), small_norm(x, x, percentile=40.0)[:1])


def test_contribution_is_the_product_of_pixel_and_gradient() -> None:
    x = torch.zeros(1, 3, 2, 3)
    x[0, 0] = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    gradient = torch.zeros(1, 3, 2, 3)
    gradient[0, 0] = torch.tensor([[60.0, -30, 1], [1, 1, 0]])  # products 60, -60, 3, 4, 5, 0
    kept = small_contribution(x, gradient, percentile=60.0)
    assert kept[0, 0].tolist() == [[1, 2, 0], [0, 5, 0]]


def test_boxes() -> None:
    x = pictures()
    assert norm_box(x, x, limit=30.0).norm(dim=1).max() <= 30 + 1e-4
    small = x.norm(dim=1) <= 30
    assert torch.equal(norm_box(x, x, limit=30.0).permute(0, 2, 3, 1)[small], x.permute(0, 2, 3, 1)[small])
    colour = torch.tensor([0.5, 0.4, 0.0])
    shown = clip(9 * x, x, colour=colour) / 255 + colour.view(1, 3, 1, 1)
    assert shown.min() >= -1e-6
    assert shown.max() <= 1 + 1e-6
    code = torch.tensor([[-1.0, 5.0]])
    assert box(code, code, bounds=(torch.zeros(2), torch.tensor([1.0, 2.0]))).tolist() == [[0, 2]]


def test_bregman_smooths_more_the_smaller_its_weight() -> None:
    x = pictures(1)
    variation = [bregman(x, x, weight=w).diff(dim=3).abs().mean().item() for w in (0.001, 0.01, 1.0)]
    assert variation[0] < variation[1] < variation[2] <= x.diff(dim=3).abs().mean().item()


def test_patches_become_those_of_the_bank() -> None:
    bank = torch.stack([torch.zeros(3 * 4), torch.full((3 * 4,), 80.0)])
    x = torch.cat([torch.full((1, 3, 4, 6), 70.0), torch.full((1, 3, 4, 6), -3.0)])
    generators = Generators([0, 0])
    assert set(patches(x, x, generators=generators, bank=bank, mix=1.0)[0].unique().tolist()) <= {70.0, 80.0}
    assert 80.0 in patches(x, x, generators=generators, bank=bank, mix=1.0)[0].unique().tolist()
    mixed = patches(x, x, generators=generators, bank=bank, mix=0.5)
    assert set(mixed[1].unique().tolist()) <= {-3.0, -1.5}
