"""Attribution methods compared: from images with boxes to the tables."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tests.shared import SHARED, needs_shared
from tests.stages.test_localise import draw, network

from deepinside.data.index import Index
from deepinside.defaults import defaults
from deepinside.pipeline.configuration import composed
from deepinside.records import Table
from deepinside.stages import benchmark

METHODS = ["saliency", "grad_cam", "centre", "noise"]


class Convolved(torch.nn.Module):
    """The class of a colour, by a convolution, for maps of a layer too."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)
        self.conv.weight.data = 10 * torch.eye(3)[:, :, None, None]
        self.conv.bias.data = torch.full((3,), -6.0)
        self.rectifier = torch.nn.ReLU()

    def forward(self, x):
        return self.rectifier(self.conv(x)).mean(dim=(2, 3))


def configuration(root, **changed):
    options = defaults("benchmark", "default", {"settings": {name: defaults("method", name) for name in METHODS[:2]}})
    group = OmegaConf.merge(options, {"methods": METHODS, "sample": 3, "pictures": 1, "batch_size": 2}, changed)
    data = {"root": str(root), "split": "val", "limit": None}
    return OmegaConf.create({"data": data, "benchmark": group, "seed": 0, "machine": {"workers": 1}})


def compared(folder, monkeypatch, **changed):
    monkeypatch.setattr(benchmark, "open_network", lambda _cfg, _path: network(module=Convolved()))
    broken = changed.pop("broken", False)
    prepared, out = draw(folder, broken), folder / "out"
    out.mkdir()
    cfg = configuration(folder, **changed)
    benchmark.check(cfg)
    benchmark.run(cfg, {"prepare": prepared, "network": folder}, out)
    return out


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield compared(tmp_path_factory.mktemp("benchmark"), monkeypatch)


def test_the_tables(artifact):
    table = Table.read(artifact)
    assert table["images"].value == 5
    assert table["images_sampled"].value == 3
    for method in METHODS:
        assert table[f"{method}.energy_in_box"].n in {4, 5}  # one map of a wrong class is zero
        for metric in ("pointing_game", "max_box_accuracy_v2", "class_known_localisation_error"):
            assert table[f"{method}.{metric}"].n == 5
        for metric in ("insertion", "deletion"):
            assert table[f"{method}.{metric}"].n == 3
        assert table[f"{method}.ms_per_image"].value > 0
    assert table["saliency.pointing_game_above_centre"].unit == "percentage points"
    assert table["saliency.energy_in_box"].value > table["noise.energy_in_box"].value
    assert {line["method"] for line in csv.DictReader((artifact / "per_image.csv").open())} == set(METHODS)
    assert {line["against"] for line in csv.DictReader((artifact / "comparisons.csv").open())} >= {
        "centre",
        "untrained",
    }
    assert "saliency" in (artifact / "table.tex").read_text()
    pictures = [line["file"] for line in csv.DictReader((artifact / "pictures.csv").open())]
    assert "pictures/agreement.png" in pictures
    assert sum("maps_" in file for file in pictures) == 1
    assert "on which the methods agree least: mean rank correlation" in (artifact / "pictures.csv").read_text()
    assert not (artifact / "parts").exists()


def masked(folder):
    """The data with a trimap of every image but the last: its box, without a border of a pixel that was left open."""
    index = Index.read(draw(folder), folder)
    entries = []
    for entry in index.entries[:-1]:
        values = np.full((entry.height, entry.width), 2, np.uint8)
        x0, y0, x1, y1 = entry.boxes.xyxy[0].astype(int)
        values[y0:y1, x0:x1] = 3
        values[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = 1
        Image.fromarray(values).save(folder / f"{entry.image}.mask.png")
        entries.append(replace(entry, mask=f"{entry.image}.mask.png"))
    replace(index, entries=(*entries, index.entries[-1])).write(folder / "prepared")
    return folder / "prepared"


def test_pixels_are_measured_where_there_are_masks(tmp_path, monkeypatch):
    prepared, out = masked(tmp_path), tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(benchmark, "open_network", lambda _cfg, _path: network(module=Convolved()))
    cfg = configuration(tmp_path, nulls=False, pictures=0)
    benchmark.run(cfg, {"prepare": prepared, "network": tmp_path}, out)
    table = Table.read(out)
    assert (table["saliency.pixel_iou"].n, table["saliency.pixel_iou"].unit) == (4, "IoU")
    # Of plain colours the gradient is the object itself; in the image that shows another class it is zero.
    assert table["saliency.pixel_iou"].value == pytest.approx(0.75, abs=0.02)
    assert table["noise.pixel_iou"].value < 0.5
    assert table["saliency.pixel_iou_above_centre"].n == 4
    assert not [row.metric for row in table.rows if "peak_memory" in row.metric]  # on a CPU


def test_a_broken_image_is_set_aside(tmp_path, monkeypatch):
    out = compared(tmp_path, monkeypatch, broken=True, nulls=False)
    assert Table.read(out)["images"].value == 4
    assert "pictures/b.png" in (out / "set_aside.csv").read_text()


def test_settings_of_methods_are_part_of_the_configuration():
    cfg = composed(["run=benchmark", "benchmark.methods=[saliency,centre,captum.Saliency]"])
    options = OmegaConf.to_container(cfg.benchmark, resolve=True)
    assert options["settings"] == {"saliency": defaults("method", "saliency")}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": []}, "at least one method"),
        ({"sample": 0}, r"benchmark\.sample"),
        ({"batch_size": 0.5}, "batch_size"),
    ],
)
def test_wrong_settings(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        benchmark.check(configuration(tmp_path, **changed))


@pytest.mark.slow
@needs_shared
def test_squeezenet_on_photographs(tmp_path):
    words = [
        f"outputs={tmp_path}", "run=benchmark", "data=ilsvrc", f"data.root={SHARED}/data/ilsvrc_val_sample",
        "data.limit=4",
        "model=squeezenet", f"model.weights={SHARED}/weights/squeezenet1_0_imagenet.safetensors", "wandb=disabled",
        "benchmark.methods=[saliency,grad_cam,centre]", "benchmark.pictures=0",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "deepinside", *words], capture_output=True, text=True, check=True)
    out = done.stdout.splitlines()[-1].removeprefix("artifact: ")
    table = Table.read(Path(out))
    assert np.isfinite(table["grad_cam.randomisation"].value)
    assert table["saliency.energy_in_box"].value > 1
