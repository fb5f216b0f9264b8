import logging
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from deepinside.models.custom import custom
from deepinside.models.saved import build

SETTINGS = {"mean": (0.1, 0.2, 0.3), "std": (1, 2, 3), "input": 8, "resize": 9}
SOURCE = """
import torch
from torch import nn

def small():
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())

class Module(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))

def sized(classes=4):
    return nn.Sequential(nn.Conv2d(3, classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def probabilities():
    return nn.Sequential(small(), nn.Softmax(1))

def maps():
    return nn.Conv2d(3, 4, 3)

def number():
    return 3
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "mynetworks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text(SOURCE)
    (folder / "broken.py").write_text("import package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("mynetworks")]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_a_function_may_ask_how_many_classes_there_are():
    assert custom(target="mynetworks.nets:sized", classes=("r", "g"), **SETTINGS).classes == ("r", "g")
    assert len(custom(target="mynetworks.nets:sized", **SETTINGS).classes) == 4
    with pytest.raises(ValueError, match=r"has 4 scores and the data have 2 classes \(r, g\)"):
        custom(target="mynetworks.nets:small", classes=("r", "g"), **SETTINGS)


@pytest.mark.usefixtures("package")
def test_any_module_is_wrapped():
    network = custom(target="mynetworks.nets:small", **SETTINGS)
    images = torch.rand(2, 3, 8, 8)
    normal = (images - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)
    assert torch.allclose(network(images), network.module(normal))
    assert network.classes == ("class 0", "class 1", "class 2", "class 3")
    assert not network.module[1].inplace
    assert custom(target="mynetworks.nets:Module", classes=("r", "g", "b"), **SETTINGS).classes == ("r", "g", "b")


def test_weights_of_ones_own(package):
    other = nn.Sequential(nn.Conv2d(3, 4, 3))
    torch.save(other.state_dict(), package / "w.pt")
    network = custom(target="mynetworks.nets:small", weights=str(package / "w.pt"), **SETTINGS)
    assert torch.equal(network.module[0].weight, other[0].weight)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("target", "error", "told"),
    [
        ("mynetworks.nets", ValueError, r"package\.module:function, got 'mynetworks\.nets'"),
        ("mynetwork.nets:small", ModuleNotFoundError, r"'mynetwork'.*mynetworks.*PYTHONPATH=FOLDER"),
        ("mynetworks.net:small", ModuleNotFoundError, r"'mynetworks\.net' .*did you mean 'nets'.*PYTHONPATH"),
        ("zzqqxx:small", ModuleNotFoundError, r"no module has a similar name.*PYTHONPATH"),
        ("mynetworks.broken:small", ModuleNotFoundError, r"No module named 'package_that_is_not_there'"),
        ("mynetworks.nets:smal", AttributeError, r"has no 'smal'; did you mean 'small'"),
        ("mynetworks.nets:number", TypeError, r"returned int: it must return a torch\.nn\.Module"),
        ("mynetworks.nets:maps", ValueError, r"expected scores \(n, k\).*got \(2, 4, 6, 6\)"),
    ],
)
def test_what_is_wrong_with_a_target_is_said(target, error, told):
    with pytest.raises(error, match=told):
        custom(target=target, **SETTINGS)


@pytest.mark.usefixtures("package")
def test_a_softmax_at_the_end_is_noticed(caplog):
    with caplog.at_level(logging.WARNING):
        custom(target="mynetworks.nets:probabilities", **SETTINGS)
    assert "remove the softmax" in caplog.text


@pytest.mark.usefixtures("package")
def test_names_must_be_as_many_as_outputs():
    with pytest.raises(ValueError, match="has 4 scores and the data have 2 classes"):
        custom(target="mynetworks.nets:small", classes=("a", "b"), **SETTINGS)


def test_the_example_of_the_readme(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    code = re.search(r"```python\n(from torch import nn\n.*?)```", text, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) <= 10
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module = custom(target="mine:net", input=64, resize=256, mean=(0, 0, 0), std=(1, 1, 1)).module
    torch.save({name: tensor + 1 for name, tensor in module.state_dict().items()}, tmp_path / "mine.pth")
    given = {"mean": (0.1, 0.2, 0.3), "std": (1, 2, 3), "input": 64, "resize": 256}
    network = custom(target="mine:net", weights=str(tmp_path / "mine.pth"), **given)
    assert len(network.classes) == 10
    images = torch.rand(2, 3, 64, 64)
    means, deviations = (torch.tensor(given[key])[:, None, None] for key in ("mean", "std"))
    torch.testing.assert_close(network(images), network.module((images - means) / deviations))
    assert float(network.module[0].weight.min()) > 0.5  # of the file: conv weights of a fresh net lie around zero


def test_what_builds_no_network_is_named(monkeypatch):
    monkeypatch.setattr("deepinside.models.saved.resolved", lambda _name: lambda **_keys: nn.Flatten())
    with pytest.raises(ValueError, match=r"mine\.net must return a deepinside\.network\.Network, not Flatten"):
        build({"_target_": "mine.net"}, None)
