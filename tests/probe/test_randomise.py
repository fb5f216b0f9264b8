import torch
from torch import nn

from deepinside.network import Network, Preprocessing
from deepinside.probe.randomise import randomised


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.arange(12.0).view(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weights


def network() -> Network:
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Own()
    )
    module[1].running_var.fill_(9)
    return Network(module, Preprocessing(), list("abcd"), "net")


def test_everything_is_forgotten_and_the_original_is_untouched() -> None:
    net = network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    other = randomised(net, seed=0)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert not torch.equal(other.module[0].weight, net.module[0].weight)
    assert other.module[1].running_var.tolist() == [1, 1, 1]
    assert sorted(other.module[5].weights.flatten().tolist()) == list(range(12))  # shuffled
    assert not torch.equal(other.module[5].weights, net.module[5].weights)
    assert not any(p.requires_grad for p in other.parameters())
    assert not other.training
    assert other.preprocessing == net.preprocessing


def test_the_seed_alone_decides() -> None:
    net = network()
    one = randomised(net, seed=3).state_dict()
    state = torch.get_rng_state()
    other = randomised(net, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], other[key]) for key in one)
    third = randomised(network(), seed=4).state_dict()
    assert not torch.equal(one["module.0.weight"], third["module.0.weight"])
