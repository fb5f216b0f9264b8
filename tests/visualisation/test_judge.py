"""A second network that classifies synthesised images."""

import pytest
import torch
from torch import nn

from deepinside.data.imagenet import synsets
from deepinside.network import Network, Preprocessing
from deepinside.visualisation.judge import Judge

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
