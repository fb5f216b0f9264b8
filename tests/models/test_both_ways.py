"""A network built in Python is the one that the command line builds."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tests.shared import SHARED, needs_shared

import deepinside
from deepinside.data.image import read_image
from deepinside.models.custom import custom
from deepinside.models.pretrained import squeezenet
from deepinside.models.saved import build
from deepinside.models.training import probabilities
from deepinside.network import Network
from deepinside.pipeline.configuration import composed, folder, groups
from deepinside.spelling import resolved

MINE = {"target": "torchvision.models:squeezenet1_1"}  # any function that returns a module


def own(choice: str) -> dict[str, str]:
    """What the yaml of a choice leaves to the user."""
    return MINE if choice == "custom" else {}


def factory(choice: str) -> partial[Network] | None:
    """What builds a choice in Python, with its own defaults; None for a variant of another choice, which has none."""
    stated = OmegaConf.load(folder() / "model" / f"{choice}.yaml")
    if "defaults" in stated:
        return None
    stated.update(own(choice))
    function = resolved(stated["_target_"])
    parameters = inspect.signature(function).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    return partial(function, **{name: stated[name] for name in needed}, weights="random")


def plain(choice: str) -> dict[str, Any]:
    """The content of the yaml of a choice."""
    return OmegaConf.to_container(OmegaConf.load(folder() / "model" / f"{choice}.yaml"))  # type: ignore[return-value]


def differing(function: Callable[..., Network], stated: Mapping[str, Any]) -> dict[str, str]:
    """The arguments whose defaults in Python are not the values of the yaml."""
    defaults = {one.name: one.default for one in inspect.signature(function).parameters.values()}
    pairs = {name: (defaults[name], value) for name, value in stated.items() if name in defaults}
    return {
        name: f"{default!r} in Python, {value!r} in the yaml"
        for name, (default, value) in pairs.items()
        if default not in {inspect.Parameter.empty, None} and json.dumps(default) != json.dumps(value)
    }


def seeded(build: Callable[[], Network]) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def from_the_command_line(choice: str, *words: str) -> Network:
    stated = [f"model.{key}={value}" for key, value in own(choice).items()]
    cfg = composed([f"model={choice}", "model.weights=random", *stated, *words])
    return seeded(lambda: build(cfg.model, None))


@pytest.mark.parametrize("choice", groups()["model"])
def test_scores_from_python_are_those_from_the_command_line(choice: str) -> None:
    picture = (torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(1)) * 255).byte()
    theirs = from_the_command_line(choice)
    (expected,) = probabilities(theirs, [picture])
    assert expected.std() > 0
    by_name = seeded(lambda: deepinside.load(choice, weights="random", **own(choice)))
    assert (by_name.name, by_name.classes) == (theirs.name, theirs.classes)
    made = factory(choice)
    apart = differing(made.func, plain(choice)) if made else {}
    for ours in (by_name, *([seeded(made)] if made else [])):
        assert ours.preprocessing == theirs.preprocessing, apart
        assert torch.equal(probabilities(ours, [picture])[0], expected), apart


def test_a_default_that_is_not_that_of_the_yaml_is_named() -> None:
    def narrow(weights: str | None = None, *, widths: Sequence[int] = (8, 16), name: str = "narrow") -> Network:
        raise NotImplementedError

    stated = {"_target_": "narrow", "weights": None, "widths": [8, 16], "name": "narrow"}
    assert differing(narrow, stated) == {}
    assert differing(narrow, stated | {"widths": [8, 32]}) == {"widths": "(8, 16) in Python, [8, 32] in the yaml"}


def test_what_is_not_said_of_ones_own_network_is_as_on_the_command_line() -> None:
    assert (
        seeded(lambda: custom(**MINE, input=64)).preprocessing
        == from_the_command_line("custom", "model.input=64").preprocessing
    )


@needs_shared
def test_a_bullfrog_is_a_bullfrog_from_python() -> None:
    file = SHARED / "data/ilsvrc_val_sample/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00018512.JPEG"
    network = squeezenet(SHARED / "weights" / "squeezenet1_0_imagenet.safetensors")
    (shares,) = probabilities(network, [read_image(file)], crops="ten")
    assert network.classes[int(shares.argmax())] == "bullfrog"
    assert shares.max() == pytest.approx(0.71, abs=0.01)
