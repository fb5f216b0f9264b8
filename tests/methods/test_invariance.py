"""Moved images by hand and beside scipy, distances by hand, and which layer the class scores read."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torchvision.models import resnet18, squeezenet1_0

from deepinside.methods.invariance import invariance, motion, moved
from deepinside.models.convnet import ConvNet
from deepinside.network import Network, Preprocessing
from deepinside.plots.invariance import curves
from deepinside.probe import before_scores
from deepinside.records import Boxes
from deepinside.study import Pictures, Study

FILL = torch.tensor([0.5, 0.25, 0.75]).view(3, 1, 1)
MOVES = {"shifts": [-0.25, 0, 0.25], "scales": [1, 2], "angles": [0, 90, 180, 270]}


def one(image: torch.Tensor, kind: str, value: float, fill: torch.Tensor = FILL) -> torch.Tensor:
    return moved(image[None], motion(kind, value, (image.shape[1], image.shape[2]))[None], fill)[0]


def pictures(images: torch.Tensor, labels: tuple[int, ...] | None = None) -> Pictures:
    count = len(images)
    empty = tuple(Boxes(np.empty((0, 4))) for _ in range(count))
    return Pictures(tuple(f"p{i}" for i in range(count)), labels or (-1,) * count, empty, lambda i: images[i])


class Means(nn.Module):
    """low: the image itself; high: its mean colour; scores: 3 means -> 2."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Conv2d(3, 3, 1, bias=False)
        self.low.weight = nn.Parameter(torch.eye(3).view(3, 3, 1, 1))
        self.high = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout()
        self.scores = nn.Linear(3, 2, bias=False)
        self.scores.weight = nn.Parameter(torch.tensor([[4.0, 0, 0], [0, 4, 1]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scores(self.drop(self.high(self.low(x)).flatten(1)))


def means(mean: tuple[float, float, float] = (0.5, 0.25, 0.75)) -> Network:
    return Network(Means(), Preprocessing(mean, (1, 1, 1), 6, 6), ["a", "b"], "means")


@pytest.mark.parametrize(("value", "pixels"), [(0.25, 2), (0.5, 4), (-0.375, -3), (1.0, 8)])
def test_shift_by_whole_pixels_is_exact(value: float, pixels: int) -> None:
    image = torch.rand(3, 8, 5)  # 8 rows: 0.25 of the height is 2 rows down
    expected = FILL.expand(3, 8, 5).clone()
    if pixels > 0:
        expected[:, pixels:] = image[:, : 8 - pixels]
    else:
        expected[:, :pixels] = image[:, -pixels:]
    assert torch.equal(one(image, "translation", value), expected)


def test_shift_by_half_a_pixel_averages_neighbours_and_fill() -> None:
    image = torch.rand(3, 4, 3)
    above = torch.cat([FILL.expand(3, 1, 3), image[:, :-1]], dim=1)
    assert torch.allclose(one(image, "translation", 0.125), (image + above) / 2, atol=1e-6)


def test_turns_are_anticlockwise_and_by_right_angles_exact() -> None:
    image = torch.rand(3, 6, 6)
    assert torch.allclose(one(image, "rotation", 90), image.rot90(1, (1, 2)), atol=1e-6)
    oblong = torch.rand(3, 4, 7)
    assert torch.allclose(one(oblong, "rotation", 180), oblong.flip(1, 2), atol=1e-6)
    assert torch.equal(one(oblong, "rotation", 0), oblong)
    assert torch.equal(one(oblong, "scale", 1), oblong)


@pytest.mark.parametrize(("kind", "value"), [("rotation", 33), ("rotation", -70), ("scale", 1.7), ("scale", 0.6)])
def test_any_turn_and_scale_is_that_of_scipy_in_pixels(kind: str, value: float) -> None:
    image = torch.rand(3, 9, 14)
    turn = math.radians(value) if kind == "rotation" else 0.0
    shrink = 1 / value if kind == "scale" else 1.0
    matrix = shrink * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])  # y, x
    centre = np.array([4.0, 6.5])  # of 9 rows and 14 columns
    expected = [
        ndimage.affine_transform(
            channel.double().numpy(), matrix, centre - matrix @ centre, order=1, mode="grid-constant", cval=float(fill)
        )
        for channel, fill in zip(image, FILL.flatten(), strict=True)
    ]
    assert np.abs(one(image, kind, value).numpy() - np.stack(expected)).max() < 1e-6


def test_unknown_transformation_names_the_closest() -> None:
    with pytest.raises(ValueError, match="rotation"):
        motion("rotate", 3, (4, 5))


def test_mean_colour_is_zero_for_the_network() -> None:
    recipe = Preprocessing((104.0, 117.0, 123.0), (1, 2, 3), 6, 6, bgr=True, scale=255.0)
    network = Network(nn.Conv2d(3, 1, 1), recipe, "a", "caffe")
    colour = network.preprocessing.colour.view(3, 1, 1)
    assert colour.flatten().tolist() == pytest.approx([123 / 255, 117 / 255, 104 / 255])  # red first
    assert network.normalise(colour.expand(1, 3, 2, 4)).abs().max() < 1e-4


@pytest.mark.parametrize("normalisation", ["lrn", "batch", "none"])
def test_last_hidden_layer_of_the_papers_network(normalisation: str) -> None:
    module = ConvNet(
        4, widths=(4, 4, 4, 4, 4), hidden=(8, 7), kernel=5, stride=2, input=48, normalisation=normalisation
    )
    network = Network(module, Preprocessing(input=48, resize=48), "abcd", "n")
    assert before_scores(network, torch.rand(1, 3, 48, 48)) == "relu7"


def test_last_hidden_layer_elsewhere() -> None:
    image = torch.rand(1, 3, 64, 64)
    for module, layer in ((squeezenet1_0(), "features.12"), (resnet18(), "avgpool")):
        assert before_scores(Network(module, Preprocessing(), [*map(str, range(1000))], "n"), image) == layer

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.relu(self.conv(x)).mean((2, 3)))

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu, self.second = nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3)
            self.flatten, self.head = nn.Flatten(), nn.Linear(3 * 60 * 60, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.flatten(self.relu(self.second(self.relu(self.first(x))))))

    # a layer that runs twice has no one answer; flatten answers once what it hands on
    assert before_scores(Network(Twice(), Preprocessing(), "ab", "n"), image) == "flatten"
    network = Network(Mean(), Preprocessing(), "ab", "n")
    assert before_scores(network, image) == "relu"  # no layer answers the mean: the last convolution, rectified
    assert not [part for part in network.modules() if part._forward_hooks]


def test_distances_and_probabilities_by_hand() -> None:
    images = torch.rand(3, 3, 4, 6)
    study = invariance(means(), pictures(images, (1, -1, 0)), **MOVES, images=3, batch_size=2)
    assert [str(study.shown[f"{word}_layer"]) for word in ("low", "high")] == ["low", "high"]
    mean = np.array([0.5, 0.25, 0.75]).reshape(3, 1, 1)
    for i in range(3):
        x = images[i].double().numpy() - mean  # as the network sees it
        down = np.concatenate([np.zeros((3, 1, 6)), x[:, :-1]], axis=1)  # a quarter of 4 rows
        row = study.table.query(
            "picture == @name and transformation == 'translation' and value == 0.25", local_dict={"name": f"p{i}"}
        )
        assert len(row) == 1
        low, high = np.linalg.norm(down - x), np.linalg.norm((down - x).mean((1, 2)))
        assert row["low_distance"].item() == pytest.approx(low, rel=1e-5)
        assert row["high_distance"].item() == pytest.approx(high, rel=1e-4)
        assert row["low_relative"].item() == pytest.approx(low / np.linalg.norm(x), rel=1e-5)
        assert row["high_relative"].item() == pytest.approx(high / np.linalg.norm(x.mean((1, 2))), rel=1e-4)
        weights = np.array([[4.0, 0, 0], [0, 4, 1]])
        target = (1, int((weights @ x.mean((1, 2))).argmax()), 0)[i]  # the second image's class is not known
        chances = np.exp(weights @ down.mean((1, 2)))
        assert row["class"].item() == target
        assert row["class_is_known"].item() == (i != 1)
        assert row["probability"].item() == pytest.approx((chances / chances.sum())[target], rel=1e-5)
    still = study.table[
        study.table["value"].eq(0) | study.table["transformation"].eq("scale") & study.table["value"].eq(1)
    ]
    assert len(still) == 3 * 3
    assert still["low_distance"].max() == 0


def test_numbers_are_of_the_smallest_transformation_and_paired() -> None:
    images = torch.rand(4, 3, 8, 6)
    settings = {"shifts": [-0.25, -0.125, 0.125], "scales": [1, 1.5, 0.5], "angles": [15, 90, 345]}
    study = invariance(means(), pictures(images), **settings, images=4, batch_size=8)
    found = {row.metric: row for row in study.numbers}
    assert found["translation.smallest"].value == pytest.approx(0.125)
    assert found["scale.smallest"].value == pytest.approx(
        1.5
    )  # half the size is further away than one and a half times
    assert found["rotation.smallest"].value == 15
    for kind, values in (("translation", [-0.125, 0.125]), ("scale", [1.5]), ("rotation", [15, 345])):
        near = study.table[(study.table["transformation"] == kind) & study.table["value"].isin(values)]
        assert len(near) == 4 * len(values)
        gap = found[f"{kind}.low_above_high"]
        assert gap.value == pytest.approx((near["low_relative"] - near["high_relative"]).mean())
        assert gap.ci_low <= gap.value <= gap.ci_high
        assert gap.n == 4


def test_distance_to_other_pictures_by_hand() -> None:
    flat = torch.stack([torch.full((3, 2, 4), value) for value in (0.25, 0.5, 1.0)])
    study = invariance(means((0, 0, 0)), pictures(flat), **MOVES, images=3)
    # mean over j of |v_i - v_j| / v_i: (1 + 3) / 2, (0.5 + 1) / 2, (0.75 + 0.5) / 2
    expected = (2 + 0.75 + 0.625) / 3
    for word in ("low", "high"):
        assert float(study.shown[f"{word}_other_picture"]) == pytest.approx(expected, rel=1e-5)


def test_pooled_features_do_not_see_a_thing_move_on_the_mean_colour() -> None:
    images = FILL.expand(2, 3, 16, 10).clone()
    images[:, :, 6:10, 3:7] = torch.rand(2, 3, 4, 4)
    study = invariance(means(), pictures(images), shifts=[-0.25, 0.125], scales=[2], angles=[90, 180], images=2)
    shifted = study.table[study.table["transformation"] == "translation"]
    assert shifted["high_relative"].max() < 1e-5
    assert shifted["low_relative"].min() > 0.5


def test_what_cannot_be_compared_is_said() -> None:
    images = pictures(torch.rand(2, 3, 4, 6))
    with pytest.raises(ValueError, match="translation other than 0"):
        invariance(means(), images, shifts=[0], scales=[2], angles=[90])
    with pytest.raises(ValueError, match="rotation other than 0"):
        invariance(means(), images, shifts=[0.5], scales=[2], angles=[0, 360])
    with pytest.raises(ValueError, match="positive scales"):
        invariance(means(), images, shifts=[0.5], scales=[0, 2], angles=[90])
    with pytest.raises(KeyError, match="high"):
        invariance(means(), images, shifts=[0.5], scales=[2], angles=[90], high="hihg")


def test_drawn_with_a_curve_per_picture(tmp_path: object) -> None:
    study = invariance(means(), pictures(torch.rand(6, 3, 8, 6)), **MOVES, images=6)
    study.write(tmp_path, "invariance")
    (drawn,) = curves(Study.read(tmp_path, "invariance"))
    assert len(drawn.picture.axes) == 12
    assert [len(axis.lines) for axis in drawn.picture.axes[:4]] == [0, 5 + 1 + 1, 5 + 1 + 1, 5 + 1]
    assert "all 6 images" in drawn.caption
    drawn.picture.savefig(tmp_path / "drawn.png")


def test_the_last_hidden_layer_is_averaged_over_positions_and_distances_to_other_images_are_listed() -> None:
    """Maps of mean red, green and blue by quarter: a turn moves them about, but not their mean."""

    class Quarters(Means):
        def __init__(self) -> None:
            super().__init__()
            self.high = nn.AdaptiveAvgPool2d(2)
            self.scores = nn.AdaptiveAvgPool2d(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scores(self.high(self.low(x))).flatten(1)

    network = Network(Quarters(), Preprocessing((0.5, 0.25, 0.75), (1, 1, 1), 6, 6), ["a", "b", "c"], "quarters")
    shown = pictures(torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(0)))
    table = invariance(network, shown, high=None, **MOVES, images=3).table
    turned = table[(table["transformation"] == "rotation") & (table["value"] == 90)]
    assert turned["high_relative"].max() < 1e-6
    assert turned["low_relative"].min() > 0.1
    named = invariance(network, shown, high="high", **MOVES, images=3).table
    assert named[(named["transformation"] == "rotation") & (named["value"] == 90)]["high_relative"].min() > 0.01
    assert table.groupby("picture")["low_other"].nunique().tolist() == [1, 1, 1]
    images = torch.stack([shown.read(i) for i in range(3)]) - torch.tensor([0.5, 0.25, 0.75]).view(3, 1, 1)
    away = [(images[0] - images[i]).norm() for i in (1, 2)]
    assert table["low_other"].iloc[0] == pytest.approx(float(sum(away) / 2 / images[0].norm()), rel=1e-5)
