"""A network built in Python is the one that the command line builds."""

from collections.abc import Callable

import pytest
import torch
from tests.shared import SHARED, needs_shared

import deepinside
from deepinside.data.image import read_image
from deepinside.models.convnet import convnet
from deepinside.models.custom import custom
from deepinside.models.hog import hog
from deepinside.models.matconvnet import vgg_f
from deepinside.models.pretrained import efficientnet_lite0, squeezenet, torchvision_model
from deepinside.models.saved import build
from deepinside.models.timm_zoo import timm_model
from deepinside.models.training import probabilities
from deepinside.network import Network
from deepinside.pipeline.configuration import composed, groups

MINE = "torchvision.models:squeezenet1_1"  # any function that returns a module
IN_PYTHON: dict[str, Callable[[], Network]] = {
    "alexnet": lambda: torchvision_model("alexnet"),
    "convnet": convnet,
    "custom": lambda: custom(MINE),
    "efficientnet_lite0": lambda: efficientnet_lite0("random"),
    "googlenet": lambda: torchvision_model("googlenet"),
    "hog": hog,
    "resnet18": lambda: torchvision_model("resnet18"),
    "squeezenet": lambda: squeezenet("random"),
    "timm": lambda: timm_model("resnet18"),
    "torchvision": lambda: torchvision_model("resnet50"),
    "vgg16": lambda: torchvision_model("vgg16"),
    "vgg_f": lambda: vgg_f("random"),
}
VARIANTS = {"convnet_mini", "convnet_micro"}  # have no factory of their own: `convnet` with arguments of their yaml


def seeded(build: Callable[[], Network]) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def from_the_command_line(choice: str, *words: str) -> Network:
    target = [f"model.target={MINE}"] if choice == "custom" else []
    cfg = composed([f"model={choice}", "model.weights=random", *target, *words])
    return seeded(lambda: build(cfg.model, None))


def test_every_choice_is_compared() -> None:
    assert {*IN_PYTHON, *VARIANTS} == set(groups()["model"])


@pytest.mark.parametrize("choice", groups()["model"])
def test_scores_from_python_are_those_from_the_command_line(choice: str) -> None:
    picture = (torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(1)) * 255).byte()
    theirs = from_the_command_line(choice)
    (expected,) = probabilities(theirs, [picture])
    assert expected.std() > 0
    own = {"target": MINE} if choice == "custom" else {}
    by_name = seeded(lambda: deepinside.load(choice, weights="random", **own))
    assert (by_name.name, by_name.classes) == (theirs.name, theirs.classes)
    for ours in (by_name, *(seeded(made) for name, made in IN_PYTHON.items() if name == choice)):
        assert ours.preprocessing == theirs.preprocessing
        assert torch.equal(probabilities(ours, [picture])[0], expected)


def test_what_is_not_said_of_ones_own_network_is_as_on_the_command_line() -> None:
    assert (
        seeded(lambda: custom(MINE, input=64)).preprocessing
        == from_the_command_line("custom", "model.input=64").preprocessing
    )


@needs_shared
def test_a_bullfrog_is_a_bullfrog_from_python() -> None:
    file = SHARED / "data/ilsvrc_val_sample/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00018512.JPEG"
    network = squeezenet(SHARED / "weights" / "squeezenet1_0_imagenet.safetensors")
    (shares,) = probabilities(network, [read_image(file)], crops="ten")
    assert network.classes[int(shares.argmax())] == "bullfrog"
    assert shares.max() == pytest.approx(0.71, abs=0.01)
