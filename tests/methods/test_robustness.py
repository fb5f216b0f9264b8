"""Robustness of a linear network, whose margin says at which radius every attack succeeds."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.robustness import robustness
from deepinside.network import Network, Preprocessing
from deepinside.plots.robustness import curves
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

SETTINGS = {
    "attacks": ["fgsm", "pgd", "random", "lbfgs"], "radii": [1, 4], "steps": 20, "weight": 0.01, "lbfgs_steps": 30,
    "bisections": 8, "boxed_images": 4, "noise": 8, "images": 6, "batch_size": 4,
}  # fmt: skip


def linear() -> Network:
    """Two classes whose scores differ by w · x + b; b of an image in the middle."""
    head = nn.Linear(3 * 6 * 6, 2)
    head.weight.data = torch.randn(2, 108, generator=torch.Generator().manual_seed(0))
    head.bias.data = -head.weight.data.sum(1) / 2
    return Network(nn.Sequential(nn.Flatten(), head), Preprocessing((0, 0, 0), (1, 1, 1), 6, 6), ("a", "b"), "linear")


def pictures(labels: tuple[int, ...] = (-1,) * 6) -> Pictures:
    images = 0.5 + 0.02 * torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(6))
    return Pictures(tuple(f"p{i}" for i in range(6)), labels, empty, lambda i: images[i])


def margins(network: Network) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every image the radius, in the maximum norm and as root mean square, at which its class changes."""
    images = torch.stack([pictures().read(i) for i in range(6)])
    scores, head = network.scores(images), network.layer("1")
    gap, w = (scores[:, 0] - scores[:, 1]).abs(), (head.weight[0] - head.weight[1]).detach()
    return 255 * gap / w.abs().sum(), 255 * gap / w.norm() / 108**0.5


def test_attacks_succeed_beyond_the_margin() -> None:
    network = linear()
    most, mean = margins(network)
    radii = [float(most.median()), float(most.max()) * 1.1]
    table = robustness(network, pictures(), **SETTINGS | {"radii": radii}).table
    for attack, limits in (("fgsm", most), ("pgd", most), ("lbfgs", mean * 1.05)):
        for radius in radii:
            own = table[(table["attack"] == attack) & (table["radius"] == radius)]
            expected = (limits < radius).int().tolist()[: len(own)]
            close = [abs(float(limit) / radius - 1) < 0.06 for limit in limits[: len(own)]]
            assert all(near or found == right for near, found, right in zip(close, own["error"], expected, strict=True))
            assert own["success"].tolist() == own["error"].tolist()  # without labels every image counts
    assert len(table[table["attack"] == "lbfgs"]) == 2 * 4
    assert table[table["attack"] == "random"]["error"].mean() < table[table["attack"] == "fgsm"]["error"].mean()


def test_an_image_that_was_misread_before_is_an_error_and_no_success() -> None:
    network = linear()
    seen = network.scores(torch.stack([pictures().read(i) for i in range(6)])).argmax(1).tolist()
    labels = (1 - seen[0], *seen[1:])
    study = robustness(network, pictures(labels), **SETTINGS)
    first = study.table[study.table["picture"] == "p0"]
    assert first[first["attack"] == "none"]["error"].item() == 1
    assert first[first["attack"] == "lbfgs"]["error"].tolist() == [1, 1]
    assert all(math.isnan(value) for value in first["success"])
    rows = {row.metric: row for row in study.numbers}
    assert rows["clean.error"].value == pytest.approx(1 / 6)
    assert rows["pgd.radius_4.success_rate"].n == 5


def test_saliency_of_a_network_that_sees_edges_follows_those_of_its_image() -> None:
    class Squares(nn.Module):
        """Score 0 is half the squared gradient of the image: its own gradient is large at edges; score 1 is zero."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            energy = 0.5 * (x.diff(dim=2).square().sum((1, 2, 3)) + x.diff(dim=3).square().sum((1, 2, 3)))
            return torch.stack([energy, torch.zeros_like(energy)], 1)

    images = torch.zeros(2, 3, 12, 12)
    images[0, :, :, 6:], images[1, :, 6:] = 0.8, 0.8
    empty = (Boxes(np.empty((0, 4))),) * 2
    planted = Pictures(("vertical", "horizontal"), (0, 0), empty, lambda i: images[i])
    network = Network(Squares(), Preprocessing((0, 0, 0), (1, 1, 1), 12, 12), ("edges", "none"), "squares")
    study = robustness(network, planted, **SETTINGS | {"attacks": ["fgsm"], "noise": 0.01})
    rows = {row.metric: row.value for row in study.numbers}
    assert rows["saliency.edges"] > 0.9
    assert abs(rows["saliency.edges_of_other_image"]) < 0.2
    assert rows["saliency.after_noise"] < 1


def test_it_is_stored_and_drawn(tmp_path: Path) -> None:
    study = robustness(linear(), pictures(), **SETTINGS)
    study.write(tmp_path, "robustness")
    drawn = list(curves(Study.read(tmp_path, "robustness")))
    assert [one.name for one in drawn] == ["errors", "images"]
    assert "of 4" in drawn[0].caption
    again = robustness(linear(), pictures(), **SETTINGS)
    assert again.table.equals(study.table)  # by the seed


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"radii": [0, 1]}, ValueError, "expected radii above 0 .* got 0"),
        ({"radii": [-1]}, ValueError, "expected radii above 0 .* got -1"),
        ({"radii": []}, ValueError, "expected attacks and radii"),
        ({"noise": 0}, ValueError, "expected noise above 0"),
        ({"attacks": ["pdg"]}, KeyError, "no attack 'pdg'; did you mean 'pgd'"),
    ],
)
def test_impossible_settings_are_named(changes: dict, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        robustness(linear(), pictures(), **SETTINGS | changes)
