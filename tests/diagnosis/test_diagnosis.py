"""Numbers of layers that are known by hand, and the changes that they suggest."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from deepinside.diagnosis import measures
from deepinside.diagnosis.proposals import at_equal_cost, candidates, proposals
from deepinside.models.attention import attention
from deepinside.models.recurrent import recurrent
from deepinside.network import Network, Preprocessing
from deepinside.records import Boxes
from deepinside.study import Pictures

BOUNDS = {
    "aliasing_above": 0.25, "filter_side_below": 0.8, "dead_above": 0.1, "rank_below": 0.2, "rank_above": 0.7,
    "reach_below": 1.0, "groups_below": 0.35,
}  # fmt: skip


def network(*parts: nn.Module, side: int = 16) -> Network:
    return Network(nn.Sequential(*parts), Preprocessing((0, 0, 0), (1, 1, 1), side, side), ["a", "b"], "net")


def some(count: int = 6, side: int = 16) -> Pictures:
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    boxes = tuple(Boxes(np.array([[0, 0, 4, 9], [1, 1, 5, 10]])) for _ in range(count))
    return Pictures(tuple(map(str, range(count))), (0,) * count, boxes, lambda i: images[i])


def test_operations_by_hand() -> None:
    net = network(nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(216, 2))
    assert measures.operations(net) == {"0": 8 * 8 * 4 * 75, "2": 6 * 6 * 6 * 18, "4": 432}
    rows = recurrent(stem=(4,), width=5, layers=1, input=16, classes=["a", "b"])
    assert measures.operations(rows)["rows1.cells"] == 8 * (4 * 5 * 32 + 4 * 5 * 5)
    tokens = attention(stem=(4, 8), depth=1, heads=2, input=16, classes=["a", "b"])
    assert measures.operations(tokens)["block1.mlp1"] == 16 * 8 * 16


def test_dead_and_redundant_units_by_hand() -> None:
    conv = nn.Conv2d(3, 5, 1)
    conv.weight.data[:] = 0
    for unit, (colour, sign) in enumerate([(0, 1), (0, 2), (1, 1), (2, 1)]):  # two see red; the last one is dead
        conv.weight.data[unit, colour] = sign
    conv.bias.data = torch.tensor([0.0, 0, 0, 0, -1])
    found = measures.units(network(conv, nn.ReLU()), some(), ("1",), range(6), 4)["1"]
    assert found["dead"] == pytest.approx(0.2)
    assert found["redundant"] == pytest.approx(0.5)
    assert found["rank"] == pytest.approx(16 / (2 * 4 - 2) / 4, rel=0.02)  # squares of correlations: 4 ones and 2 twice
    equal = nn.Conv2d(3, 4, 1)
    equal.weight.data[:] = 1
    assert measures.units(network(equal), some(), ("0",), range(6), 4)["0"]["rank"] == pytest.approx(1 / 4)


def test_sides_of_filters_and_of_effective_fields() -> None:
    assert measures.filter_side(torch.ones(2, 3, 7, 7)) == pytest.approx(1)
    inner = torch.zeros(1, 3, 7, 7)
    inner[..., 2:5, 2:5] = 1
    assert measures.filter_side(inner) == pytest.approx(3 / 7)
    conv = nn.Conv2d(3, 2, 5, padding=2)
    conv.weight.data[:] = 1
    images = torch.rand(2, 3, 16, 16)
    assert measures.effective_field(network(conv), "0", images) == pytest.approx(5)
    twice = network(conv, nn.Conv2d(2, 2, 5, padding=2))
    twice.module[1].weight.data[:] = 1
    assert 5 < measures.effective_field(twice, "1", images) < 9  # the middle has more paths than the border


def test_aliasing_needs_a_stride() -> None:
    white = nn.Conv2d(3, 1, 1, stride=2, bias=False)
    table = measures.layers(network(white, nn.Flatten()), some(side=64), images=4, dense_images=4, batch_size=2)
    assert table["folded"][0] == pytest.approx(1 - (33 / 64) ** 2, abs=0.03)  # white noise: 33 of 64 frequencies stay
    dense = nn.Conv2d(3, 2, 3)
    table = measures.layers(network(dense, nn.ReLU()), some(), images=4, dense_images=4, batch_size=2)
    assert math.isnan(table["folded"][0])
    assert table.loc[0, ["layer", "activation", "units", "kernel"]].tolist() == ["0", "1", 2, 3]
    assert measures.object_side(some(), 6) == pytest.approx(6)


def row(layer: str, **changed: float) -> dict:
    plain = {
        "units": 8, "kernel": 3, "stride": 1, "groups": 1, "dead": 0.0, "rank": 0.5, "folded": math.nan,
        "filter_side": 1.0, "effective_field": 30.0,
    }  # fmt: skip
    return {"layer": layer, **plain, **changed}


RECIPE = {"kernel": 7, "stride": 2, "widths": [8, 8, 8], "hidden": [16, 16], "groups": 1}
NUMBERS = {"object_side": 20.0, "last_hidden_rank": 0.5}


@pytest.mark.parametrize(
    ("rows", "numbers", "expected"),
    [
        ([{}, {}, {}], {}, []),
        ([{"stride": 2, "folded": 0.4}, {}, {}], {}, [("stride", "stride", 1)]),
        ([{"kernel": 7, "filter_side": 0.5}, {}, {}], {}, [("kernel", "kernel", 5)]),
        ([{}, {"dead": 0.5}, {}], {}, [("width", "widths", [8, 4, 8])]),
        ([{}, {"rank": 0.9}, {}], {}, [("width", "widths", [8, 16, 8])]),
        ([{}, {}, {"effective_field": 9.0}], {}, [("depth", "", None)]),
        ([{}, {}, {}], {"last_hidden_rank": 0.1}, [("depth", "hidden", [16])]),
        ([{}, {"rank": 0.3}, {"rank": 0.3}], {}, [("groups", "groups", 2)]),
        ([{}, {"stride": 2, "folded": 0.4}, {}], {}, [("stride", "", None)]),  # no key changes that stride
        ([{}, {}, {}], {"object_side": math.nan, "last_hidden_rank": math.nan}, []),
    ],
)
def test_each_rule(rows: list[dict], numbers: dict, expected: list[tuple]) -> None:
    layers = pd.DataFrame([row(f"conv{i}", **changed) for i, changed in enumerate(rows, start=1)])
    found = proposals(RECIPE, layers, NUMBERS | numbers, BOUNDS)
    assert [(one.change.kind, one.change.key, one.change.value) for one in found] == expected
    assert all(one.reason and one.measure and not math.isnan(one.number) for one in found)


def test_candidates_are_all_single_changes() -> None:
    layers = pd.DataFrame([row(f"conv{i}") for i in (1, 2, 3)])
    kinds = [one.kind for one in candidates(RECIPE, layers)]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "kernel": 2,
        "stride": 2,
        "width": 6,
        "depth": 1,
        "groups": 1,
    }
    assert [one.value for one in candidates({"depth": 1}, layers)] == [2]


def test_widths_are_scaled_to_the_same_operations() -> None:
    def cost(recipe: dict) -> int:
        return recipe["kernel"] ** 2 * sum(recipe["widths"])

    scaled = at_equal_cost({"kernel": 5, "widths": [100, 200]}, 9 * 300, cost)
    assert cost(scaled) == pytest.approx(2700, rel=0.03)
    assert scaled["widths"][1] == pytest.approx(2 * scaled["widths"][0], abs=2)
    assert at_equal_cost({"kernel": 5}, 10, cost) is None
    assert at_equal_cost({"kernel": 5, "widths": [1]}, 10**9, cost) is None  # beyond four times the widths
