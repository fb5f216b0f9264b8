"""Spectra of gratings whose frequency is known, folding by strides, dead filters, and what is said."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.first_layer import first_convolution, first_layer, folded_share, frequencies, spectrum
from deepinside.network import Network, Preprocessing
from deepinside.plots.first_layer import filters
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

SETTINGS = {"bands": [0.125, 0.25], "weak_below": 0.1, "images": 4, "batch_size": 3}
SIDE = 16


def grating(frequency: float) -> torch.Tensor:
    """(3, 16, 16), grey, windowed, waves across."""
    window = torch.hann_window(SIDE, periodic=False)
    wave = torch.cos(2 * math.pi * frequency * torch.arange(SIDE)) * window
    return (window[:, None] * (wave - wave.mean())).expand(3, SIDE, SIDE)


def network(
    weights: torch.Tensor, stride: int = 2, recipe: Preprocessing | None = None, *between: nn.Module
) -> Network:
    conv = nn.Conv2d(3, len(weights), weights.shape[-1], stride, bias=False)
    conv.weight = nn.Parameter(weights.contiguous())
    module = nn.Sequential(conv, *between, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(len(weights), 2))
    recipe = recipe or Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 40, 40)
    return Network(module, recipe, ["a", "b"], "net")


def some(count: int = 4) -> Pictures:
    images = torch.rand(count, 3, 40, 44, generator=torch.Generator().manual_seed(1))
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(map(str, range(count))), (-1,) * count, empty, lambda i: images[i])


def test_gratings_lie_in_their_bands() -> None:
    study = first_layer(network(torch.stack([grating(f) for f in (0.08, 0.19, 0.4)]), 4), some(), **SETTINGS)
    table = study.table
    for unit, (frequency, band) in enumerate(((0.08, "low"), (0.19, "mid"), (0.4, "high"))):
        assert table["peak"][unit] == pytest.approx(frequency, abs=0.03)
        assert table[band][unit] > 0.75  # the window spreads it by about 0.1
        assert table[["low", "mid", "high"]].iloc[unit].sum() == pytest.approx(1)
    assert table["folded"][0] < 0.2  # Nyquist after a stride of 4 is 0.125
    assert table["folded"][1] > 0.9
    assert table["folded"][2] > 0.9
    assert (table["folded_pictures"] - table["folded"]).abs().max() < 0.1  # images of white noise
    assert table["colour"].abs().max() < 1e-9


@pytest.mark.parametrize(("stride", "share"), [((1, 1), 0.0), ((2, 2), 0.75), ((4, 4), 1 - 1 / 16), ((1, 2), 0.5)])
def test_white_filters_fold_all_but_the_square_that_is_left(stride: tuple[int, int], share: float) -> None:
    point = torch.zeros(1, 3, 5, 5)
    point[0, 0, 2, 3] = 1
    found = spectrum(point, stride)
    assert float((found.power * found.beyond).sum()) == pytest.approx(share, abs=0.03)
    noise = torch.randn(1, 2, 200, 120, generator=torch.Generator().manual_seed(0))
    assert folded_share(noise, stride).numpy() == pytest.approx(np.full((1, 2), share), abs=0.03)


def test_waves_fold_where_the_stride_cannot_follow() -> None:
    rows = torch.arange(80.0)[:, None].expand(80, 50)
    slow, fast = (torch.cos(2 * math.pi * f * rows)[None, None] for f in (0.1, 0.3))
    assert float(folded_share(slow, (2, 2))) < 0.01
    assert float(folded_share(fast, (2, 2))) > 0.99
    assert float(folded_share(fast, (1, 2))) < 0.01  # it runs down, and only across is strided
    assert torch.isnan(folded_share(torch.ones(1, 1, 8, 8), (2, 2))).all()
    radius, beyond = frequencies(4, 6, (1, 1))
    assert float(radius.max()) == pytest.approx(0.5**0.5)
    assert not beyond.any()


def test_dead_weak_and_coloured() -> None:
    weights = torch.zeros(4, 3, 3, 3)
    weights[1] = 1.0
    weights[2, 0] = 1.0  # red alone
    weights[3] = 0.01
    table = first_layer(network(weights), some(), **SETTINGS).table
    assert table["dead"].tolist() == [True, False, False, False]
    assert table["weak"].tolist() == [True, False, False, True]
    assert math.isnan(table["mid"][0])
    assert math.isnan(table["colour"][0])
    assert table["colour"][1] == pytest.approx(0, abs=1e-12)
    assert table["colour"][2] == pytest.approx(2 / 3)  # 1 - 3 (1/3)²
    rows = {row.metric: row for row in first_layer(network(weights), some(), **SETTINGS).numbers}
    assert rows["dead"].value == pytest.approx(0.25)
    assert rows["colour"].n == 3  # a filter of zeros has no colour
    below = -torch.ones(1, 3, 3, 3)  # with the mean at black nothing is ever active
    black = Preprocessing((0, 0, 0), (1, 1, 1), 40, 40)
    assert first_layer(network(below, 2, black), some(), **SETTINGS).table["dead"].tolist() == [True]


def test_filters_are_in_units_of_pixels_and_batch_normalisation_is_folded_in() -> None:
    weights = torch.rand(2, 3, 3, 3)
    caffe = Preprocessing((1, 2, 3), (1.0, 2.0, 4.0), 40, 40, bgr=True, scale=255.0)
    norm = nn.BatchNorm2d(2)
    norm.weight = nn.Parameter(torch.tensor([2.0, -1.0]))
    norm.running_var = torch.tensor([4.0, 0.25])
    found = first_convolution(network(weights, 2, caffe, norm))
    assert found.stride == (2, 2)
    ratio = found.filters / weights.double().flip(1)  # red first; blue had a standard deviation of 1
    expected = 255 * torch.tensor([[1 / 4, 1 / 2, 1]]) * torch.tensor([[1.0], [-2.0]])
    assert torch.allclose(ratio.mean(dim=(2, 3)).float(), expected, rtol=1e-4)
    # the same image through both
    net = network(weights, 2, caffe, norm)
    image, other = torch.rand(2, 1, 3, 9, 11)
    answers = [net.module[1](net.module[0](net.normalise(x))) for x in (image, other)]
    direct = nn.functional.conv2d((image - other).double(), found.filters, stride=2)
    assert torch.allclose(answers[0] - answers[1], direct.float(), rtol=1e-3, atol=1e-2)


def test_random_weights_have_what_is_said_of_them() -> None:
    weights = torch.randn(300, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    rows = {row.metric: row for row in first_layer(network(weights), some(1), **SETTINGS).numbers}
    for word in ("low", "mid", "high", "folded", "colour"):
        assert rows[word].value == pytest.approx(rows[f"{word}.of_random_weights"].value, abs=0.02)
    assert rows["folded.of_random_weights"].value == pytest.approx(0.75, abs=0.03)


def test_bad_input_is_said() -> None:
    net = network(torch.rand(2, 3, 3, 3))
    with pytest.raises(KeyError, match="no layer 'conv1'"):
        first_layer(net, some(), layer="conv1", **SETTINGS)
    with pytest.raises(ValueError, match="reads RGB, got '1'"):
        first_layer(net, some(), layer="1", **SETTINGS)
    for bands in ([0.1], [0.2, 0.1], [0, 0.1]):
        with pytest.raises(ValueError, match="two frequencies"):
            first_layer(net, some(), **SETTINGS | {"bands": bands})
    with pytest.raises(ValueError, match="reads RGB, got ''"):
        first_convolution(Network(nn.Flatten(), Preprocessing(), "ab", "none"))


def test_drawn(tmp_path: Path) -> None:
    study = first_layer(network(torch.cat([torch.zeros(1, 3, 5, 5), torch.rand(6, 3, 5, 5)])), some(), **SETTINGS)
    study.write(tmp_path, "first_layer")
    (drawn,) = filters(Study.read(tmp_path, "first_layer"))
    assert "7 filters of 5 pixels, stride 2" in drawn.caption
    assert len(drawn.picture.axes[0].lines) == 1  # the frame of the dead one
    drawn.picture.savefig(tmp_path / "drawn.png")
