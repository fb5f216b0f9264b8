"""Images of facets beside images of groups by chance, on photographs whose facets are known."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepinside.methods.facets import facets
from deepinside.network import Network, Preprocessing
from deepinside.plots.synthesis import facets as plot
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

SIDE = (6, 6)
STILL = {
    "place": "centre", "objective": "score", "weight": 1.0, "relative": False, "canvas": {"kind": "pixels"},
    "margin": 0, "steps": 1, "step": {"policy": "constant", "rate": 0.0}, "priors": {}, "octaves": None,
    "patches": {"side": 2, "count": 4}, "batch_size": 8,
}  # fmt: skip


def network() -> Network:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, 2))
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 6, 6), ["a, aa", "b"], "net")


def photographs(bright: float, count: int = 20) -> Pictures:
    def read(position: int) -> Tensor:
        noise = torch.rand(3, *SIDE, generator=torch.Generator().manual_seed(position))
        return 0.1 + 0.1 * noise + bright * (position % 4 > 1)

    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(map(str, range(count))), tuple(i % 2 for i in range(count)), empty, read)


def study(pictures: Pictures, **changed: Any) -> Study:
    given = {"classes": ["aa", 1], "facets": 2, "nearest": 4, "ascent": STILL, **changed}
    return facets(network(), pictures, **given)


def test_facets_that_are_there_end_apart_and_groups_by_chance_do_not() -> None:
    found = study(photographs(0.7))
    assert found.table["name"].tolist() == ["a, aa", "b"]
    assert (found.table["apart"] > 5).all()  # images of one facet differ by noise, those of two by 0.7
    numbers = {row.metric: row for row in found.numbers}
    assert numbers["classes"].value == 2
    assert numbers["apart_above_random"].value == pytest.approx(
        (found.table["apart"] - found.table["random_apart"]).mean(), rel=1e-6
    )
    (drawn,) = plot(found)
    assert len(drawn.picture.axes) == 2 * 2 * 2


def test_where_all_pictures_are_alike_facets_are_no_farther_apart_than_chance() -> None:
    told = study(photographs(0.0)).table
    assert (told["apart"] - told["random_apart"]).abs().max() < 1


def test_distances_are_those_of_the_mean_pictures_where_nothing_climbs() -> None:
    pictures = photographs(0.7)
    row = study(pictures).table.iloc[0]
    mine = {bright: [i for i in range(0, 20, 2) if (i % 4 > 1) == bright] for bright in (False, True)}
    shown = study(pictures).shown["starts"][0] / 255
    assert sorted(shown.mean(axis=(1, 2, 3))) == pytest.approx([0.15, 0.85], abs=0.01)
    everything = torch.stack([pictures.read(i) for part in mine.values() for i in part]).flatten(1)
    farthest = max((a - b).norm().item() for a, b in combinations(everything, 2))
    assert 0 < row["within"] < row["between"] < farthest
    assert row["between"] == pytest.approx(0.7 * np.sqrt(3 * 36), rel=0.02)
    assert row["apart"] == pytest.approx(row["between"] / row["within"] - 1, rel=1e-5)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"facets": 1}, "at least 2 facets"), ({"nearest": 1}, "at least 2 images"), ({"facets": 6}, "class 0")],
)
def test_too_few_facets_or_pictures_are_named(changed: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study(photographs(0.7), **changed)
