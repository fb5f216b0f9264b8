"""Paths may be strings, and the obvious argument needs no name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from deepinside.artifacts.artifact import read_manifest
from deepinside.data.broden.masks import write_masks
from deepinside.data.image import pictures, read_header, read_image
from deepinside.data.index import NO_BOXES, Entry, Index
from deepinside.data.photos import copy_shipped
from deepinside.localisation import submission
from deepinside.miniature import write_broden
from deepinside.models.checkpoint import load_weights, save_weights
from deepinside.models.convnet import ConvNet, convnet
from deepinside.models.pretrained import efficientnet_lite0, squeezenet, torchvision_model
from deepinside.network import Network
from deepinside.records import Row, Table


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_by_name(place: Path) -> None:
    assert torch.equal(read_image("a.jpg"), read_image(place / "a.jpg"))
    assert read_header("b.png") == (30, 20)
    assert pictures(".") == [Path("a.jpg"), Path("b.png")]


def test_tables_by_name(place: Path) -> None:
    Table([Row("a", 1.0)]).write(".")
    assert Table.read(".")["a"].value == 1
    index = Index(place, (), (), (Entry("a", "a.jpg", "all", -1, NO_BOXES, 30, 20),))
    index.write(".")
    assert Index.read(".", ".").entries == index.entries
    submission.write("p.txt", submission.Guesses(np.array([[3]]), np.array([[[0.0, 0, 5, 5]]])))
    assert submission.read("p.txt", 1).labels.tolist() == [[3]]
    Path("bad.txt").write_text("1\n")
    assert submission.read_blacklist("bad.txt", 2).tolist() == [True, False]
    with pytest.raises(FileNotFoundError, match=r"manifest\.json is missing"):
        read_manifest(".")


def test_folders_by_name(place: Path) -> None:
    for folder in ("drawn", "shipped", "own/images", "own/masks/dog", "out"):
        Path(folder).mkdir(parents=True)
    write_broden("drawn", seed=0, images=5, side=32, workers=0, least_frequency=1)
    copy_shipped("shipped")
    Image.fromarray(np.ones((20, 30), dtype=np.uint8)).save("own/masks/dog/a.png")
    (place / "a.jpg").rename("own/images/a.jpg")
    write_masks("own", "out")
    assert all(next((place / folder).rglob(end), None) for folder, end in (("drawn", "*.jpg"), ("shipped", "*.png")))
    assert (place / "out" / "index.csv").is_file()


SHAPE = {"widths": (4, 4, 4, 4, 4), "hidden": (8, 8), "kernel": 5, "stride": 2, "input": 32}
BUILT: dict[str, tuple[Callable[[], nn.Module], Callable[[str | Path], Network]]] = {
    "squeezenet": (lambda: squeezenet("random", classes="ab").module, lambda file: squeezenet(file)),
    "lite0": (lambda: efficientnet_lite0("random", classes="ab").module, lambda file: efficientnet_lite0(file)),
    "resnet18": (
        lambda: torchvision_model("resnet18", classes="ab").module,
        lambda file: torchvision_model("resnet18", file),
    ),
    "convnet": (lambda: ConvNet(2, **SHAPE), lambda file: convnet(file, **SHAPE)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("kind", [str, Path])
def test_weights_by_name_and_position(name: str, kind: type, place: Path) -> None:
    build, load = BUILT[name]
    saved = build()
    save_weights(saved, "w.safetensors")
    read = load(kind("w.safetensors"))
    assert all(torch.equal(one, other) for one, other in zip(saved.parameters(), read.parameters(), strict=True))
    load_weights(saved, "w.safetensors")
    assert (place / "w.safetensors").is_file()
