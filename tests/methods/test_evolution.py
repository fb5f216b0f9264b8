"""Evolution on a network whose best image is known, and its mutation against the formula."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from deepinside.methods.evolution import fooling_evolution, mutated
from deepinside.network import Network, Preprocessing
from deepinside.plots.evolution import evolved
from deepinside.study import Study

SETTINGS = {"children": 12, "rate": 0.2, "halved_every": 100, "strength": 15}


def colours() -> Network:
    """Scores are 12 times the mean of red, green and blue."""
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    module[2].weight = nn.Parameter(12 * torch.eye(3))
    return Network(module, Preprocessing((0, 0, 0), (1, 1, 1), 6, 6), ["red", "green", "blue"], "colours")


def test_mutation_is_deb_and_goyals() -> None:
    genes = torch.full((200_000,), 0.5)
    for strength in (5.0, 15.0):
        moves = mutated(genes, 1.0, strength, torch.Generator().manual_seed(0)) - 0.5
        assert float(moves.abs().mean()) == pytest.approx(1 / (strength + 2), rel=0.02)
        assert float(moves.mean()) == pytest.approx(0, abs=1e-3)
        # P(|d| < t) = 1 - (1 - t)^(s + 1)
        assert float((moves.abs() < 0.05).float().mean()) == pytest.approx(1 - 0.95 ** (strength + 1), rel=0.02)
    some = mutated(genes, 0.1, 15, torch.Generator().manual_seed(0))
    assert float((some != genes).float().mean()) == pytest.approx(0.1, rel=0.05)
    assert mutated(torch.rand(999), 1, 0, torch.Generator().manual_seed(0)).min() >= 0


def test_confidence_never_falls_and_reaches_its_milestones() -> None:
    study = fooling_evolution(colours(), classes=["red", "blue"], generations=250, side=3, **SETTINGS)
    rows = {row.metric: row for row in study.numbers}
    for number in (0, 2):
        mine = study.table[study.table["class"] == number]
        assert mine["confidence"].diff().dropna().min() >= 0
        assert len(mine) == 251
        assert rows[f"class_{number}.confidence"].value == mine["confidence"].iloc[-1] > 0.99
        first = rows[f"class_{number}.first_0.99"].value
        assert (mine["confidence"] > 0.99).tolist().index(True) == first > 0
    picture = study.shown["end"][0]  # of red: (h, w, 3)
    assert picture.shape == (6, 6, 3)
    assert picture[..., 0].mean() > 0.8 > 0.2 > picture[..., 2].mean()
    # what is kept is what was measured
    with torch.no_grad():
        chance = colours()(torch.from_numpy(study.shown["end"]).permute(0, 3, 1, 2)).softmax(1)
    assert float(chance[0, 0]) == pytest.approx(rows["class_0.confidence"].value, abs=1e-6)


def test_the_same_seed_finds_the_same_picture_and_no_other_random_number_is_drawn() -> None:
    network = colours()
    state = torch.get_rng_state()
    runs = [fooling_evolution(network, classes=2, generations=5, seed=seed, **SETTINGS) for seed in (0, 0, 1)]
    assert (runs[0].shown["end"] == runs[1].shown["end"]).all()
    assert (runs[0].shown["end"] != runs[2].shown["end"]).any()
    assert torch.equal(state, torch.get_rng_state())
    assert runs[0].shown["end"].shape == (2, 6, 6, 3)


def test_what_is_not_reached_is_not_zero() -> None:
    study = fooling_evolution(colours(), classes=["red"], generations=1, **SETTINGS)
    rows = {row.metric: row for row in study.numbers}
    assert math.isnan(rows["class_0.first_0.999"].value)


def test_bad_input_is_said() -> None:
    with pytest.raises(KeyError, match="did you mean 'green'"):
        fooling_evolution(colours(), classes=["gren"], generations=1, **SETTINGS)
    with pytest.raises(ValueError, match=r"0\.\.2, got 3"):
        fooling_evolution(colours(), classes=[3], generations=1, **SETTINGS)
    with pytest.raises(ValueError, match="generations of at least 1"):
        fooling_evolution(colours(), classes=1, generations=0, **SETTINGS)
    with pytest.raises(ValueError, match="side of at least 1"):
        fooling_evolution(colours(), classes=1, generations=1, side=0, **SETTINGS)
    with pytest.raises(ValueError, match="rate in"):
        fooling_evolution(colours(), classes=1, generations=1, **SETTINGS | {"rate": 0})


def test_drawn(tmp_path: Path) -> None:
    study = fooling_evolution(colours(), classes=2, generations=4, **SETTINGS)
    study.write(tmp_path, "fooling_evolution")
    pictures, curves = evolved(Study.read(tmp_path, "fooling_evolution"))
    assert len(pictures.picture.axes) == 4
    assert "after 4 generations" in pictures.caption
    for one in (pictures, curves):
        one.picture.savefig(tmp_path / f"{one.name}.png")
