"""Our measures are those of Quantus on the same maps, but for the differences that docs/attribution.md states."""

import csv
import importlib.util
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from deepinside.attribution.comparison import compared
from deepinside.attribution.perturbation import perturbed
from deepinside.localisation.measure import measured
from deepinside.network import Network, Preprocessing

HERE = Path(__file__).resolve().parents[2] / "experiments" / "attribution"
COVERED = np.ones((84, 84), bool)


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("quantus_reference", HERE / "quantus_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.material()


@pytest.fixture(scope="module")
def theirs():
    found = defaultdict(lambda: defaultdict(list))
    with (HERE / "quantus.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["measure"]][int(row["image"])].append(float(row["value"]))
    return {measure: np.array([values[image] for image in sorted(values)]) for measure, values in found.items()}


def test_pointing_and_energy(made, theirs):
    ours = [measured(map_, COVERED, box[None].astype(float)) for map_, box in zip(made.maps, made.boxes, strict=True)]
    assert [[float(one.pointed)] for one in ours] == theirs["pointing_game"].tolist()
    assert set(theirs["pointing_game"].ravel()) == {0, 1}
    energy = np.array([[float(one.energy)] for one in ours])
    assert energy == pytest.approx(theirs["energy"], rel=1e-6)


def test_deletion_is_the_area_under_pixel_flipping(made, theirs):
    """Ours begins with the whole image, and the trapezoids have its width as their unit."""
    plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), input=84, resize=84)
    network = Network(made.network, plain, tuple("abc"), "small")
    images = torch.from_numpy(made.images)
    curves = theirs["pixel_flipping"]
    for image, label, map_, curve in zip(images, made.labels.tolist(), made.maps, curves, strict=True):
        whole = float(network.scores(image[None]).softmax(dim=1)[0, label])
        ours = perturbed(network, image[None], label, map_, steps=len(curve)).deletion
        assert ours == pytest.approx(float(np.trapezoid([whole, *curve], dx=1 / len(curve))), abs=1e-6)
    assert curves.std(axis=1).min() > 1e-3  # they do go somewhere


def test_the_correlation_of_the_randomisation_test(made, theirs):
    corners = (maps[:, :56, :56] for maps in (made.maps, made.others))
    ours = [[float(compared(a) @ compared(b))] for a, b in zip(*corners, strict=True)]
    assert np.array(ours) == pytest.approx(theirs["mprt"], abs=1e-6)
    assert 0.1 < min(theirs["mprt"].ravel()) < max(theirs["mprt"].ravel()) < 0.99
