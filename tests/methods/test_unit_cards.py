"""Unit cards: each part is what its own method says of the same unit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn

from deepinside.methods.top_activations import top_activations
from deepinside.methods.unit_cards import unit_cards
from deepinside.network import Network, Preprocessing
from deepinside.pipeline.configuration import folder
from deepinside.plots.unit_cards import cards
from deepinside.records import Boxes
from deepinside.study import Pictures, Study


def network() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3, 2), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU())
    with torch.no_grad():
        module[2].bias[3] = -100.0  # a unit that is zero everywhere
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 20, 20), ["a", "b"], "net")


def pictures() -> Pictures:
    images = torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    empty = (Boxes(np.empty((0, 4))),) * 6
    return Pictures(tuple(f"image {i}" for i in range(6)), (0,) * 6, empty, lambda i: images[i])


def told() -> dict[str, Any]:
    with initialize_config_dir(str(folder()), version_base="1.3"):
        keys = OmegaConf.to_container(compose("config", ["method=[unit_cards]"]).method.unit_cards)
    keys = {key: value for key, value in keys.items() if key not in {"_target_", "plot", "needs"}}
    keys |= {"layer": "3", "units": [2, 0, 3], "top": 2}
    keys["stimulus"]["steps"] = 4
    keys["pre_image"]["octaves"][0]["steps"] = 60
    return keys


def test_a_card_says_of_a_unit_what_the_methods_say() -> None:
    net, shown = network(), pictures()
    concepts = pd.DataFrame(
        {
            "layer": ["3", "1"],
            "unit": [2, 0],
            "label": ["wheel", "sky"],
            "category": ["part", "object"],
            "score": [0.2, 1],
        }
    )
    study = unit_cards(net, shown, **told(), detectors=concepts)
    table = study.table.set_index("unit")
    patches = top_activations(net, shown, layer="3", units=[2, 0, 3], top=2)
    assert study.shown["units"].tolist() == [2, 0]
    assert np.array_equal(study.shown["patches"], patches.shown["patches"])
    assert study.shown["stimuli"].shape == (2, 7, 7, 3)  # the receptive field
    assert study.shown["pre_images"].shape == (2, 20, 20, 3)
    assert table.loc[2, ["concept", "category", "iou"]].tolist() == ["wheel", "part", 0.2]
    assert table.loc[0, "concept"] == ""
    assert table.loc[3, "state"] == "dead"
    assert table.loc[0, "pre_image_error"] < 0.9


def test_without_a_dissection_the_card_says_so_and_is_drawn(tmp_path: Path) -> None:
    study = unit_cards(network(), pictures(), **told())
    assert study.table.set_index("unit").loc[2, "concept"] == "not dissected"
    study.write(tmp_path, "unit_cards")
    drawn = list(cards(Study.read(tmp_path, "unit_cards")))
    assert [card.name for card in drawn] == ["0002", "0000"]
    assert drawn[0].title == "3, unit 2"


def test_none_but_dead_units_is_an_error() -> None:
    with pytest.raises(ValueError, match="all requested units of 3 are zero"):
        unit_cards(network(), pictures(), **told() | {"units": [3]})
