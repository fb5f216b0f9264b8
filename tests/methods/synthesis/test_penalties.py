"""Penalties against slow float64 loops, value and gradient; always h != w."""

import math

import pytest
import torch
from torch import Tensor

from deepinside.methods.synthesis.priors import alpha_norm, l2, total_variation


def pictures() -> Tensor:
    return 40 * torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def slow_l2(x: list, weight: float) -> float:
    return weight * sum(v * v for channel in x for row in channel for v in row)


def slow_alpha(x: list, weight: float, alpha: float, joint: bool, mean: bool) -> float:
    height, width = len(x[0]), len(x[0][0])
    total = 0.0
    for i in range(height):
        for j in range(width):
            values = [x[c][i][j] for c in range(3)]
            total += math.hypot(*values) ** alpha if joint else sum(abs(v) ** alpha for v in values)
    return weight * total / (height * width if mean else 1)


def slow_tv(x: list, weight: float, beta: float, mean: bool) -> float:
    height, width = len(x[0]), len(x[0][0])
    total = 0.0
    for c in range(3):
        for i in range(height):
            for j in range(width):
                down = x[c][i + 1][j] - x[c][i][j] if i + 1 < height else 0.0
                right = x[c][i][j + 1] - x[c][i][j] if j + 1 < width else 0.0
                square = down**2 + right**2
                total += (square if beta >= 2 else max(square, 1e-5)) ** (beta / 2)
    return weight * total / (height * width if mean else 1)


CASES = [
    (l2, slow_l2, {"weight": 1e-3}),
    (alpha_norm, slow_alpha, {"weight": 3.81e-12, "alpha": 6.0, "joint": True, "mean": True}),
    (alpha_norm, slow_alpha, {"weight": 4e-10, "alpha": 6.0, "joint": False, "mean": False}),
    (total_variation, slow_tv, {"weight": 6.6e-3, "beta": 2.0, "mean": True}),
    (total_variation, slow_tv, {"weight": 0.5, "beta": 1.0, "mean": False}),
]


@pytest.mark.parametrize(("ours", "slow", "settings"), CASES)
def test_value_and_gradient_by_a_slow_loop(ours, slow, settings) -> None:
    x = pictures().requires_grad_()
    values = ours(x, **settings)
    assert values.tolist() == pytest.approx([slow(picture, **settings) for picture in x.tolist()], rel=1e-12)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    step = 1e-3
    for place in ((0, 0, 0, 0), (0, 2, 3, 5), (1, 1, 2, 3), (1, 0, 3, 0)):
        nudged = [x.detach().clone() for _ in range(2)]
        nudged[0][place] += step
        nudged[1][place] -= step
        up, down = (slow(picture[place[0]].tolist(), **settings) for picture in nudged)
        assert gradient[place].item() == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-8)


def test_a_flat_picture_costs_no_variation_and_has_no_gradient_of_nan() -> None:
    x = torch.zeros(1, 3, 3, 5, dtype=torch.float64, requires_grad=True)
    for beta in (1.0, 1.5, 2.0):
        value = total_variation(x, weight=1.0, beta=beta, mean=True)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        assert torch.equal(gradient, torch.zeros_like(x))
    (gradient,) = torch.autograd.grad(alpha_norm(x, weight=1.0, alpha=6.0, joint=True, mean=True).sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))
