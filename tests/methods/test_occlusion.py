"""Occlusion by hand, against a loop over positions and against captum; sheets of images whose answer is known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from hydra.utils import get_method
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from torch import nn

from deepinside.methods.deconvnet import project
from deepinside.methods.occlusion import colour, occluded, occlusion, windows
from deepinside.methods.occlusion_sheet import occlusion_sheet
from deepinside.network import Network, Preprocessing
from deepinside.plots.occlusion import sheets
from deepinside.probe import convolutional
from deepinside.records import Batch, Boxes
from deepinside.stages.visualise import methods
from deepinside.study import Pictures, Study

CONF = Path(__file__).resolve().parents[2] / "conf" / "method"


def alexnet_shaped(std: tuple[float, float, float] = (0.2, 0.25, 0.3), **recipe: object) -> Network:
    # Convolution, ReLU and overlapping pooling, then dense layers; takes any h and w; float64.
    with torch.random.fork_rng():
        torch.manual_seed(5)  # strongest maps and labels differ between images and positions
        module = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveMaxPool2d(2),
            nn.Flatten(), nn.Linear(48, 16), nn.ReLU(inplace=True), nn.Linear(16, 5),
        )  # fmt: skip
    settings = {"mean": (0.375, 0.5, 0.625), "std": std, "input": 23, "resize": 26} | recipe
    return Network(module, Preprocessing(**settings), ["a, A", "b", "c", "d", "e"], "small").double()


class Weighted(nn.Module):
    """S_0 = sum of weight x brightness, S_1 = 0; the map of `seen` is the weighted brightness itself."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight
        self.seen = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        score = self.seen(x.mean(1, keepdim=True) * self.weight).sum((1, 2, 3))
        return torch.stack([score, score * 0], 1)


def weighted(weight: torch.Tensor) -> Network:
    return Network(Weighted(weight), Preprocessing((0, 0, 0), (1, 1, 1), 4, 4), ["bright", "dark"], "weighted")


def photographs(count: int = 3, height: int = 23, width: int = 29) -> torch.Tensor:
    # The first red, the second green, the third blue: different maps are strongest.
    noise = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tint = torch.tensor([[1, 0.1, 0.1], [0.1, 1, 0.1], [0.1, 0.1, 1]], dtype=torch.float64)
    return noise * tint[torch.arange(count) % 3][:, :, None, None]


def of_images(images: torch.Tensor, labels: list[int], boxes: list[list]) -> Pictures:
    names = tuple(f"picture{i}" for i in range(len(images)))
    return Pictures(names, tuple(labels), tuple(Boxes(np.array(b).reshape(-1, 4)) for b in boxes), lambda i: images[i])


# --- positions


def test_positions_by_hand() -> None:
    # h = 7, w = 10, square of 3 moved by 2: rows start at 0 2 4, columns at 0 2 4 6 8, the last sticks out by one.
    found = windows((7, 10), side=3 / 7, stride=2 / 7)
    assert found.side == 3
    assert found.tops.tolist() == [0, 2, 4]
    assert found.lefts.tolist() == [0, 2, 4, 6, 8]
    assert found.down[2].tolist() == [False] * 4 + [True] * 3
    assert found.across[4].tolist() == [False] * 8 + [True] * 2
    y, x = found.centres()
    assert y.tolist() == [1.5, 3.5, 5.5]
    assert x.tolist() == [1.5, 3.5, 5.5, 7.5, 9.0]  # the last covers columns 8 and 9


@pytest.mark.parametrize(("h", "w", "side", "stride"), [(5, 9, 0.5, 0.3), (24, 31, 0.2, 0.1), (8, 8, 1.0, 1.0)])
def test_every_pixel_is_covered(h: int, w: int, side: float, stride: float) -> None:
    found = windows((h, w), side=side, stride=stride)
    assert found.down.any(0).all()
    assert found.across.any(0).all()
    assert found.down.any(1).all()  # and no position lies outside
    assert found.across.any(1).all()


def test_one_setting_suits_both_inputs() -> None:
    small, large = (windows((s, s), side=0.25, stride=0.125) for s in (96, 224))
    assert (small.side, large.side) == (24, 56)
    assert len(small.tops) == len(large.tops) == 7


@pytest.mark.parametrize(
    ("side", "stride", "said"),
    [
        (1.1, 0.1, "does not fit"),
        (32, 0.1, "shorter side, 6 pixels"),
        (0, 0.1, "got 0"),
        (0.5, 0, "stride as a share"),
        (0.3, 0.6, "stay uncovered"),
    ],
)
def test_impossible_squares(side: float, stride: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        windows((6, 9), side=side, stride=stride)


# --- the colour


@pytest.mark.parametrize("recipe", [{}, {"bgr": True, "scale": 255.0, "mean": (104, 117, 123), "std": (1, 1, 1)}])
def test_mean_colour_is_zero_after_normalisation(recipe: dict) -> None:
    net = alexnet_shaped(**recipe)
    assert net.normalise(colour(net, "mean").view(1, 3, 1, 1)).abs().max() < 1e-12


def test_mean_colour_of_a_bgr_network_is_said_in_rgb() -> None:
    net = alexnet_shaped(bgr=True, scale=255.0, mean=(51, 102, 153), std=(1, 1, 1))
    assert colour(net, "mean").tolist() == pytest.approx([0.6, 0.4, 0.2])
    assert colour(net, 0.25).tolist() == [0.25] * 3


@pytest.mark.parametrize("value", ["grey", -0.1, 128])
def test_unknown_colours(value: float | str) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        colour(alexnet_shaped(), value)


# --- answers


def test_score_activation_and_map_by_hand() -> None:
    # h = 2, w = 3, weights 1..6 on a white image: S = 21; black squares of one row and column of two.
    net = weighted(torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    white = torch.ones(1, 3, 2, 3)
    seen = occluded(net, white, classes=torch.tensor([0]), side=0.5, stride=0.5, value=0.0, layer="seen")
    assert seen.clean.score.tolist() == seen.clean.activation.tolist() == [21]
    assert seen.covered.score[0].tolist() == [[20, 19, 18], [17, 16, 15]]
    assert torch.equal(seen.covered.activation, seen.covered.score)
    # Two by two, moved by one: both rows at once, columns 0-1, then 1-2; only column 1 is covered twice.
    map_ = occlusion(net, Batch(white, ("w",), torch.tensor([0])), side=1, stride=0.5, value=0.0).values[0, 0]
    assert map_.tolist() == [[12, 14, 16]] * 2


def slowly(net: Network, image: torch.Tensor, edge: int, step: int, layer: str) -> Iterator[tuple]:
    # Every position on its own, as the paper tells it.
    maps: list[torch.Tensor] = []
    handle = net.layer(layer).register_forward_hook(lambda _m, _a, answer: maps.append(answer))
    net(image[None])
    strongest = int(maps.pop()[0].sum((1, 2)).argmax())
    yield strongest
    top = 0
    while True:
        left = 0
        while True:
            covered = image.clone()
            covered[:, top : top + edge, left : left + edge] = torch.tensor([0.375, 0.5, 0.625]).view(3, 1, 1)
            scores = net(covered[None])[0]
            yield top, left, scores, float(maps.pop()[0, strongest].sum())
            if left + edge >= image.shape[2]:
                break
            left += step
        if top + edge >= image.shape[1]:
            break
        top += step
    handle.remove()


@pytest.mark.parametrize(("edge", "step"), [(6, 5), (7, 3), (23, 4)])
def test_equals_a_loop_over_positions(edge: int, step: int) -> None:
    net, images = alexnet_shaped(), photographs()
    classes = torch.tensor([3, 0, 4])
    seen = occluded(net, images, classes=classes, side=edge / 23, stride=step / 23, layer="4", batch_size=7)
    for i, image in enumerate(images):
        strongest, *found = slowly(net, image, edge, step, "4")
        assert int(seen.unit[i]) == strongest
        places = [(top, left) for top in seen.windows.tops.tolist() for left in seen.windows.lefts.tolist()]
        assert [(top, left) for top, left, *_ in found] == places
        scores = torch.stack([scores for *_, scores, _ in found])
        own = seen.covered
        assert torch.allclose(own.score[i].flatten(), scores[:, classes[i]], rtol=0, atol=1e-12)
        assert torch.allclose(own.probability[i].flatten(), scores.softmax(1)[:, classes[i]], rtol=0, atol=1e-12)
        assert own.label[i].flatten().tolist() == scores.argmax(1).tolist()
        assert own.activation[i].flatten().tolist() == pytest.approx([total for *_, total in found], rel=1e-12)
    assert len(set(seen.unit.tolist())) > 1
    assert seen.covered.label.unique().numel() > 1


def test_maps_equal_a_loop_over_pixels() -> None:
    net, images = alexnet_shaped(), photographs(2)
    classes, edge, step = torch.tensor([3, 0]), 7, 3
    maps = occlusion(net, Batch(images, ("x", "y"), classes), side=edge / 23, stride=step / 23).values
    for i, image in enumerate(images):
        clean = net(image[None])[0, classes[i]]
        _, *found = slowly(net, image, edge, step, "4")
        for y in range(23):
            for x in range(29):
                over = [clean - s[classes[i]] for t, v, s, _ in found if t <= y < t + edge and v <= x < v + edge]
                assert float(maps[i, 0, y, x]) == pytest.approx(float(sum(over) / len(over)), abs=1e-12)


@pytest.mark.parametrize(
    ("h", "w", "edge", "step", "value"),
    [(23, 29, 6, 5, "mean"), (29, 23, 7, 7, "mean"), (23, 40, 9, 4, 0.5), (26, 31, 26, 26, "mean")],
)
def test_maps_equal_captum(h: int, w: int, edge: int, step: int, value: float | str) -> None:
    net, images = alexnet_shaped(bgr=True), photographs(3, h, w)
    labels = torch.tensor([2, 0, 4])
    for of, answer in (("score", net), ("probability", lambda x: net(x).softmax(1))):
        maps = occlusion(
            net, Batch(images, ("x", "y", "z"), labels), side=edge / min(h, w), stride=step / min(h, w),
            value=value, of=of, batch_size=5,
        )  # fmt: skip
        theirs = Occlusion(answer).attribute(
            images, (3, edge, edge), (3, step, step), target=labels,
            baselines=colour(net, value).view(1, 3, 1, 1).expand_as(images),
        )  # fmt: skip
        assert maps.signed
        assert maps.values.shape == (3, 1, h, w)
        assert theirs.abs().amax((1, 2, 3)).min() > 0
        furthest = (maps.values - theirs[:, :1]).abs().amax((1, 2, 3)) / theirs.abs().amax((1, 2, 3))
        assert furthest.max() < 1e-6  # captum answers in float32


def test_memory_does_not_depend_on_positions_or_pictures() -> None:
    net, images = alexnet_shaped(), photographs(4)
    sizes: list[int] = []
    handle = net.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    how = {"classes": torch.tensor([0, 1, 2, 3]), "side": 0.3, "stride": 0.2, "layer": "4"}
    few, many = (occluded(net, images, batch_size=batch, **how) for batch in (3, 1000))
    handle.remove()
    count = 4 * len(few.windows.tops) * len(few.windows.lefts)
    assert max(sizes[: sizes.index(max(sizes)) - 1]) <= 3
    assert len(sizes) == 2 + -(-count // 3) + 1 + 1  # 2 and 1 passes of clean images
    assert sum(sizes) == 2 * (4 + count)
    for one, other in zip((*few.covered, *few.clean), (*many.covered, *many.clean), strict=True):
        assert torch.allclose(one, other)


def test_what_is_outside_the_square_is_all_that_counts() -> None:
    # The answer at a position does not depend on what the square covers.
    net, images = alexnet_shaped(), photographs(1)
    how = {"classes": torch.tensor([1]), "side": 6 / 23, "stride": 5 / 23}
    changed = images.clone()
    changed[:, :, 5:11, 10:16] = 0.9  # the position in row 1, column 2
    one, other = (occluded(net, x, **how).covered.score[0] for x in (images, changed))
    assert one[1, 2] == other[1, 2]
    assert (one != other).sum() > one.numel() // 2


def test_a_layer_that_is_zero_everywhere_is_no_answer() -> None:
    net = alexnet_shaped()
    net.module[3].bias.fill_(-1e3)
    seen = occluded(net, photographs(2), classes=torch.tensor([0, 1]), side=0.5, stride=0.5, layer="4")
    assert seen.unit.tolist() == [-1, -1]
    assert seen.clean.activation.isnan().all()
    assert seen.covered.activation.isnan().all()
    assert seen.covered.probability.isfinite().all()
    without = occluded(alexnet_shaped(), photographs(2), classes=torch.tensor([0, 1]), side=0.5, stride=0.5)
    assert without.unit.tolist() == [-1, -1]
    assert without.covered.activation.isnan().all()


def test_bad_requests_say_what_there_is() -> None:
    net, images = alexnet_shaped(), photographs(2)
    how = {"side": 0.3, "stride": 0.2}
    for wrong in ([0, 5], [-1, 0], [0]):
        with pytest.raises(ValueError, match=r"2 classes in 0\.\.4"):
            occluded(net, images, classes=torch.tensor(wrong), **how)
    with pytest.raises(ValueError, match=r"0\.\.4"):
        occlusion(net, Batch(images, ("x", "y"), torch.tensor([7, 0])), **how)
    with pytest.raises(ValueError, match="add the labels"):
        occlusion(net, Batch(images, ("x", "y")), **how)
    with pytest.raises(ValueError, match="'probability'"):
        occlusion(net, Batch(images, ("x", "y"), torch.tensor([0, 0])), of="probabilty", **how)
    asked = {"classes": torch.tensor([0, 0])} | how
    with pytest.raises(KeyError, match="small has no layer 'conv5'"):
        occluded(net, images, layer="conv5", **asked)
    with pytest.raises(ValueError, match=r"\(2, 16\).*layer with maps"):
        occluded(net, images, layer="8", **asked)


def test_nothing_stays_changed() -> None:
    net, images = alexnet_shaped(), photographs(2)
    before, state = images.clone(), torch.get_rng_state()
    occluded(net, images, classes=torch.tensor([0, 1]), side=0.3, stride=0.2, layer="4")
    with pytest.raises(ValueError, match="maps"):
        occluded(net, images, classes=torch.tensor([0, 1]), side=0.3, stride=0.2, layer="8")
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert torch.is_grad_enabled()


# --- the sheet


def spot(y: slice, x: slice) -> Network:
    # Scores count brightness in one place only; h = 12, w = 16.
    weight = torch.zeros(12, 16)
    weight[y, x] = 0.1
    return weighted(weight)


def white(count: int = 3) -> torch.Tensor:
    return torch.ones(count, 3, 12, 16)


BOX = [4.0, 4.0, 12.0, 8.0]  # x0 y0 x1 y1: columns 4-11, rows 4-7


def test_numbers_when_the_network_looks_into_the_box_and_when_not() -> None:
    how = {"side": 2 / 12, "stride": 2 / 12, "value": 0.0, "layer": "seen", "rule": "gradient"}
    pictures = of_images(white(), [0, 0, -1], [[BOX], [BOX], [BOX]])
    inside = {row.metric: row for row in occlusion_sheet(spot(slice(4, 8), slice(4, 12)), pictures, **how).numbers}
    # 32 pixels of 0.1: p = s(3.2). Every one of the 8 squares of 4 pixels in the box costs 0.4; the other 40 nothing.
    drop = 1 / (1 + np.exp(-3.2)) - 1 / (1 + np.exp(-2.8))
    assert inside["probability_drop_in_box"].value == pytest.approx(drop, rel=1e-5)
    assert inside["probability_drop_outside_box"].value == 0
    assert inside["probability_drop_in_box_above_outside"].value == pytest.approx(drop, rel=1e-5)
    assert inside["largest_drop_in_box"][1:4] == (1.0, "share", 3)
    assert inside["positions_in_box"].value == pytest.approx(8 / 48)
    assert inside["label_changed"].value == 0
    assert inside["images"].value == 3
    outside = {row.metric: row for row in occlusion_sheet(spot(slice(8, 12), slice(0, 4)), pictures, **how).numbers}
    assert outside["largest_drop_in_box"].value == 0
    assert outside["probability_drop_in_box"].value == 0
    assert outside["probability_drop_outside_box"].value > 0


def test_activation_falls_where_the_projection_lies() -> None:
    # The map's one bright spot is what comes back, and covering it is all that moves the total.
    net = spot(slice(6, 7), slice(9, 10))
    pictures = of_images(white(2), [0, 0], [[], []])
    study = occlusion_sheet(net, pictures, side=3 / 12, stride=1 / 12, value=0.0, layer="seen", rule="gradient")
    numbers = {row.metric: row for row in study.numbers}
    assert numbers["activation_drop_with_projection_correlation"].value == pytest.approx(1)
    assert not {"largest_drop_in_box", "probability_drop_in_box"} & numbers.keys()  # nothing is known of boxes


def test_table_holds_the_clean_picture_first_then_every_position() -> None:
    net, images = alexnet_shaped(), photographs(3).float()
    net = net.float()
    pictures = of_images(images, [0, -1, 4], [[[2, 3, 20, 15]], [], [[0, 0, 5, 5]]])
    study = occlusion_sheet(net, pictures, side=6 / 23, stride=5 / 23, images=1, measured=3, batch_size=8)
    layer = convolutional(net)[-1]
    assert str(study.shown["layer"]) == layer == "4"  # the last convolution, after its ReLU
    classes = torch.tensor([0, int(net(images[1:2]).argmax()), 4])
    seen = occluded(net, images, classes=classes, side=6 / 23, stride=5 / 23, layer=layer)
    positions = 5 * 6
    assert len(study.table) == 3 * (1 + positions)
    names = ["picture", "class", "unit", "y", "x", "probability", "activation", "label", "in_box", "energy"]
    assert list(study.table) == names
    for i, (name, rows) in enumerate(study.table.groupby("picture", sort=False)):
        assert name == f"picture{i}"
        assert set(rows["class"]) == {int(classes[i])}
        first, rest = rows.iloc[0], rows.iloc[1:]
        assert np.isnan(first["y"])
        assert np.isnan(first["x"])
        assert first["probability"] == pytest.approx(float(seen.clean.probability[i]), abs=1e-5)
        assert rest["y"].tolist()[:7] == [3.0] * 6 + [8.0]
        assert rest["x"].tolist()[:7] == [3.0, 8.0, 13.0, 18.0, 23.0, 27.0, 3.0]  # the last covers columns 25 to 28
        assert np.allclose(rest["probability"], seen.covered.probability[i].flatten(), atol=1e-5)
        assert np.allclose(rest["activation"], seen.covered.activation[i].flatten(), rtol=1e-4)
        assert rest["label"].tolist() == seen.covered.label[i].flatten().tolist()
        assert np.isnan(first["in_box"])
        assert np.isnan(first["energy"])
    inside = study.table[study.table["picture"] == "picture0"].iloc[1:]
    expected = inside["x"].between(2, 20, inclusive="left") & inside["y"].between(3, 15, inclusive="left")
    assert (inside["in_box"] == expected).all()
    back = project(net, images[:1], layer=layer, units=seen.unit[:1]).pixels[0].square().sum(dim=0)
    assert inside["energy"].iloc[0] == pytest.approx(float(back[:6, :6].sum()), rel=1e-3)
    assert len(study.shown["images"]) == 1  # drawn are fewer than measured
    back = project(net, images[:1], layer=layer, units=seen.unit[:1]).pixels[0].permute(1, 2, 0)
    assert np.allclose(study.shown["projections"][0], back / back.abs().max(), atol=1e-3)  # kept in float16
    boxed = next(row for row in study.numbers if row.metric == "largest_drop_in_box")
    assert boxed.n == 2


def test_layer_and_square_are_checked() -> None:
    pictures = of_images(photographs(2).float(), [0, 1], [[], []])
    net = alexnet_shaped().float()
    with pytest.raises(KeyError, match="no layer"):
        occlusion_sheet(net, pictures, side=0.3, stride=0.2, layer="relu5")
    with pytest.raises(ValueError, match="with maps"):
        occlusion_sheet(net, pictures, side=0.3, stride=0.2, layer="8")
    with pytest.raises(ValueError, match="does not fit"):
        occlusion_sheet(net, pictures, side=1.5, stride=0.2)


class Many(nn.Module):
    """The most probable of nine classes is the one of the brightest ninth of the columns."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.seen(x).mean((1, 2)).unflatten(1, (9, 2)).mean(2) * 50


def drawn(study: Study, tmp_path: Path) -> list:
    study.write(tmp_path, "occlusion_sheet")
    return list(sheets(Study.read(tmp_path, "occlusion_sheet")))


def test_sheet_names_six_labels_and_says_how_many_others(tmp_path: Path) -> None:
    names = [f"class{i}, also {i}" for i in range(9)]
    net = Network(Many(), Preprocessing((0, 0, 0), (1, 1, 1), 12, 12), names, "many")
    ramp = (1 - 0.02 * torch.arange(18.0) // 2).expand(1, 3, 12, 18) * 1.0
    noise = torch.rand(1, 3, 12, 18, generator=torch.Generator().manual_seed(0))
    pictures = of_images(torch.cat([ramp, noise * 0.02 + 0.5]).clamp(0, 1), [0, 3], [[[0, 0, 6, 6]], []])
    study = occlusion_sheet(net, pictures, side=3 / 12, stride=1 / 12, value=1.0, layer="seen")
    labels = study.table[study.table["picture"] == "picture1"]["label"].iloc[1:]
    assert labels.nunique() == 9  # a white square makes the ninth that it covers the brightest
    first, second = drawn(study, tmp_path)
    assert (first.name, second.name) == ("01", "02")
    assert first.title.startswith("class0 (")
    figure = second.picture
    assert isinstance(figure, Figure)
    (legend,) = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    said = [text.get_text() for text in legend.get_texts()]
    assert len(said) == 7
    assert said[0].startswith("class3  ")  # first synonym of the class asked for
    assert said[-1].startswith("other (3 labels)")
    shares = [(labels == int(text[5])).mean() for text in said[:6]]
    assert [text.split()[-1] for text in said[:6]] == [f"{share:.0%}" for share in shares]
    assert len({to_rgb(patch.get_facecolor()) for patch in legend.get_patches()}) == 7
    figure.canvas.draw()


def test_sheet_has_five_panels_on_the_same_pixels(tmp_path: Path) -> None:
    net = alexnet_shaped().float()
    pictures = of_images(photographs(1).float(), [1], [[[2, 3, 20, 15]]])
    (sheet,) = drawn(occlusion_sheet(net, pictures, side=6 / 23, stride=5 / 23), tmp_path)
    panels = sheet.picture.axes[:5]
    assert all(axis.get_xlim() == (0, 29) and axis.get_ylim() == (23, 0) for axis in panels)
    assert all(axis.get_title() for axis in panels)
    assert "probability of b" in panels[3].get_title()
    (mesh,) = panels[3].collections
    study = Study.read(tmp_path, "occlusion_sheet")
    assert np.array_equal(mesh.get_array(), study.shown["covered.probability"][0])
    assert mesh.get_clim()[0] == 0
    square = study.shown["covered.probability"][0].argmin()
    corner = (study.shown["lefts"][square % 6], study.shown["tops"][square // 6])
    assert panels[0].patches[0].get_xy() == corner  # the square stands where it costs most
    assert "6 pixels" in sheet.caption


def test_silent_layer_is_said_and_not_drawn_black(tmp_path: Path) -> None:
    net = alexnet_shaped().float()
    net.module[3].bias.fill_(-1e3)
    study = occlusion_sheet(net, of_images(photographs(2).float(), [1, 0], [[], []]), side=0.5, stride=0.25)
    assert next(row for row in study.numbers if row.metric == "images_with_silent_layer").value == 2
    assert (study.table["unit"] == -1).all()
    assert study.table["activation"].isna().all()
    assert "activation_drop_with_projection_correlation" not in {row.metric for row in study.numbers}
    sheet = drawn(study, tmp_path)[0]
    assert "zero everywhere" in sheet.caption
    total, back = sheet.picture.axes[1:3]
    assert not total.collections
    assert not back.images
    assert all("zero" in axis.texts[0].get_text() for axis in (total, back))


def test_one_position_can_be_drawn(tmp_path: Path) -> None:
    pictures = of_images(photographs(1, 23, 23).float(), [1], [[]])
    (sheet,) = drawn(occlusion_sheet(alexnet_shaped().float(), pictures, side=1, stride=1), tmp_path)
    sheet.picture.canvas.draw()


@pytest.mark.parametrize("name", ["occlusion", "occlusion_sheet"])
def test_shipped_settings_fit_their_function(name: str) -> None:
    content = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    method = methods({name: content})[name]
    net, images = alexnet_shaped().float(), photographs(1).float()
    if method.plot:
        study = method.work(net, of_images(images, [1], [[]]), **method.settings)
        assert len(list(get_method(method.plot)(study))) == 1
    else:
        assert method.work(net, Batch(images, ("x",), torch.tensor([1])), **method.settings).values.shape[2:] == (
            23,
            29,
        )
