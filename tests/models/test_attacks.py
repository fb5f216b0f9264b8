"""Attacks on a linear network, whose margin says at which radius they succeed."""

import pytest
import torch
from torch import nn

from deepinside.models.attacks import ascent, projected, random_start
from deepinside.network import Network, Preprocessing


def linear() -> tuple[Network, torch.Tensor]:
    """Two classes whose scores differ by w · x + b, and w."""
    head = nn.Linear(3 * 4 * 4, 2)
    generator = torch.Generator().manual_seed(0)
    head.weight.data = torch.randn(2, 48, generator=generator)
    head.bias.data = -head.weight.data.sum(1) / 2  # grey has equal scores
    module = nn.Sequential(nn.Flatten(), head)
    return Network(module, Preprocessing((0, 0, 0), (1, 1, 1), 4, 4), ("a", "b"), "linear"), head.weight[
        0
    ] - head.weight[1]


def grey(count: int = 6) -> torch.Tensor:
    return 0.5 + 0.02 * torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def test_one_step_and_many_succeed_exactly_beyond_the_margin() -> None:
    network, w = linear()
    images = grey()
    scores = network.scores(images)
    labels = scores.argmax(1)
    # In the maximum norm's ball of radius r the difference of scores changes by at most r |w|_1.
    radii = (scores[:, 0] - scores[:, 1]).abs() / w.abs().sum() * 255
    assert radii.min() > 0
    for image, label, radius in zip(images, labels, radii, strict=True):
        for share, misread in ((0.98, False), (1.02, True)):
            r = float(radius) * share
            once = ascent(network, image[None], label[None], radius=r, step=r)
            often = projected(network, image[None], label[None], radius=r, steps=20)
            assert [int(network.scores(x).argmax()) != int(label) for x in (once, often)] == [misread, misread]


def test_images_stay_in_the_ball_and_in_the_range_of_pixels() -> None:
    network, _ = linear()
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([0, 1, 0, 1, -1])
    start = random_start(images, 8, torch.Generator().manual_seed(3))
    assert float(start.abs().max()) <= 8 / 255
    assert float(start.std()) == pytest.approx(8 / 255 / 3**0.5, rel=0.1)
    changed = ascent(network, images, labels, radius=8, step=10, start=start)
    assert float((changed - images).abs().max()) <= 8 / 255 + 1e-6
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert torch.equal(changed[4], (images + start).clamp(0, 1)[4])  # without a label there is nowhere to go
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"radius": 0}, "expected radius above 0 .* got 0"),
        ({"radius": -8}, "expected radius above 0 .* got -8"),
        ({"radius": 256}, "up to 255"),
        ({"step": 0}, "expected step above 0"),
        ({"steps": 0}, "one step or more, got steps=0"),
    ],
)
def test_impossible_settings_are_named(changes: dict, said: str) -> None:
    network, _ = linear()
    with pytest.raises(ValueError, match=said):
        ascent(network, grey(1), torch.tensor([0]), **({"radius": 8, "step": 8} | changes))
