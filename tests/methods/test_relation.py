"""Paper A, section 4: the two back-projections agree with equal rules, and only then."""

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.relation import relation
from deepinside.network import Network, Preprocessing
from deepinside.plots.maps import distances
from deepinside.records import Boxes
from deepinside.study import Pictures


def pictures(count: int = 3) -> Pictures:
    images = torch.rand(count, 3, 25, 31, generator=torch.Generator().manual_seed(1))
    empty = Boxes(np.empty((0, 4)))
    return Pictures(tuple(map(str, range(count))), (-1,) * count, (empty,) * count, lambda i: images[i])


def network(*parts: nn.Module) -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(*[part() if isinstance(part, type) else part for part in parts])
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 25, 25), ["a", "b"], "net")


def means(study, compared: str, layer: str) -> float:
    table = study.table
    return table[(table["compared"] == compared) & (table["layer"] == layer)]["relative_distance"].mean()


def test_convolution_and_pooling_alone_make_no_difference_whatever_the_rule() -> None:
    net = network(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.MaxPool2d(2, ceil_mode=True))
    study = relation(net, pictures(), layers=["0", "1", "2", "3"])
    numbers = {row.metric: row.value for row in study.numbers}
    for rule in ("gradient", "deconvnet", "guided"):
        assert numbers[f"equal.{rule}.largest_relative_distance"] < 1e-6
    changed = study.table[study.table["compared"].str.startswith("changed: ReLU")]
    assert (changed["relative_distance"] == 0).all()  # there is no ReLU to differ in
    overwritten = study.table[study.table["compared"] == "changed: unpooling overwrites"]
    assert (overwritten["relative_distance"] == 0).all()  # nor do windows overlap


def test_relus_and_overlapping_pools_make_one() -> None:
    net = network(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.LocalResponseNorm(3, 1.0), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(6, 6, 3, groups=2), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3), nn.ReLU(),
    )  # fmt: skip
    study = relation(net, pictures(), layers=["1", "7"])
    for rule in ("gradient", "deconvnet", "guided"):
        assert means(study, f"equal: {rule}", "7") < 1e-6
    assert means(study, "changed: ReLU deconvnet", "1") == 0  # from one positive activation down a single convolution
    assert means(study, "changed: ReLU deconvnet", "7") > 0.1
    assert means(study, "changed: ReLU guided", "7") > 0.1
    assert means(study, "changed: unpooling overwrites", "7") > 0.01
    assert means(study, "changed: contrast identity", "7") > 0.01
    (drawn,) = distances(study)
    assert "transposed convolutions" in drawn.caption


def test_a_network_whose_nonlinearity_has_no_rule_says_so() -> None:
    net = network(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3))
    with pytest.raises(ValueError, match="Gelu"):
        relation(net, pictures(), layers=["2"])


def test_so_many_convolutions_spread_evenly() -> None:
    net = network(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    for count, chosen in ((8, ["1", "2", "3", "4"]), (2, ["1", "4"]), (1, ["1"])):
        assert list(dict.fromkeys(relation(net, pictures(1), layers=count).table["layer"])) == chosen
