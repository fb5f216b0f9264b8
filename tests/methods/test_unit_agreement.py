"""Agreement of methods: planted units about which all methods agree, units without a meaning, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn

from deepinside.methods.unit_agreement import WAYS, unit_agreement
from deepinside.network import Network, Preprocessing
from deepinside.pipeline.configuration import folder
from deepinside.plots.unit_cards import agreement
from deepinside.records import Boxes
from deepinside.study import Pictures, Segments, Study

SIDE = 16
COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 1.0, 0.1), "blue": (0.1, 0.1, 1.0)}


def network() -> Network:
    """Units 0 to 2 like red, green and blue; 3 to 5 a pixel's difference from its neighbour, whatever it shows."""
    layer = nn.Conv2d(3, 6, 3, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for unit in range(3):
            layer.weight[unit] = -0.05
            layer.weight[unit, unit] = 0.1
        for unit in range(3):
            layer.weight[3 + unit, :, 1, 1] = 0.1
            layer.weight[3 + unit, :, unit, 0] = -0.1
    return Network(
        nn.Sequential(layer, nn.ReLU()), Preprocessing((0.5,) * 3, (1,) * 3, SIDE, SIDE), list("abcdef"), "net"
    )


def judge(gain: float = 1.0) -> Network:
    """Its features and its scores are mean colours; with a gain of 0 it is blind."""
    colour = nn.Conv2d(3, 3, 1, bias=False)
    scores = nn.Conv2d(3, 3, 1, bias=False)
    with torch.no_grad():
        colour.weight.copy_(gain * torch.eye(3)[:, :, None, None])
        scores.weight.copy_(torch.eye(3)[:, :, None, None])
    layers = nn.Sequential(colour, scores, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(layers, Preprocessing((0.5,) * 3, (1,) * 3, 8, 8), list(COLOURS), "judge")


def images(count: int) -> Tensor:
    noise = 0.3 * torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    tints = torch.tensor(list(COLOURS.values()))[torch.arange(count) % 3]
    return (0.7 * tints[:, :, None, None] + noise).clamp(0, 1)


def pictures(count: int = 36) -> Pictures:
    seen = images(count)
    empty = (Boxes(np.empty((0, 4))),) * count
    return Pictures(tuple(f"image {i}" for i in range(count)), (-1,) * count, empty, lambda i: seen[i])


def segments() -> Segments:
    """Outlines of colours in their upper half; the last one labels the whole image."""
    shown = pictures(9)
    half = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    half[: SIDE // 2] = True
    names = list(COLOURS)
    return Segments(
        shown,
        lambda i: {names[i % 3]: half} if i % 3 < 2 else {},
        lambda i: {names[2]: torch.ones_like(half)} if i % 3 == 2 else {},
    )


def dissection() -> pd.DataFrame:
    """Units 0 to 2 detect colours."""
    labels = [*COLOURS, "red", "green", ""]
    scores = [0.3, 0.2, 0.25, 0.06, 0.01, 0.0]
    p = [0.01, 0.01, 0.01, 0.6, 0.9, 1.0]
    rows = {"layer": "1", "unit": range(6), "label": labels, "category": "color", "score": scores, "p_value": p}
    return pd.DataFrame(rows)


def settings(**changes: Any) -> dict[str, Any]:
    with initialize_config_dir(str(folder()), version_base="1.3"):
        keys = OmegaConf.to_container(compose("config", ["method=[unit_agreement]"]).method.unit_agreement)
    keys = {key: value for key, value in keys.items() if key not in {"_target_", "plot", "needs"}}
    keys |= {"layer": "1", "top": 5, "concept_images": 3}
    keys["stimulus"] |= {"steps": 20, "canvas": {"kind": "pixels"}}  # colours of photographs are no greens
    keys["stimulus"]["step"]["rate"] = 5.0  # grey levels
    keys["pre_image"]["octaves"][0]["steps"] = 60
    return keys | changes


@pytest.fixture(scope="module")
def study() -> Study:
    return unit_agreement(network(), pictures(), segments(), judge=judge(), detectors=dissection(), **settings())


def test_all_methods_agree_about_units_that_like_a_colour(study: Study) -> None:
    ours = study.table[study.table["kind"] == "detector"]
    assert sorted(ours["unit"]) == [0, 1, 2]
    assert ours["agreement"].min() > 0.7  # a stimulus of the receptive field has 3 x 3 pixels
    assert ours["concept_agreement"].min() > 0.8
    assert (ours["class_of_stimulus"] == ours["class_of_patches"]).all()
    assert ours["same_class"].tolist() == [1, 1, 1]


def test_units_without_a_meaning_agree_less_and_come_first(study: Study) -> None:
    table = study.table
    others = table[table["kind"] == "random"]
    assert sorted(others["unit"]) == [3, 4, 5]  # 3 is above the IoU, but not above chance
    assert others["agreement"].mean() < table[table["kind"] == "detector"]["agreement"].mean() - 0.2
    assert table["agreement"].is_monotonic_increasing
    assert study.shown["units"].tolist() == table["unit"].tolist()
    assert sorted(table["pair"]) == [0, 0, 1, 1, 2, 2]


def test_its_figures_say_so(study: Study, tmp_path: Path) -> None:
    study.write(tmp_path, "unit_agreement")
    drawn = list(agreement(Study.read(tmp_path, "unit_agreement")))
    assert drawn[0].title == "Do the methods agree about a unit?"
    assert "0.5 by chance" in drawn[0].caption
    assert len(drawn) == 1 + len(study.table)
    worst = study.table.iloc[0]
    assert drawn[1].about == (f"unit/1/{worst['unit']}",)


def test_a_judge_that_sees_nothing_finds_chance() -> None:
    found = unit_agreement(
        network(), pictures(), segments(), judge=judge(gain=0.0), detectors=dissection(), **settings(units=2)
    )
    assert {f"{way}_with_concept" for way in WAYS} <= set(found.table)
    assert found.table["agreement"].tolist() == [0.5] * 4
    assert set(found.table["concept_agreement"].dropna()) == {0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge": None}, r"expected a second network, got none: add for instance model@judge"),
        ({"detectors": None}, r"expected a dissection, got none"),
        ({"layer": "0"}, r"expected a dissection of 0, got one of 1: set dissect.layers=\[0\]"),
        ({"top": 2}, r"top: expected 3 images per unit or more, got 2"),
        ({"iou": 0.9}, r"expected detectors among the units of 1 and other units, got 0 of 6 above an IoU of 0.9"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], message: str) -> None:
    given = {"judge": judge(), "detectors": dissection(), **settings()} | changes
    with pytest.raises(ValueError, match=message):
        unit_agreement(network(), pictures(), segments(), **given)
