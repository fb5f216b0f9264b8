"""Activation maximisation: against the closed form, step by step, and what must not matter."""

from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional

from deepinside.defaults import defaults
from deepinside.methods.activation_maximization import activation_maximization
from deepinside.methods.synthesis.canvas import _COLOURS, Generators, mean_magnitude, phase
from deepinside.network import Network, Preprocessing
from deepinside.pipeline.configuration import folder
from deepinside.probe.activations import activations
from deepinside.records import Batch, Boxes, Images
from deepinside.study import Pictures

MEAN = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)
PLAIN = {"policy": "mean", "size": [2.0, 0.0], "momentum": 0.0}


def settings() -> dict[str, Any]:
    told = yaml.safe_load((folder() / "method" / "activation_maximization.yaml").read_text())
    del told["_target_"]
    return told | {"steps": 4, "step": PLAIN}


def made(net: Network, *classes: int, **changed: Any) -> Images:
    batch = Batch(torch.zeros(len(classes), 3, 1, 1), tuple(map(str, classes)), torch.tensor(classes, dtype=torch.long))
    return activation_maximization(net, batch, **settings() | changed)


def network(classes: int = 3) -> Network:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3, stride=2, padding=1), nn.ReLU()]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, classes))
    recipe = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), input=19, resize=19)
    return Network(module, recipe, [f"class {i}" for i in range(classes)], "toy")


class Scores(nn.Module):
    """A network from a function of the normalised image."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def of(function: Any, names: int = 2) -> Network:
    recipe = Preprocessing((0.5, 0.5, 0.5), (1, 1, 1), 4, 4)
    return Network(Scores(function), recipe, [f"class {i}" for i in range(names)], "given")


def test_the_zero_picture_shows_the_mean() -> None:
    picture = made(network(), 1, step=PLAIN | {"size": 0.0}).values
    assert torch.allclose(picture, MEAN.expand(1, 3, 19, 19))


def test_simonyans_steps_by_hand() -> None:
    net = network()
    grey = torch.zeros(1, 3, 19, 19)
    velocity = torch.zeros_like(grey)
    for step in range(3):
        x = grey.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(MEAN + x / 255)[0, 2] - 1e-3 * x.square().sum(), x)
        velocity = 0.9 * velocity + 2.0 * (1 - step / 3) * gradient / gradient.abs().mean()
        grey = grey + velocity
    ours = made(net, 2, priors={"l2": {"weight": 1e-3}}, steps=3, step=PLAIN | {"momentum": 0.9}).values
    assert torch.allclose(ours, (MEAN + grey / 255).clamp(0, 1), atol=1e-5)


def test_yosinskis_order_by_hand() -> None:
    # The code's iteration: clip, forward, step, decay, blur, small norm, small contribution; the last only looks.
    net = network()
    start = 10 * torch.randn((3, 19, 19), generator=torch.Generator().manual_seed(1))[None]
    line = torch.exp(-0.5 * torch.arange(-4, 5).float().square())
    line = line / line.sum()
    x = start.clone()
    for step in range(5):
        if step:
            x = ((x + 255 * MEAN).clamp(0, 255)) - 255 * MEAN
        leaf = x.clone().requires_grad_()
        (g,) = torch.autograd.grad(net(MEAN + leaf / 255)[0, 1], leaf)
        if step == 4:
            break
        x = (x + 50.0 * g) * (1 - 0.1)
        if step % 2 == 0:
            padded = functional.pad(x, (4, 4, 4, 4), mode="reflect")
            kernel = (line[:, None] * line[None]).expand(3, 1, 9, 9)
            x = functional.conv2d(padded, kernel, groups=3)
        norm = x.norm(dim=1, keepdim=True)
        x = x * (norm >= norm.flatten().quantile(0.2))
        share = (x * g).sum(dim=1, keepdim=True).abs()
        x = x * (share >= share.flatten().quantile(0.3))
    priors = {
        "decay": {"amount": 0.1},
        "blur": {"sigma": 1.0, "every": 2},
        "small_norm": {"percentile": 20.0},
        "small_contribution": {"percentile": 30.0},
        "clip": {},
    }
    kind = {"kind": "normal", "sigma": 10.0}
    ours = made(net, 1, start=kind, priors=priors, steps=4, step={"policy": "constant", "rate": 50.0}).values
    assert torch.allclose(ours, (MEAN + x / 255).clamp(0, 1), atol=1e-5)


def test_mahendrans_steps_by_hand() -> None:
    net = network()
    x = (2 * torch.rand((3, 19, 19), generator=torch.Generator().manual_seed(0))[None] - 1) * 40 / 0.95
    squares, velocity = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(4):
        leaf = x.clone().requires_grad_()
        energy = -3.0 * net(MEAN + leaf / 255)[0, 0] + 1e-9 * (leaf.square().sum(dim=1) ** 3).mean()
        dx, dy = leaf[..., :, 1:] - leaf[..., :, :-1], leaf[..., 1:, :] - leaf[..., :-1, :]
        energy = energy + 1e-2 * (dx.square().sum() + dy.square().sum()) / 19**2
        (g,) = torch.autograd.grad(energy, leaf)
        squares = 0.9 * squares + g.square()
        velocity = 0.9 * velocity - g / (1 / 50.0 + squares.sqrt())
        x = x + velocity
        size = x.norm(dim=1, keepdim=True)
        x = torch.where(size > 60, x * 60 / size, x)
    priors = {
        "alpha_norm": {"weight": 1e-9, "alpha": 6.0, "joint": True, "mean": True},
        "total_variation": {"weight": 1e-2, "beta": 2.0, "mean": True},
        "norm_box": {"limit": 60.0},
    }
    step = {"policy": "adagrad", "rate": 50.0, "momentum": 0.9, "leak": 0.9}
    ours = made(net, 0, weight=3.0, start={"kind": "uniform", "sigma": 40.0}, priors=priors, step=step).values
    assert torch.allclose(ours, (MEAN + x / 255).clamp(0, 1), atol=1e-4)


def test_norm_term_pulls_towards_the_closed_form() -> None:
    # S = w·I with gradient g per grey level: argmax of g·I - l2·I² is g / (2·l2).
    net = of(lambda x: torch.stack([x.sum((1, 2, 3)) * 255, -x.sum((1, 2, 3))], 1))
    images = made(net, 0, priors={"l2": {"weight": 0.05}}, steps=400, step=PLAIN | {"size": [0.2, 0.0]})
    assert images.traces["norm"][-1].item() == pytest.approx(1 / (2 * 0.05), rel=0.02)


VARIED = {
    "jitter": {"pixels": 2},
    "affine": {"degrees": 10, "zoom": 0.1, "shift": 0.05},
    "noise": {"sigma": 1.0},
    "total_variation": {"weight": 1e-5, "beta": 2.0, "mean": True},
    "blur": {"sigma": 0.6, "every": 2},
}


@pytest.mark.parametrize("kind", ["pixels", "fourier"])
@pytest.mark.parametrize("layer", [None, "2"])
def test_a_picture_depends_on_its_seed_and_not_on_its_batch(kind: str, layer: str | None) -> None:
    net = network()
    priors = VARIED if kind == "pixels" else {k: v for k, v in VARIED.items() if k != "blur"}
    start = {"kind": "normal", "sigma": 10.0 if kind == "pixels" else 0.1}
    step = {"policy": "adam", "rate": 2.0 if kind == "pixels" else 0.05}
    common = {
        "canvas": {"kind": kind, "decay": 1.0, "chroma": 1.0},
        "priors": priors,
        "start": start,
        "steps": 12,
        "step": step,
    }
    common |= {"layer": layer, "units": [0, 2, 1]}
    together = made(net, **common).values
    for size in (1, 2):
        assert (made(net, **common, batch_size=size).values - together).abs().max() <= 1e-4
    assert (made(net, **common, seed=1).values - together).abs().max() > 1e-3


def test_a_unit_with_a_small_receptive_field_gets_its_filter() -> None:
    # conv1 of SqueezeNet sees 7 pixels: rolled by up to 8 they averaged to a grey patch with a tenth of the activation.
    module = nn.Sequential(nn.Conv2d(3, 2, 7, bias=False), nn.ReLU())
    x = torch.linspace(-3, 3, 7)
    edge = 5 * torch.stack([x.sign().expand(7, 7), (-x * x / 4).exp().expand(7, 7).T - 0.5])
    module[0].weight.data = edge[:, None].expand(2, 3, 7, 7).clone()
    net = Network(module, Preprocessing((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 64, 64), [], "filters")
    best = defaults("method", "am_best")
    known = activation_maximization.__annotations__
    images = activation_maximization(
        net,
        Batch(torch.zeros(0, 3, 1, 1), ()),
        **{key: value for key, value in best.items() if key in known} | {"layer": "1", "units": [0, 1]},
    )
    grey = images.values.mean(dim=1).flatten(1)
    for shown, wanted in zip(grey, edge.flatten(1), strict=True):
        assert torch.corrcoef(torch.stack([shown, wanted]))[0, 1] > 0.8
    most = 2 * 3 * edge.abs().sum((1, 2)).numpy()  # three channels of at most 0.5 / 0.25
    assert (images.measured["score"] > 0.25 * most).all()


def test_the_phase_moves_and_the_magnitude_is_that_of_the_photographs() -> None:
    colour, images = MEAN.flatten(), torch.stack([photographs(6).read(i) for i in range(6)])  # type: ignore[list-item]
    magnitude = mean_magnitude(images, colour)
    canvas = phase(Generators([0, 1]), (19, 19), colour, magnitude)
    ours = (canvas.paint(canvas.start) / 255 + MEAN).logit()  # far from the ends of the sigmoid's clamp at this spread
    apart = torch.einsum("cr,nrhw->nchw", torch.linalg.inv(_COLOURS), ours - MEAN.logit())
    found = torch.fft.rfft2(apart, norm="ortho").abs()
    inner = (slice(None), slice(None), slice(None), slice(1, None))  # elsewhere coefficients come in conjugate pairs
    assert (found[inner] - magnitude.expand_as(found)[inner]).abs().max() <= 1e-3
    options = {"canvas": {"kind": "phase", "photographs": 4}, "step": {"policy": "adam", "rate": 0.1}, "steps": 20}
    first, last = made(network(), 1, pictures=photographs(6), **options | {"steps": 1}), None
    last = made(network(), 1, pictures=photographs(6), **options)
    assert last.measured["score"][0] > first.measured["score"][0]
    with pytest.raises(ValueError, match="photographs for the canvas `phase`"):
        made(network(), 1, **options)


def test_score_rises_and_the_network_stays_as_it_was() -> None:
    net = network()
    before = [p.clone() for p in net.parameters()]
    images = made(net, 0, 2, steps=20)
    assert (images.traces["score"][-1] > images.traces["score"][0]).all()
    assert images.traces["score"].shape == (20, 2)
    assert images.measured["class"] == [0, 2]
    assert images.measured["state"] == ["ok", "ok"]
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None and not p.requires_grad for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert not net.training


def test_nothing_is_left_behind_after_an_error() -> None:
    net = network()
    calls = []

    def fails(_module: nn.Module, _args: Any, _answer: Tensor) -> None:
        calls.append(0)
        if len(calls) > 6:
            raise RuntimeError("interrupted")

    handle = net.module[0].register_forward_hook(fails)
    with pytest.raises(RuntimeError, match="interrupted"):
        made(net, layer="2", units=[0], steps=20)
    handle.remove()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert not torch.is_grad_enabled() or not any(p.requires_grad for p in net.parameters())


def test_softmax_variants_raise_the_probability() -> None:
    for objective in ("log_probability", "probability"):
        images = made(network(), 0, objective=objective, steps=20)
        assert images.traces["probability"][-1] > images.traces["probability"][0]


def test_a_unit_is_seen_on_its_receptive_field_as_within_a_whole_picture() -> None:
    net = network()
    images = made(net, layer="2", units=[3], steps=10)
    assert images.values.shape == (1, 3, 5, 5)  # 3x3, then 3x3 of stride 2
    whole = MEAN.expand(1, 3, 19, 19).clone()
    whole[..., 7:12, 3:8] = images.values  # unit (4, 2): its field starts at 2·i - 1
    answer = activations(net, whole, ["2"])["2"][0, 3, 4, 2].item()
    assert images.measured["score"][0] == pytest.approx(answer, abs=1e-5)


def test_channels_and_directions() -> None:
    net = network()
    channel = made(net, layer="2", units=[1], place="everywhere", steps=10)
    assert channel.values.shape == (1, 3, 19, 19)
    assert channel.measured["score"][0] == pytest.approx(
        activations(net, channel.values, ["2"])["2"][0, 1].mean().item(), abs=1e-5
    )
    direction = made(net, layer="2", units=[{1: 1.0, 2: -0.5}], steps=10)
    answers = activations(net, direction.values, ["2"])["2"]
    assert direction.values.shape == (1, 3, 5, 5)
    assert direction.titles == ("2: +1·1 -0.5·2",)
    assert answers.shape[2:] == (2, 2)
    assert direction.traces["score"][-1] > direction.traces["score"][0]


def test_octaves_grow_the_canvas_and_the_middle_is_shown() -> None:
    images = made(network(), 0, priors={"crop": {"spread": 0.3}}, octaves=[{"steps": 3}, {"scale": 1.5, "steps": 2}])
    assert images.values.shape == (1, 3, 19, 19)
    assert len(images.traces["score"]) == 5


def test_a_rectified_unit_is_maximised_by_its_input() -> None:
    net = network()
    with torch.no_grad():
        net.module[2].bias[0] = -0.5  # silent on the blank image
    images = made(net, layer="3", units=[0], steps=30)
    assert images.traces["score"][0].item() < 0
    assert images.traces["score"][-1].item() > images.traces["score"][0].item() + 0.1
    assert images.measured["state"] == ["ok"]


def test_a_network_that_is_silent_on_a_blank_picture_is_woken_by_noise() -> None:
    net = of(lambda x: torch.stack([(x - 0.03).relu().sum((1, 2, 3)), (x - 0.02).relu().sum((1, 2, 3))], dim=1))
    changed = {"steps": 30, "priors": {"l2": {"weight": 1e-6}}, "step": PLAIN | {"momentum": 0.9}}
    images = made(net, 0, 1, **changed)  # the pull to zero is no sign of life
    assert (images.traces["score"][0] == 0).all()
    assert (images.traces["score"][-1] > 1).all()
    assert torch.equal(images.values[:1], made(net, 0, **changed).values)


class Concatenated(nn.Module):
    """A layer that is no rectifier and whose units are zero where the image is dark, as a Fire module's."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.mixed.weight.fill_(1.0)
            self.mixed.bias.fill_(-1.0)  # a grey image is 0 after normalisation: nothing passes the ReLU

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([functional.relu(self.mixed(images)), images], dim=1)


def test_a_unit_that_is_zero_at_the_start_is_woken_past_its_rectifier() -> None:
    layers = nn.Sequential(Concatenated(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = Network(layers, Preprocessing((0.5,) * 3, (0.25,) * 3, 8, 8), list("abcdefg"), "net")
    found = made(net, layer="0", units=[1], steps=30, start={"kind": "normal", "sigma": 1.0})
    assert found.measured["state"] == ["ok"]
    assert found.measured["score"][0] > 0.2


def test_a_dead_unit_is_named_and_none_but_dead_ones_is_an_error() -> None:
    net = of(lambda x: x.sum((1, 2, 3))[:, None] * torch.tensor([[1.0, 0.0]]))
    assert made(net, 0, 1, steps=25).measured["state"] == ["ok", "dead"]
    with pytest.raises(ValueError, match="dead"):
        made(net, 1, steps=25)


def test_nan_stops_a_picture_at_its_last_good_state_and_no_other() -> None:
    def bursts(x: Tensor) -> Tensor:
        total = x.sum((1, 2, 3))
        return torch.stack([total, -total], dim=1) + torch.where(total > 0.3, torch.nan, 0.0)[:, None]

    images = made(of(bursts), 0, 1, steps=30, step=PLAIN | {"size": [0.5, 0.0]})
    first, second = images.measured["state"]
    assert first.startswith("stopped at")
    assert second == "ok"
    assert images.values.isfinite().all()
    assert 0 < (images.values[0] - 0.5).sum() <= 0.3
    assert (images.values[1] - 0.5).sum() < -0.3


def photographs(count: int) -> Pictures:
    def read(position: int) -> Tensor:
        chance = torch.Generator().manual_seed(position)
        flat = 0.2 if position % 2 else 0.8
        return (flat + 0.05 * torch.randn(3, 19, 19, generator=chance)).clamp(0, 1)

    empty = tuple(Boxes([]) for _ in range(count))
    return Pictures(tuple(map(str, range(count))), (1,) * count, empty, read)


def test_facets_are_means_of_clusters_of_photographs() -> None:
    common = {"step": PLAIN | {"size": 0.0}, "pictures": photographs(12)}
    shown = [
        made(network(), 1, start={"kind": "facet", "facets": 2, "which": which, "nearest": 3}, **common).values.mean()
        for which in (0, 1)
    ]
    assert sorted(value.item() for value in shown) == pytest.approx([0.2, 0.8], abs=0.02)
    with pytest.raises(ValueError, match="class 0"):
        made(network(), 0, start={"kind": "facet", "facets": 2, "which": 0, "nearest": 3}, **common)


def test_photographs_lend_patches_and_the_scale_of_the_objective() -> None:
    priors = {"patches": {"mix": 1.0, "every": 1}}
    patches = {"side": 5, "count": 40}
    images = made(network(), 0, priors=priors, patches=patches, pictures=photographs(4))
    assert ((images.values - 0.2).abs() < 0.25).logical_or((images.values - 0.8).abs() < 0.25).float().mean() > 0.8
    made(network(), 0, relative=True, pictures=photographs(4))
    with pytest.raises(ValueError, match="photographs"):
        made(network(), 0, relative=True)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"objective": "logit"}, ValueError, "'logit'"),
        ({"layer": "7x", "units": [0]}, KeyError, "7x"),
        ({"layer": "2", "units": [5]}, ValueError, "0..4"),
        ({"units": [3]}, ValueError, "no class 3"),
        ({"priors": {"blurr": {"sigma": 1}}}, KeyError, "'blur'"),
        ({"priors": {"blur": {"width": 1}}}, ValueError, "sigma"),
        ({"step": {"policy": "adamw"}}, KeyError, "'adam'"),
        ({"place": "center"}, ValueError, "'centre'"),
        ({"canvas": {"kind": "fouriers", "decay": 1.0, "chroma": 1.0}}, ValueError, "'fourier'"),
        ({"canvas": {"kind": "generator", "code": "fc6", "high": 1.0}}, ValueError, "needs"),
        ({"octaves": [{"zoom": 2}]}, ValueError, "zoom"),
        ({"margin": -4}, ValueError, "margin"),
        ({"steps": 0}, ValueError, "steps"),
        ({"priors": {"centre": {"margin": 10}}}, ValueError, "margin"),
    ],
)
def test_bad_settings_are_named(changed: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        made(network(), 0, **changed)


def test_every_preset_of_the_folder_is_understood() -> None:
    net = network()
    for file in sorted((folder() / "method").glob("am_*.yaml")):
        with initialize_config_dir(str(folder()), version_base="1.3"):
            cfg = compose("config", [f"method=[{file.stem}]"])
        told = OmegaConf.to_container(cfg.method[file.stem])
        keys = {key: value for key, value in told.items() if key not in {"_target_", "needs"}}
        if keys["canvas"]["kind"] == "generator":
            continue  # tested with what trains it
        small = {"steps": 2, "octaves": [octave | {"steps": 2} for octave in keys["octaves"] or []] or None}
        if keys["start"]["kind"] == "facet":
            small["start"] = keys["start"] | {"facets": 2}
        for octave in [*(small["octaves"] or []), keys]:
            if octave.get("priors", {}).get("centre"):
                octave["priors"]["centre"] = {"margin": 3}
        images = made(net, 1, **{**keys, **small}, pictures=photographs(12))
        assert images.values.shape == (1, 3, 19, 19), file.stem


class Generator:
    """A linear generator whose code is the mean of each colour in each quarter."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def code(self, images: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(images, 2).flatten(1)

    def picture(self, code: Tensor) -> Tensor:
        return functional.interpolate(code.view(-1, 3, 2, 2), (19, 19), mode="nearest")

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        return torch.full((12,), 0.4), torch.full((12,), 0.1)


@pytest.mark.parametrize("preset", ["am_dgn_am", "am_ppgn"])
def test_through_a_generator_the_picture_is_one_that_it_can_make(preset: str) -> None:
    net = network()
    with initialize_config_dir(str(folder()), version_base="1.3"):
        told = OmegaConf.to_container(compose("config", [f"method=[{preset}]"]).method[preset])
    keys = {key: value for key, value in told.items() if key not in {"_target_", "needs"}}
    keys |= {"steps": 30, "step": {"policy": "mean", "size": [0.1, 0.0]}, "start": {"kind": "normal", "sigma": 0.3}}
    images = made(net, 1, **keys, inverters={"relu6": Generator(net)})
    assert images.traces["score"][-1] > images.traces["score"][0]
    quarter = images.values[0, :, :9, :9]
    assert (quarter - quarter[:, :1, :1]).abs().max() < 1e-6
    if preset == "am_dgn_am":
        assert images.values.max() <= 0.4 + 3 * 0.1 + 1e-5


def test_ppgns_update_by_hand() -> None:
    # d = eps1 (E(G(h)) - h) + eps2 dlog p/dh + noise; h <- clip(h + lr / mean|d| d)
    net = network()
    generator = Generator(net)
    h = torch.randn(12, generator=torch.Generator().manual_seed(1))[None]
    for _ in range(3):
        leaf = h.clone().requires_grad_()
        score = net(generator.picture(leaf)).log_softmax(dim=1)[0, 1]
        (g,) = torch.autograd.grad(score, leaf)
        d = 0.5 * (generator.code(generator.picture(h).clamp(0, 1)) - h) + g
        h = (h + 0.2 / d.abs().mean() * d).clamp(0, 2.0)
    keys = {
        "canvas": {"kind": "generator", "code": "x", "high": 2.0},
        "start": {"kind": "normal", "sigma": 1.0},
        "objective": "log_probability",
        "step": {"policy": "mean", "size": 0.2},
        "priors": {"box": {}, "pull": {"weight": 0.5}},
        "steps": 3,
    }
    images = made(net, 1, **keys, inverters={"x": generator})
    assert torch.allclose(images.values, generator.picture(h).clamp(0, 1), atol=1e-4)
