"""The backward rules on seven networks as they are: captum where it is right, the DeconvNet written out elsewhere."""

import gc
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest
import torch
import torchvision.models as zoo
from captum.attr import Deconvolution, GuidedBackprop, InputXGradient, Saliency
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as nn_module

from deepinside.localisation.crops import viewed
from deepinside.methods.deconvnet import project
from deepinside.methods.input_x_gradient import input_x_gradient
from deepinside.methods.saliency import saliency
from deepinside.methods.smooth_grad import smooth_grad
from deepinside.models.convnet import ConvNet
from deepinside.models.pretrained import efficientnet_lite0
from deepinside.network import Network, Preprocessing
from deepinside.probe import RULES, UndefinedRule, back_project, contrast_rule, relu_rule
from deepinside.probe.activations import reached
from deepinside.records import Batch

BARE = {"weights": None, "init_weights": False}
# How it is made, the size of its images, h and w; a deep layer; and what it is here for.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], str]] = {
    "alexnet": (lambda: zoo.alexnet(weights=None), (72, 96), "features.11"),  # overlapping pools
    "vgg16": (lambda: zoo.vgg16(**BARE), (64, 72), "features.29"),
    "resnet18": (lambda: zoo.resnet18(weights=None), (64, 96), "layer4"),  # re-used ReLUs, sums
    "googlenet": (lambda: zoo.googlenet(**BARE, aux_logits=False), (64, 96), "inception5b"),  # ReLUs as functions
    "squeezenet": (lambda: zoo.squeezenet1_0(weights=None), (64, 96), "features.12"),  # ceil-mode pools, concatenations
    "efficientnet_lite0": (lambda: efficientnet_lite0().module, (64, 96), "_blocks.12"),  # ReLU6, groups
    "convnet": (lambda: ConvNet(10, widths=(16, 32, 24, 24, 24), hidden=(40, 30), input=96), (96, 98), "relu5"),  # LRN
}
CAPTUM = {"gradient": Saliency, "guided": GuidedBackprop, "deconvnet": Deconvolution}
MISSED = ("googlenet", "efficientnet_lite0")  # captum looks for modules of the type nn.ReLU and finds none
CLOSE = 1e-5  # of the map's maximum


class Case:
    """A network with random weights, two images and their classes."""

    def __init__(self, name: str) -> None:
        build, size, self.layer = NETWORKS[name]
        torch.manual_seed(0)
        self.name = name
        self.net = Network(build(), Preprocessing(), [str(i) for i in range(1000)], name)
        self.images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
        self.batch = Batch(self.images, ("a", "b"), torch.tensor([3, 5]))
        self.theirs = deepcopy(self.net.module)  # captum hangs hooks into it

    def captum(self, rule: str) -> Tensor:
        inputs = self.net.normalise(self.images).requires_grad_()
        options = {"abs": False} if rule == "gradient" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = CAPTUM[rule](self.theirs).attribute(inputs, target=self.batch.labels, **options)
        return (found / self.net.std).abs().amax(dim=1).detach()

    def map(self, rule: str) -> Tensor:
        return saliency(self.net, self.batch, rule=rule).values[:, 0]


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    yield Case(request.param)
    gc.collect()


def close(one: Tensor, other: Tensor) -> bool:
    assert other.abs().max() > 0
    return bool((one - other).abs().max() <= CLOSE * other.abs().max())


@pytest.mark.parametrize("rule", RULES)
def test_equal_to_captum_or_captum_is_a_plain_gradient(case: Case, rule: str) -> None:
    ours, theirs = case.map(rule), case.captum(rule)
    if rule == "gradient" or case.name not in MISSED:
        assert close(ours, theirs)
    else:
        assert close(theirs, case.map("gradient"))  # silently
        assert (ours - theirs).abs().max() > 0.1 * ours.max()


def test_input_x_gradient_equal_to_captum(case: Case) -> None:
    inputs = case.net.normalise(case.images).requires_grad_()
    theirs = InputXGradient(case.theirs).attribute(inputs, target=case.batch.labels).sum(dim=1).detach()
    assert close(input_x_gradient(case.net, case.batch).values[:, 0], theirs)


@pytest.mark.parametrize("rule", RULES)
def test_score_carried_back_by_the_written_out_deconvnet(case: Case, rule: str) -> None:
    leaf = case.images.clone().requires_grad_()
    scores = case.net(leaf)
    seed = functional.one_hot(case.batch.labels, scores.shape[1]).to(scores)
    written = back_project(scores, seed, leaf, rule=rule)
    assert close(case.map(rule), written.abs().amax(dim=1))


@pytest.mark.parametrize("rule", RULES)
def test_unit_projected_written_out_and_by_autograd(case: Case, rule: str) -> None:
    layer, leaf = case.layer, case.images.clone().requires_grad_()
    plain = reached(case.net, leaf, (layer,))[layer]
    units = plain.amax(dim=(2, 3)).argmax(dim=1).tolist()  # of random weights many are silent
    projected = project(case.net, case.images, layer=layer, units=units, rule=rule, contrast="gradient")
    seed = torch.zeros_like(plain)
    for image, (unit, place) in enumerate(zip(units, projected.positions.tolist(), strict=True)):
        seed[image, unit, place[0], place[1]] = plain.detach()[image, unit].max()
    assert torch.equal(projected.values, seed.flatten(1).sum(1))
    with relu_rule(rule):
        ruled = reached(case.net, leaf, (layer,))[layer]
    (automatic,) = torch.autograd.grad(ruled, leaf, seed)
    assert close(projected.pixels, automatic)
    assert close(back_project(plain, seed, leaf, rule=rule), automatic)


@pytest.mark.parametrize("rule", RULES)
def test_in_place_modules_change_nothing(case: Case, rule: str) -> None:
    expected = case.map(rule)
    relus = [part for part in case.net.module.modules() if isinstance(part, nn.ReLU | nn.ReLU6)]
    try:
        for part in relus:
            part.inplace = True
        leaf = case.images.clone().requires_grad_()
        with relu_rule(rule):
            chosen = case.net(leaf).gather(1, case.batch.labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, leaf)
    finally:
        for part in relus:
            part.inplace = False
    assert close(gradient.abs().amax(dim=1), expected)


def test_captum_misses_all_relus_of_googlenet_but_we_do_not() -> None:
    # The two halves of the tests above once more, side by side: what captum calls guided and deconvnet is the gradient.
    case = Case("googlenet")
    leaf = case.images.clone().requires_grad_()
    scores = case.net(leaf)
    seed = functional.one_hot(case.batch.labels, scores.shape[1]).to(scores)
    gradient = case.captum("gradient")
    for rule in ("guided", "deconvnet"):
        written = back_project(scores, seed, leaf, rule=rule).abs().amax(dim=1)
        assert close(case.captum(rule), gradient)
        assert not close(case.captum(rule), written)
        assert close(case.map(rule), written)


@pytest.mark.parametrize("contrast", ["identity", "gradient"])
@pytest.mark.parametrize("rule", RULES)
def test_response_normalisation_written_out_and_by_autograd(rule: str, contrast: str) -> None:
    case = Case("convnet")
    found = project(case.net, case.images, layer="relu5", units=[3, 7], rule=rule, contrast=contrast)
    leaf = case.images.clone().requires_grad_()
    with contrast_rule(contrast):
        answer = reached(case.net, leaf, ("relu5",))["relu5"]
    seed = torch.zeros_like(answer)
    for image, (unit, (y, x)) in enumerate(zip([3, 7], found.positions.tolist(), strict=True)):
        seed[image, unit, y, x] = found.values[image]
    assert close(back_project(answer, seed, leaf, rule=rule), found.pixels)


def test_identity_through_response_normalisation_is_no_gradient() -> None:
    case = Case("convnet")
    both = [project(case.net, case.images, layer="relu5", units=[3, 7], contrast=c) for c in ("identity", "gradient")]
    assert torch.equal(both[0].values, both[1].values)  # the forward pass is the same
    assert not close(both[0].pixels, both[1].pixels)


# A DeconvNet by hand.


def plain_sequence() -> nn.Sequential:
    torch.manual_seed(4)
    parts = [nn.Conv2d(3, 6, 5, stride=2, padding=1), nn.ReLU(), nn.LocalResponseNorm(5, alpha=2.0)]
    parts += [
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(6, 8, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
    ]
    return nn.Sequential(*parts, nn.Conv2d(8, 4, 3, padding=1), nn.ReLU()).double()


def pooled_slowly(maps: Tensor) -> tuple[Tensor, list[tuple[int, int, int, int, int]]]:
    """3x3, stride 2, ceil: the values of (c, h, w), and where each came from, as (channel, y, x, from y, from x)."""
    channels, height, width = maps.shape
    rows, columns = -(-(height - 3) // 2) + 1, -(-(width - 3) // 2) + 1
    found = torch.zeros(channels, rows, columns, dtype=maps.dtype)
    switches = []
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                ys, xs = range(2 * y, min(2 * y + 3, height)), range(2 * x, min(2 * x + 3, width))
                best = max(((i, j) for i in ys for j in xs), key=lambda place: float(maps[c, place[0], place[1]]))
                found[c, y, x] = maps[c, best[0], best[1]]
                switches.append((c, y, x, *best))
    return found, switches


def convolved_back(signal: Tensor, conv: nn.Conv2d, size: tuple[int, int]) -> Tensor:
    full = functional.conv_transpose2d(signal[None], conv.weight, stride=conv.stride, groups=conv.groups)[0]
    pad = conv.padding[0]
    padded = torch.zeros(len(full), size[0] + 2 * pad, size[1] + 2 * pad, dtype=signal.dtype)
    padded[:, : full.shape[1], : full.shape[2]] = full
    return padded[:, pad : pad + size[0], pad : pad + size[1]]


def slow_deconvnet(parts: nn.Sequential, image: Tensor, unit: int, rule: str) -> Tensor:
    """One image (3, h, w): forward with switches, then everything but the unit's strongest activation set to zero."""
    maps, steps = image, []
    for part in parts:
        before = maps
        if isinstance(part, nn.Conv2d):
            maps = part(before[None])[0].detach()
            steps.append(lambda signal, conv=part, size=tuple(before.shape[1:]): convolved_back(signal, conv, size))
        elif isinstance(part, nn.ReLU):
            maps = before * (before > 0)
            gates = {"gradient": (True, False), "deconvnet": (False, True), "guided": (True, True)}[rule]
            steps.append(lambda r, x=before, g=gates: r * ((x > 0) | (not g[0])) * ((r > 0) | (not g[1])))
        elif isinstance(part, nn.LocalResponseNorm):
            maps = part(before[None])[0]  # on the way back the signal passes as it is
        else:
            maps, switches = pooled_slowly(before)
            steps.append(lambda signal, s=switches, like=before: unpooled_slowly(signal, s, like))
    y, x = divmod(int(maps[unit].argmax()), maps.shape[2])
    signal = torch.zeros_like(maps)
    signal[unit, y, x] = maps[unit, y, x]
    for step in reversed(steps):
        signal = step(signal)
    return signal


def unpooled_slowly(signal: Tensor, switches: list[tuple[int, int, int, int, int]], like: Tensor) -> Tensor:
    found = torch.zeros_like(like)
    for c, y, x, i, j in switches:
        found[c, i, j] += signal[c, y, x]
    return found


@pytest.mark.parametrize("rule", RULES)
def test_slow_deconvnet(rule: str) -> None:
    parts = plain_sequence()
    net = Network(
        parts, Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5), input=8, resize=8), ["a"], "n"
    ).double()
    images = torch.rand(2, 3, 33, 46, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    layer, units = str(len(parts) - 1), [1, 2]
    expected = torch.stack(
        [
            slow_deconvnet(parts, net.normalise(image[None])[0], unit, rule)
            for image, unit in zip(images, units, strict=True)
        ]
    )
    found = project(net, images, layer=layer, units=units, rule=rule)
    assert torch.allclose(found.pixels * net.std, expected, rtol=1e-9, atol=1e-12)
    assert expected.flatten(1).any(dim=1).all()
    if rule == "deconvnet":  # its pools do overlap: had the last window won, another image would come out
        leaf = images.clone().requires_grad_()
        with contrast_rule("identity"):
            answer = reached(net, leaf, (layer,))[layer]
        seed = torch.zeros_like(answer)
        for image, (unit, (y, x)) in enumerate(zip(units, found.positions.tolist(), strict=True)):
            seed[image, unit, y, x] = found.values[image]
        assert not torch.allclose(back_project(answer, seed, leaf, unpool="overwrite"), found.pixels)


# Nothing is left behind.


def small() -> Network:
    torch.manual_seed(0)
    module = ConvNet(5, widths=(4, 6, 6, 6, 6), hidden=(8, 8), kernel=5, stride=2, input=48)
    return Network(module, Preprocessing(input=48, resize=52), "abcde", "small")


class Fails(nn.Module):
    def forward(self, _x: Tensor) -> Tensor:
        raise ZeroDivisionError


def pictures() -> Batch:
    images = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    return Batch(images, ("a", "b"), torch.tensor([0, 3]))


def explicit(net: Network) -> object:
    leaf = pictures().images.requires_grad_()
    with contrast_rule("identity"):
        scores = net(leaf)
    return back_project(scores, torch.ones_like(scores), leaf)


SMOOTH = {"copies": 3, "sigma": 0.1, "average": "signed", "batch_size": 2}
CALLS: dict[str, Callable[[Network], object]] = {
    **{f"saliency {rule}": lambda net, rule=rule: saliency(net, pictures(), rule=rule).values for rule in RULES},
    "saliency of a unit": lambda net: saliency(net, pictures(), layer="relu5", unit=1, rule="guided").values,
    "viewed": lambda net: viewed(net, (pictures().images[0] * 255).byte(), rule="guided").maps["saliency"],
    "input x gradient": lambda net: input_x_gradient(net, pictures(), rule="deconvnet").values,
    "smooth grad": lambda net: smooth_grad(net, pictures(), **SMOOTH, rule="guided").values,
    "project": lambda net: project(net, pictures().images, layer="relu5", units=[0, 1]).pixels,
    "back project": explicit,
}


def switched_on() -> list[object]:
    hooks = [value for name, value in vars(nn_module).items() if name.startswith("_global_") and hasattr(value, "keys")]
    assert len(hooks) >= 6
    return [*(dict(value) for value in hooks), torch._C._len_torch_function_stack(), torch.is_grad_enabled()]


def hung_in(net: Network) -> list[object]:
    return [
        hook
        for part in net.modules()
        for name, found in vars(part).items()
        if "hooks" in name
        for hook in (found or ())
    ]


def state(net: Network) -> list[object]:
    return [switched_on(), hung_in(net), net.training, torch.get_rng_state().tolist()]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("broken", [None, "conv3", "conv5", "norm1", "relu2"])
def test_nothing_is_left_behind_not_even_after_an_error(name: str, broken: str | None) -> None:
    net = small()
    if broken:
        setattr(net.module, broken, nn.GELU() if broken == "relu2" else Fails())
    torch.manual_seed(7)
    before, weights = state(net), [tensor.clone() for tensor in net.state_dict().values()]
    try:
        answer = CALLS[name](net)
    except (ZeroDivisionError, UndefinedRule):
        assert broken
    else:
        assert broken in {None, "relu2"}
        assert not answer.requires_grad
    assert state(net) == before
    assert all(torch.equal(one, other) for one, other in zip(weights, net.state_dict().values(), strict=True))
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.parameters())


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("name", CALLS)
def test_memory_is_flat(name: str) -> None:
    net = small()
    CALLS[name](net)
    before = live_tensors()
    for _ in range(20):
        CALLS[name](net)
    assert live_tensors() == before


def test_parameters_that_learn_get_no_gradient() -> None:
    net = small()
    net.requires_grad_(requires_grad=True)
    for name in CALLS:
        CALLS[name](net)
        assert all(parameter.grad is None for parameter in net.parameters()), name
