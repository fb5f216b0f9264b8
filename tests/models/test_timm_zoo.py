import sys

import pytest
import timm
import torch
from hydra import compose, initialize_config_dir
from timm.data import create_transform, resolve_model_data_config

from deepinside.models.saved import build
from deepinside.models.timm_zoo import timm_model
from deepinside.pipeline import configuration


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(3)
    return timm.create_model("resnet18", pretrained=False, num_classes=7).eval()


def test_scores_are_those_of_timm(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "own.pth")
    network = timm_model(arch="resnet18", weights=str(tmp_path / "own.pth"))
    assert network.classes[6] == "class 6"
    images = torch.rand(2, 3, 40, 48)
    meant = resolve_model_data_config(theirs)
    mean, std = (torch.tensor(meant[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs((images - mean) / std))


@pytest.mark.parametrize("arch", ["resnet18", "vgg11", "efficientnet_b0", "resnet18.a1_in1k"])
def test_preprocessing_is_that_of_timms_evaluation(arch):
    network = timm_model(arch=arch, weights="random")
    meant = resolve_model_data_config(timm.create_model(arch, pretrained=False))
    resize, crop = create_transform(**meant, is_training=False).transforms[:2]
    assert (network.preprocessing.resize, network.preprocessing.input) == (resize.size, crop.size[0])
    assert resize.interpolation.value == network.preprocessing.interpolation
    assert len(network.classes) == 1000


def test_what_is_given_wins():
    assert timm_model(arch="resnet18", input=64, resize=70, name="mine").preprocessing.input == 64


def test_an_unknown_name_and_weights_of_another_network(theirs, tmp_path):
    with pytest.raises(KeyError, match="'resnet18'"):
        timm_model(arch="resnt18")
    torch.save(theirs.state_dict(), tmp_path / "own.pth")
    with pytest.raises(ValueError, match=r"own\.pth"):
        timm_model(arch="vgg11", weights=str(tmp_path / "own.pth"))


def test_without_timm_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "timm.data", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'deepinside\[timm\]'"):
        timm_model(arch="resnet18")


@pytest.mark.parametrize("group", ["timm", "torchvision"])
def test_by_its_name_on_the_command_line(group):
    overrides = [f"model={group}", "model.arch=resnet18", "model.weights=random"]
    with initialize_config_dir(str(configuration.folder()), version_base="1.3"):
        cfg = compose("config", overrides=overrides)
    assert cfg.model.name == "resnet18"
    assert build(cfg.model, None).name == "resnet18"
