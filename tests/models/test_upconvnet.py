"""Codes and the way back: shapes, parts of the probabilities, statistics, measures of a reconstruction."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from deepinside.metrics import (
    contour_and_colour,
    feature_error,
    image_error,
    mean_and_std,
    merged,
    moments,
    pair_distance,
)
from deepinside.models.checkpoint import save_weights
from deepinside.models.inverter import (
    CONTENTS,
    CodeStatistics,
    Discriminator,
    Inverter,
    UpConvNet,
    legible,
    load_inverters,
)
from deepinside.network import Network, Preprocessing
from deepinside.probe.codes import codes, part_of, source


def net() -> Network:
    torch.manual_seed(0)
    parts = {"conv": nn.Conv2d(3, 6, 3, 2), "relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1)}
    module = nn.Sequential()
    for name, part in (parts | {"flat": nn.Flatten(), "fc": nn.Linear(6, 8)}).items():
        module.add_module(name, part)
    return Network(module, Preprocessing((0.4, 0.5, 0.6), (0.2, 0.2, 0.2), 24, 26), [f"c{i}" for i in range(8)], "net")


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 3, 24, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(7,), (5, 11, 9), (5, 3, 3), (4, 30, 30)])
@pytest.mark.parametrize("side", [None, 20])
def test_any_code_becomes_a_picture_of_the_networks_input(shape, side) -> None:
    torch.manual_seed(0)
    module = UpConvNet(shape, input=45, hidden=6, channels=5, widths=[5, 4], side=side, colour=(0.1, 0.5, 0.9))
    pictures = module(torch.rand(2, *shape))
    assert pictures.shape == (2, 3, 45, 45)
    assert torch.allclose(pictures.mean((0, 2, 3)), torch.tensor([0.1, 0.5, 0.9]), atol=0.1)  # starts at the colour


def test_the_number_of_doublings_follows_from_the_side() -> None:
    def doublings(shape, **keys):
        return [
            p
            for p in UpConvNet(shape, hidden=4, channels=5, widths=[8, 6], **keys).ups
            if isinstance(p, nn.ConvTranspose2d)
        ]

    assert len(doublings((7,), input=128)) == 5  # 4 -> 128: the paper's
    assert [p.in_channels for p in doublings((7,), input=64)] == [8, 8, 8, 6]
    assert [p.in_channels for p in doublings((3, 11, 11), input=96)] == [8, 8, 6]  # 11 -> 88, then resized
    assert [p.in_channels for p in doublings((3, 40, 50), input=96)] == [6]
    with pytest.raises(ValueError, match="expected a code"):
        UpConvNet((3, 4), input=8, hidden=4, channels=5, widths=[4])


def test_an_up_convolution_is_unpooling_with_zeros_and_a_convolution() -> None:
    up = UpConvNet((3, 4, 5), input=8, hidden=4, channels=5, widths=[6]).ups[0].double()
    grid = torch.rand(1, 6, 4, 5, dtype=torch.float64)
    spread = torch.zeros(1, 6, 8, 10, dtype=torch.float64)
    spread[..., ::2, ::2] = grid
    filters = up.weight.flip(2, 3).transpose(0, 1)
    assert torch.allclose(up(grid), conv2d(spread, filters, up.bias, padding=2), atol=1e-12)


def test_parts_of_the_probabilities_sum_to_them(images) -> None:
    found = codes(net(), images, ["probabilities", "top5", "not_top5", "relu", "fc"])
    assert torch.equal(found["top5"] + found["not_top5"], found["probabilities"])
    assert ((found["top5"] > 0).sum(1) == 5).all()
    assert (found["top5"].max(1).values == found["probabilities"].max(1).values).all()
    assert torch.allclose(found["probabilities"], found["fc"].softmax(1))
    assert found["relu"].shape == (5, 6, 11, 11)
    assert torch.equal(codes(net(), images, ["relu"])["relu"], found["relu"])
    few = torch.tensor([[0.7, 0.3]])
    assert part_of(few, "not_top5").tolist() == [[0, 0]]
    assert part_of(torch.full((1, 8), 0.125), "top5").count_nonzero() == 5  # equal ones too


def test_binarised(images) -> None:
    found = codes(net(), images, ["relu.binarised", "relu", "top5.binarised"])
    assert torch.equal(found["relu.binarised"], (found["relu"] > 0).float())
    assert (found["top5.binarised"].sum(1) == 5).all()


def test_probabilities_may_be_read_as_logarithms() -> None:
    assert legible(torch.tensor([[0.0, 1.0]]), None).tolist() == [[0, 1]]
    assert legible(torch.tensor([[0.0, 1.0]]), 1e-3)[0].tolist() == pytest.approx(
        [np.log(1e-3), np.log(1.001)], rel=1e-3
    )
    module = UpConvNet((2,), input=8, hidden=4, channels=5, widths=[4], floor=1e-3)
    read = CodeStatistics(*torch.tensor([[-5.0, -1.0], [2.0, 0.0], [0, 0], [0, 0]]))
    module.settle(CodeStatistics(*torch.zeros(4, 2)), read)
    standard = module.standardised(torch.tensor([[0.0, 1.0]]))[0].tolist()
    assert standard == pytest.approx([(np.log(1e-3) + 5) / 2, np.log(1.001) + 1], rel=1e-3)


def test_a_code_is_compared_where_it_is_whole() -> None:
    names = ["top5", "not_top5.binarised", "relu.binarised", "fc"]
    assert [source(name) for name in names] == ["probabilities", "probabilities", "relu", "fc"]


def test_an_unknown_code_names_the_closest(images) -> None:
    with pytest.raises(KeyError, match="no code 'rellu'; did you mean 'relu'"):
        codes(net(), images, ["rellu"])
    with pytest.raises(KeyError, match="probabilities"):
        codes(net(), images, ["probabilitis.binarised"])


def test_statistics_are_those_of_all_codes_at_once() -> None:
    code = torch.rand(7, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    code[:, 1] = 0.3  # a unit that never varies
    sums = merged(moments(code[:3]), moments(code[3:]))
    mean, std = mean_and_std(sums)
    rows = code.double().transpose(0, 1).flatten(1)
    assert torch.allclose(mean, rows.mean(1))
    assert torch.allclose(std, rows.std(1, correction=0) * torch.tensor([1, 0, 1]))
    assert torch.equal(sums.low, rows.min(1).values)
    module = UpConvNet((3, 4, 5), input=10, hidden=4, channels=5, widths=[4])
    statistics = CodeStatistics(*(part.float() for part in (mean, std, sums.low, sums.high)))
    module.settle(statistics, statistics)
    standard = module.standardised(code).double().transpose(0, 1).flatten(1)
    assert torch.allclose(standard.mean(1), torch.zeros(3, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(standard.std(1, correction=0), torch.tensor([1, 0, 1.0], dtype=torch.float64), atol=1e-5)


def test_an_inverter_is_a_generator_and_comes_back_from_disk(tmp_path, images) -> None:
    network = net()
    architecture = {
        "shape": [6, 11, 11],
        "input": 24,
        "hidden": 4,
        "channels": 5,
        "widths": [4],
        "colour": [0.1, 0.2, 0.3],
    }
    module = UpConvNet(**architecture)
    module.settle(CodeStatistics(*torch.rand(4, 6)), CodeStatistics(*torch.rand(4, 6)))
    (tmp_path / CONTENTS).write_text(json.dumps({"relu": {"architecture": architecture}}))
    save_weights(module, tmp_path / "relu.safetensors")
    torch.manual_seed(5)
    inverter = load_inverters(tmp_path, network)["relu"]
    assert torch.equal(
        torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(5))
    )  # nothing drawn from it
    assert torch.equal(inverter(images), Inverter(network, "relu", module)(images))
    assert torch.equal(inverter.statistics.high, module.high)
    code = inverter.code(images).detach().requires_grad_()
    (slope,) = torch.autograd.grad(inverter.picture(code).sum(), code)
    assert slope.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in inverter.module.parameters())
    shown = inverter.invert(code * 1000)
    assert 0 <= shown.min() <= shown.max() <= 1
    assert torch.equal(shown, inverter.picture(code * 1000).clamp(0, 1))


def test_the_unit_of_errors_is_a_random_pair(images) -> None:
    pairs = [(a - b).square().sum() for i, a in enumerate(images) for j, b in enumerate(images) if i != j]
    unit = pair_distance(images)
    assert unit == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-5)
    mean = images.mean(0).expand_as(images)
    assert image_error(mean, images, unit).mean() == pytest.approx(0.5 * 4 / 5)  # of a set's own mean: (n - 1) / 2n
    assert np.isnan(pair_distance(images[:1]))


def test_feature_error_by_hand() -> None:
    code = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    error = feature_error(torch.tensor([[3.0, 2.0], [1.0, 0.0]]), code)
    assert error[0] == pytest.approx(4 / 25)
    assert np.isnan(error[1])  # nothing to be relative to


def test_contours_and_colours_are_distinguished() -> None:
    usual = torch.full((3, 16, 24), 0.5)
    image = usual.clone()
    image[0, :8], image[1, :8] = 0.8, 0.2  # red above; as bright as before
    bright = usual + torch.linspace(-0.2, 0.2, 24)
    contour, colour = contour_and_colour(torch.stack([image, bright]), torch.stack([image, bright]), usual)
    assert np.isnan(contour[0])
    assert colour[0] == pytest.approx(1)
    assert contour[1] == pytest.approx(1)
    opposite = 1 - image
    assert contour_and_colour(opposite[None], image[None], usual)[1][0] == pytest.approx(-1)


def test_a_discriminator_gives_a_score_per_picture() -> None:
    assert Discriminator((4, 6))(torch.rand(3, 3, 20, 28)).shape == (3,)
