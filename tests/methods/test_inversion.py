"""Inversion: the published updates by hand, what has to match, and what must not matter."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from deepinside.methods.inversion import features, inversion
from deepinside.network import Network, Preprocessing
from deepinside.pipeline.configuration import folder
from deepinside.plots.inversion import sheets
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

MEAN = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)


def network() -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3, stride=2, padding=1), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 4))
    recipe = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), input=19, resize=19)
    return Network(module, recipe, [f"class {i}" for i in range(4)], "toy")


def pictures(count: int = 3) -> Pictures:
    def read(position: int) -> Tensor:
        coarse = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(position))
        return nn.functional.interpolate(coarse, (19, 19), mode="bilinear")[0]

    empty = tuple(Boxes([]) for _ in range(count))
    return Pictures(tuple(map(str, range(count))), (0,) * count, empty, read)


def told(preset: str = "inversion") -> dict[str, Any]:
    keys = yaml.safe_load((folder() / "method" / "inversion.yaml").read_text())
    keys |= {} if preset == "inversion" else yaml.safe_load((folder() / "method" / f"{preset}.yaml").read_text())
    return {key: value for key, value in keys.items() if key not in {"_target_", "plot", "defaults", "needs"}}


def test_the_update_of_2015_by_hand() -> None:
    # invert_nn.m: m = 0.9 m - lr·grad_R - lr·σ²/||Φ0||²·dΦ, R = lTV/2·TV + lL/2·Σ x^6
    net, one = network(), pictures(1)
    wanted = features(net, one.read(0)[None], "1")
    x = 68.92 * torch.randn((3, 19, 19), generator=torch.Generator().manual_seed(0))[None]
    velocity = torch.zeros_like(x)
    rate, weight = 0.004, 3.0e4
    for _ in range(5):
        leaf = x.clone().requires_grad_()
        error = (features(net, MEAN + leaf / 255, "1") - wanted).square().sum()
        dx, dy = leaf[..., :, 1:] - leaf[..., :, :-1], leaf[..., 1:, :] - leaf[..., :-1, :]
        regulariser = 10 / 2 * (dx.square().sum() + dy.square().sum()) + 8e-10 / 2 * leaf.pow(6).sum()
        (of_error,) = torch.autograd.grad(error, leaf)
        (of_regulariser,) = torch.autograd.grad(regulariser, leaf)
        velocity = 0.9 * velocity - rate * of_regulariser - rate * weight / wanted.square().sum() * of_error
        x = x + velocity
    changed = {"layers": ["1"], "images": 1, "weight": weight, "per_value": False, "octaves": [{"steps": 5}]}
    changed |= {"by_depth": {"total_variation": [5.0, 5.0, 5.0]}}
    study = inversion(net, one, **told() | changed)
    expected = ((MEAN + x / 255).clamp(0, 1) * 255).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(study.shown["optimised.1"][0, 0].astype(float) - expected).max() <= 1


@pytest.mark.parametrize("preset", ["inversion", "inversion_2016"])
def test_a_low_layer_is_inverted_and_says_so(preset: str) -> None:
    keys = told(preset) | {
        "layers": ["1", "probabilities"],
        "images": 2,
        "repeats": 2,
        "margin": 0,
        "weight": 1e5,
        "per_value": False,
    }
    keys |= {"by_depth": {"total_variation": [1e-3, 1e-3, 1e-3]}}
    keys |= {"octaves": [{"steps": 300, "step": {"policy": "adam", "rate": 3.0}}]}
    study = inversion(network(), pictures(2), **keys)
    first = study.table[study.table["layer"] == "1"]
    assert (first["feature_error"] < 0.1).all()
    assert (first["image_error"] < 0.5).all()
    assert len(study.table) == 2 * 2 * 2
    assert (study.table["passes"] == 300).all()
    assert study.shown["errors.1"].shape == (300, 4)
    floats = study.shown["floats.1"]  # of the first start, not cut
    assert floats.shape == (1, *study.shown["optimised.1"].shape[1:])
    assert np.abs(floats.clip(0, 1) * 255 - study.shown["optimised.1"][:1]).max() <= 1
    deep = {row.metric: row.value for row in study.numbers}
    if preset == "inversion":
        assert deep["probabilities.spread_over_starts"] > deep["1.spread_over_starts"]


def test_only_what_was_asked_for_has_to_match() -> None:
    net, image = network(), pictures(1).read(0)[None]
    whole = features(net, image, "3")
    assert whole.shape == (1, 5 * 9 * 9)
    part = features(net, image, "3", region=3, channels=(1, 3))
    assert torch.equal(part.view(2, 3, 3), whole.view(5, 9, 9)[1:3, 3:6, 3:6])
    with pytest.raises(ValueError, match="region"):
        features(net, image, "3", region=10)
    with pytest.raises(ValueError, match="channels"):
        features(net, image, "3", channels=(3, 6))


def test_a_start_depends_on_its_picture_and_repeat_and_not_on_the_batch() -> None:
    keys = told() | {"layers": ["3"], "repeats": 2, "octaves": [{"steps": 3}]}
    one = inversion(network(), pictures(), **keys)
    other = inversion(network(), pictures(), **keys | {"batch_size": 2})
    assert np.abs(one.shown["optimised.3"].astype(int) - other.shown["optimised.3"]).max() <= 1


def test_bad_layers_are_named_before_any_work() -> None:
    with pytest.raises(KeyError, match="probabilities"):
        inversion(network(), pictures(), **told() | {"layers": ["probabilites"]})
    with pytest.raises(KeyError, match="no prior"):
        inversion(network(), pictures(), **told() | {"layers": ["1"], "by_depth": {"tv": [1.0, 1.0, 1.0]}})


def test_the_sheets_are_drawn(tmp_path) -> None:
    keys = told() | {"layers": 2, "images": 2, "repeats": 2, "octaves": [{"steps": 2}]}
    study = inversion(network(), pictures(2), **keys)
    study.write(tmp_path, "inversion")
    assert [drawn.name for drawn in sheets(Study.read(tmp_path, "inversion"))] == ["pictures", "repeats", "errors"]
    keys |= {"layers": ["1"], "repeats": 1}
    assert [drawn.name for drawn in sheets(inversion(network(), pictures(2), **keys))] == ["pictures"]  # no curve


def test_a_rate_that_is_too_fast_is_slowed_until_the_error_falls() -> None:
    """A hundred times the rate: the momentum explodes, and only slower descents come down."""
    keys = told() | {
        "layers": ["1"],
        "octaves": [{"steps": 60, "step": {"policy": "momentum", "rate": 2.0, "momentum": 0.9}}],
    }
    table = inversion(network(), pictures(), **keys, seed=0).table
    assert table["state"].str.fullmatch(r"ok, rates / (4|16|64|256|1024)").all()
    plain = inversion(network(), pictures(), **(told() | {"layers": ["1"]}), seed=0).table
    assert (plain["state"] == "ok").all()
    assert (table["feature_error"] < 0.5).all()
