"""Scores without the units of a concept."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from deepinside.dissection.ablation import ablation, concepts, without
from deepinside.network import Network, Preprocessing


def network():
    """Class k scores the mean of channel k, after a layer `0` that passes the image on."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight.data = torch.eye(3)[:, :, None, None]
    module = nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(module, Preprocessing(mean=(0, 0, 0), std=(1, 1, 1)), ("r", "g", "b"), "means")


def test_only_the_silenced_units_count_by_hand():
    images = torch.zeros(3, 3, 2, 5)
    images[:, 0] = torch.tensor([0.2, 0.4, 0.9])[:, None, None]
    images[:, 1] = 0.3
    chosen = {("0", "color", "red-c"): [0], ("0", "color", "both-c"): [0, 1]}
    table = ablation(network(), images.split(2), chosen).set_index(["label", "class"])
    assert table.loc[("red-c", "r"), "change"] == pytest.approx(-0.5)
    spread = 1.959964 * np.std([0.2, 0.4, 0.9], ddof=1) / np.sqrt(3)
    assert table.loc[("red-c", "r"), ["change_low", "change_high"]].tolist() == pytest.approx(
        [-0.5 - spread, -0.5 + spread]
    )
    assert table.loc[("red-c", "g"), ["change", "change_low", "change_high"]].tolist() == pytest.approx([0, 0, 0])
    assert table.loc[("both-c", "g"), "change"] == pytest.approx(-0.3)
    assert table.loc["red-c", "named"].tolist() == [2, 1, 0]
    assert table.loc["red-c", "named_without"].tolist() == [0, 3, 0]
    assert table["units"].tolist() == [1, 1, 1, 2, 2, 2]


def test_the_network_is_whole_again():
    net, images = network(), torch.rand(2, 3, 4, 6)
    plain = net(images)
    with without(net, "0", [0, 1, 2]):
        assert (net(images) == 0).all()
    assert torch.equal(net(images), plain)
    with pytest.raises(RuntimeError), without(net, "0", [0]):
        net(images[:, :2])
    assert torch.equal(net(images), plain)


def test_concepts_with_most_units_first():
    units = pd.DataFrame({
        "layer": ["a"] * 6 + ["b"],
        "unit": [0, 1, 2, 3, 4, 5, 0],
        "category": ["object", "object", "part", "object", "part", "part", "part"],
        "label": ["cat", "dog", "tail", "cat", "tail", "ear", "ear"],
        "score": [0.1, 0.5, 0.2, 0.3, 0.25, 0.04, 0.06],
    })  # fmt: skip
    assert concepts(units, 0.04, 2) == {
        ("a", "object", "cat"): [0, 3],
        ("a", "part", "tail"): [2, 4],
        ("b", "part", "ear"): [0],
    }
    assert concepts(units, 0.9, 2) == {}
