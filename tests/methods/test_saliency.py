"""Saliency by hand, over crops, for several classes from one forward pass, and of units."""

import pytest
import torch
from torch import nn

from deepinside import views
from deepinside.localisation.crops import viewed
from deepinside.methods.deconvnet import project
from deepinside.methods.saliency import saliency
from deepinside.network import Network, Preprocessing
from deepinside.probe import RULES, UndefinedRule, capture, relu_rule
from deepinside.records import Batch, Maps


class Linear(nn.Module):
    """S_c = sum over channels and pixels of w_c,ch · x: the gradient is w, everywhere."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kc->nk", x, self.weights)


def linear(std: tuple[float, float, float] = (1, 1, 1), **recipe: object) -> Network:
    weights = torch.tensor([[1.0, -5, 2], [0.5, 0.25, -0.125]])  # class x RGB
    settings = {"mean": (0, 0, 0), "std": std, "input": 6, "resize": 8} | recipe
    return Network(Linear(weights), Preprocessing(**settings), ["a", "b"], "linear")


def test_maximum_over_channels_of_the_magnitude_by_hand() -> None:
    batch = Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([0]))
    assert torch.equal(saliency(linear(), batch).values, torch.full((1, 1, 4, 5), 5.0))


def test_gradient_is_with_respect_to_pixels_in_0_1() -> None:
    # dS/dx = w / std per channel: |1/0.1|, |-5/1|, |2/1| -> 10 wins over 5.
    batch = Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([0]))
    assert saliency(linear(std=(0.1, 1, 1)), batch).values.unique().tolist() == pytest.approx([10])
    # BGR networks see blue first: the weight 1 belongs to blue, and bytes are 255 times larger.
    assert saliency(linear(bgr=True, scale=255.0), batch).values.unique().tolist() == pytest.approx([5 * 255])


def test_several_classes_equal_one_at_a_time() -> None:
    net = Network(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 5, 3)),
        Preprocessing(input=6, resize=8),
        "abc",
        "n",
    )
    images = torch.rand(2, 3, 6, 7)
    together = saliency(net, Batch(images, ("x", "y")), classes=torch.tensor([[0, 2], [1, 0]])).values
    for column in range(2):
        labels = torch.tensor([[0, 2], [1, 0]])[:, column]
        assert torch.allclose(together[:, column], saliency(net, Batch(images, ("x", "y"), labels)).values[:, 0])


def test_bad_classes_say_the_range() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        saliency(linear(), Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([2])))
    with pytest.raises(ValueError, match="name the class"):
        saliency(linear(), Batch(torch.rand(1, 3, 4, 5), ("x",)))


def test_viewed_averages_magnitudes_and_not_gradients() -> None:
    # A score that is odd under mirroring: gradients of mirrored crops cancel, magnitudes do not.
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ramp = torch.linspace(-1, 1, x.shape[-1])
            return torch.stack([(x * ramp).sum((1, 2, 3)), x.sum((1, 2, 3)) * 0], 1)

    net = Network(Odd(), Preprocessing((0, 0, 0), (1, 1, 1), 6, 6), ["odd", "zero"], "odd")
    seen = viewed(net, torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8), top=2)
    odd = seen.maps["saliency"][seen.classes.tolist().index(0)]
    assert torch.allclose(odd[0], torch.linspace(-1, 1, 6).abs())


def test_further_methods_are_seen_over_the_same_crops_without_sign() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))
    net = Network(module, Preprocessing(input=6, resize=8), [*"abcdefg"], "n")
    names = []

    def negative(network: Network, batch: Batch) -> Maps:
        names.extend(batch.names)
        return Maps(-saliency(network, batch).values, signed=True)

    image = torch.randint(0, 256, (3, 16, 22), dtype=torch.uint8)
    seen = viewed(net, image, top=2, also=6, methods={"negative": negative}, name="mine")
    assert list(seen.maps) == ["saliency", "negative"]
    assert len(seen.classes) == len(names) / 10
    assert names[:10] == [f"mine.{crop}" for crop in range(10)]
    assert torch.allclose(seen.maps["negative"], seen.maps["saliency"], atol=1e-7)


def test_viewed_equals_a_loop_over_crops() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))
    net = Network(module, Preprocessing(input=6, resize=8), [*"abcdefg"], "n")
    image = torch.randint(0, 256, (3, 16, 22), dtype=torch.uint8)
    seen = viewed(net, image, top=5, also=6)
    canvas = views.canvas(image, net.preprocessing)
    height, width = canvas.shape[1:]
    total, count = torch.zeros(height, width), torch.zeros(height, width)
    probabilities = []
    for place in views.placements(height, width, 6, "ten"):
        crop = canvas[:, place.top : place.top + 6, place.left : place.left + 6]
        crop = crop.flip(2) if place.mirrored else crop
        probabilities.append(net(crop[None]).softmax(1)[0])
        map_ = saliency(net, Batch(crop[None], ("x",), seen.classes[:1])).values[0, 0]
        total[place.top : place.top + 6, place.left : place.left + 6] += map_.flip(1) if place.mirrored else map_
        count[place.top : place.top + 6, place.left : place.left + 6] += 1
    assert torch.allclose(seen.probabilities, torch.stack(probabilities).mean(0), atol=1e-6)
    assert torch.equal(seen.covered, count > 0)
    assert torch.allclose(seen.maps["saliency"][0], total / count.clamp(min=1), atol=1e-6)
    ranked = seen.probabilities.argsort(descending=True)[:5].tolist()
    assert seen.classes.tolist() == (ranked if 6 in ranked else [*ranked, 6])


def test_weights_gradients_and_modes_stay_as_they_were() -> None:
    net = linear()
    before = net.module.weights.clone()
    saliency(net, Batch(torch.rand(1, 3, 4, 5), ("x",), torch.tensor([0])), rule="gradient")
    assert torch.equal(net.module.weights, before)
    assert net.module.weights.grad is None
    assert not net.training


def test_a_class_that_only_some_pictures_lack_is_named_too() -> None:
    batch = Batch(torch.rand(2, 3, 4, 5), ("x", "y"), torch.tensor([0, -1]))  # -1: its class is not known
    with pytest.raises(ValueError, match=r"0\.\.1, got \[-1, 0\]"):
        saliency(linear(), batch)


class Broken(nn.Module):
    def forward(self, _x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the forward pass should have ended before")


def units(*parts: nn.Module) -> Network:
    recipe = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=6, resize=8)
    return Network(nn.Sequential(*parts), recipe, ["a"], "units")


def point() -> Network:
    # Unit u at y, x is w_u · RGB of that pixel alone.
    conv = nn.Conv2d(3, 2, 1, bias=False)
    conv.weight.data = torch.tensor([[1.0, -5, 2], [0.5, 0.25, -0.125]]).view(2, 3, 1, 1)
    return units(conv, Broken())


def test_unit_at_a_position_by_hand() -> None:
    found = saliency(point(), Batch(torch.rand(2, 3, 4, 5), ("x", "y")), layer="0", unit=0, position=[1, 3])
    expected = torch.zeros(2, 1, 4, 5)
    expected[:, 0, 1, 3] = 5  # row 1, column 3; |-5| is the largest
    assert torch.equal(found.values, expected)
    assert not found.signed


def test_unit_without_a_position_is_taken_where_it_is_strongest_in_each_picture() -> None:
    images = torch.zeros(2, 3, 4, 5)
    images[0, 0, 3, 1] = 1  # red: weight 0.5
    images[1, 1, 0, 4] = 1  # green: weight 0.25
    images[1, 2, 2, 2] = 1  # blue: weight -0.125, not the strongest although it is the lowest
    found = saliency(point(), Batch(images, ("x", "y")), layer="0", unit=1).values
    expected = torch.zeros(2, 1, 4, 5)
    expected[0, 0, 3, 1] = expected[1, 0, 0, 4] = 0.5
    assert torch.equal(found, expected)


def deep() -> Network:
    torch.manual_seed(3)
    parts = [
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(6, 4, 3),
        nn.ReLU(),
    ]
    parts[3].bias.data.fill_(0.5)  # no unit is silent
    return units(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize("rule", RULES)
def test_unit_of_the_last_layer_is_the_class(rule: str) -> None:
    net, batch = deep(), Batch(torch.rand(3, 3, 9, 12), ("x", "y", "z"), torch.tensor([2, 2, 2]))
    assert torch.allclose(
        saliency(net, batch, layer="7", unit=2, rule=rule).values, saliency(net, batch, rule=rule).values
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", ["3", "4"])  # before the ReLU and after it
def test_unit_equals_autograd_through_the_whole_network(layer: str, rule: str) -> None:
    net, images = deep(), torch.rand(3, 3, 9, 12)
    leaf = images.clone().requires_grad_()
    with capture(net, [layer]) as kept, relu_rule(rule):
        net(leaf)
    maps = kept[layer][:, 1]
    for number, map_ in enumerate(maps):
        (gradient,) = torch.autograd.grad(map_.max(), leaf, retain_graph=True)
        found = saliency(net, Batch(images, ("x", "y", "z")), layer=layer, unit=1, rule=rule).values[number, 0]
        assert torch.allclose(found, gradient[number].abs().amax(0), atol=1e-7)
        assert found.any()


@pytest.mark.parametrize("rule", RULES)
def test_unit_is_the_projection_without_the_size_of_the_activation(rule: str) -> None:
    # All three rules are linear in the signal as long as its sign stays.
    net, images = deep(), torch.rand(3, 3, 9, 12)
    projected = project(net, images, layer="4", units=[1, 1, 1], rule=rule)
    expected = (projected.pixels / projected.values[:, None, None, None]).abs().amax(dim=1, keepdim=True)
    found = saliency(net, Batch(images, ("x", "y", "z")), layer="4", unit=1, rule=rule).values
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("rule", RULES)
def test_a_silent_unit_has_a_map_of_zeros_and_is_named(rule: str, caplog: pytest.LogCaptureFixture) -> None:
    conv = nn.Conv2d(3, 2, 1)
    conv.weight.data.fill_(1.0)
    conv.bias.data = torch.tensor([-1.5, 0.0])
    net = units(conv, nn.ReLU(), Broken())
    images = torch.full((2, 3, 4, 5), 0.25)  # 0.75 - 1.5 < 0 everywhere
    images[1, :, 2, 3] = 1.0  # 3 - 1.5 > 0
    found = saliency(net, Batch(images, ("dark", "bright")), layer="1", unit=0, rule=rule).values
    assert not found[0].any()
    assert found[1, 0].nonzero().tolist() == [[2, 3]]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "units: unit 0 of layer '1' is zero everywhere in dark: a map of zeros"
    saliency(net, Batch(images, ("dark", "bright")), layer="1", unit=1, rule=rule)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"layer": "features.0", "unit": 0}, KeyError, "no layer 'features.0'"),
        ({"layer": "O"}, KeyError, "no layer 'O'; known: 0"),
        ({"layer": "0", "unit": 2}, ValueError, r"units 0\.\.1, not 2"),
        ({"layer": "0", "unit": -1}, ValueError, r"units 0\.\.1, not -1"),
        ({"layer": "0", "unit": 0, "position": [4, 0]}, ValueError, r"4x5.*0\.\.3, 0\.\.4"),
        ({"layer": "0", "unit": 0, "position": [0, -1]}, ValueError, r"\[0, -1\]"),
        ({"layer": "0", "unit": 0, "position": [1, 2, 3]}, ValueError, r"\(y, x\).*\[1, 2, 3\]"),
        ({"layer": "0"}, ValueError, "unit=None"),
        ({"unit": 1}, ValueError, "layer=NAME"),
        ({"position": [0, 0]}, ValueError, "layer=NAME"),
        ({"layer": "0", "unit": 0, "classes": torch.zeros(1, 1).long()}, ValueError, "classes"),
    ],
)
def test_what_cannot_be_a_seed_is_named(asked: dict, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        saliency(point(), Batch(torch.rand(1, 3, 4, 5), ("x",)), **asked)


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_an_activation_without_a_rule_raises_although_the_forward_pass_ends_early(rule: str) -> None:
    net = units(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 2, 1), Broken())
    batch = Batch(torch.rand(1, 3, 6, 7), ("x",))
    with pytest.raises(UndefinedRule, match="Gelu"):
        saliency(net, batch, layer="2", unit=0, rule=rule)
    assert saliency(net, batch, layer="2", unit=0).values.any()


def test_a_class_from_which_nothing_comes_back_is_said(caplog: pytest.LogCaptureFixture) -> None:
    # S_0 falls with the only feature: DeconvNets and guided back-propagation rectify its signal away.
    conv, head = nn.Conv2d(3, 1, 1), nn.Linear(20, 2, bias=False)
    conv.weight.data.fill_(1.0)
    head.weight.data = torch.tensor([[-1.0], [2.0]]).expand(2, 20).clone()
    net = units(conv, nn.ReLU(), nn.Flatten(), head)
    batch = Batch(torch.rand(2, 3, 4, 5), ("x", "y"), torch.tensor([0, 1]))
    assert saliency(net, batch).values.flatten(1).all()
    assert not caplog.records
    found = saliency(net, batch, rule="deconvnet").values
    assert not found[0].any()
    assert found[1].all()
    (record,) = caplog.records
    assert record.getMessage() == "units: the gradient at the pixels is zero by rule 'deconvnet' in x: a map of zeros"


def test_a_unit_that_lives_but_sends_nothing_back_is_said(caplog: pytest.LogCaptureFixture) -> None:
    first, second = nn.Conv2d(3, 1, 1), nn.Conv2d(1, 1, 1)
    first.weight.data.fill_(1.0)
    second.weight.data.fill_(-1.0)
    second.bias.data.fill_(9.0)
    net = units(first, nn.ReLU(), second, nn.ReLU())
    assert not saliency(net, Batch(torch.rand(1, 3, 4, 5), ("x",)), layer="3", unit=0, rule="guided").values.any()
    (record,) = caplog.records
    assert record.getMessage() == "units: the gradient at the pixels is zero by rule 'guided' in x: a map of zeros"
