"""`import deepinside as di`: what a user of Python sees first."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from skimage.data import chelsea
from tests.own import lay
from torch import nn

import deepinside as di
from deepinside.api import results
from deepinside.data.image import read_image
from deepinside.data.reading import BadFile
from deepinside.localisation import submission
from deepinside.miniature import write_broden
from deepinside.models.checkpoint import save_weights
from deepinside.models.training import probabilities
from deepinside.network import Network
from deepinside.pipeline import configuration
from deepinside.pipeline.execution import execute
from deepinside.pipeline.plan import Planner
from deepinside.records import Table

CLASSES = ("red square", "blue square, azure square")
WEIGHTS = "w.safetensors"
STEPS = ["method.class_model.steps=4", "method.am_best.steps=4", "method.inversion.octaves=[{steps:4}]"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two classes, weights of a network, and a folder of concepts."""
    folder = lay(tmp_path_factory.mktemp("place"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(di.load("convnet_micro", weights="random", classes=CLASSES).module, folder / WEIGHTS)
    (folder / "concepts").mkdir()
    write_broden(folder / "concepts", seed=0, images=20, side=64, workers=0, least_frequency=1)
    return folder


@pytest.fixture(scope="module")
def network(place: Path) -> Network:
    return di.load("convnet_micro", weights=place / WEIGHTS, classes=CLASSES)


@pytest.fixture(scope="module")
def photograph(place: Path) -> Path:
    return place / "pictures" / "class_0" / "1.png"


def artifact(place: Path, stage: str, *words: str) -> Path:
    model = ["model=convnet_micro", f"model.weights={place / WEIGHTS}"]
    where = [f"outputs={place / 'out'}", "wandb=disabled", "machine.workers=1"]
    cfg = configuration.composed([f"run={stage}", *model, *where, *words])
    with torch.random.fork_rng():
        return execute(Planner(place / "out").plan(cfg, stage))


def on_pictures(place: Path, stage: str, *words: str) -> Path:
    return artifact(place, stage, "data=folder", f"data.root={place / 'pictures'}", *words)


# Names


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_it_takes_no_time_and_loads_no_torch() -> None:
    measured = "import sys, time; start = time.perf_counter(); import deepinside; took = time.perf_counter() - start;"
    measured += "assert 'dissect' in dir(deepinside); print(took, *sys.modules)"
    fastest = min((run(measured).split() for _ in range(3)), key=lambda words: float(words[0]))
    assert float(fastest[0]) < 0.2
    assert not {"torch", "numpy", "hydra", "omegaconf", "matplotlib"} & set(fastest[1:])


def test_tab_shows_the_functions_and_nothing_else() -> None:
    assert [name for name in dir(di) if not name.startswith("_")] == [
        "capture", "dissect", "invert", "load", "localise", "maximise", "relu_rule", "saliency", "show"
    ]  # fmt: skip
    with pytest.raises(AttributeError, match="'deepinside' has no attribute 'maximize'"):
        getattr(di, "maximize")  # ruff: ignore[get-attr-with-constant]


def test_editors_are_told_the_same_names() -> None:
    stub = Path(di.__file__).with_suffix(".pyi").read_text()
    told = {
        name.strip() for line in re.findall(r"^from .* import (.*)$", stub, re.MULTILINE) for name in line.split(",")
    }
    assert told | {"__version__"} == set(di.__all__)


def test_no_module_hides_a_function() -> None:
    code = "import importlib, pkgutil, deepinside as di\n"
    code += "import deepinside.localisation.boxes, deepinside.dissection.score, deepinside.stages.localise\n"
    code += "import deepinside.stages.dissect, deepinside.methods.saliency, deepinside.methods.inversion\n"
    code += "print(all(callable(getattr(di, name)) for name in di.__all__ if name != '__version__'))"
    assert run(code) == "True\n"
    modules = {module.name for module in pkgutil.iter_modules(di.__path__)}
    assert not modules & set(di.__all__)


def test_the_version_is_ours() -> None:
    assert di.__version__ == "0.2.0"
    done = subprocess.run([sys.executable, "-m", "deepinside", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "deepinside 0.2.0\n"


@pytest.mark.parametrize("name", ["deepinside", "deepinside.api.functions", "deepinside.api.loading"])
def test_the_examples_of_the_documentation_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted >= 5
    assert not done.failed


# Networks


def seeded_scores(network: Network) -> torch.Tensor:
    picture = (torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(1)) * 255).byte()
    return probabilities(network, [picture])


def test_settings_of_a_network_can_be_changed() -> None:
    changed = di.load("convnet_micro", weights="random", input=80, resize=88, name="mine", classes=["a", "b"])
    assert (changed.preprocessing.input, changed.preprocessing.resize) == (80, 88)
    assert (changed.name, changed.classes) == ("mine", ("a", "b"))
    assert changed.preprocessing.mean == (0.5, 0.5, 0.5)  # as conf/model/convnet_micro.yaml says


def test_ones_own_module_is_left_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    wrapped = di.load(module, input=32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5), classes="abcd")
    assert module.training
    assert module[0].weight.requires_grad
    assert module[1].inplace
    x = torch.rand(1, 3, 32, 32)
    normal = (x - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / 0.5
    assert torch.equal(wrapped(x), module(normal))
    assert (wrapped.preprocessing.resize, wrapped.name) == (37, "Sequential")


def test_a_trained_network_is_loaded_by_its_folder(place: Path, network: Network) -> None:
    folder = artifact(place, "load")
    again = di.load(folder)
    assert again.preprocessing == network.preprocessing
    assert torch.equal(seeded_scores(again), seeded_scores(network))
    assert di.load(again) is again
    with pytest.raises(ValueError, match=r"expected no settings .* got \['input'\]"):
        di.load(folder, input=32)


def test_what_cannot_be_loaded_is_said() -> None:
    with pytest.raises(KeyError, match=r"no network 'squeezent'; did you mean 'squeezenet'.*arch=NAME"):
        di.load("squeezent")
    with pytest.raises(FileNotFoundError, match=r"squeezenet comes without weights: pass weights=FILE"):
        di.load("squeezenet")
    with pytest.raises(FileNotFoundError, match="convnet_micro comes without weights"):
        di.load("convnet_micro")  # and not an untrained one
    with pytest.raises(KeyError, match=r"model=squeezenet has no setting 'maen'; did you mean 'mean'"):
        di.load("squeezenet", weights="random", maen=(0, 0, 0))
    with pytest.raises(KeyError, match=r"no preprocessing 'maen'; did you mean 'mean'"):
        di.load(nn.Flatten(), maen=(0, 0, 0))


# Images and targets


def test_an_image_may_be_of_any_kind(network: Network, photograph: Path) -> None:
    image = Image.open(photograph)
    pixels = np.array(image)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    kinds = [str(photograph), photograph, image, image.convert("RGBA"), pixels, pixels / 255.0]
    kinds += [(pixels / 255).astype(np.float32), tensor, tensor / 255]
    found = [di.saliency(network, kind) for kind in kinds]
    assert all(np.array_equal(one.maps, found[0].maps) for one in found)
    batches = [kinds, torch.stack([tensor, tensor]), np.stack([pixels / 255, pixels / 255]), (pixels,)]
    for batch in batches:
        several = di.saliency(network, batch)
        assert isinstance(several, list)
        assert len(several) == len(batch)
        assert all(np.array_equal(one.maps, found[0].maps) for one in several)


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        (np.zeros((3, 40, 50)), ValueError, r"an array \(h, w, 3\) of RGB, got the shape \(3, 40, 50\)"),
        (torch.zeros(40, 50, 3), ValueError, r"a tensor \(3, h, w\) of RGB, got the shape \(40, 50, 3\)"),
        (np.zeros((40, 50)), ValueError, r"got the shape \(40, 50\)"),
        (np.full((40, 50, 3), 255.0), ValueError, r"floats in \[0, 1\], got 255 to 255: divide bytes by 255"),
        (torch.randn(3, 40, 50), ValueError, r"do not normalise"),
        (np.full((40, 50, 3), np.nan), ValueError, r"got nan to nan"),
        (np.zeros((40, 50, 3), dtype=int), ValueError, r"bytes \(uint8\) or of floats in \[0, 1\], got torch.int64"),
        (7, TypeError, r"expected an image \(a path, a PIL image, .*\), got int"),
        ([], ValueError, "expected images, got none"),
        ("nowhere.jpg", BadFile, "nowhere.jpg"),
    ],
)
def test_what_is_no_image_is_said(network: Network, wrong: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        di.saliency(network, wrong)  # type: ignore[arg-type]


def test_targets_are_names_or_numbers(network: Network, photograph: Path) -> None:
    by_name = di.saliency(network, photograph, "azure square")
    for same in (1, np.int64(1), torch.tensor(1), "Blue Square", ["blue square"], np.array([1])):
        assert np.array_equal(di.saliency(network, photograph, same).maps, by_name.maps)  # type: ignore[arg-type]
    assert by_name.targets == CLASSES[1:]
    both = di.saliency(network, photograph, [1, "red square"])
    assert np.array_equal(both.maps[0], by_name.maps[0])
    assert both.targets == CLASSES[::-1]
    assert both.probabilities.sum() == pytest.approx(1)
    for function in (di.saliency, di.localise):
        with pytest.raises(KeyError, match=r"no class 'bleu square'; did you mean 'blue square'"):
            function(network, photograph, "bleu square")
    with pytest.raises(ValueError, match=r"expected a class of 0\.\.1, got 7"):
        di.maximise(network, 7)


def test_what_does_not_go_together_is_said(network: Network, photograph: Path) -> None:
    with pytest.raises(ValueError, match="choose one"):
        di.saliency(network, photograph, 1, layer="relu3", unit=0)
    with pytest.raises(ValueError, match=r"expected target=\.\.\., or layer=\.\.\. and unit="):
        di.maximise(network)
    with pytest.raises(KeyError, match=r"no layer 'relu33'; did you mean 'relu3'"):
        di.saliency(network, photograph, layer="relu33", unit=0)
    with pytest.raises(ValueError, match="expected a method for Maps, got 'am_best'"):
        di.saliency(network, photograph, method="am_best")
    with pytest.raises(ValueError, match="expected a method for inversion, got 'relation'"):
        di.invert(network, photograph, "relu3", method="relation")
    with pytest.raises(KeyError, match="localise=simonyan2013 has no setting 'gama'; did you mean 'gamma'"):
        di.localise(network, photograph, gama=3)
    with pytest.raises(TypeError, match=r"got ConvNet: use load\(module, input"):
        di.saliency(network.module, photograph)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"got str: use load\(NAME"):
        di.localise("squeezenet", photograph)  # type: ignore[arg-type]


# Numbers


@pytest.fixture(scope="module")
def visualised(place: Path) -> Path:
    asked = "method=[saliency,guided,deconvnet,input_x_gradient,class_model,am_best,inversion]"
    words = ["visualise.images=3", "visualise.measured=1", "visualise.classes=[1]", "method.inversion.layers=[relu3]"]
    return on_pictures(place, "visualise", asked, *words, *STEPS, "method.inversion.images=2")


def drawn(place: Path) -> Iterator[tuple[str, Path]]:
    for name in ("class_0/0.png", "class_0/1.png", "class_1/0.png"):  # as many of each class as there are
        yield name, place / "pictures" / name


HOW = {
    "saliency": {},
    "guided": {"rule": "guided"},
    "deconvnet": {"rule": "deconvnet"},
    "input_x_gradient": {"method": "input_x_gradient"},
}


@pytest.mark.parametrize("method", HOW)
def test_maps_are_those_of_the_command_line(method: str, visualised: Path, place: Path, network: Network) -> None:
    with np.load(visualised / "maps.npz") as stored:
        table = pd.read_csv(visualised / "per_image.csv").set_index("image")
        for name, path in drawn(place):
            found = di.saliency(network, path, **HOW[method])
            assert np.array_equal(found.maps[0].astype(np.float16), stored[f"{name}.{method}"])
            assert round(float(found.probabilities[0]), 6) == pytest.approx(table["probability"][name], abs=1e-9)
            assert found.targets == (CLASSES[table["predicted"][name]],)


@pytest.mark.parametrize("method", ["class_model", "am_best"])
def test_images_are_those_of_the_command_line(method: str, visualised: Path, network: Network) -> None:
    made = di.maximise(network, 1, method=method, steps=4)
    with np.load(visualised / "synthesis.npz") as stored:
        assert np.array_equal((made.images * 255).round().astype(np.uint8), stored[f"{method}.images"])
        assert np.array_equal(made.traces["score"], stored[f"{method}.score"])
    assert not np.array_equal(di.maximise(network, 1, steps=4, seed=1).image, di.maximise(network, 1, steps=4).image)
    assert made.table["class"].tolist() == [1]


def test_inversions_are_those_of_the_command_line(visualised: Path, place: Path, network: Network) -> None:
    found = di.invert(network, [path for _, path in drawn(place)][:2], "relu3", octaves=[{"steps": 4}])
    with np.load(visualised / "inversion.npz") as stored:
        for number, one in enumerate(found):
            assert np.array_equal((one.image * 255).round().astype(np.uint8), stored["optimised.relu3"][0, number])
            assert np.array_equal((one.original * 255).round().astype(np.uint8), stored["originals"][number])
    table = pd.read_csv(visualised / "inversion.csv")
    assert [one.table["feature_error"][0] for one in found] == pytest.approx(table["feature_error"].tolist(), abs=1e-9)


@pytest.mark.parametrize("preset", ["simonyan2013", "best"])
def test_boxes_are_those_of_the_command_line(preset: str, place: Path, network: Network) -> None:
    folder = on_pictures(place, "localise", f"localise={preset}", "localise.pictures=0")
    guesses = submission.read(folder / "predictions.txt", 2)
    images = sorted(pd.read_csv(folder / "per_image.csv")["image"])
    assert len(images) == 6
    found = di.localise(network, [place / "pictures" / name for name in images], preset=preset)
    for number, one in enumerate(found):
        labels = [CLASSES.index(name) + 1 for name in one.targets]
        assert labels == guesses.labels[number].tolist()
        assert np.array_equal(one.boxes, guesses.boxes[number])
        asked = di.localise(network, place / "pictures" / images[number], one.targets[1], preset=preset)
        assert np.array_equal(asked.boxes, one.boxes[1:])
        assert asked.masks.shape == asked.maps.shape
        assert asked.image.shape[:2] == tuple(read_image(place / "pictures" / images[number]).shape[1:])


def test_units_are_those_of_the_command_line(place: Path, network: Network, tmp_path: Path) -> None:
    words = ["concepts=broden", f"concepts.root={place / 'concepts'}", "dissect.layers=[relu5]"]
    folder = artifact(place, "dissect", *words)
    found = di.dissect(network, str(place / "concepts"), "relu5", out=tmp_path)
    for name in ("units", "counts"):
        ours = getattr(found, name)
        assert ours.to_csv(index=False, lineterminator="\n") == (folder / f"{name}.csv").read_text()
    assert found.table.set_index("metric")["value"].to_dict() == {row[0]: row[1] for row in Table.read(folder).rows}
    names = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert (found.detectors["score"] > found.iou).all()
    again = di.dissect(network, place / "concepts", ["relu5"], limit=5)
    assert len(again.units) == 64
    with pytest.raises(FileNotFoundError, match=r"expected a probe set, got no index\.csv"):
        di.dissect(network, tmp_path / "none")


# What is shown


@pytest.fixture(scope="module")
def every(network: Network, photograph: Path, place: Path) -> dict[str, results.Result]:
    short = {"octaves": [{"steps": 2}]}
    return {
        "saliency": di.saliency(network, photograph, [0, 1]),
        "unit": di.saliency(network, photograph, layer="relu3", unit=2),
        "signed": di.saliency(network, photograph, method="input_x_gradient"),
        "maximise": di.maximise(network, [0, 1], steps=2),
        "units": di.maximise(network, layer="relu3", unit=[0, 5], steps=2),
        "direction": di.maximise(network, layer="relu3", unit={0: 1.0, 3: -1.0}, steps=2),
        "invert": di.invert(network, photograph, ["relu2", "relu3"], **short),
        "localise": di.localise(network, photograph),
        "dissect": di.dissect(network, place / "concepts", ["relu4", "relu5"], iou=0.0),
    }


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("saliency", ["image", "red square (", "blue square ("]),
        ("unit", ["image", "unit 2 of relu3"]),
        ("signed", ["image", "square ("]),
        ("maximise", ["red square", "blue square"]),
        ("units", ["relu3, unit 0", "relu3, unit 5"]),
        ("direction", ["relu3: +1·0 -1·3"]),
        ("invert", ["image", "relu2", "relu3"]),
        ("localise", ["boxes", "square", "square"]),
        ("dissect", ["relu4: ", "relu5: "]),
    ],
)
def test_a_result_shows_itself(every: dict[str, results.Result], name: str, titles: list[str], tmp_path: Path) -> None:
    one = every[name]
    assert one._repr_png_().startswith(b"\x89PNG")
    drawn = [axes.get_title() for axes in one.figure().axes if axes.get_title()]
    assert len(drawn) == len(titles)
    assert all(wanted in title for wanted, title in zip(titles, drawn, strict=True))
    one.save(tmp_path / "shown.png")
    assert min(Image.open(tmp_path / "shown.png").size) > 100
    assert repr(one).startswith(f"{type(one).__name__}(")
    assert len(repr(one)) < 1000


def test_several_results_make_one_figure(every: dict[str, results.Result]) -> None:
    figure = di.show(list(every.values()))
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_subplotspec().get_gridspec().nrows == len(every)
    assert di.show(every["unit"], every["invert"]).axes[0].get_subplotspec().get_gridspec().nrows == 2
    with pytest.raises(TypeError, match="expected results of saliency"):
        di.show([chelsea()])
    with pytest.raises(ValueError, match="expected results to show, got none"):
        di.show([])


def test_long_rows_are_broken(network: Network) -> None:
    made = di.maximise(network, layer="relu3", unit=range(8), steps=1)
    grid = di.show(made).axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 6)


def test_the_rules_and_the_activations_work_on_any_module() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    with di.relu_rule("guided"), di.capture(module, ["1"]) as kept:
        module(image).sum().backward()
    assert kept["1"].shape == (1, 4, 6, 6)
    assert image.grad is not None
