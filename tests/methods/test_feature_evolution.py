"""Units that change their mind by hand, agreement beside numpy, patches at their receptive field."""

import numpy as np
import pytest
import torch
from torch import nn

from deepinside.methods.feature_evolution import agreement, feature_evolution
from deepinside.network import Network, Preprocessing
from deepinside.plots.feature_evolution import evolution
from deepinside.records import Boxes
from deepinside.study import Checkpoint, Pictures, Study


def pictures(images: torch.Tensor, read: list[int] | None = None) -> Pictures:
    def look(i: int) -> torch.Tensor:
        if read is not None:
            read.append(i)
        return images[i]

    count = len(images)
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(f"p{i}" for i in range(count)), (-1,) * count, empty, look)


def colours(*units: tuple[float, float, float]) -> Network:
    """A 1x1 convolution with a ReLU whose units look for these mixtures of red, green and blue."""
    conv = nn.Conv2d(3, len(units), 1, bias=False)
    conv.weight = nn.Parameter(torch.tensor(units).float().view(-1, 3, 1, 1))
    module = nn.Sequential(conv, nn.ReLU(), nn.Flatten())
    return Network(module, Preprocessing((0, 0, 0), (1, 1, 1), 4, 4), "ab", "colours")


def random_net(seed: int, units: int = 5) -> Network:
    module = nn.Sequential(nn.Conv2d(3, units, 3, padding=1), nn.ReLU(), nn.Conv2d(units, 4, 3, stride=2), nn.ReLU())
    generator = torch.Generator().manual_seed(seed)
    for weights in module.parameters():
        weights.data = torch.randn(weights.shape, generator=generator)
    return Network(nn.Sequential(*module, nn.Flatten()), Preprocessing((0.5,) * 3, (1, 1, 1), 7, 7), "ab", "random")


def primaries() -> torch.Tensor:
    # 0: red, 1: green, 2: blue; brightest at row 1, column 2 of 3x5
    images = torch.zeros(3, 3, 3, 5)
    for i in range(3):
        images[i, i] = 0.5
        images[i, i, 1, 2] = 1.0
    return images


def test_share_of_settled_units_by_hand() -> None:
    # unit 0 stays with red, unit 1 goes from blue to green, unit 2 is dead at first, unit 3 dies
    early = colours((1, 0, 0), (0, 0, 1), (0, -1, -1), (1, 0, 0))
    late = colours((2, 0, 0), (0, 1, 0), (0, 1, -1), (-1, 0, 0))
    epochs = [Checkpoint(9, lambda: late), Checkpoint(2, lambda: early)]  # in any order
    study = feature_evolution(late, pictures(primaries()), epochs, units=4)
    found = {row.metric: row for row in study.numbers}
    assert found["1.dead_units"].value == 1
    share = found["1.epoch_2.same_picture_share"]
    assert (share.value, share.n) == (pytest.approx(1 / 3), 3)  # unit 0 of the three that live
    assert "1.epoch_9.same_picture_share" not in found  # it would be 1 by definition
    table = study.table.set_index(["epoch", "unit"])
    assert table["picture"].to_dict() | {(2, 2): None, (9, 3): None} == {
        (2, 0): "p0", (2, 1): "p2", (2, 2): None, (2, 3): "p0",
        (9, 0): "p0", (9, 1): "p1", (9, 2): "p1", (9, 3): None,
    }  # fmt: skip
    assert table.loc[(2, 0), ["value", "y", "x"]].tolist() == [1.0, 1, 2]
    assert table.loc[(9, 0), "value"] == pytest.approx(2)
    assert bool(table.loc[(9, 0), "same_picture"])
    assert not table.loc[(9, 3), "same_picture"]  # dead
    # cosine: the same direction, no overlap, nothing at all
    assert table.loc[(2, 0), "cosine"] == pytest.approx(1)
    assert table.loc[(2, 1), "cosine"] == pytest.approx(0)
    assert np.isnan(table.loc[(2, 2), "cosine"])
    assert found["1.epoch_2.cosine"].value == pytest.approx(0.5)
    assert found["1.epoch_2.cosine"].n == 2


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_agreement_is_that_of_numpy_on_all_answers_at_once(batch: int) -> None:
    images, one, other = torch.rand(5, 3, 6, 7).double(), random_net(0).double(), random_net(1).double()
    found = agreement(one, other, pictures(images), layers=("1", "3"), batch_size=batch)
    for layer, depth in (("1", 2), ("3", 4)):
        a, b = (
            net.module[:depth](net.normalise(images)).double().transpose(0, 1).flatten(1).numpy()
            for net in (one, other)
        )
        for unit in range(len(a)):
            if a[unit].std() and b[unit].std():
                cosine = a[unit] @ b[unit] / np.linalg.norm(a[unit]) / np.linalg.norm(b[unit])
                assert float(found[layer].cosine[unit]) == pytest.approx(cosine, rel=1e-9)
                assert float(found[layer].correlation[unit]) == pytest.approx(
                    np.corrcoef(a[unit], b[unit])[0, 1], rel=1e-9, abs=1e-12
                )


def test_constant_units_have_no_correlation() -> None:
    flat = torch.full((2, 3, 14, 15), 0.1)
    found = agreement(colours((1, 0, 0)), colours((0, 1, 0)), pictures(flat), layers=("1",))["1"]
    assert float(found.cosine) == pytest.approx(1)
    assert found.correlation.isnan().all()
    flat[:, 1] = torch.rand(2, 14, 15)  # of one only
    for value in (0.1, 0.3, 0.7, 0.9):  # sums of such numbers leave a rest that is rounding
        flat[:, 0] = value
        found = agreement(colours((1, 0, 0)), colours((0, 1, 0)), pictures(flat), layers=("1",))["1"]
        assert found.correlation.isnan().all()


def test_patches_and_projections_are_cut_at_the_receptive_field() -> None:
    early, late = random_net(2), random_net(3)
    images = torch.rand(4, 3, 9, 11)
    study = feature_evolution(
        late, pictures(images), [Checkpoint(1, lambda: early), Checkpoint(2, lambda: late)], layers=["1"], units=[3, 1]
    )
    patches, inside = study.shown["patches.1"], study.shown["inside.1"]
    assert patches.shape == study.shown["projections.1"].shape == (2, 2, 3, 3, 3)  # epochs, units, 3x3 pixels, RGB
    table = study.table.set_index(["epoch", "unit"])
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    for e, epoch in enumerate((1, 2)):
        for u, unit in enumerate((3, 1)):
            row = table.loc[epoch, unit]
            image = padded[int(row["picture"][1:])]
            expected = image[:, row["y"] : row["y"] + 3, row["x"] : row["x"] + 3].permute(1, 2, 0).numpy()
            assert np.abs(patches[e, u].astype(float) - expected)[inside[e, u]].max() < 1e-3
            net = (early, late)[e]
            # back through one convolution comes its own filter, cut off at its 99 % quantile
            filters = net.module[0].weight[unit].permute(1, 2, 0).numpy()[inside[e, u]].ravel()
            projected = study.shown["projections.1"][e, u][inside[e, u]].astype(float).ravel()
            assert np.corrcoef(filters, projected)[0, 1] > 0.98
            answers = net.module[:2](net.normalise(images))[:, unit]
            assert row["value"] == pytest.approx(float(answers.max()), abs=1e-5)


def test_pictures_are_read_once_and_only_the_first() -> None:
    read: list[int] = []
    early, late = random_net(2), random_net(3)
    epochs = [Checkpoint(1, lambda: early), Checkpoint(2, lambda: late)]
    study = feature_evolution(late, pictures(torch.rand(9, 3, 7, 8), read), epochs, images=4, batch_size=3)
    assert sorted(read) == [0, 1, 2, 3]
    assert study.numbers[0].value == 4


def test_one_epoch_is_no_evolution() -> None:
    with pytest.raises(ValueError, match=r"train\.keep"):
        feature_evolution(colours((1, 0, 0)), pictures(primaries()), [Checkpoint(1, lambda: colours((1, 0, 0)))])


def test_drawn_per_layer(tmp_path: object) -> None:
    nets = [random_net(seed) for seed in (1, 2, 3)]
    epochs = [Checkpoint(i + 1, lambda net=net: net) for i, net in enumerate(nets)]
    study = feature_evolution(nets[-1], pictures(torch.rand(4, 3, 9, 8)), epochs, units=2)
    study.write(tmp_path, "feature_evolution")
    curves, first, second = evolution(Study.read(tmp_path, "feature_evolution"))
    assert [len(axis.lines) for axis in curves.picture.axes] == [2, 2, 2]
    assert all(axis.lines[0].get_ydata()[-1] == pytest.approx(1) for axis in curves.picture.axes)
    assert [len(sheet.picture.axes) for sheet in (first, second)] == [2 * 3, 2 * 3]
    for drawn in (curves, first, second):
        drawn.picture.savefig(tmp_path / f"{drawn.name}.png")
