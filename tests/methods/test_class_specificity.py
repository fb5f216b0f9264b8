"""Sanity checks: what is known beforehand of networks made by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.class_specificity import class_specificity
from deepinside.network import Network, Preprocessing
from deepinside.plots.maps import cascade
from deepinside.probe.randomise import randomised, with_weights
from deepinside.records import Boxes
from deepinside.study import Pictures

PLAIN = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=16, resize=16)


def network():
    torch.manual_seed(7)  # not that of the random weights
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 144, 5)]
    return Network(nn.Sequential(*layers), PLAIN, tuple("abcde"), "small")


def pictures(count=4):
    torch.manual_seed(1)
    images = torch.rand(count, 3, 16, 16)
    empty = Boxes(np.zeros((0, 4)))
    return Pictures(tuple(f"p{i}" for i in range(count)), (-1,) * count, (empty,) * count, lambda i: images[i])


@pytest.fixture(scope="module")
def study():
    return class_specificity(network(), pictures(), depths=3, images=4, batch_size=3)


def test_a_row_per_rule_and_picture_and_the_cascade_ends_where_the_table_says(study):
    assert len(study.table) == 3 * 4
    assert study.shown["random_layers"].tolist() == [1, 2, 3]
    assert study.shown["cascade"].shape == (3, 3, 4)
    gradient = study.table[study.table["rule"] == "gradient"]
    assert gradient["correlation_with_all_random"].tolist() == study.shown["cascade"][0, -1].tolist()
    assert gradient["correlation_with_last_random"].tolist() == study.shown["cascade"][0, 0].tolist()
    assert study.table.iloc[:, 2:].abs().to_numpy().max() <= 1
    assert gradient["correlation_with_all_random"].max() < 0.9


def test_the_floor_is_the_map_of_the_next_image():
    found = class_specificity(network(), pictures(), rules=["gradient"], depths=2, images=2).table
    assert found["correlation_with_other_picture"].nunique() == 1  # of two images each is the other's next
    assert found["correlation_with_other_picture"].iloc[0] < found["correlation_with_last_random"].min()
    alone = class_specificity(network(), pictures(), rules=["gradient"], depths=2, images=1).table
    assert alone["correlation_with_other_picture"].isna().all()


def test_a_network_without_anything_to_forget_keeps_its_map():
    """All layers but the scores' own are fixed, and of these only the scale is random: ranks stay."""

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.scores = nn.Linear(1, 2)

        def forward(self, x):
            bright = (x * torch.linspace(0.1, 1, 16)).sum(dim=(1, 2, 3))[:, None] / 100
            return self.scores(bright)

    found = class_specificity(Network(Fixed(), PLAIN, ("a", "b"), "fixed"), pictures(), rules=["gradient"], images=4)
    assert found.table.iloc[:, 2:].to_numpy() == pytest.approx(1)


def test_only_the_parts_named_forget():
    net = network()
    assert with_weights(net) == ("0", "2", "5")
    other = randomised(net, 0, ["5"])
    same = [torch.equal(a, b) for a, b in zip(net.module.parameters(), other.module.parameters(), strict=True)]
    assert same == [True, True, True, True, False, False]


def test_the_figure_names_every_rule(study):
    (drawn,) = cascade(study)
    assert [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()] == list(study.shown["rules"])
