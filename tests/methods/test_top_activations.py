"""The strongest images of units, against sorting all of them."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from deepinside.methods.deconvnet import project
from deepinside.methods.top_activations import strongest_pictures, top_activations
from deepinside.network import Network, Preprocessing
from deepinside.plots.top_activations import sheets
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

NOTHING = Boxes(np.empty((0, 4)))


def network() -> Network:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3, 2), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU())
    with torch.no_grad():
        module[2].bias[3] = -100.0  # a unit that is zero everywhere
    return Network(module, Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 20, 20), ["a", "b"], "net")


def pictures(count: int = 11, broken: tuple[int, ...] = ()) -> Pictures:
    images = torch.rand(count, 3, 18, 20, generator=torch.Generator().manual_seed(1))
    return Pictures(
        names=tuple(f"image {i}" for i in range(count)),
        labels=tuple(i % 2 for i in range(count)),
        boxes=(NOTHING,) * count,
        read=lambda i: None if i in broken else images[i],
    )


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_as_if_everything_were_sorted(batch: int) -> None:
    net, shown = network(), pictures(broken=(2,))
    found = strongest_pictures(net, shown, layer="3", units=[1, 0, 2], top=4, batch_size=batch)
    kept = [i for i in range(11) if i != 2]
    maps = net.module(net.normalise(torch.stack([shown.read(i) for i in kept])))[:, [1, 0, 2]]
    peaks = maps.amax(dim=(2, 3))
    for unit in range(3):
        order = sorted(range(10), key=lambda i: (-float(peaks[i, unit]), i))[:4]
        assert found.pictures[unit].tolist() == [kept[i] for i in order]
        assert torch.allclose(found.values[unit], peaks[order, unit])
        for rank, i in enumerate(order):
            y, x = found.places[unit, rank]
            assert maps[i, unit, y, x] == peaks[i, unit]


def test_patches_are_what_the_unit_sees_and_projections_what_came_back() -> None:
    net, shown = network(), pictures()
    study = top_activations(net, shown, layer="3", units=[0, 3, 2], top=2)
    # conv 3/2 then conv 3/1: field 7, stride 2, offset 0.
    assert study.shown["patches"].shape == (2, 2, 7, 7, 3)
    assert study.shown["units"].tolist() == [0, 2]
    row = study.table[(study.table["unit"] == 2) & (study.table["rank"] == 1)].iloc[0]
    position = shown.names.index(row["picture"])
    y, x = int(row["y"]), int(row["x"])
    assert [row["x0"], row["y0"], row["x1"], row["y1"]] == [2 * x, 2 * y, 2 * x + 7, 2 * y + 7]
    image = shown.read(position)
    window = (slice(2 * y, 2 * y + 7), slice(2 * x, 2 * x + 7))
    assert study.shown["patches"][1, 0] == pytest.approx(image[:, *window].permute(1, 2, 0).numpy(), abs=1e-3)
    pixels = project(net, image[None], layer="3", units=[2], positions=torch.tensor([[y, x]])).pixels[0]
    seen = pixels[:, *window]
    expected = (seen / seen.abs().quantile(0.99)).clamp(-1, 1).permute(1, 2, 0).numpy()
    assert study.shown["projections"][1, 0] == pytest.approx(expected, abs=1e-3)


def test_a_unit_that_is_zero_everywhere_is_said_and_not_drawn() -> None:
    study = top_activations(network(), pictures(), layer="3", units=4, top=3)
    numbers = {row.metric: row.value for row in study.numbers}
    assert numbers["dead_units"] == 1
    assert study.table[study.table["unit"] == 3][["rank", "value"]].to_numpy().tolist() == [[0, 0.0]]
    (drawn,) = sheets(study)
    assert "units 0 to 2" in drawn.title


def test_a_field_at_the_border_is_cut_and_the_rest_left_out() -> None:
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(3, 2, 5, 1, padding=2))
    net = Network(module, Preprocessing((0, 0, 0), (1, 1, 1), 9, 9), ["a", "b"], "net")
    with torch.no_grad():
        module[0].weight.fill_(0)
        module[0].weight[0, :, 4, 4] = 1  # looks two pixels down and right of its centre
    image = torch.zeros(3, 9, 9)
    image[:, 2, 3] = 1  # so that (0, 1) fires, whose field starts at (-2, -1)
    shown = Pictures(("one",), (-1,), (NOTHING,), lambda _: image)
    study = top_activations(net, shown, layer="0", units=[0], top=1)
    assert study.table[["y", "x", "x0", "y0", "x1", "y1"]].to_numpy().tolist() == [[0, 1, 0, 0, 4, 3]]
    inside = study.shown["inside"][0, 0]
    assert not inside[:2].any()
    assert not inside[:, :1].any()
    assert inside[2:, 1:].all()


def test_fewer_pictures_than_asked_for_and_units_that_do_not_exist() -> None:
    study = top_activations(network(), pictures(2), layer="3", units=[0], top=9)
    assert len(study.table) == 2
    with pytest.raises(ValueError, match=r"units 0\.\.3, not 7"):
        top_activations(network(), pictures(2), layer="3", units=[7])
    with pytest.raises(KeyError, match="no layer '33'"):
        top_activations(network(), pictures(2), layer="33")


def test_names_that_look_like_numbers_stay_names(tmp_path) -> None:
    Study(pd.DataFrame({"layer": ["0.10", "007"], "value": [1, 2]})).write(tmp_path, "s")
    assert Study.read(tmp_path, "s").table["layer"].tolist() == ["0.10", "007"]


def test_a_study_is_kept_and_read(tmp_path) -> None:
    study = top_activations(network(), pictures(), layer="3", units=2, top=3)
    study.write(tmp_path, "top")
    again = Study.read(tmp_path, "top")
    assert [list(map(str, row)) for row in again.numbers] == [list(map(str, row)) for row in study.numbers]  # NaN too
    assert again.table["value"].tolist() == pytest.approx(study.table["value"].tolist())
    assert again.table["picture"].tolist() == study.table["picture"].tolist()
    assert all(np.array_equal(again.shown[key], study.shown[key]) for key in study.shown)
