"""How far training moves weights, and what a first layer's filters are, against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from deepinside.methods.first_layer import First, folded_filter_share
from deepinside.models.convnet import ConvNet, convnet
from deepinside.models.training import cosines_with_start, weights_of
from deepinside.network import Network, Preprocessing


def test_cosines_by_hand() -> None:
    start = {"a": torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "b": torch.ones(1, 2), "c": torch.zeros(2)}
    end = {"a": torch.tensor([[0.0, 1.0], [0.0, 1.0]]), "b": -3 * torch.ones(1, 2), "c": torch.ones(2)}
    found = cosines_with_start(start, end)
    assert found["a"] == pytest.approx(0.5)
    assert found["b"] == pytest.approx(-1.0)
    assert found["c"] != found["c"]  # nothing to compare with


def test_only_weights_of_convolutions_and_linear_layers_count() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    network = Network(module, Preprocessing(input=8, resize=8), ("x", "y"), "tiny")
    kept = weights_of(network)
    assert list(kept) == ["0", "4"]
    with torch.no_grad():
        module[0].weight.add_(1)
    assert not torch.equal(kept["0"], module[0].weight)  # a copy


def test_the_share_that_a_stride_folds_back() -> None:
    noise = First("conv1", torch.randn(400, 3, 5, 5, generator=torch.Generator().manual_seed(0)), (2, 2))
    assert float(folded_filter_share(noise).mean()) == pytest.approx(0.75, abs=0.02)  # 1 - (1/2)^2 of all frequencies
    flat = First("conv1", torch.ones(1, 3, 5, 5), (2, 2))
    assert float(folded_filter_share(flat)) < 0.35
    board = torch.tensor([[(-1.0) ** (y + x) for x in range(5)] for y in range(5)]).expand(1, 3, 5, 5)
    assert float(folded_filter_share(First("conv1", board, (2, 2)))) > 0.9  # the highest frequency there is
    assert not folded_filter_share(First("conv1", board, (1, 1))).any()  # a stride of one folds nothing


@pytest.mark.parametrize(
    ("hidden", "layers"), [((), ["fc8"]), ((16,), ["fc6", "fc8"]), ((16, 8), ["fc6", "fc7", "fc8"])]
)
def test_hidden_layers_may_be_left_out(hidden: tuple[int, ...], layers: list[str]) -> None:
    net = ConvNet(5, widths=(4, 4, 4, 4, 4), hidden=hidden, kernel=5, stride=2, normalisation="batch", input=64)
    assert [name for name, part in net.named_children() if isinstance(part, nn.Linear)] == layers
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_weights_start_as_small_as_asked() -> None:
    torch.manual_seed(0)
    settings = {"widths": (32,) * 5, "hidden": (64, 64), "kernel": 5, "stride": 2, "normalisation": "batch"}
    network = convnet(classes=["a", "b"], input=64, resize=64, initial_std=0.002, **settings)
    for weights in weights_of(network).values():
        assert float(weights.std()) == pytest.approx(0.002, rel=0.2)
    with pytest.raises(ValueError, match="initial_std above 0"):
        ConvNet(2, input=64, initial_std=0.0, **settings)
