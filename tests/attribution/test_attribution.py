"""Maps of every origin, measured alike: planted maps win and lose, guests are equal to their libraries."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from deepinside.attribution import guests, tables
from deepinside.attribution.attributions import BASELINES, Attribution, attributions
from deepinside.attribution.comparison import Comparison, _timed, compared, placed
from deepinside.attribution.perturbation import perturbed
from deepinside.data.index import Entry, Index
from deepinside.defaults import defaults
from deepinside.localisation.settings import Settings
from deepinside.methods.integrated_gradients import integrated_gradients
from deepinside.methods.rise import masks, rise
from deepinside.network import Network, Preprocessing
from deepinside.plots import attribution as plots
from deepinside.records import Batch, Boxes, Row

SIDE = 64
BOXES = ((10, 20, 50, 44), (8, 6, 40, 30), (4, 30, 60, 58), (20, 8, 44, 56))


class Colours(nn.Module):
    """Class c is the mean of relu(channel c - 0.6)."""

    def __init__(self):
        super().__init__()
        self.rectifier = nn.ReLU()

    def forward(self, x):
        return 40 * self.rectifier(x - 0.6).mean(dim=(2, 3))


def colours():
    plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=SIDE, resize=SIDE)
    return Network(Colours(), plain, ("red", "green", "blue"), "colours")


def convolutional(kind=0, side=32):
    torch.manual_seed(kind)
    bodies = (
        [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU()],
        [nn.Conv2d(3, 6, 5, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, groups=2), nn.ReLU()],
        [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 8, 1, bias=False), nn.ReLU()],
    )
    module = nn.Sequential(*bodies[kind], nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    for part in module:
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2)
    setup = Preprocessing(mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3), input=side, resize=side)
    return Network(module.eval(), setup, tuple("abcde"), f"network {kind}")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    entries = []
    for number, box in enumerate(BOXES):
        x0, y0, x1, y1 = box
        label = number % 3
        pixels = np.random.default_rng(number).integers(60, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[y0:y1, x0:x1, label] = 250
        Image.fromarray(pixels).save(root / f"{number}.png")
        entries.append(Entry(f"{number}", f"{number}.png", "val", label, Boxes(np.array([box])), SIDE, SIDE))
    return Index(root, ("r", "g", "b"), ("red", "green", "blue"), tuple(entries))


def options(**changed):
    keys = {"sample": 4, "sampled": [], "nulls": True, "batch_size": 4, "pictures": 1, "side": 64}
    return OmegaConf.create(keys | changed)


def comparison(index, methods, network=None, **changed):
    settings = Settings.of(OmegaConf.create(defaults("localise", "simonyan2013")))
    return Comparison(network or colours(), index, methods, options(**changed), settings, 0)


def planted():
    def mask(_network, image, _target, _seed):
        return (image[0].amax(dim=0) > 0.9).numpy().astype(float)

    return [
        Attribution("mask", mask, learnt=False),
        Attribution("noise", BASELINES["noise"], learnt=False),
        Attribution("centre", BASELINES["centre"], learnt=False),
        *attributions(["saliency"], {"saliency": defaults("method", "saliency")}, {}),
    ]


@pytest.fixture(scope="module")
def found(index):
    methods = planted()
    return methods, comparison(index, methods)(range(4))


def test_a_map_that_is_the_mask_wins_and_noise_loses(found):
    _, arrays = found
    seen = tables.measures(arrays)
    own = {metric: values for metric, values in seen.values.items() if "." not in metric}
    means = {metric: np.ma.masked_invalid(values).mean(axis=0).filled(np.nan) for metric, values in own.items()}
    mask, noise, centre, saliency = range(4)
    for metric, best in (("pointing_game", 1), ("class_known_localisation_error", 0), ("max_box_accuracy_v2", 1)):
        assert means[metric][mask] == best, metric
    assert means["energy_in_box"][mask] > 2 > 1.2 > means["energy_in_box"][noise] > 0.8
    assert means["insertion"][mask] > means["insertion"][noise]
    assert means["deletion"][mask] < means["deletion"][noise]
    assert means["insertion"][saliency] == pytest.approx(means["insertion"][mask], abs=0.02)
    assert means["class_sensitivity"][saliency] > 0.5  # of another class nothing is red
    assert np.isnan(seen.values["class_sensitivity"][:, [mask, noise, centre]]).all()
    assert (arrays["rank"] == 0).all()
    assert (seen.values["top5_localisation_error"] == seen.values["class_known_localisation_error"]).all()


def test_rows_name_the_nulls_and_differences(found):
    methods, arrays = found
    rows = {row.metric: row for row in tables.rows(tables.measures(arrays), methods)}
    assert rows["mask.pointing_game"].value == 100
    assert rows["mask.pointing_game"].unit == "%"
    assert rows["saliency.energy_in_box_above_other_image"].value > 0
    assert rows["saliency.untrained.energy_in_box"].n == 4
    assert "centre.pointing_game_above_centre" not in rows
    assert "noise.untrained.pointing_game" not in rows  # has no network
    assert rows["saliency.passes"].value == 1
    assert rows["centre.passes"].value == 0
    table = tables.comparisons(tables.measures(arrays), methods)
    assert (table["p_holm"] >= table["p"]).all()
    assert {"mask", "noise", "saliency", "centre", "untrained", "other_image"} <= {*table["method"], *table["against"]}
    per = tables.per_image(tables.measures(arrays), methods, ["0", "1", "2", "3"])
    assert list(per.columns) == ["image", "method", "metric", "value"]
    assert per[(per["method"] == "mask") & (per["metric"] == "pointing_game")]["value"].tolist() == [1] * 4
    text = tables.latex(list(rows.values()), methods, "colours, 4 images")
    assert text.count("\\\\") == 1 + len(methods)


def test_holm_by_hand():
    assert tables.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])


def test_the_threshold_is_chosen_on_the_other_half():
    curves = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])  # even images like the first threshold
    assert tables.held_out(curves).tolist() == [0.1] * 4
    assert tables.held_out(np.array([[0.9, 0.1]] * 4)).tolist() == [0.9] * 4
    assert tables.held_out(curves[:1]).tolist() == [0.9]
    assert not tables.held_out(curves > 0.5).any()


def test_the_peak_of_a_graphics_card_is_beyond_what_was_there_before(monkeypatch):
    done = []
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 3_000_000)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: done.append(device.type))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: 8_500_000)
    method = Attribution("flat", lambda *_: np.ones((2, 3)), learnt=True)
    card = SimpleNamespace(module=nn.Identity(), device=torch.device("cuda"))
    assert _timed(method, card, torch.zeros(3, 2, 3), 0, 0).memory == pytest.approx(5.5)
    assert done == ["cuda"]
    assert np.isnan(_timed(method, colours(), torch.zeros(3, 2, 3), 0, 0).memory)


def test_batches_do_not_depend_on_interruptions(index, found):
    methods, arrays = found
    again = comparison(index, methods)(range(4))
    for key in arrays.keys() - {"ms_per_image"}:
        assert np.array_equal(arrays[key], again[key], equal_nan=arrays[key].dtype.kind == "f"), key


def test_an_image_that_cannot_be_read_is_set_aside(index, tmp_path):
    for entry in index.entries:
        (tmp_path / entry.file).write_bytes((index.root / entry.file).read_bytes())
    (tmp_path / "1.png").write_bytes(b"no image")
    broken = Index(tmp_path, index.ids, index.classes, index.entries)
    arrays = comparison(broken, planted())(range(4))
    assert [bool(reason) for reason in arrays["reason"]] == [False, True, False, False]
    assert tables.measures(arrays).values["pointing_game"].shape == (3, 4)
    assert comparison(broken, planted()).skipped(range(2), "killed")["reason"].tolist() == ["killed"] * 2


def test_rank_correlation_and_its_place():
    random = np.random.default_rng(0)
    one = random.random((112, 112))
    assert compared(one) @ compared(one) == pytest.approx(1)
    assert compared(one) @ compared(np.exp(one)) > 0.99
    assert abs(compared(one) @ compared(random.random((112, 112)))) < 0.1
    assert compared(np.ones((60, 60))) @ compared(one) == 0
    assert (placed(0.7, 0.7), placed(1, 0.7), placed(0.85, 0.7)) == pytest.approx((0, 1, 0.5))


def test_insertion_and_deletion_by_hand():
    image = torch.full((1, 3, SIDE, SIDE), 0.3)
    image[0, 0, :, : SIDE // 2] = 1.0  # red on the left half
    left = np.zeros((SIDE, SIDE))
    left[:, : SIDE // 2] = 1
    network = colours()
    found = perturbed(network, image, 0, left, steps=4)
    share = [float(torch.tensor([40 * 0.4 * x, 0.0, 0.0]).softmax(0)[0]) for x in (0.5, 0.25, 0, 0, 0)]
    assert found.deletion == pytest.approx(float(np.trapezoid(share, dx=0.25)), abs=1e-5)
    assert found.insertion_mean == pytest.approx(
        float(np.trapezoid([share[i] for i in (2, 1, 0, 0, 0)], dx=0.25)), abs=1e-5
    )
    assert perturbed(network, image, 0, 1 - left, steps=4).insertion < found.insertion


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize(
    "name",
    [
        "Saliency",
        "InputXGradient",
        "IntegratedGradients",
        "GuidedBackprop",
        "Deconvolution",
        "DeepLift",
        "LayerGradCam",
    ],
)
def test_captum_is_what_captum_returns(kind, name):
    attr = pytest.importorskip("captum.attr")
    network, image = convolutional(kind), torch.rand(1, 3, 32, 32)
    layer = "3"
    arguments = {"layer": layer} if name.startswith("Layer") else {}
    ours = guests.captum(name, arguments)(network, image, 2, 0)
    first = (network, network.layer(layer)) if arguments else (network,)
    theirs = getattr(attr, name)(*first).attribute(image.clone().requires_grad_(), target=2)
    if arguments:
        theirs = attr.LayerAttribution.interpolate(theirs.sum(1, keepdim=True), (32, 32), "bilinear")
    assert ours == pytest.approx(theirs.detach().sum(dim=1)[0].numpy(), abs=1e-5)


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("name", ["EpsilonPlus", "EpsilonAlpha2Beta1Flat", "GuidedBackprop"])
def test_zennit_is_what_zennit_returns(kind, name):
    pytest.importorskip("zennit")
    from zennit import composites
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm

    network, image = convolutional(kind), torch.rand(1, 3, 32, 32)
    ours = guests.zennit(name, {})(network, image, 1, 0)
    composite = getattr(composites, name)(canonizers=[SequentialMergeBatchNorm()])
    with Gradient(model=network.module, composite=composite) as attributor:
        _, theirs = attributor(network.normalise(image), torch.eye(5)[[1]])
    assert ours == pytest.approx(theirs[0].sum(dim=0).detach().numpy(), abs=1e-5)
    assert torch.equal(network.scores(image), convolutional(kind).scores(image))  # nothing stays merged or hooked


def test_the_box_of_a_composite_is_that_of_the_images():
    pytest.importorskip("zennit")
    found = guests.zennit("EpsilonGammaBox", {})(convolutional(), torch.rand(1, 3, 32, 32), 1, 0)
    assert np.isfinite(found).all()
    assert found.any()


@pytest.mark.parametrize("name", ["GradCAM", "GradCAMPlusPlus", "LayerCAM"])
def test_grad_cam_is_what_grad_cam_returns(name):
    library = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    network, image = convolutional(), torch.rand(1, 3, 32, 32)
    ours = guests.pytorch_grad_cam(name, {"layer": "3"})(network, image, 1, 0)
    with getattr(library, name)(model=network, target_layers=[network.layer("3")]) as cam:
        theirs = cam(image.clone().requires_grad_(), targets=[ClassifierOutputTarget(1)])[0]
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_a_layer_must_be_there_and_have_positions():
    pytest.importorskip("captum.attr")
    network, image = convolutional(), torch.rand(1, 3, 32, 32)
    with pytest.raises(KeyError, match="network 0 has no layer '9x'; known: 0, 1"):
        guests.captum("LayerGradCam", {"layer": "9x"})(network, image, 1, 0)
    with pytest.raises(
        ValueError, match=r"captum\.LayerGradCam: expected maps .* of layer '7', got none: name another"
    ):
        guests.captum("LayerGradCam", {"layer": "7"})(network, image, 1, 0)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.rectifier, self.last = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.rectifier(torch.relu(self.first(x)) - 0.1).mean(dim=(2, 3)))


class Reused(Functional):
    def forward(self, x):
        return self.last(self.rectifier(self.rectifier(self.first(x)) - 0.1).mean(dim=(2, 3)))


@pytest.mark.parametrize("module", [Functional, Reused])
def test_what_a_guest_would_miss_is_refused(module):
    pytest.importorskip("captum.attr")
    network = Network(module(), Preprocessing(input=32, resize=32), tuple("abc"), "functions")
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"captum\.GuidedBackprop replaces the rule of ReLU modules, and functions"):
        guests.captum("GuidedBackprop", {})(network, image, 0, 0)
    guests.captum("Saliency", {})(network, image, 0, 0)
    guests.check_modules(convolutional(), image, "x")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("zennit.Epsilonplus", KeyError, "no composite 'Epsilonplus'.*EpsilonPlus"),
        ("salience", KeyError, "no method 'salience'.*saliency"),
        ("captam.Saliency", KeyError, "no library 'captam'.*captum"),
        ("captum.Salience", KeyError, "no class 'Salience'.*Saliency"),
        ("captum.NeuronGradient", ValueError, "attributes to something else"),
        ("captum.LLMAttribution", ValueError, "attributes to something else"),
        ("captum.Occlusion", ValueError, r"needs the argument sliding_window_shapes"),
    ],
)
def test_names_that_cannot_be_compared(name, error, message):
    pytest.importorskip("captum.attr")
    pytest.importorskip("zennit")
    with pytest.raises(error, match=message):
        attributions([name], {"saliency": defaults("method", "saliency")}, {})


def test_a_missing_library_is_named_with_its_installation(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("deepinside.attribution.guests.importlib.import_module", absent)
    for name in ("captum.Saliency", "zennit.EpsilonPlus", "pytorch_grad_cam.GradCAM"):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'deepinside\[guests\]'"):
            attributions([name], {}, {})


def test_wrong_choices():
    settings = {name: defaults("method", name) for name in ("saliency", "class_model")}
    with pytest.raises(ValueError, match="class_model returns Images"):
        attributions(["class_model"], settings, {})
    with pytest.raises(ValueError, match="chosen twice"):
        attributions(["saliency", "saliency"], settings, {})
    with pytest.raises(KeyError, match=r"is not in benchmark\.methods"):
        attributions(["saliency"], settings, {"salience": {}})
    with pytest.raises(ValueError, match="no parameter"):
        attributions(["saliency"], settings, {"saliency": {"ruel": "guided"}})


def test_integrated_gradients_add_up_and_equal_captum():
    attr = pytest.importorskip("captum.attr")
    network, images = convolutional(), torch.rand(2, 3, 32, 32)
    batch = Batch(images, ("a", "b"), torch.tensor([1, 3]))
    ours = integrated_gradients(network, batch, steps=50).values[:, 0]
    theirs = attr.IntegratedGradients(network).attribute(images, target=torch.tensor([1, 3])).sum(dim=1)
    assert ours.numpy() == pytest.approx(theirs.detach().numpy(), abs=1e-5)
    gained = (network.scores(images) - network.scores(torch.zeros(2, 3, 32, 32)))[[0, 1], [1, 3]]
    assert ours.sum(dim=(1, 2)).numpy() == pytest.approx(gained.numpy(), abs=0.02)
    with pytest.raises(ValueError, match="unknown baseline"):
        integrated_gradients(network, batch, baseline="blak")


def test_rise_shows_what_the_class_needs():
    network = colours()
    image = torch.full((1, 3, SIDE, SIDE), 0.3)
    image[0, 0, 8:40, 8:40] = 1
    found = rise(network, Batch(image, ("x",), torch.tensor([0])), count=400, batch_size=64).values[0, 0]
    assert found[8:40, 8:40].mean() > found[44:, 44:].mean() + 0.01
    again = rise(network, Batch(image, ("x",), torch.tensor([0])), count=400, batch_size=400).values[0, 0]
    assert torch.allclose(found, again, atol=1e-5)
    drawn = torch.cat(list(masks(2000, (30, 40), 7, 0.5)))
    assert drawn.shape == (2000, 30, 40)
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="expected a batch with labels"):
        rise(network, Batch(image, ("x",)))


def test_the_names_of_methods_that_are_alike_do_not_cover_one_another():
    names = ("saliency", "guided", "deconvnet", "input_x_gradient", "captum.DeepLift")
    rows = {name: Row(name, 70 + number / 10, "%", 9, 60, 80) for number, name in enumerate(names)}
    figure = plots.against_cost(rows, dict.fromkeys(names, 12.0), "pointing game", lower=False)
    extents = [label.get_window_extent() for label in figure.axes[0].texts]
    assert [label.get_text() for label in figure.axes[0].texts] == list(names)
    assert [extent.count_overlaps(extents) for extent in extents] == [1] * 5  # itself


def test_agreement_is_symmetric(found):
    methods, arrays = found
    table = tables.agreement(tables.measures(arrays), methods)
    assert isinstance(table, pd.DataFrame)
    assert np.allclose(table, table.T)
    assert np.allclose(np.diag(table), 1)


def test_nothing_is_placed_where_the_maps_of_two_images_are_alike():
    assert placed(0.9, 0.8) == pytest.approx(0.5)
    assert np.isnan(placed(0.9, 0.81))
