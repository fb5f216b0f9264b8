"""Losses by hand from the papers' formulas, layers chosen in known networks, styles of other sizes, bad input."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import resnet18, vgg19

from deepinside.methods.style_transfer import (
    Layers,
    aim,
    chosen_layers,
    content_loss,
    features,
    gram,
    losses,
    style_loss,
    style_transfer,
)
from deepinside.network import Network, Preprocessing
from deepinside.plots.style_transfer import transferred
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

SETTINGS = {"weighting": "paper", "content_weight": 1e-4, "style_weight": 1.0, "steps": 12}


def small(side: int = 20) -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), side, side), ["a", "b"], "small")


def some(count: int = 3) -> Pictures:
    images = torch.rand(count, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    images[1] = (images[1] > 0.5).float()
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(f"p{i}" for i in range(count)), (-1,) * count, empty, lambda i: images[i])


def test_losses_are_the_papers_sums() -> None:
    now, to = torch.rand(2, 3, 5, 7, dtype=torch.float64)  # 3 units, 5 x 7 positions
    units, positions = 3, 35
    f, p = now.reshape(units, positions).numpy(), to.reshape(units, positions).numpy()
    g, a = np.zeros((units, units)), np.zeros((units, units))
    for i, j in np.ndindex(units, units):
        for k in range(positions):
            g[i, j] += f[i, k] * f[j, k]
            a[i, j] += p[i, k] * p[j, k]
    assert np.allclose(gram(now).numpy(), g / positions)
    expected = ((g - a) ** 2).sum() / (4 * units**2 * positions**2)
    assert float(style_loss(gram(now), gram(to), "paper")) == pytest.approx(expected)
    assert float(content_loss(now, to, "paper")) == pytest.approx(((f - p) ** 2).sum() / 2)
    author = 1e3 / units**2 * (((g - a) / positions) ** 2).mean()
    assert float(style_loss(gram(now), gram(to), "author")) == pytest.approx(author)
    assert author / expected == pytest.approx(4e3 / units**2)
    assert float(content_loss(now, to, "author")) == pytest.approx(((f - p) ** 2).mean())


def test_gram_does_not_know_where_nor_how_large() -> None:
    picture = torch.rand(3, 4, 6)
    shuffled = picture.flatten(1)[:, torch.randperm(24)].view(3, 4, 6)
    assert torch.allclose(gram(picture), gram(shuffled), atol=1e-6)
    assert torch.allclose(gram(picture), gram(picture.repeat(1, 2, 3)), atol=1e-6)


def test_a_picture_has_no_loss_from_itself_and_scales_do_not_matter() -> None:
    network, layers = small(), Layers(("3",), ("1", "6"))
    one, other = some().read(0)[None], some().read(1)[None]
    for name, value in losses(features(network, one, layers), aim(network, one, one, layers), "paper").items():
        assert float(value) == pytest.approx(0, abs=1e-9), name
    before = losses(features(network, one, layers), aim(network, other, other, layers), "paper")
    with torch.no_grad():
        for name in ("0", "2", "5"):  # of a network without biases: ten times the weights, ten times the answers
            network.layer(name).bias.zero_()
    once = losses(features(network, one, layers), aim(network, other, other, layers), "paper")
    assert all(before[name] != once[name] for name in once)
    with torch.no_grad():
        network.layer("0").weight.mul_(10)
    tenfold = losses(features(network, one, layers), aim(network, other, other, layers), "paper")
    assert all(float(tenfold[name]) == pytest.approx(float(once[name]), rel=1e-4) for name in once)


def test_layers_of_vgg_are_the_papers() -> None:
    network = Network(vgg19(), Preprocessing(), [*map(str, range(1000))], "vgg19")
    found = chosen_layers(network, torch.rand(1, 3, 64, 64), None, None)
    # conv4_2, and conv1_1, 2_1, 3_1, 4_1, 5_1, after their ReLUs
    assert found == Layers(("features.22",), ("features.1", "features.6", "features.11", "features.20", "features.29"))
    kept = chosen_layers(network, torch.rand(1, 3, 64, 64), ["features.8"], None)
    assert kept == Layers(("features.8",), found.style)


def test_layers_of_a_network_whose_relus_run_twice() -> None:
    network = Network(resnet18(), Preprocessing(), [*map(str, range(1000))], "resnet18")
    found = chosen_layers(network, torch.rand(1, 3, 64, 64), None, None)
    answers = features(network, torch.rand(1, 3, 64, 64), found)
    assert [answers[name].shape[1] for name in found.style] == [32, 16, 8, 4, 2]
    assert not [part for part in network.modules() if part._forward_hooks]


@pytest.mark.parametrize(("weighting", "start"), [("paper", "content"), ("author", "noise")])
def test_the_loss_falls_and_the_last_row_is_the_result(weighting: str, start: str) -> None:
    settings = SETTINGS | {"weighting": weighting, "start": start, "tv": 1e-5}
    network = small()
    study = style_transfer(network, some(), **settings)
    table, rows = study.table, {row.metric: row for row in study.numbers}
    assert table["best"].diff().dropna().max() <= 0
    assert table["loss"].iloc[-1] == pytest.approx(table["best"].iloc[-1], rel=1e-4)
    assert rows["style.reduction"].value > 2
    assert rows["style.reduction"].value == pytest.approx(table["style"].iloc[0] / table["style"].iloc[-1])
    styles = table[["style.1", "style.6"]].iloc[0]
    share = 0.5 if weighting == "paper" else 1
    assert table["style"].iloc[0] == pytest.approx(share * styles.sum(), rel=1e-5)
    whole = 1e-4 * table["content"] + table["style"] + 1e-5 * table["tv"]
    assert np.allclose(table["loss"], whole, rtol=1e-5)
    assert (table["content"].iloc[0] == 0) == (start == "content")
    result = study.shown["result.0"]
    assert result.shape == (20, 24, 3)
    assert 0 <= result.min() <= result.max() <= 1
    image = torch.from_numpy(result).permute(2, 0, 1)[None]
    layers = Layers(("6",), ("1", "6"))
    again = losses(
        features(network, image, layers), aim(network, some().read(0)[None], some().read(1)[None], layers), weighting
    )
    assert float(again["style.6"]) == pytest.approx(table["style.6"].iloc[-1], rel=1e-3)


def test_content_alone_from_noise_brings_the_content_back() -> None:
    settings = SETTINGS | {"style_weight": 0.0, "content_weight": 1.0, "start": "noise", "steps": 80}
    rows = {row.metric: row.value for row in style_transfer(small(), some(), content_layers=["1"], **settings).numbers}
    assert rows["content.relative_distance"] < 0.15 * rows["content.relative_distance_of_noise"]


def test_all_pairs_with_an_interval() -> None:
    study = style_transfer(small(), some(), **SETTINGS | {"content": [0, 1], "style": [2], "steps": 3})
    rows = {row.metric: row for row in study.numbers}
    assert rows["pairs"].value == 2
    assert rows["style.reduction"].ci_low <= rows["style.reduction"].value <= rows["style.reduction"].ci_high
    last = study.table.groupby(["content_picture", "style_picture"])[["reduction", "relative_distance"]].last()
    assert last["reduction"].mean() == pytest.approx(rows["style.reduction"].value)
    assert last["relative_distance"].mean() == pytest.approx(rows["content.relative_distance"].value)
    single = {row.metric: row for row in style_transfer(small(), some(), **SETTINGS | {"steps": 3}).numbers}
    assert math.isnan(single["style.reduction"].ci_low)


def test_a_result_comes_nearer_to_its_own_style_than_to_another() -> None:
    table = style_transfer(small(), some(), **SETTINGS | {"content": [0], "style": [1, 2], "steps": 60}).table
    last = table.dropna(subset="reduction")
    assert len(last) == 2
    assert (last["reduction"] > 2 * last["reduction_of_other_style"]).all()
    alone = style_transfer(small(), some(), **SETTINGS | {"steps": 3}).table
    assert alone["reduction_of_other_style"].isna().all()


def test_a_style_file_of_another_size(tmp_path: Path) -> None:
    pixels = (255 * torch.rand(90, 40, 3)).byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "paint.png")
    study = style_transfer(small(), some(), style_file=str(tmp_path / "paint.png"), **SETTINGS)
    assert study.shown["style.0"].shape == (45, 20, 3)  # shrunk to the network's 20 pixels, not squeezed
    assert study.shown["style_pictures"].tolist() == ["paint"]
    Image.fromarray(pixels[:5, :5]).save(tmp_path / "tiny.png")
    with pytest.raises(ValueError, match="got 5x5 pixels: use a larger one"):
        style_transfer(small(), some(), style_file=str(tmp_path / "tiny.png"), **SETTINGS)


def test_bad_input_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png, which cannot be read"):
        style_transfer(small(), some(), style_file=str(broken), **SETTINGS)
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        style_transfer(small(), some(), style_file=str(tmp_path / "none.png"), **SETTINGS)
    for word in ("content", "style"):
        with pytest.raises(ValueError, match=r"0\.\.2, got \[3\]"):
            style_transfer(small(), some(), **SETTINGS | {word: [3]})
        with pytest.raises(KeyError, match="no layer '11'"):
            style_transfer(small(), some(), **SETTINGS | {f"{word}_layers": ["11"]})
        with pytest.raises(ValueError, match="got none"):
            style_transfer(small(), some(), **SETTINGS | {f"{word}_layers": []})
    with pytest.raises(ValueError, match=r"with positions, .* got '9'"):
        style_transfer(small(), some(), **SETTINGS | {"style_layers": ["9"]})
    with pytest.raises(ValueError, match="weighting of"):
        style_transfer(small(), some(), **SETTINGS | {"weighting": "papers"})
    unreadable = Pictures(("a", "b"), (-1, -1), some().boxes[:2], lambda _i: None)
    with pytest.raises(ValueError, match="that cannot: name others"):
        style_transfer(small(), unreadable, **SETTINGS)


def test_drawn(tmp_path: Path) -> None:
    study = style_transfer(small(), some(), **SETTINGS | {"content": [0, 1], "style": [2], "steps": 3})
    study.write(tmp_path, "style_transfer")
    drawn = list(transferred(Study.read(tmp_path, "style_transfer")))
    assert [one.title for one in drawn] == ["p0 in the style of p2", "p1 in the style of p2"]
    assert len(drawn[0].picture.axes) == 4
    drawn[0].picture.savefig(tmp_path / "drawn.png")
