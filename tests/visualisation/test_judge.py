"""A second network that classifies synthesised images."""

import pytest
import torch
from torch import nn

from deepinside.data.imagenet import synsets
from deepinside.network import Network, Preprocessing
from deepinside.visualisation.judge import STRENGTH, Judge, equal_norm, phase_noise, quarters

NAMES = list(synsets().values())
IDS = ("n01440764", "n02102040", "n03888257")  # outputs 0, 217 and 701


class Brightness(nn.Module):
    """The score of output 217 is the mean of an image; of all others outside `IDS`, more."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.full((count,), 5.0))
        with torch.no_grad():
            self.scores[[0, 217 % count, 701 % count]] = torch.tensor([0.5, 0.0, 0.25])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = self.scores.expand(len(images), -1).clone()
        scores[:, 217 % len(self.scores)] += images.mean((1, 2, 3))
        return scores


def network(names: list[str]) -> Network:
    return Network(Brightness(len(names)), Preprocessing((0.0,) * 3, (1.0,) * 3, 8, 8), names, "judge")


def test_a_network_of_imagenet_ranks_a_class_among_those_of_the_data() -> None:
    judge = Judge.of(network(NAMES), ["tench", "springer", "parachute"], IDS)
    assert judge.outputs == (0, 217, 701)
    ranks, shares = judge(torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]), [1, 1])
    assert ranks.tolist() == [3, 1]  # though 997 other outputs are higher
    assert shares == pytest.approx(torch.tensor([[0.5, 0.0, 0.25], [0.5, 1.0, 0.25]]).softmax(1)[:, 1].numpy())


def test_a_network_of_the_same_classes_is_taken_as_it_is() -> None:
    assert Judge.of(network(NAMES), NAMES, IDS).outputs is None


@pytest.mark.parametrize("ids", [("cat", "dog", "cow"), IDS[:2]])
def test_other_classes_are_refused(ids: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"model@judge=judge has 1000 classes, the network 3: expected the same"):
        Judge.of(network(NAMES), ["a", "b", "c"], ids)


def test_the_place_is_the_share_of_classes_before_it() -> None:
    judge = Judge.of(network(NAMES), ["tench", "springer", "parachute"], IDS)
    shown = torch.stack([torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.3), torch.ones(3, 4, 4)])
    assert judge.place(shown, [1, 1, 1]).tolist() == [1.0, 0.5, 0.0]


def test_images_of_one_strength_and_noise_of_their_spectra() -> None:
    colour = torch.tensor([0.5, 0.4, 0.6])
    shown = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    for factor in (0.01, 1.0):
        level = equal_norm(colour.view(3, 1, 1) + factor * (shown - colour.view(3, 1, 1)), colour)
        assert (level - colour.view(3, 1, 1)).square().mean(dim=(1, 2, 3)).sqrt() * 255 == pytest.approx(
            STRENGTH, rel=1e-4
        )
    noise = phase_noise(shown, colour)
    spectra = [torch.fft.fft2(one - colour.view(3, 1, 1)).abs() for one in (shown, noise)]
    assert torch.allclose(*spectra, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(noise, shown, atol=0.1)
    assert torch.equal(equal_norm(colour.view(1, 3, 1, 1).expand(1, 3, 4, 4), colour)[0, :, 0, 0], colour)


def test_quarters_are_in_reading_order() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    assert [part[0, 0, 0, 0].item() for part in quarters(image)] == [0, 2, 8, 10]
