"""Networks that are no chains of convolutions: gradients by hand, maps on their grid, and methods on them."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.defaults import defaults
from deepinside.methods.activation_maximization import activation_maximization
from deepinside.methods.saliency import saliency
from deepinside.methods.through_time import steps_reached
from deepinside.models.attention import Attention, Position, Transformer, attention
from deepinside.models.recurrent import Recurrent, recurrent
from deepinside.network import Network
from deepinside.plots.through_time import steps
from deepinside.probe import UndefinedRule, activations, capture, last_maps, receptive_fields, relu_rule
from deepinside.records import Batch, Boxes
from deepinside.study import Pictures

SETTINGS = set(inspect.signature(activation_maximization).parameters)
TINY_ROWS = {"stem": (4,), "width": 5, "layers": 1, "input": 16, "resize": 16, "classes": ["a", "b", "c"]}
TINY_TOKENS = {"stem": (4, 8), "depth": 1, "heads": 2, "input": 16, "resize": 16, "classes": ["a", "b", "c"]}


def tiny(kind: str, **changed: object) -> Network:
    torch.manual_seed(0)
    if kind == "attention":
        return attention(**TINY_TOKENS | changed)
    return recurrent(**TINY_ROWS | changed)


def some(count: int = 4, side: int = 16) -> Pictures:
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(map(str, range(count))), (0,) * count, empty, lambda i: images[i])


def test_one_head_by_the_formula() -> None:
    torch.manual_seed(0)
    layer = Attention(4, 1).double().eval()
    x = torch.randn(1, 4, 2, 3).double().requires_grad_()
    tokens = x[0].flatten(1).T  # positions down, row by row
    q, k, v = (tokens @ part.weight[:, :, 0, 0].T for part in (layer.query, layer.key, layer.value))
    q, v = q + layer.query.bias, v + layer.value.bias
    weights = (q @ k.T / 2).softmax(dim=1)
    expected = (weights @ v) @ layer.out.weight[:, :, 0, 0].T + layer.out.bias
    with capture(layer, ["weights"]) as captured:
        found = layer(x)
    assert torch.allclose(found[0].flatten(1).T, expected)
    assert torch.allclose(captured["weights"][0, 0], weights)
    assert torch.allclose(captured["weights"].sum(dim=-1), torch.ones(()).double())
    by_hand = torch.autograd.grad(expected[4, 1], x, retain_graph=True)[0]
    assert torch.allclose(torch.autograd.grad(found[0, 1, 1, 1], x)[0], by_hand)  # token 4 is row 1, column 1


@pytest.mark.parametrize("kind", ["recurrent", "attention"])
def test_gradients_equal_finite_differences(kind: str) -> None:
    network = tiny(kind).double()
    image = torch.rand(1, 3, 16, 16).double()
    maps = saliency(network, Batch(image, ("x",), torch.tensor([1]))).values[0, 0]
    for y, x in ((0, 0), (7, 9), (15, 3)):
        slopes = []
        for colour in range(3):
            moved = image.repeat(2, 1, 1, 1)
            moved[0, colour, y, x] += 1e-5
            moved[1, colour, y, x] -= 1e-5
            up, down = network(moved)[:, 1]
            slopes.append(abs(float(up - down)) / 2e-5)
        assert float(maps[y, x]) == pytest.approx(max(slopes), rel=1e-3, abs=1e-9)


def test_a_row_does_not_see_what_comes_later() -> None:
    network = tiny("recurrent")
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    with capture(network, ["rows1"]) as captured:
        network(image)
    assert captured["rows1"].shape == (1, 5, 8, 1)
    (gradient,) = torch.autograd.grad(captured["rows1"][0, :, 3].sum(), image)
    seen = gradient.abs().amax(dim=(0, 1, 3)) > 0
    assert seen[:8].all()  # a row of the stem's map sees pixels 2t-1..2t+1
    assert not seen[8:].any()


@pytest.mark.parametrize(
    ("kind", "last", "grid", "stem"), [("recurrent", "rows1", (8, 1), "relu1"), ("attention", "norm", (4, 4), "relu2")]
)
def test_maps_are_on_the_grid_and_see_the_whole_image(kind: str, last: str, grid: tuple[int, int], stem: str) -> None:
    network = tiny(kind)
    assert last_maps(network) == last
    assert activations(network, torch.rand(2, 3, 16, 16), [last])[last].shape[2:] == grid
    before, after = receptive_fields(network, [stem, last], (16, 16)).values()
    for axis in (0, 1):
        assert after.stride[axis] == before.stride[axis]
        assert after.offset[axis] + after.size[axis] / 2 == before.offset[axis] + before.size[axis] / 2
        first, final = after.offset[axis], after.offset[axis] + (grid[axis] - 1) * after.stride[axis]
        assert final <= 0  # also of the last position
        assert first + after.size[axis] >= 16


def test_tokens_may_lie_on_another_grid() -> None:
    network = tiny("attention")
    found = activations(network, torch.rand(1, 3, 24, 32), ["block1"])["block1"]
    assert found.shape == (1, 8, 6, 8)
    layer = Position(2, 4)
    assert torch.equal(layer(torch.zeros(1, 2, 4, 4)), layer.weight)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_rules_of_the_relu_are_refused_by_name(cell: str, rule: str) -> None:
    batch = Batch(torch.rand(1, 3, 16, 16), ("x",), torch.tensor([0]))
    with pytest.raises(UndefinedRule, match=r"MkldnnRnn|Sigmoid|Tanh"):
        saliency(tiny("recurrent", cell=cell), batch, rule=rule)
    with pytest.raises(UndefinedRule, match=r"Gelu|Softmax"):
        saliency(tiny("attention"), batch, rule=rule)
    for kind, layer in (("recurrent", "relu1"), ("attention", "relu2")):  # the stem has ReLUs alone
        saliency(tiny(kind), batch, rule=rule, layer=layer, unit=0)
    with pytest.raises(UndefinedRule, match=r"Softmax|Gelu"):
        saliency(tiny("attention"), batch, rule=rule, layer="block1", unit=0)


def test_attention_without_another_nonlinearity_is_refused_too() -> None:
    layer = Attention(4, 2)
    with pytest.raises(UndefinedRule, match="Softmax"), relu_rule("guided"):
        layer(torch.rand(1, 4, 3, 3, requires_grad=True))


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_a_network_without_relus_has_no_rule(rule: str) -> None:
    network = tiny("attention")
    network.module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UndefinedRule, match="which has no ReLU"):
        saliency(network, Batch(torch.rand(1, 3, 8, 8), ("x",), torch.tensor([0])), rule=rule)


def test_a_layer_that_returns_no_tensor_is_named() -> None:
    with pytest.raises(ValueError, match=r"'rows1\.cells' to return a tensor, got tuple"):
        activations(tiny("recurrent"), torch.rand(1, 3, 16, 16), ["rows1.cells"])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Recurrent(2, cell="lstn"), r"unknown cell='lstn'.*did you mean 'lstm'"),
        (lambda: Recurrent(2, read="first"), "unknown read='first'"),
        (lambda: Recurrent(2, layers=0), "width and layers of at least 1, got 256 and 0"),
        (lambda: Recurrent(2, stem=()), "stem to have one width or more"),
        (lambda: Recurrent(2, input=63), "multiple of 4 pixels"),
        (lambda: Transformer(2, heads=5), "multiple of heads=5, got 96"),
        (lambda: Transformer(2, depth=0), "depth, heads and ratio of at least 1, got 0, 4 and 2"),
        (lambda: Transformer(2, input=8), "at least 16, got 8"),
    ],
)
def test_wrong_sizes_are_named(made: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()  # type: ignore[operator]


@pytest.mark.parametrize(("kind", "layer"), [("recurrent", "rows1"), ("attention", "block1")])
def test_a_unit_is_maximised(kind: str, layer: str) -> None:
    network = tiny(kind)
    given = {"layer": layer, "units": [2], "steps": 40}
    settings = {k: v for k, v in defaults("method", "activation_maximization", given).items() if k in SETTINGS}
    images = activation_maximization(network, Batch(torch.zeros(1, 3, 16, 16), ("x",)), **settings).values
    assert images.shape == (1, 3, 16, 16)  # its receptive field is the whole image
    random = activations(network, torch.rand(16, 3, 16, 16), [layer])[layer][:, 2]
    assert activations(network, images, [layer])[layer][0, 2].amax() > random.amax()


class Forgetful(nn.Module):
    """The score is the last rows' mean alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, :, -4:].mean(dim=(1, 2, 3)), -x[:, :, -4:].mean(dim=(1, 2, 3)) - 9], dim=1)


def test_steps_that_the_gradient_reaches() -> None:
    network = tiny("recurrent", classes=["a", "b"])
    assert steps_reached(network, some(), batch_size=3).table.shape[0] == 8  # the rows of its map
    network.module = Forgetful()
    study = steps_reached(network, some(), steps=8)
    assert study.table["share"].tolist() == pytest.approx([0] * 6 + [0.5, 0.5])
    numbers = {row.metric: row.value for row in study.numbers}
    assert numbers == pytest.approx({"images": 4, "of": 8, "first_half": 0, "reach": 2})
    (drawn,) = steps(study)
    assert "last 2.0 of 8" in drawn.caption
    with pytest.raises(ValueError, match="divide 16 rows, got 5"):
        steps_reached(network, some(), steps=5)
